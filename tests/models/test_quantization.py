"""Quantized policies on CPU: what they weigh, what they compute, that they learn, and bitsandbytes' own traps."""

import logging

import bitsandbytes
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from arcgym.errors import ConfigError
from arcgym.models import TINY_NAME, CodeLLM, PolicyNetwork
from arcgym.models.quantization import weight_bytes

LORA = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
KINDS = ("4bit", "4bit-double", "8bit")
TEXTS = (["Input:\n12\n", "a"], ["def f(x):\n", "xy"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, save_policy):
    """A policy whose layers have whole blocks in every row."""
    return save_policy(tmp_path_factory.mktemp("policy"), hidden_size=64, intermediate_size=192)


def scores(policy):
    return policy.log_probs(policy.collate(*TEXTS))


def step(policy, rate=1e-2):
    trained = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, rate)
    scores(policy).sum().backward()
    optimizer.step()
    return trained


@pytest.mark.property(7)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    hidden_size=st.sampled_from([64, 128]),
    intermediate_size=st.sampled_from([64, 192]),
    num_hidden_layers=st.integers(1, 3),
    tie_word_embeddings=st.booleans(),
    seed=st.integers(0, 99),
)
def test_fewer_bits_take_less_memory_and_give_nearly_the_same_logits(tmp_path_factory, save_policy, **config):
    folder = save_policy(tmp_path_factory.mktemp("policy"), initializer_range=0.02, **config)
    ids = torch.randint(3, 250, (2, 12), generator=torch.Generator().manual_seed(0))

    def load(dtype, quantization=None):
        policy = CodeLLM.load(folder, dtype=dtype, quantization=quantization)
        with torch.no_grad():
            return policy.weight_bytes, policy.model.eval()(ids).logits.float()

    full_bytes, full = load("float32")
    half_bytes, half = load("bfloat16")
    assert half_bytes * 2 == full_bytes
    eight_bytes, eight = load("bfloat16", "8bit")
    four_bytes, four = load("bfloat16", "4bit")
    assert four_bytes < eight_bytes < half_bytes
    for logits, bound in ((half, 0.02), (eight, 0.05), (four, 0.3)):
        assert 0 < (logits - full).norm() / full.norm() < bound


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_of_the_file(folder, tmp_path, kind):
    # An independent count: everything that a policy needs is in its file, but for the packed metadata
    policy = CodeLLM.load(folder, quantization=kind)
    policy.save(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in saved.items() if "bitsandbytes__" not in name and "_format" not in name}
    in_file = sum(tensor.nbytes for tensor in kept.values())
    # the offset of nested scales is in the metadata
    offsets = 4 * sum(isinstance(module, Linear4bit) for module in policy.model.modules()) * (kind == "4bit-double")
    assert policy.weight_bytes == in_file + offsets


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_on_quantized_weights_get_gradients_after_an_evaluation(folder, kind):
    policy = PolicyNetwork.load(folder, quantization=kind, peft_config=LoraConfig(**LORA))
    step(policy)  # B starts at 0, and with it the gradient of A
    before = {name: parameter.detach().clone() for name, parameter in policy.model.named_parameters()}
    policy.model.eval()
    with torch.no_grad():
        expected = scores(policy)
    policy.model.train()
    policy.model.zero_grad()
    trained = step(policy)
    assert len(trained) == 2 * 2 * 7
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained)
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    policy.model.eval()
    with torch.no_grad():
        assert not torch.equal(scores(policy), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_after_an_evaluation_is_what_was_loaded(folder, tmp_path, kind):
    policy = PolicyNetwork.load(folder, quantization=kind)
    policy.model.eval()
    with torch.no_grad():
        expected = scores(policy)
    policy.save(tmp_path)
    loaded = PolicyNetwork.load(str(tmp_path))
    loaded.model.eval()
    with torch.no_grad():
        scores(loaded)  # a model that was saved quantized has the same traps
        assert torch.equal(scores(loaded), expected)
    assert loaded.weight_bytes == policy.weight_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_export_and_merge_give_what_was_trained(folder, tmp_path, kind):
    policy = PolicyNetwork.load(folder, quantization=kind, peft_config=LoraConfig(**LORA))
    base = scores(policy).detach()
    step(policy)
    step(policy)
    policy.model.eval()
    with torch.no_grad():
        expected = scores(policy)
        assert (expected - base).abs().max() > 0.5
        policy.export(tmp_path / "plain")
        assert torch.equal(scores(policy), expected), "the policy itself is as before"
        plain = PolicyNetwork(AutoModelForCausalLM.from_pretrained(tmp_path / "plain"), policy.tokenizer)
        assert "quantization_config" not in plain.model.config.to_dict()
        # 8-bit multiplication rounds its input too
        tolerance = 0.1 if kind == "8bit" else 1e-3
        assert (scores(plain.__class__(plain.model.eval(), plain.tokenizer)) - expected).abs().max() < tolerance
        policy.merge()
        assert torch.equal(scores(policy), scores(plain))
    assert all(parameter.requires_grad for parameter in policy.model.parameters())
    assert weight_bytes(policy.model) == weight_bytes(plain.model)


def test_a_quantized_policy_without_adapter_is_exported_expanded(folder, tmp_path):
    policy = PolicyNetwork.load(folder, quantization="4bit")
    policy.export(tmp_path, dtype="bfloat16")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert {parameter.dtype for parameter in plain.parameters()} == {torch.bfloat16}
    assert any(isinstance(module, Linear4bit) for module in policy.model.modules())


def test_dora_on_quantized_weights_is_not_merged(folder):
    policy = CodeLLM.load(folder, quantization="4bit", peft_config=LoraConfig(**LORA, use_dora=True))
    with pytest.raises(ConfigError, match="DoRA"):
        policy.merge()


def test_weights_that_bitsandbytes_expands_wrongly_are_refused(folder, monkeypatch):
    expand = bitsandbytes.functional.dequantize_4bit
    monkeypatch.setattr(bitsandbytes.functional, "dequantize_4bit", lambda *args: expand(*args).roll(1))
    with pytest.raises(ConfigError, match=r"layers with 64 inputs.*load_in_8bit"):
        CodeLLM.load(folder, quantization="4bit")
    CodeLLM.load(folder, quantization="8bit")


@pytest.mark.parametrize("width", [64, 96, 100, 128, 160])
def test_a_policy_of_any_width_is_refused_or_computed_right(tmp_path, save_policy, width):
    # bitsandbytes 0.50 fails on CPU at widths that are no multiple of 64
    folder = save_policy(tmp_path, hidden_size=64, intermediate_size=width, initializer_range=0.02)
    ids = torch.arange(10, 20).unsqueeze(0)
    with torch.no_grad():
        full = CodeLLM.load(folder).model.eval()(ids).logits
        try:
            quantized = CodeLLM.load(folder, quantization="4bit").model.eval()(ids).logits
        except ConfigError:
            assert width % 64
        else:
            assert (quantized - full).norm() / full.norm() < 0.25


def test_a_config_of_bitsandbytes_is_taken_as_it_is(folder):
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4")
    policy = CodeLLM.load(folder, quantization=config)
    types = {module.weight.quant_type for module in policy.model.modules() if isinstance(module, Linear4bit)}
    assert types == {"fp4"}


def test_a_quantization_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="`quantization` is '2bit', but must be one of 4bit"):
        CodeLLM.load(TINY_NAME, quantization="2bit")


def test_a_missing_bitsandbytes_is_said(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install bitsandbytes"):
        CodeLLM.load(folder, quantization="4bit")


def test_multiplications_in_8_bits_are_not_warned_of(folder, caplog):
    with caplog.at_level(logging.INFO):
        scores(PolicyNetwork.load(folder, quantization="8bit"))
    assert "MatMul8bitLt" not in caplog.text
