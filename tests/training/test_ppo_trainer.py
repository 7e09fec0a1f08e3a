import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from ppo_toy import share_of_a
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer

from arcgym.errors import CheckpointError, ConfigError
from arcgym.models.value import ValueHead
from arcgym.training import PPOTrainer


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def rollout_of(trainer, rows):
    trainer.model.train()
    return trainer._generate_and_score_completions(rows)


# --- The loss ---


@pytest.mark.property(10)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    logps=st.tuples(st.floats(-6, 0), st.floats(-6, 0)),
    advantage=st.floats(-5, 5).filter(lambda a: a == 0 or abs(a) > 1e-3),
    cliprange=st.floats(0.01, 0.9),
)
def test_clipped_objective_never_exceeds_the_unclipped_and_has_no_gradient_where_the_advantage_left_the_range(
    loss_of_one_token, logps, advantage, cliprange
):
    new, old = logps
    objective, gradient = loss_of_one_token(new, old, advantage, cliprange)
    ratio = (torch.tensor(new) - torch.tensor(old)).exp().item()
    assert objective <= ratio * advantage + 1e-5 * (1 + abs(ratio * advantage))
    is_beyond = (advantage > 0 and ratio > 1 + cliprange + 1e-5) or (advantage < 0 and ratio < 1 - cliprange - 1e-5)
    is_inside = (advantage > 0 and ratio < 1 + cliprange - 1e-5) or (advantage < 0 and ratio > 1 - cliprange + 1e-5)
    if is_beyond:
        assert gradient == 0
        limit = 1 + cliprange if advantage > 0 else 1 - cliprange
        assert objective == pytest.approx(limit * advantage, rel=1e-4)
    if is_inside:
        assert gradient == pytest.approx(ratio * advantage, rel=1e-3)
        assert objective == pytest.approx(ratio * advantage, rel=1e-3)


@pytest.fixture
def loss_of_one_token(make_trainer):
    """Give the objective (the negative loss) of the trainer for one token, and its gradient in the log-probability."""
    trainer = make_trainer({"vf_coef": 0.0})
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    column = torch.ones(1, 1, dtype=torch.long)

    def evaluate(new, old, advantage, cliprange):
        logp = torch.tensor([[new]], requires_grad=True)

        def forward(*_args, **_kwargs):
            trainer._forward_values.append(torch.zeros(1, 1))
            return logp, torch.zeros(1, 1), None

        trainer._get_per_token_logps_and_entropies = forward
        trainer.epsilon_low = trainer.epsilon_high = cliprange
        names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "value_mask")
        inputs = {name: column for name in names} | {"num_items_in_batch": torch.tensor(1)}
        inputs |= {"advantages": torch.tensor([[advantage]]), "old_per_token_logps": torch.tensor([[old]])}
        inputs |= {"old_values": torch.zeros(1, 1), "returns": torch.zeros(1, 1)}
        objective = -trainer._compute_loss(trainer.model, inputs)
        (gradient,) = torch.autograd.grad(objective, logp)
        return objective.item(), gradient.item()

    return evaluate


@pytest.mark.slow
@pytest.mark.parametrize("num_generations", [1, 4])
def test_policy_learns_a_toy_reward(make_trainer, num_generations):
    settings_ = {"num_generations": num_generations, "num_mini_batches": 2, "max_steps": 120, "logging_steps": 4}
    trainer = make_trainer(settings_ | {"per_device_train_batch_size": 16, "vf_coef": 0.5})
    trainer.train()
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert rewards[0] < 0.3
    assert min(rewards[-3:]) > 0.75


def test_critic_learns_the_mean_return(make_trainer):
    # The policy hardly moves; a head that starts at 0 has to find the constant return 1
    settings_ = {"max_steps": 30, "learning_rate": 0.02, "vf_coef": 1.0, "cliprange_value": 10.0}
    trainer = make_trainer(settings_, reward_funcs=lambda completions, **_: [1.0] * len(completions))
    for name, parameter in trainer.model.named_parameters():
        parameter.requires_grad_("value_head" in name)
    trainer.train()
    values = [entry["ppo/value_mean"] for entry in trainer.state.log_history if "ppo/value_mean" in entry]
    losses = [entry["ppo/value_loss"] for entry in trainer.state.log_history if "ppo/value_loss" in entry]
    assert values[0] == 0.0
    assert values[-1] > 0.8
    assert losses[-1] < 0.1 * losses[0]


def test_one_update_moves_policy_and_critic(make_trainer):
    trainer = make_trainer({"max_steps": 1})
    before = weights(trainer.model)
    trainer.train()
    assert all(not torch.equal(p, before[name]) for name, p in trainer.model.named_parameters())


# --- Rollouts ---


def test_values_are_those_of_the_states_before_each_token(make_trainer, prompts):
    trainer = make_trainer()
    torch.nn.init.normal_(trainer.value_head.weight)
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(4))])
    ids = torch.cat([rollout["prompt_ids"], rollout["completion_ids"]], dim=1)
    mask = torch.cat([rollout["prompt_mask"], rollout["completion_mask"]], dim=1)
    with torch.no_grad():
        hidden = trainer.model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
    start = rollout["prompt_ids"].size(1)
    expected = torch.stack([trainer.value_head(hidden[:, i - 1]) for i in range(start, ids.size(1))], dim=1)
    is_real = rollout["completion_mask"].bool()  # elsewhere values mean nothing
    torch.testing.assert_close(rollout["old_values"][is_real], expected[is_real])


def test_score_lands_on_eos_and_padding_gets_nothing(make_trainer, prompts, tokenizer):
    # With λ = γ = 1 and values of 0, each real token's return is the score; the pad token is EOS here
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    trainer = make_trainer(
        {"lam": 1.0, "whiten_advantages": False, "per_device_train_batch_size": 16}, processing_class=tokenizer
    )
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(16))])
    lengths = rollout["completion_mask"].sum(dim=1)
    ended = rollout["completion_ids"].gather(1, lengths.unsqueeze(1) - 1).squeeze(1) == tokenizer.eos_token_id
    assert ended.any()
    assert not ended.all()
    mask = torch.arange(lengths.max()) < lengths.unsqueeze(1)
    scores = torch.tensor(list(trainer._logs["rewards"]["share_of_a"]))
    torch.testing.assert_close(rollout["returns"], scores.unsqueeze(1) * mask)
    torch.testing.assert_close(rollout["advantages"], scores.unsqueeze(1) * mask)
    torch.testing.assert_close(torch.tensor(list(trainer._logs["advantages"])), scores)


def test_table_of_completions_has_one_advantage_for_each(make_trainer, prompts):
    trainer = make_trainer({"per_device_train_batch_size": 16})
    for _ in range(2):
        rollout_of(trainer, [dict(row) for row in prompts.select(range(4))])
    assert len(trainer._logs["advantages"]) == len(trainer._logs["prompt"]) == 8


def test_completion_without_a_score_takes_no_part(make_trainer, prompts):
    def first_is_unscorable(completions, **_):
        return [None, *share_of_a(completions[1:])]

    trainer = make_trainer(reward_funcs=first_is_unscorable)
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(8))])
    assert not rollout["advantages"][0].any()
    assert not rollout["value_mask"][0].any()
    assert rollout["value_mask"][1:].any(dim=1).all()
    assert all(rollout[name].isfinite().all() for name in ("advantages", "returns", "old_values"))


def test_rollout_that_nobody_can_score_changes_nothing(make_trainer):
    trainer = make_trainer({"max_steps": 1}, reward_funcs=lambda completions, **_: [None] * len(completions))
    before = weights(trainer.model)
    trainer.train()
    torch.testing.assert_close(weights(trainer.model), before, rtol=0, atol=1e-6)


def test_tokens_that_an_environment_wrote_are_no_actions(make_trainer, prompts, monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")

    def rollout_func(prompts, _trainer):
        return {
            "prompt_ids": [[3, 4]] * len(prompts),
            "completion_ids": [[3, 4, 5, 1]] * len(prompts),
            "logprobs": [[-1.0] * 4] * len(prompts),
            "env_mask": [[1, 0, 0, 1]] * len(prompts),
        }

    settings_ = {"lam": 1.0, "whiten_advantages": False}
    trainer = make_trainer(settings_, rollout_func=rollout_func, reward_funcs=lambda completions, **_: [1.0] * 8)
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(8))])
    assert rollout["value_mask"].tolist() == [[1, 0, 0, 1]] * 8
    assert rollout["returns"].tolist() == [[1.0, 0.0, 0.0, 1.0]] * 8


def test_weighted_sum_of_rewards_is_what_the_critic_sees(make_trainer, prompts):
    trainer = make_trainer(
        {"reward_weights": [2.0, -1.0], "lam": 1.0, "whiten_advantages": False},
        reward_funcs=[share_of_a, lambda completions, **_: [0.25] * len(completions)],
    )
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(8))])
    expected = 2 * torch.tensor(list(trainer._logs["rewards"]["share_of_a"])) - 0.25
    torch.testing.assert_close(rollout["returns"][:, 0], expected)


def test_critic_computes_in_float32_under_autocast():
    head = ValueHead(4)
    torch.nn.init.constant_(head.weight, 1.001)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = head(torch.ones(2, 3, 4, dtype=torch.bfloat16))
    torch.testing.assert_close(values, torch.full((2, 3), 4.004))


def test_update_makes_one_forward_of_the_trunk(make_trainer):
    trainer = make_trainer({"max_steps": 1, "num_ppo_epochs": 1})
    calls = []
    trainer.model.base_model.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    trainer.train()
    assert calls.count(True) == 1


def test_kl_in_the_reward_lowers_returns_by_what_is_logged(make_trainer, prompts):
    def constant(completions, **_):
        return [0.5] * len(completions)

    trainer = make_trainer({"kl_coef": 0.1, "lam": 1.0}, reward_funcs=constant)
    for parameter in trainer.model.lm_head.parameters():
        torch.nn.init.normal_(parameter)
    rollout = rollout_of(trainer, [dict(row) for row in prompts.select(range(8))])
    assert "ref_per_token_logps" not in rollout
    (penalty,) = trainer._metrics["train"]["ppo/kl_penalty"]
    assert penalty > 0.01
    assert rollout["returns"][:, 0].mean().item() == pytest.approx(0.5 - penalty, abs=1e-5)


# --- Setups ---


SETUPS = {
    "path": {"as_path": True},
    "path, KL in reward": {"as_path": True, "kl_coef": 0.01},
    "memory, KL in reward": {"kl_coef": 0.01},
    "memory, KL in reward, k3": {"kl_coef": 0.01, "kl_estimator": "k3"},
    "memory, KL in loss": {"beta": 0.01},
    "memory, groups": {"num_generations": 4, "num_generations_eval": 2},
    "LoRA": {"lora": True},
    "LoRA, KL in reward": {"lora": True, "kl_coef": 0.01},
    "LoRA, KL in loss, path": {"lora": True, "beta": 0.01, "as_path": True},
    "accumulation": {"gradient_accumulation_steps": 2, "num_mini_batches": 2},
    "checkpointing": {"gradient_checkpointing": True},
    "LoRA, checkpointing, bf16": {"lora": True, "gradient_checkpointing": True, "bf16": True, "kl_coef": 0.01},
    "token mean of the whole step": {"loss_type": "dapo", "gradient_accumulation_steps": 2},
    "truncated completions left out": {"mask_truncated_completions": True},
    "entropy bonus and whitened rewards": {"entropy_coef": 0.01, "whiten_rewards": True},
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
def test_every_setup_trains_and_evaluates(make_trainer, prompts, policy_folder, make_model, setup):
    setup = dict(setup)
    as_path, lora = setup.pop("as_path", False), setup.pop("lora", False)
    trainer = make_trainer(
        setup | {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 4},
        model=policy_folder if as_path else make_model(),
        eval_dataset=prompts.select(range(8)),
        peft_config=LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False) if lora else None,
    )
    assert trainer.beta == setup.get("beta", 0.0)
    before = weights(trainer.model)
    trainer.train()
    trained = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    expected = {name for name in before if not lora or "lora_" in name or "value_head" in name}
    assert trained == expected
    assert trainer.value_head.weight.dtype == torch.float32
    logged = {key for entry in trainer.state.log_history for key in entry}
    own = ("value_loss", "value_clip_frac", "explained_variance", "return_mean", "value_mean", "advantage_std")
    assert {f"ppo/{name}" for name in own} <= logged
    assert {f"eval_ppo/{name}" for name in own} <= logged
    assert {"entropy", "clip_ratio/region_mean", "reward", "eval_reward"} <= logged
    uses_kl = "beta" in setup or "kl_coef" in setup
    assert ("kl" in logged) == uses_kl
    assert ("ppo/kl_penalty" in logged) == ("kl_coef" in setup)
    assert (trainer.ref_model is not None) == (uses_kl and not lora)
    assert trainer.args.beta == trainer.beta == setup.get("beta", 0.0)
    if trainer.ref_model is not None:
        for name, parameter in trainer.ref_model.named_parameters():
            assert "value_head" in name or torch.equal(parameter, before[name])


def test_evaluation_changes_no_weights(make_trainer, prompts):
    trainer = make_trainer(eval_dataset=prompts.select(range(8)))
    before = weights(trainer.model)
    metrics = trainer.evaluate()
    assert "eval_reward" in metrics
    assert all(torch.equal(p, before[name]) for name, p in trainer.model.named_parameters())


def test_kl_of_an_untrained_policy_is_0_and_of_a_changed_model_in_memory_too(make_trainer, make_model, policy_folder):
    model = AutoModelForCausalLM.from_pretrained(policy_folder)
    torch.nn.init.normal_(model.lm_head.weight)  # no longer what lies in its folder
    trainer = make_trainer({"kl_coef": 0.1, "max_steps": 1}, model=model)
    trainer.train()
    (kl,) = [entry["kl"] for entry in trainer.state.log_history if "kl" in entry]
    assert kl == pytest.approx(0.0, abs=1e-6)


def test_the_critic_can_have_its_own_learning_rate(make_trainer):
    trainer = make_trainer({"learning_rate": 1e-3, "value_learning_rate": 1e-2})
    optimizer = trainer.create_optimizer()
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    critic = {id(p) for p in trainer.value_head.parameters()}
    trainable = {id(p) for p in trainer.model.parameters() if p.requires_grad}
    assert rates == {parameter: 1e-2 if parameter in critic else 1e-3 for parameter in trainable}
    assert len(optimizer.param_groups[-1]["params"]) == len(critic)


def test_given_optimizer_gets_the_critic(make_trainer, make_model):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = make_trainer(model=model, optimizers=(optimizer, None))
    trainer.train()
    assert trainer.value_head.weight.abs().sum() > 0


def test_pretrained_adapter_is_trained_with_a_critic(make_trainer, make_model):
    model = get_peft_model(make_model(), LoraConfig(r=2, target_modules="all-linear"))
    trainer = make_trainer({"beta": 0.01}, model=model)
    trainer.train()
    assert trainer.value_head.weight.abs().sum() > 0


def test_one_completion_per_prompt_logs_no_group_spread(make_trainer):
    trainer = make_trainer({"num_generations": 1, "max_steps": 1})
    trainer.train()
    assert not any("frac_reward_zero_std" in entry for entry in trainer.state.log_history)


def test_model_can_be_trained_by_a_second_trainer(make_trainer, make_model):
    model = make_model()
    first = make_trainer({"kl_coef": 0.01}, model=model)
    first.train()
    trained = weights(model)
    second = make_trainer({"kl_coef": 0.01}, model=model)
    assert second.value_head is first.value_head
    assert all(torch.equal(p, trained[name]) for name, p in second.ref_model.named_parameters())
    second.train()
    assert all(not torch.equal(p, trained[name]) for name, p in model.named_parameters())
    assert all(torch.equal(p, trained[name]) for name, p in second.ref_model.named_parameters())


def test_inference_engine_sees_the_policy_only(make_trainer, monkeypatch):
    trainer = make_trainer()
    seen = []
    monkeypatch.setattr(trainer, "use_vllm", True)
    monkeypatch.setattr(
        GRPOTrainer, "_generate", lambda self, _: seen.extend(name for name, _ in self.model.named_parameters())
    )
    trainer._generate(["a"])
    assert seen
    assert not any("value_head" in name for name in seen)
    assert trainer.model.value_head is trainer.value_head


# --- Saving ---


def test_saved_folder_is_a_plain_causal_lm_with_the_critic_beside_it(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.train()
    trainer.save_model(tmp_path / "saved")
    model, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(loading.values())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, trainer.model.get_parameter(name))
    critic = load_file(tmp_path / "saved" / "value_head.safetensors")
    assert torch.equal(critic["weight"], trainer.value_head.weight)
    assert torch.equal(critic["bias"], trainer.value_head.bias)
    trainer.model.save_pretrained(tmp_path / "direct")
    assert not any("value_head" in name for name in load_file(tmp_path / "direct" / "model.safetensors"))


def test_new_run_from_a_saved_folder_goes_on_with_its_critic(make_trainer, tmp_path):
    first = make_trainer()
    first.train()
    first.save_model(tmp_path / "saved")
    second = make_trainer(model=str(tmp_path / "saved"))
    assert torch.equal(second.value_head.weight, first.value_head.weight)
    assert second.value_head.weight.any()


@pytest.mark.parametrize("lora", [False, True])
def test_critic_and_its_optimizer_state_are_resumed(make_trainer, tmp_path, lora):
    settings_ = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    peft_config = LoraConfig(r=2, target_modules="all-linear") if lora else None
    first = make_trainer(settings_, peft_config=peft_config)
    first.train()
    checkpoint = tmp_path / "run" / "checkpoint-2"
    seen = {}

    second = make_trainer(settings_, peft_config=peft_config)
    train_step = second.training_step

    def look_first(*args, **kwargs):
        if not seen:
            seen["weight"] = second.value_head.weight.detach().clone()
            seen["state"] = second.optimizer.state[second.value_head.weight]["step"].item()
        return train_step(*args, **kwargs)

    second.training_step = look_first
    second.train(resume_from_checkpoint=str(checkpoint))
    saved = load_file(checkpoint / "value_head.safetensors")["weight"]
    assert saved.any()
    assert torch.equal(seen["weight"], saved)
    assert seen["state"] == 2
    assert second.state.global_step == 4


def test_best_model_comes_back_with_its_critic(make_trainer, prompts, tmp_path):
    ratings = iter([1.0, 0.0, 0.0])

    class Rated(PPOTrainer):
        def evaluate(self, *args, **kwargs):
            metrics = super().evaluate(*args, **kwargs)
            metrics["eval_rating"] = next(ratings)
            return metrics

    trainer = make_trainer(
        {
            "save_strategy": "steps",
            "save_steps": 1,
            "eval_strategy": "steps",
            "eval_steps": 1,
            "max_steps": 3,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_rating",
            "greater_is_better": True,
        },
        eval_dataset=prompts.select(range(8)),
    )
    trainer.__class__ = Rated
    trainer.train()
    best = load_file(tmp_path / "run" / "checkpoint-1" / "value_head.safetensors")["weight"]
    last = load_file(tmp_path / "run" / "checkpoint-3" / "value_head.safetensors")["weight"]
    assert torch.equal(trainer.value_head.weight, best)
    assert not torch.equal(last, best)


def test_checkpoint_without_a_critic_is_not_resumed(make_trainer, tmp_path):
    trainer = make_trainer({"save_strategy": "steps", "save_steps": 2})
    trainer.train()
    (tmp_path / "run" / "checkpoint-2" / "value_head.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"holds no value_head\.safetensors"):
        make_trainer({"max_steps": 4}).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))


def test_critic_of_another_width_is_refused(make_trainer, policy_folder):
    from arcgym.models.value import save_critic

    save_critic(ValueHead(7), policy_folder)
    with pytest.raises(CheckpointError, match="is not a critic for this model"):
        make_trainer(model=policy_folder)


# --- Refusals ---


def test_empty_or_short_or_promptless_data_is_refused_before_the_model_is_loaded(make_trainer, prompts):
    with pytest.raises(ConfigError, match="`train_dataset` is empty"):
        make_trainer(model="no/such/model", train_dataset=prompts.select([]))
    with pytest.raises(ConfigError, match=r"has 5 prompts, but one rollout needs 8.*`num_generations` to 2, or"):
        make_trainer(model="no/such/model", train_dataset=prompts.select(range(5)))
    with pytest.raises(ConfigError, match="no column `prompt`, only"):
        make_trainer(model="no/such/model", train_dataset=Dataset.from_dict({"text": ["a"] * 8}))


def test_foreign_settings_and_schedulers_are_refused(make_model, prompts, tokenizer, make_trainer, tmp_path):
    foreign = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, activation_checkpointing=False)
    with pytest.raises(ConfigError, match="`args` is a GRPOConfig"):
        PPOTrainer("no/such/model", share_of_a, foreign, train_dataset=prompts, processing_class=tokenizer)
    optimizer = torch.optim.SGD(make_model().parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    with pytest.raises(ConfigError, match=r"optimizers=\(optimizer, None\)"):
        make_trainer(model="no/such/model", optimizers=(optimizer, scheduler))


def test_uneven_evaluation_groups_are_refused(make_trainer, prompts):
    with pytest.raises(ConfigError, match="3 generations per prompt do not divide"):
        make_trainer({"num_generations_eval": 3}, model="no/such/model", eval_dataset=prompts)


# --- Several processes ---


def run_two_processes(script, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, str(Path(__file__).with_name(script)), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


batches = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 999),
        "prompt": st.integers(1, 6),
        "completion": st.integers(1, 5),
        "group": st.sampled_from([1, 2, 4]),
    }
)


@pytest.mark.slow
@pytest.mark.property(14)
@settings(deadline=None, max_examples=2, suppress_health_check=list(HealthCheck))
@given(specs=st.lists(batches, min_size=2, max_size=4))
def test_an_update_moves_policy_and_critic_downhill_and_leaves_every_rank_with_the_same_weights(
    tmp_path, policy_folder, specs
):
    run_two_processes("one_update.py", policy_folder, str(tmp_path), json.dumps(specs))
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    for first, second in zip(*ranks, strict=True):
        assert first["weights"] == second["weights"]
        before, after = first["losses"]
        assert after < before
        assert any(name.startswith("value_head.") for name in first["moved"])
        assert any("layers" in name for name in first["moved"]) and "lm_head.weight" in first["moved"]


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(tmp_path, policy_folder):
    run_two_processes("two_processes.py", policy_folder, str(tmp_path))
    reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert [report["world_size"] for report in reports] == [2, 2]
    assert reports[0]["weights"] == reports[1]["weights"]
    assert reports[0]["critic_moved"]
    assert reports[0]["completions"] != reports[1]["completions"]
    # Whitened over both processes together
    advantages = torch.tensor(reports[0]["advantages"] + reports[1]["advantages"])
    torch.testing.assert_close(advantages.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(advantages.std(), torch.tensor(1.0), atol=1e-4, rtol=0)
