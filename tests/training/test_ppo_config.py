import dataclasses

import pytest
from transformers import HfArgumentParser
from trl import GRPOConfig

from arcgym.errors import ConfigError
from arcgym.training import PPOConfig


def config(**settings):
    return PPOConfig(**({"output_dir": "run", "use_cpu": True, "bf16": False, "report_to": "none"} | settings))


def test_names_of_trl_follow_from_those_of_ppo():
    made = config(
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_mini_batches=3,
        num_ppo_epochs=5,
        cliprange=0.3,
    )
    assert made.num_iterations == 5
    assert made.epsilon == 0.3
    assert made.steps_per_generation == 6
    assert made.generation_batch_size == made.completions_per_rollout == made.prompts_per_rollout == 24
    assert made.optimizer_steps_per_rollout == 15


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_one_completion_per_prompt_is_allowed_for_any_batch(batch):
    made = config(num_generations=1, per_device_train_batch_size=batch)
    assert made.num_generations == 1
    assert made.num_generations_eval is None
    assert made.generation_batch_size == batch


def test_own_settings_survive_a_round_trip_through_a_dict():
    made = config(num_ppo_epochs=3, num_mini_batches=2, cliprange=0.1, kl_coef=0.01, num_generations=2)
    settings = {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.init}
    assert PPOConfig(**settings).to_dict() == made.to_dict()


def test_checkpointing_is_set_by_either_name_without_a_warning():
    assert config().activation_checkpointing
    assert not config(gradient_checkpointing=False).activation_checkpointing
    assert not config(activation_checkpointing=False).gradient_checkpointing


def test_every_setting_explains_itself():
    inherited = {f.name: f.metadata.get("help") for f in dataclasses.fields(GRPOConfig)}
    own = [f for f in dataclasses.fields(PPOConfig) if f.metadata.get("help") != inherited.get(f.name)]
    assert len(own) >= 11
    assert all(len(f.metadata["help"]) > 40 for f in own)


def test_command_line_reaches_the_settings():
    parser = HfArgumentParser(PPOConfig)
    assert "num_ppo_epochs" in parser.format_help()
    arguments = [
        "--use_cpu",
        "true",
        "--bf16",
        "false",
        "--kl_estimator",
        "k3",
        "--lam",
        "0.9",
        "--num_generations",
        "1",
    ]
    (made,) = parser.parse_args_into_dataclasses(["--output_dir", "run", *arguments])
    assert (made.kl_estimator, made.lam, made.num_generations) == ("k3", 0.9, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_ppo_epochs": 0}, "`num_ppo_epochs` is 0, but has to be at least 1"),
        ({"num_mini_batches": 0}, "`num_mini_batches` is 0"),
        ({"num_generations": 0}, "`num_generations` is 0"),
        ({"cliprange": 0.0}, "`cliprange` is 0.0, but has to be above 0"),
        ({"cliprange_value": -1.0}, "`cliprange_value` is -1.0"),
        ({"gamma": 1.5}, r"`gamma` is 1.5, but has to be in \[0, 1\]"),
        ({"lam": float("nan")}, "`lam` is nan"),
        ({"vf_coef": -0.1}, "`vf_coef` is -0.1"),
        ({"kl_coef": 0.1, "beta": 0.1}, "KL in the reward.*KL in the loss"),
        ({"kl_estimator": "k2"}, "`kl_estimator` is `k2`, but has to be `k1` or `k3`"),
        ({"loss_type": "sapo"}, "`loss_type` is `sapo`, but has to be `bnpo` or"),
        ({"importance_sampling_level": "sequence"}, "`importance_sampling_level` is `sequence`"),
        ({"scale_rewards": "group"}, "`scale_rewards` is `group`.*whiten_rewards"),
        ({"scale_rewards": True}, "`scale_rewards` is `True`"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "multi_objective_aggregation"),
        ({"num_iterations": 2, "num_ppo_epochs": 3}, "Set `num_ppo_epochs` alone"),
        ({"epsilon": 0.1}, "Set `cliprange` alone"),
        ({"steps_per_generation": 7, "gradient_accumulation_steps": 2}, "set `num_mini_batches` to 3 or 4"),
        ({"steps_per_generation": 8}, "set `num_mini_batches` to 8"),
        ({"generation_batch_size": 20}, "rollout has 8 completions.*set `num_mini_batches` to 2 or 3"),
        ({"num_generations": 5}, "which `num_generations` 5 does not divide. Set `num_generations` to 4 or 8"),
        ({"num_generations": 16}, "Set `num_generations` to 8, or `per_device_train_batch_size` to 16"),
        ({"num_generations": 4, "per_device_eval_batch_size": 6, "eval_strategy": "epoch"}, "to 3 or 6"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size is not supported"),
    ],
)
def test_wrong_combinations_are_refused_with_what_to_do(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(**settings)
