"""Where arcgym leans on the inside of TRL: each test guards one seam of `docs/trl-seams.md`.

A failure here means that TRL changed something that `PPOTrainer` relies on, before it shows as a wrong number.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, Trainer
from trl import GRPOConfig, GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer import grpo_trainer
from trl.trainer.utils import FusedCausalLMOutput, RepeatSampler, add_fused_lm_head, shuffle_sequence_dict

from arcgym.models.value import CriticCausalLMOutput
from arcgym.training import PPOTrainer
from arcgym.training.resume import ResumableTrainer

DOCS = Path(__file__).parents[2] / "docs" / "trl-seams.md"


def parameters(function):
    return list(inspect.signature(function).parameters)


def calls(function, name):
    """Every call of something named `name` in the source of `function`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [n for n in named if getattr(n.func, "attr", getattr(n.func, "id", None)) == name]


def test_constructor_is_that_of_grpo_trainer():
    assert parameters(PPOTrainer.__init__) == parameters(GRPOTrainer.__init__)


SIGNATURES = {
    (GRPOTrainer, "_calculate_rewards"): ["inputs", "prompts", "completions", "completion_ids_list"],
    (GRPOTrainer, "_generate_and_score_completions"): ["inputs"],
    (GRPOTrainer, "_compute_loss"): ["model", "inputs"],
    (GRPOTrainer, "_generate"): ["prompts"],
    (Trainer, "_save"): ["output_dir", "state_dict"],
    (Trainer, "_load_from_checkpoint"): ["resume_from_checkpoint", "model"],
    (Trainer, "_load_best_model"): [],
    (Trainer, "create_optimizer"): ["model"],
    (GRPOTrainer, "_generate_single_turn"): [
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    (GRPOTrainer, "_prepare_inputs"): ["generation_batch"],
    (Trainer, "_run_epoch"): [
        "model",
        "epoch",
        "train_dataloader",
        "steps_in_epoch",
        "num_update_steps_per_epoch",
        "trial",
        "ignore_keys_for_eval",
        "start_time",
        "resume_from_checkpoint",
        "epochs_trained",
        "steps_trained_in_current_epoch",
    ],
    (GRPOTrainer, "_get_train_sampler"): ["dataset"],
    (GRPOTrainer, "_save_checkpoint"): ["model", "trial"],
    (Trainer, "_determine_best_metric"): ["metrics", "trial"],
    (Trainer, "_push_from_checkpoint"): ["checkpoint_folder"],
    (GRPOTrainer, "_load_optimizer_and_scheduler"): ["checkpoint"],
}


@pytest.mark.parametrize(("home", "name"), SIGNATURES, ids=[name for _, name in SIGNATURES])
def test_overridden_methods_have_the_known_signature(home, name):
    assert parameters(getattr(home, name)) == ["self", *SIGNATURES[home, name]]


def test_log_probability_method_takes_what_we_pass_and_calls_the_model_once_per_chunk():
    method = GRPOTrainer._get_per_token_logps_and_entropies
    first = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy"]
    assert parameters(method)[:7] == first
    (call,) = calls(method, "model")
    assert not call.args
    assert [keyword.arg for keyword in call.keywords] == [None, "labels", "fused_lm_head"]
    # Nothing else of the model is used, so that a function can stand for it
    source = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method))))
    uses = [node for node in ast.walk(source) if isinstance(node, ast.Name) and node.id == "model"]
    assert len(uses) == 1


def test_loss_makes_one_forward_through_that_method_and_takes_advantages_per_token():
    assert len(calls(GRPOTrainer._compute_loss, "_get_per_token_logps_and_entropies")) == 1
    assert "if advantages.dim() == 1:" in inspect.getsource(GRPOTrainer._compute_loss)


def test_rollout_evaluates_the_policy_before_the_reference():
    made = sorted(
        calls(GRPOTrainer._generate_and_score_completions, "_get_per_token_logps_and_entropies"),
        key=lambda call: call.lineno,
    )
    assert [ast.unparse(call.args[0]) for call in made] == ["self.model", "self.ref_model", "self.model"]
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "self._calculate_rewards(inputs, prompts, completions, completion_ids_list)" in source
    assert "self.accelerator.process_index * len(prompts)" in source


def test_rollout_gives_the_tensors_that_we_read(make_trainer, prompts):
    trainer = make_trainer({"kl_coef": 0.1})
    trainer.model.train()
    trainer.beta = 0.1
    rows = [dict(row) for row in prompts.select(range(8))]
    rollout = GRPOTrainer._generate_and_score_completions(trainer, rows)
    shape = rollout["completion_ids"].shape
    for name in ("completion_mask", "old_per_token_logps", "ref_per_token_logps"):
        assert rollout[name].shape == shape, name
    assert rollout["prompt_ids"].shape == rollout["prompt_mask"].shape
    assert rollout["advantages"].shape == (8,)
    assert len(trainer._logs["advantages"]) == 8


def test_extra_tensors_survive_shuffling_and_splitting(make_trainer, prompts):
    trainer = make_trainer({"num_mini_batches": 2})
    trainer.model.train()
    batch = trainer._prepare_inputs([dict(row) for row in prompts.select(range(16))])
    assert batch["old_values"].shape == batch["returns"].shape == batch["value_mask"].shape
    assert batch["returns"].shape == batch["completion_ids"].shape
    torch.testing.assert_close(batch["value_mask"].bool(), batch["completion_mask"].bool())


def test_reference_is_built_from_beta_through_the_name_that_we_replace():
    source = inspect.getsource(GRPOTrainer.__init__)
    assert "self.beta = args.beta" in source
    assert "self.ref_model = create_model_from_path(get_config_model_id(self.model.config)" in source
    assert callable(grpo_trainer.create_model_from_path)


def test_fused_forward_runs_the_base_model_and_returns_a_dataclass():
    assert parameters(add_fused_lm_head) == ["model", "temperature", "cast_lm_head_to_fp32", "outputs"]
    assert 'backbone_attr = "base_model"' in inspect.getsource(add_fused_lm_head)
    names = [field.name for field in dataclasses.fields(FusedCausalLMOutput)]
    assert {"loss", "log_probs", "entropy"} <= set(names)
    assert [field.name for field in dataclasses.fields(CriticCausalLMOutput)] == [*names, "value_estimates"]


def test_saving_leaves_out_the_keys_that_the_model_names():
    assert "self._keys_to_ignore_on_save" in inspect.getsource(PreTrainedModel.save_pretrained)


def test_checkpointing_is_switched_off_by_trls_own_helper():
    assert parameters(disable_gradient_checkpointing) == ["model", "gradient_checkpointing_kwargs"]


def test_config_has_the_fields_that_ppo_fills_in():
    fields = {field.name: field.default for field in dataclasses.fields(GRPOConfig)}
    assert (fields["num_iterations"], fields["epsilon"], fields["beta"]) == (1, 0.2, 0.0)
    assert fields["steps_per_generation"] is None
    assert fields["generation_batch_size"] is None
    assert fields["num_generations_eval"] is None


def test_the_page_lists_every_method_that_we_override_and_its_tests_exist():
    page = DOCS.read_text(encoding="utf-8")
    overridden = {
        name
        for ours in (PPOTrainer, ResumableTrainer)
        for name, member in vars(ours).items()
        if inspect.isfunction(member) and hasattr(GRPOTrainer, name) and name != "__init__"
    }
    assert overridden == {name for _, name in SIGNATURES} | {"_get_per_token_logps_and_entropies"}
    assert all(f"`{name}`" in page for name in overridden)
    named = set(re.findall(r"`(test_\w+)`", page))
    assert named
    assert named <= set(globals())


def test_tokenizer_and_output_folder_have_their_names():
    source = inspect.getsource(GRPOTrainer.__init__)
    assert "self._tokenizer = " in source and "pad_token_id = self._tokenizer.pad_token_id" in source
    assert parameters(Trainer._get_output_dir) == ["self", "trial"]


def test_the_loop_keeps_its_place_where_we_save_it():
    """`arcgym.training.resume.LoopState` saves what these lines read and write."""
    prepare = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert "self._step % generate_every == 0 or self._buffered_inputs is None" in prepare
    assert "self._buffered_inputs[self._step % self.args.steps_per_generation]" in prepare
    assert "self._step += 1" in inspect.getsource(GRPOTrainer.training_step)
    log = inspect.getsource(Trainer._maybe_log_save_evaluate)
    assert "tr_loss_scalar / (self.state.global_step - self._globalstep_last_logged)" in log
    start = inspect.getsource(Trainer._inner_training_loop)
    # Trainer resets both before it tells the callbacks, which restore them
    assert start.index("self._globalstep_last_logged = ") < start.index("callback_handler.on_train_begin")


def test_an_epoch_is_run_step_by_step_and_stopped_by_the_control():
    (call,) = calls(Trainer._inner_training_loop, "_run_epoch")
    assert not call.args, "we pass on whatever it is given"
    loop = inspect.getsource(Trainer._inner_training_loop)
    assert loop.index("self._run_epoch(") < loop.index("if self.control.should_training_stop:")


def test_sampler_is_the_one_whose_generator_we_seed(make_trainer):
    sampler = GRPOTrainer._get_train_sampler(make_trainer())
    assert type(sampler) is RepeatSampler
    taken = parameters(RepeatSampler.__init__)[1:]
    assert taken == ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"]
    assert "generator=self.generator" in inspect.getsource(RepeatSampler.__iter__)


def test_checkpoints_are_rotated_after_they_are_saved():
    """We take `save_total_limit` away meanwhile, and rotate ourselves when the new one is sealed."""
    source = inspect.getsource(Trainer._save_checkpoint)
    assert "save_total_limit=self.args.save_total_limit" in source
    saved = source.index("self._save_rng_state")
    assert saved < source.index("self._push_from_checkpoint(") < source.index("rotate_checkpoints(")


def test_rollouts_are_shuffled_by_the_name_that_we_replace():
    assert grpo_trainer.shuffle_sequence_dict is shuffle_sequence_dict
    (call,) = calls(GRPOTrainer._prepare_inputs, "shuffle_sequence_dict")
    assert len(call.args) == 1 and not call.keywords
    assert calls(GRPOTrainer._prepare_inputs, "split_tensor_dict")


def test_plain_generation_is_what_we_replace():
    method = GRPOTrainer._generate_single_turn
    (call,) = calls(method, "generate")[1:]  # the first is vLLM's
    assert [keyword.arg for keyword in call.keywords] == [None, "generation_config"]
    unwrapping = calls(method, "unwrap_model_for_generation")[-1]
    assert {keyword.arg for keyword in unwrapping.keywords} == {
        "gather_deepspeed3_params",
        "generation_kwargs",
        "gradient_checkpointing_kwargs",
    }
    assert "return completion_ids, logprobs" in inspect.getsource(method)
