"""PPOTrainer beyond its defaults: advantages without a critic, a critic of its own, warm-up, adaptive KL, replay."""

import pytest
import torch
from ppo_toy import share_of_a
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, set_seed
from trl import GRPOConfig, GRPOTrainer

from arcgym.errors import ConfigError
from arcgym.models.value import ValueNetwork
from arcgym.training import PPOTrainer

GROUPS = {"num_generations": 4, "advantage": "group"}


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def logged(trainer, name):
    return [row[name] for row in trainer.state.log_history if name in row]


def test_group_advantages_train_as_grpo_does(make_trainer, make_model, prompts, tokenizer, tmp_path):
    ours = make_trainer(GROUPS | {"share_prompts": False, "num_mini_batches": 2})
    args = GRPOConfig(
        output_dir=str(tmp_path / "grpo"),
        loss_type="bnpo",
        scale_rewards="group",
        beta=0.0,
        temperature=ours.args.temperature,
        num_generations=4,
        num_iterations=2,
        steps_per_generation=2,
        **{
            name: getattr(ours.args, name)
            for name in (
                "per_device_train_batch_size gradient_accumulation_steps max_completion_length max_steps learning_rate"
                " lr_scheduler_type use_cpu bf16 gradient_checkpointing report_to save_strategy disable_tqdm seed"
                " disable_dropout max_grad_norm epsilon"
            ).split()
        },
    )
    theirs = GRPOTrainer(make_model(), share_of_a, args, train_dataset=prompts, processing_class=tokenizer)
    for trainer in (ours, theirs):
        set_seed(1)
        trainer.train()
    for (name, mine), (_, other) in zip(weights(ours).items(), weights(theirs).items(), strict=True):
        torch.testing.assert_close(mine, other, msg=lambda text, name=name: f"{name}: {text}")
    assert ours.value_head is None and not (tmp_path / "run" / "value_head.safetensors").exists()


@pytest.mark.parametrize("kind", ["group", "rloo", "reinforce"])
def test_it_learns_without_a_critic(make_trainer, kind):
    settings = {"advantage": kind, "num_generations": 1 if kind == "reinforce" else 4, "max_steps": 120}
    trainer = make_trainer(settings | {"per_device_train_batch_size": 32, "share_prompts": False})
    trainer.train()
    rewards = logged(trainer, "reward")
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.2


def test_the_kl_is_taken_off_the_score_where_there_is_no_critic(make_trainer):
    trainer = make_trainer(GROUPS | {"kl_coef": 0.5, "max_steps": 1})
    rollout = {
        "completion_ids": torch.ones(4, 2, dtype=torch.long),
        "completion_mask": torch.tensor([[1, 1], [1, 0], [1, 1], [1, 1]]),
        "old_per_token_logps": torch.tensor([[-1.0, -1.0], [-1.0, -9.0], [-1.0, -1.0], [-1.0, -1.0]]),
        "ref_per_token_logps": torch.tensor([[-2.0, -1.0], [-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]]),
    }
    trainer._add_advantages(rollout, torch.tensor([1.0, 0.0, 0.0, 0.0]), fresh=4)
    scores = torch.tensor([0.5, 0.0, 0.0, 0.0])  # the first completion is 1 nat away from the reference
    expected = (scores - scores.mean()) / (scores.std() + 1e-4)
    torch.testing.assert_close(rollout["advantages"], expected.unsqueeze(1) * rollout["completion_mask"])


def test_settings_that_the_advantage_does_not_use_are_refused(make_config):
    with pytest.raises(ConfigError, match="`num_generations` is 1, but `advantage: rloo`"):
        make_config(advantage="rloo")
    for setting in ({"critic": "network"}, {"lam": 0.5}, {"whiten_rewards": True}, {"value_warmup_steps": 3}):
        with pytest.raises(ConfigError, match=f"`{next(iter(setting))}` is .* has no critic"):
            make_config(**GROUPS, **setting)
    make_config(**GROUPS, value_learning_rate=0.01, vf_coef=0.02)  # a YAML for PPO serves as it is
    with pytest.raises(ConfigError, match="`kl_target` is 1, but `kl_coef`"):
        make_config(kl_target=1)
    with pytest.raises(ConfigError, match="not whole groups of 4"):
        make_config(replay_share=0.5, num_generations=4, per_device_train_batch_size=6, num_mini_batches=1)


def test_a_critic_with_weights_of_its_own_leaves_the_policy_alone(make_trainer, tmp_path):
    trainer = make_trainer({"critic": "network", "vf_coef": 1.0, "max_steps": 2, "value_warmup_steps": 2})
    assert isinstance(trainer.value_head, ValueNetwork)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("value_head.") for name in moved)
    assert any("trunk.layers" in name for name in moved)
    trainer.save_model(tmp_path / "saved")
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    again = make_trainer({"critic": "network"}, model=str(tmp_path / "saved"))
    for name, tensor in again.value_head.state_dict().items():
        assert torch.equal(tensor, trainer.value_head.state_dict()[name]), name


def test_a_critic_with_weights_of_its_own_learns(make_trainer):
    settings = {"critic": "network", "max_steps": 120, "per_device_train_batch_size": 32}
    trainer = make_trainer(settings)
    trainer.train()
    rewards, values = logged(trainer, "reward"), logged(trainer, "ppo/value_mean")
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.2
    assert values[-1] == pytest.approx(rewards[-1], abs=0.15)  # it knows by now how good the policy has become


def test_while_the_critic_warms_up_the_policy_stands_still(make_trainer):
    trainer = make_trainer({"value_warmup_steps": 3, "max_steps": 3})
    before = weights(trainer)
    trainer.train()
    for name, tensor in weights(trainer).items():
        assert torch.equal(tensor, before[name]) is not name.startswith("value_head."), name
    longer = make_trainer({"value_warmup_steps": 1, "max_steps": 3})
    longer.train()
    assert not torch.equal(weights(longer)["lm_head.weight"], before["lm_head.weight"])


def test_the_weight_of_the_kl_follows_its_target(make_trainer, tmp_path):
    settings = {"kl_coef": 0.01, "kl_target": 1e-6, "kl_horizon": 8, "kl_estimator": "k3", "save_strategy": "steps"}
    trainer = make_trainer(settings | {"save_steps": 6, "max_steps": 6})
    trainer.train()
    # The policy is the reference at first, far below the target, and then far above it
    assert logged(trainer, "ppo/kl_coef") == pytest.approx([0.01, 0.008, 0.0096])
    assert trainer.kl_coef == pytest.approx(0.01152)
    resumed = make_trainer(settings | {"max_steps": 8})
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert logged(resumed, "ppo/kl_coef")[-1] == pytest.approx(trainer.kl_coef)


@pytest.mark.parametrize("kind", ["gae", "group"])
def test_replayed_completions_take_their_share_of_a_rollout(make_trainer, kind):
    settings = {"advantage": kind, "num_generations": 2, "replay_share": 0.5, "kl_coef": 0.001}
    trainer = make_trainer(settings | {"max_steps": 6, "num_ppo_epochs": 1})
    rollouts, asked = [], []
    generate = trainer._generate_and_score_completions
    calculate = trainer._calculate_rewards

    def record(inputs):
        rollouts.append(generate(inputs))
        return rollouts[-1]

    def count(inputs, prompts, *rest):
        asked.append(len(prompts))
        return calculate(inputs, prompts, *rest)

    trainer._generate_and_score_completions, trainer._calculate_rewards = record, count
    trainer.train()
    assert asked[0] == 8 and set(asked[1:]) <= {8, 4} and 4 in asked
    for rollout, fresh in zip(rollouts, asked, strict=True):
        rows = {len(t) for t in rollout.values() if isinstance(t, torch.Tensor) and t.dim()}
        assert rows == {8}
        assert rollout["num_items_in_batch"] == rollout["completion_mask"].sum()
        if fresh == 8:
            continue
        known = [row for earlier in rollouts for row in earlier["completion_ids"].tolist()]
        for ids, mask in zip(rollout["completion_ids"][4:], rollout["completion_mask"][4:], strict=True):
            tokens = ids[mask.bool()].tolist()
            assert any(row[: len(tokens)] == tokens for row in known)
    assert logged(trainer, "ppo/replay_frac")[-1] in (0.0, 0.5)
    assert all(1 <= age <= 8 for age in logged(trainer, "ppo/replay_age"))
    assert all(0 < weight <= 2 for weight in logged(trainer, "ppo/replay_weight"))


def test_replay_weights_multiply_the_advantages(make_trainer):
    trainer = make_trainer({"num_generations": 2, "replay_share": 0.5, "replay_truncation": 1.5, "lam": 1.0})
    plain = {
        "completion_ids": torch.ones(2, 1, dtype=torch.long),
        "completion_mask": torch.ones(2, 1, dtype=torch.long),
        "old_per_token_logps": torch.zeros(2, 1),
        "old_values": torch.zeros(2, 1),
    }
    weighted = plain | {"replay_weights": torch.tensor([[1.0], [1.5]])}
    scores = torch.tensor([1.0, 0.0])
    trainer._add_advantages(plain, scores, fresh=1)
    trainer._add_advantages(weighted, scores, fresh=1)
    torch.testing.assert_close(weighted["advantages"], plain["advantages"] * torch.tensor([[1.0], [1.5]]))
    torch.testing.assert_close(weighted["returns"], plain["returns"])


def test_the_replay_buffer_is_in_the_checkpoint(make_trainer, tmp_path):
    settings = {"num_generations": 2, "replay_share": 0.5, "num_ppo_epochs": 1}
    trainer = make_trainer(settings | {"max_steps": 4, "save_strategy": "steps", "save_steps": 4})
    trainer.train()
    saved = torch.load(tmp_path / "run" / "checkpoint-4" / "arcgym_state_0.pt", weights_only=True)["parts"]
    assert saved["replay"] == trainer.replay.state_dict() and len(trainer.replay)
    resumed = make_trainer(settings | {"max_steps": 5})
    restored, choose = [], resumed._groups_to_replay

    def look_first():
        restored.append(resumed.replay.state_dict())
        return choose()

    resumed._groups_to_replay = look_first
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert restored[0] == saved["replay"] and resumed.replay.rollout == 5
    assert logged(resumed, "ppo/replay_frac")[-1] == 0.5


def test_what_tools_answered_is_not_replayed(make_model, make_config, prompts, tokenizer):
    def tool(x: int) -> int:
        """Double.

        Args:
            x: A number.
        """
        return 2 * x

    with pytest.raises(ConfigError, match=r"`replay_share` is 0\.5"):
        PPOTrainer(
            make_model(),
            share_of_a,
            make_config(replay_share=0.5),
            train_dataset=prompts,
            processing_class=tokenizer,
            tools=[tool],
        )


def test_critic_of_another_kind_in_the_folder_is_refused(make_trainer, tmp_path):
    from arcgym.errors import CheckpointError

    trainer = make_trainer({"max_steps": 1})
    trainer.train()
    trainer.save_model(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "value_head.safetensors").keys() == {"weight", "bias"}
    with pytest.raises(CheckpointError, match="not a critic for this model"):
        make_trainer({"critic": "network"}, model=str(tmp_path / "saved"))


def test_the_entropy_bonus_of_trl_reaches_the_policy(make_trainer):
    ends = []
    for coef in (0.0, 0.5):
        trainer = make_trainer({"entropy_coef": coef, "max_steps": 40, "per_device_train_batch_size": 16})
        set_seed(1)
        trainer.train()
        ends.append(sum(logged(trainer, "entropy")[-5:]) / 5)
    assert ends[1] > ends[0] + 0.05


def test_4_bit_weights_loaded_by_the_trainer_are_not_repacked(make_trainer, policy_folder):
    from bitsandbytes.nn.modules import Linear4bit
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig

    trainer = make_trainer(
        model=policy_folder,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True),
        peft_config=LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4),
    )
    layers = [module for module in trainer.model.modules() if isinstance(module, Linear4bit)]
    assert layers and not any(layer.support_avx512bf16_for_cpu for layer in layers)
