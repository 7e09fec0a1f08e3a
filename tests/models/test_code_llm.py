"""A code LM from disk and back: every kind of folder, every mistake, and nothing lost on the way."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from arcgym.errors import CheckpointError, ConfigError, GenerationError
from arcgym.models import TINY_NAME, CodeLLM, PolicyNetwork
from arcgym.models.tiny import TINY_FOLDER

IDS = torch.arange(10, 26).view(2, 8)
MASK = torch.ones_like(IDS)
LORA = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, save_policy):
    return save_policy(tmp_path_factory.mktemp("policy"))


def logits(policy):
    with torch.no_grad():
        return policy.model.eval()(IDS).logits


def settings_of(policy):
    """Its config, but for where it was loaded from and by which version."""
    config = policy.causal_lm.config.to_dict()
    return {name: value for name, value in config.items() if name not in ("_name_or_path", "transformers_version")}


def perturb(module, seed):
    """Move every trainable weight, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


@pytest.mark.property(9)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 999),
    has_biases=st.booleans(),
    tied=st.booleans(),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    critic=st.sampled_from([None, "head", "network"]),
    has_adapter=st.booleans(),
)
def test_logits_values_and_config_come_back(
    tmp_path_factory, byte_tokenizer, seed, has_biases, tied, dtype, critic, has_adapter
):
    folder = tmp_path_factory.mktemp("state")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        attention_bias=has_biases,
    )
    PolicyNetwork(LlamaForCausalLM(config), byte_tokenizer).save(folder / "base")
    peft_config = LoraConfig(**LORA) if has_adapter else None
    policy = PolicyNetwork.load(str(folder / "base"), dtype=dtype, peft_config=peft_config)
    if has_adapter and critic == "network":
        critic = "head"  # a network needs full weights
    if critic is not None:
        policy.add_critic(critic)
    perturb(policy.model, seed)
    policy.save(folder / "saved")

    loaded = PolicyNetwork.load(str(folder / "saved"), dtype=dtype)
    assert torch.equal(logits(loaded), logits(policy))
    assert not torch.equal(logits(loaded), logits(PolicyNetwork.load(str(folder / "base"), dtype=dtype)))
    assert settings_of(loaded) == settings_of(policy)
    assert isinstance(loaded.model, PeftModel) == has_adapter
    trained, expected = (
        {name for name, p in each.model.named_parameters() if p.requires_grad and "value_head" not in name}
        for each in (loaded, policy)
    )
    assert trained == expected
    assert loaded.tokenizer.get_vocab() == byte_tokenizer.get_vocab()
    if critic is None:
        assert loaded.critic is None
        assert not loaded.add_critic().weight.any()
    else:
        loaded.add_critic(critic)
        with torch.no_grad():
            values = policy.values(IDS, MASK)
            assert values.std() > 0
            assert torch.equal(loaded.values(IDS, MASK), values)


def test_the_default_policy_loads_by_its_name():
    policy = CodeLLM.load(TINY_NAME)
    assert policy.causal_lm.config._name_or_path == str(TINY_FOLDER), "where PPOTrainer looks for a critic"
    assert policy.weight_bytes == 4 * policy.causal_lm.num_parameters()
    assert (policy.tokenizer.padding_side, policy.source) == ("left", TINY_NAME)


def test_type_and_attention_are_the_wanted_ones(folder):
    policy = CodeLLM.load(folder, dtype=torch.bfloat16, attn_implementation="eager")
    assert {parameter.dtype for parameter in policy.model.parameters()} == {torch.bfloat16}
    assert policy.causal_lm.config._attn_implementation == "eager"
    assert CodeLLM.load(folder, dtype="auto").causal_lm.dtype == torch.float32


def test_a_device_map_and_further_arguments_reach_transformers(folder):
    policy = CodeLLM.load(folder, device_map="meta", model_kwargs={"attention_dropout": 0.25})
    assert policy.causal_lm.device.type == "meta"
    assert policy.causal_lm.config.attention_dropout == 0.25


def test_the_model_knows_the_padding_of_a_tokenizer_that_had_none(folder, tmp_path, byte_tokenizer):
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config.pop("pad_token")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    policy = CodeLLM.load(str(tmp_path))
    end = policy.tokenizer.eos_token_id
    assert policy.tokenizer.pad_token_id == end
    assert policy.causal_lm.config.pad_token_id == policy.causal_lm.generation_config.pad_token_id == end


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"dtype": "float8"}, ConfigError, "`dtype` is 'float8', but must be"),
        ({"attn_implementation": "nonsense"}, ConfigError, "`attn_implementation` is 'nonsense'.*Use `sdpa`"),
        ({"attn_implementation": "flash_attention_2"}, ConfigError, "`attn_implementation` is 'flash_attention_2'"),
        ({"peft_config": LoraConfig(target_modules=["no_proj"])}, ConfigError, "lora_target_modules"),
    ],
)
def test_settings_that_do_not_suit_are_refused(folder, settings_, error, message):
    with pytest.raises(error, match=message):
        CodeLLM.load(folder, **settings_)


def test_what_is_no_causal_lm_is_refused(tmp_path, byte_tokenizer):
    with pytest.raises(GenerationError, match="arcgym-tiny"):
        CodeLLM.load(str(tmp_path / "nothing"))
    with pytest.raises(GenerationError, match="There is no model"):
        CodeLLM.load(str(tmp_path / "nothing"), tokenizer=byte_tokenizer)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text(json.dumps({"model_type": "clip_text_model"}))
    with pytest.raises(GenerationError, match="cannot be loaded as a causal language model"):
        CodeLLM.load(str(tmp_path / "odd"), tokenizer=byte_tokenizer)


def test_missing_weights_are_refused(tmp_path, byte_tokenizer):
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    weights = {name: tensor for name, tensor in model.state_dict().items() if "mlp" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(GenerationError, match=r"no weights for model\.layers\.0\.mlp.*start from random"):
        CodeLLM.load(str(tmp_path), tokenizer=byte_tokenizer)


def test_a_tokenizer_of_another_model_is_refused(tmp_path, byte_tokenizer):
    config = LlamaConfig(
        vocab_size=100, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(GenerationError, match="only 100 embeddings"):
        CodeLLM(LlamaForCausalLM(config), byte_tokenizer)


def test_a_merged_policy_computes_the_same_and_learns_as_a_whole(folder):
    policy = CodeLLM.load(folder, peft_config=LoraConfig(**LORA))
    perturb(policy.model, 0)
    expected = logits(policy)
    policy.merge()
    assert not isinstance(policy.model, PeftModel)
    assert torch.allclose(logits(policy), expected, atol=1e-4)
    assert all(parameter.requires_grad for parameter in policy.model.parameters())
    with pytest.raises(ConfigError, match="no adapter to merge"):
        policy.merge()


def test_an_export_is_a_plain_folder_and_leaves_the_policy_alone(folder, tmp_path):
    policy = PolicyNetwork.load(folder, peft_config=LoraConfig(**LORA))
    policy.add_critic()
    perturb(policy.model, 0)
    expected = logits(policy)
    policy.export(tmp_path, dtype="bfloat16")
    plain, report = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto", output_loading_info=True)
    assert not any(report.values())
    assert AutoConfig.from_pretrained(tmp_path).dtype == plain.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == policy.tokenizer.get_vocab()
    assert not list(tmp_path.glob("*adapter*")) and not list(tmp_path.glob("value_head*"))
    with torch.no_grad():
        assert torch.allclose(plain.float()(IDS).logits, expected, atol=0.2)
    assert isinstance(policy.model, PeftModel) and policy.critic is not None
    assert torch.equal(logits(policy), expected)


def test_an_adapter_whose_base_was_arcgym_tiny_elsewhere_finds_it(tmp_path):
    policy = CodeLLM.load(TINY_NAME, peft_config=LoraConfig(**LORA))
    perturb(policy.model, 0)
    policy.save(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": "/elsewhere/arcgym/models/arcgym-tiny"})
    )
    assert torch.equal(logits(CodeLLM.load(str(tmp_path))), logits(policy))


def test_an_adapter_on_an_adapter_is_refused(folder, tmp_path):
    CodeLLM.load(folder, peft_config=LoraConfig(**LORA)).save(tmp_path)
    with pytest.raises(ConfigError, match=r"is an adapter already.*`use_peft` to false"):
        CodeLLM.load(str(tmp_path), peft_config=LoraConfig(**LORA))


def test_a_policy_saved_over_another_leaves_no_critic_of_it(folder, tmp_path):
    policy = PolicyNetwork.load(folder)
    policy.add_critic()
    policy.save(tmp_path)
    assert (tmp_path / "value_head.safetensors").exists()
    PolicyNetwork.load(folder).save(tmp_path)
    assert not (tmp_path / "value_head.safetensors").exists()


def test_a_critic_of_another_kind_is_said(folder, tmp_path):
    policy = PolicyNetwork.load(folder)
    policy.add_critic("head")
    policy.save(tmp_path)
    with pytest.raises(CheckpointError, match="is not a critic for this model"):
        PolicyNetwork.load(str(tmp_path)).add_critic("network")


def test_freezing_and_its_table_are_those_of_the_model(folder, capsys):
    policy = CodeLLM.load(folder)
    policy.freeze(layers=1, pattern=["norm"])
    assert not policy.causal_lm.model.layers[0].mlp.up_proj.weight.requires_grad
    assert policy.causal_lm.model.layers[1].mlp.up_proj.weight.requires_grad
    assert not policy.causal_lm.model.norm.weight.requires_grad
    policy.print_parameters()
    assert "model.layers.0 " in capsys.readouterr().out
