"""How a job loads its policy: what TRL's settings and ours make of it, and that every trainer takes it as it is."""

import sys

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer, get_peft_config

from arcgym.errors import ConfigError
from arcgym.models import build_tiny, build_tokenizer
from arcgym.models.policy import PolicyNetwork
from arcgym.runs.job import Job
from arcgym.training import PPOConfig, PPOTrainer

TRAINERS = {"ppo": (PPOTrainer, PPOConfig), "grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}
SMALL = {
    "train_tasks": "synthetic/train:8",
    "eval_tasks": "synthetic/evaluation:2",
    "max_prompt_tokens": 256,
    "num_generations": 2,
    "per_device_train_batch_size": 4,
    "max_completion_length": 4,
    "max_steps": 1,
    "learning_rate": 0.01,
    "lr_scheduler_type": "constant",
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    tokenizer = build_tokenizer(512)
    torch.manual_seed(0)
    # The smallest width at which every row is whole blocks of 64, as 4 bits need on CPU
    build_tiny(tokenizer, hidden_size=128, num_layers=2, max_length=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def make_job(folder, tmp_path, monkeypatch):
    def make(kind, **settings):
        words = ["recipe", "--model_name_or_path", folder, "--output_dir", str(tmp_path / "run")]
        for name, value in (SMALL | settings).items():
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
        monkeypatch.setattr(sys, "argv", words)
        return Job(TRAINERS[kind][1], description=None)

    return make


def length(completions, **_):
    return [float(len(completion) % 5) for completion in completions]


def train(job, kind, policy):
    """Build the recipe's trainer, take one step; return it with the weights from before and after."""
    trainer = TRAINERS[kind][0](
        model=policy.model,
        reward_funcs=length,
        args=job.training,
        train_dataset=job.train_dataset,
        processing_class=job.tokenizer,
        peft_config=get_peft_config(job.settings.model),
    )
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, parameter in trainer.model.named_parameters() if not torch.equal(parameter, before[name])}
    return trainer, before, moved


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRAINERS)
def test_a_policy_in_memory_trains_against_the_reference_that_it_was(make_job, kind, caplog):
    job = make_job(kind, beta=0.1, attn_implementation="eager")
    policy = job.load_policy()
    assert isinstance(policy, PolicyNetwork) and policy.tokenizer is job.tokenizer
    assert policy.causal_lm.config._attn_implementation == "eager"
    trainer, before, moved = train(job, kind, policy)
    assert policy.model is trainer.model
    assert "will be ignored" not in caplog.text
    assert "model.layers.0.mlp.up_proj.weight" in moved
    reference = dict(trainer.accelerator.unwrap_model(trainer.ref_model).named_parameters())
    assert reference.keys() == {name for name in before if "value_head" not in name}
    assert all(torch.equal(parameter, before[name]) for name, parameter in reference.items())
    metrics = {name for row in trainer.state.log_history for name in row}
    assert "kl" in metrics


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRAINERS)
def test_lora_on_4_bits_trains_and_nothing_else_does(make_job, kind):
    job = make_job(kind, load_in_4bit=True, use_bnb_nested_quant=True, use_peft=True, beta=0.1, dtype="bfloat16")
    policy = job.load_policy()
    layers = [module for module in policy.model.modules() if isinstance(module, Linear4bit)]
    assert layers and all(layer.weight.quant_state.nested for layer in layers)
    trainer, before, moved = train(job, kind, policy)
    adapters = {name for name in before if "lora_" in name and ".ref." not in name}
    critic = {name for name in before if "value_head" in name}
    assert trainer.ref_model is None
    assert {name for name in adapters if "lora_B" in name} <= moved, "an evaluation or a rollout broke the gradients"
    assert moved <= adapters | critic
    trainer.model.eval()
    with torch.no_grad():
        trainer.model(torch.ones(1, 4, dtype=torch.long))
    trainer.train()
    assert {name for name in adapters if "lora_A" in name} <= {
        name for name, parameter in trainer.model.named_parameters() if not torch.equal(parameter, before[name])
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRAINERS)
def test_frozen_parts_stay_and_the_critic_learns(make_job, kind, capsys):
    job = make_job(kind, freeze_layers=1, freeze_pattern=["self_attn", "norm"])
    policy = job.load_policy()
    trainer, before, moved = train(job, kind, policy)
    expected = {name for name in before if "layers.1.mlp" in name or "value_head" in name}
    assert moved == expected
    job.start(trainer, sandbox=None)
    shown = capsys.readouterr().out
    assert "model.embed_tokens = lm_head" in shown
    assert f"{sum(before[name].numel() for name in expected):,}" in shown
    assert ("value_head" in shown) == (kind == "ppo")


def test_all_but_the_head(make_job):
    policy = make_job("grpo", freeze_all_but_head=True).load_policy()
    trained = {name for name, parameter in policy.model.named_parameters() if parameter.requires_grad}
    assert trained == {"model.embed_tokens.weight"}, "which the head is tied to"


def test_further_arguments_of_the_model_count_and_ours_come_first(make_job):
    job = make_job("grpo", model_init_kwargs='{"attention_dropout": 0.2, "dtype": "float16", "revision": "old"}')
    policy = job.load_policy()
    assert policy.causal_lm.config.attention_dropout == 0.2
    assert policy.causal_lm.dtype == torch.float32


def test_the_reference_is_of_the_same_revision(make_job):
    job = make_job("grpo", beta=0.1, model_revision="v2")  # which a folder does not have: ignored there
    job.load_policy()
    assert job.training.model_init_kwargs == {"revision": "v2"}


def test_the_same_seed_gives_the_same_random_state_as_before_a_trainers_own_loading(make_job):
    make_job("grpo", seed=7).load_policy()
    first = torch.rand(1)
    make_job("grpo", seed=7).load_policy()
    assert torch.equal(torch.rand(1), first)


@pytest.mark.slow
def test_an_adapter_goes_on_learning(make_job, folder, tmp_path):
    job = make_job("grpo", use_peft=True)
    trainer, _, _ = train(job, "grpo", job.load_policy())
    PolicyNetwork(trainer.model, job.tokenizer).save(tmp_path / "adapter")
    job = make_job("grpo", model_name_or_path=str(tmp_path / "adapter"), beta=0.1, load_in_8bit=True)
    _, _, moved = train(job, "grpo", job.load_policy())
    assert moved and all("lora_" in name and ".ref." not in name for name in moved)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"load_in_4bit": True}, "`load_in_4bit` is true.*Set `use_peft` to true"),
        ({"load_in_8bit": True}, "`load_in_8bit` is true.*Set `use_peft` to true"),
        ({"load_in_4bit": True, "use_peft": True, "dtype": "auto"}, "`dtype` is auto"),
        ({"freeze_layers": 1, "use_peft": True}, "Leave these out"),
        ({"freeze_all_but_head": True, "use_peft": True}, "Leave these out"),
    ],
)
def test_what_cannot_learn_is_refused_before_a_model_is_loaded(make_job, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_job("ppo", **settings)
