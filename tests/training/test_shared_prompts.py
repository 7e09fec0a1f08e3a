"""Shared prompts: the same numbers as the padded batch, through TRL's fused head and our critic, or a refusal.

Started as a script (`torchrun … test_shared_prompts.py FOLDER`) it is one of the two processes of the DDP test.
"""

import copy
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    HrmTextConfig,
    Llama4TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    MoshiConfig,
    OPTConfig,
    Qwen2Config,
    Qwen3NextConfig,
    StableLmConfig,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.llama import modeling_llama
from trl.trainer.utils import add_fused_lm_head, shuffle_sequence_dict, split_tensor_dict

from arcgym.errors import ConfigError
from arcgym.models.value import attach_critic, return_values
from arcgym.training.shared_prompts import can_share, group_prompts, share_prompts, shuffle_groups

VOCABULARY = 23
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOWED = SIZES | {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SIZES),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=1,
        eos_token_id=2,
    ),
    # Look back fewer tokens than the sequences have
    "mistral": MistralConfig(**SIZES, sliding_window=4),
    "gemma2": Gemma2Config(**WINDOWED, query_pre_attn_scalar=4),
    "gemma3": Gemma3TextConfig(**WINDOWED, query_pre_attn_scalar=4),
    # Experts
    "mixtral": MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2),
}


class Batch(NamedTuple):
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    prompt_length: int

    @property
    def completion_mask(self):
        return self.attention_mask[:, self.prompt_length :].bool()


class Outcome(NamedTuple):
    log_probs: torch.Tensor
    entropy: torch.Tensor
    values: torch.Tensor
    gradients: dict[str, torch.Tensor]


def new_model(architecture, attention="sdpa", config=None):
    torch.manual_seed(0)
    config = copy.deepcopy(config or CONFIGS[architecture])
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    for parameter in model.parameters():
        # Far from the flat start, where most mistakes would be too small to see
        torch.nn.init.normal_(parameter, std=0.3)
    return model.train()


def as_trainer_does(model, temperature=1.0, critic="head"):
    """Patch a model as PPOTrainer does, all but the sharing."""
    add_fused_lm_head(model, temperature=temperature, outputs=("log_probs", "entropy"))
    torch.manual_seed(1)
    for parameter in attach_critic(model, critic).parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return_values(model)
    return model


@functools.cache
def pair_of(architecture, attention="sdpa", temperature=1.0):
    """The same model twice, one of which shares prompts."""
    plain, sharing = (as_trainer_does(new_model(architecture, attention), temperature) for _ in range(2))
    share_prompts(sharing)
    return plain, sharing


def new_batch(seed, group_sizes, prompt_length, completion_length, holes=False):
    """Rows of different lengths in random order, with garbage in the padding."""
    torch.manual_seed(seed)
    prompts, completions = [], []
    for size in group_sizes:
        prompt_mask = torch.arange(prompt_length) >= int(torch.randint(prompt_length, ()))
        if holes:
            prompt_mask[:-1] &= torch.rand(prompt_length - 1) < 0.8
        prompt = torch.randint(3, VOCABULARY, (prompt_length,))
        for _ in range(size):
            garbage = torch.randint(3, VOCABULARY, (prompt_length,))
            prompts.append((torch.where(prompt_mask, prompt, garbage), prompt_mask))
            completion_mask = torch.arange(completion_length) < int(torch.randint(completion_length + 1, ()))
            if holes:
                completion_mask &= torch.rand(completion_length) < 0.8
            completions.append((torch.randint(3, VOCABULARY, (completion_length,)), completion_mask))
    order = torch.randperm(len(prompts))
    parts = [torch.stack(part)[order] for part in (*zip(*prompts, strict=True), *zip(*completions, strict=True))]
    ids = torch.cat([parts[0], parts[2]], dim=1)
    return Batch(ids, torch.cat([parts[1], parts[3]], dim=1).long(), prompt_length)


def run(model, batch, share, backward=True, **autocast):
    """One forward, with the slices that TRL and PPOTrainer take, and the gradients of a loss of all outputs."""
    time = batch.completion_mask.size(1)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    labels[:, :-time] = -100
    keywords = {"shared_prompt_length": batch.prompt_length} if share else {}
    with torch.autocast("cpu", enabled=bool(autocast), **autocast):
        outputs = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            labels=labels,
            fused_lm_head=True,
            **keywords,
        )
    log_probs, entropy = outputs.log_probs[:, -time:], outputs.entropy[:, -time:]
    values = outputs.value_estimates[:, -time - 1 : -1].masked_fill(~batch.completion_mask, 0)
    if not backward:
        return Outcome(log_probs, entropy, values, {})
    torch.manual_seed(2)
    weights = torch.randn(3, *log_probs.shape)
    model.zero_grad()
    (torch.stack([log_probs, entropy, values]).float() * weights).sum().backward()
    gradients = {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    return Outcome(log_probs.detach(), entropy.detach(), values.detach(), gradients)


def error(actual, expected):
    """Relative to the norm of all expected tensors together."""
    assert actual.keys() == expected.keys()
    distance, norm = (
        torch.stack([tensor.float().norm() for tensor in tensors]).norm()
        for tensors in ([actual[name] - expected[name] for name in expected], expected.values())
    )
    return float(distance / norm.clamp(min=1e-6))


def assert_same(actual, expected, tolerance=1e-5):
    for got, wanted in zip(actual[:3], expected[:3], strict=True):
        torch.testing.assert_close(got, wanted, atol=tolerance, rtol=tolerance)
    assert error(actual.gradients, expected.gradients) < tolerance


shapes = st.tuples(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(1, 7),
    st.booleans(),
)


@settings(max_examples=150)
@given(
    shape=shapes,
    architecture=st.sampled_from(["llama", "qwen2", "gpt2"]),
    attention=st.sampled_from(["sdpa", "eager"]),
    temperature=st.sampled_from([1.0, 0.7]),
)
@example(shape=(0, [1, 1, 1], 9, 4, False), architecture="llama", attention="sdpa", temperature=1.0)
@example(shape=(0, [8], 1, 1, False), architecture="gpt2", attention="eager", temperature=0.7)
def test_everything_is_that_of_the_padded_batch(shape, architecture, attention, temperature):
    batch = new_batch(*shape)
    plain, sharing = pair_of(architecture, attention, temperature)
    assert_same(run(sharing, batch, share=True), run(plain, batch, share=False))


def test_the_comparison_notices_a_wrong_position_prompt_or_token():
    """The tolerance above is far below what a mistake does."""
    plain, _ = pair_of("gpt2")
    batch = new_batch(0, [3, 2], 8, 5)
    expected = run(plain, batch, share=False)
    wrong = [batch.input_ids.roll(1, dims=0), batch.input_ids.clone(), batch.input_ids.clone()]
    wrong[0][:, 8:] = batch.input_ids[:, 8:]  # the prompt of another row
    wrong[1][:, 7] = 3  # another last prompt token
    for ids in wrong[:2]:
        other = run(plain, batch._replace(input_ids=ids), share=False)
        assert error(other.gradients, expected.gradients) > 1e-2
    shifted = Batch(
        torch.nn.functional.pad(batch.input_ids, (1, 0)), torch.nn.functional.pad(batch.attention_mask, (1, 0)), 9
    )
    assert error(run(plain, shifted, share=False).gradients, expected.gradients) > 1e-2


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "gemma3", "mixtral"])
def test_sliding_windows_softcapping_and_experts_are_exact(architecture):
    attention = "eager" if architecture == "gemma2" else "sdpa"
    plain, sharing = pair_of(architecture, attention)
    for seed in range(3):
        batch = new_batch(seed, [3, 2], 11, 6)
        assert_same(run(sharing, batch, share=True), run(plain, batch, share=False))


def test_windows_are_shorter_than_the_sequences_of_these_tests():
    config = MistralConfig(**SIZES, sliding_window=None)
    batch = new_batch(0, [3, 2], 11, 6)
    expected = run(as_trainer_does(new_model("mistral", config=config)), batch, share=False)
    assert error(run(pair_of("mistral")[0], batch, share=False).gradients, expected.gradients) > 1e-2


@pytest.mark.parametrize("checkpointing", [False, True])
def test_critic_with_a_trunk_of_its_own(checkpointing):
    plain, sharing = (as_trainer_does(new_model("qwen2"), critic="network") for _ in range(2))
    share_prompts(sharing)
    if checkpointing:
        sharing.gradient_checkpointing_enable()
    batch = new_batch(0, [3, 2], 8, 5)
    expected = run(plain, batch, share=False)
    assert any("value_head.trunk" in name for name in expected.gradients)
    assert_same(run(sharing, batch, share=True), expected)


def test_temperature_is_honoured():
    batch = new_batch(0, [4], 6, 5)
    warm, cold = (run(pair_of("llama", temperature=t)[1], batch, share=True) for t in (1.0, 0.7))
    assert (warm.log_probs - cold.log_probs).abs().max() > 1e-2


def test_a_distinct_prompt_is_computed_once_and_padding_not_at_all():
    model = as_trainer_does(new_model("llama"))
    share_prompts(model)
    seen = []
    model.model.register_forward_pre_hook(lambda _m, _a, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True)
    ids = torch.tensor([[9, 5, 6, 7, 0], [9, 5, 6, 8, 4], [4, 3, 2, 7, 0], [8, 5, 6, 8, 8]])
    mask = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 1, 1, 1]])
    run(model, Batch(ids, mask, 3), share=True)
    (tokens,) = seen
    assert tokens.tolist() == [[5, 6, 4, 3, 2, 7, 8, 4, 7, 8, 8]]


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bfloat16_is_as_close_as_bfloat16_allows(how):
    plain, sharing = (as_trainer_does(new_model("llama")) for _ in range(2))
    share_prompts(sharing)
    batch = new_batch(0, [4, 4], 10, 6)
    exact = run(plain, batch, share=False)
    if how == "weights":
        plain.model.bfloat16(), sharing.model.bfloat16()
        plain.lm_head.bfloat16(), sharing.lm_head.bfloat16()
    keywords = {"dtype": torch.bfloat16} if how == "autocast" else {}
    expected, actual = run(plain, batch, share=False, **keywords), run(sharing, batch, share=True, **keywords)
    assert actual.log_probs.dtype == expected.log_probs.dtype
    noise = (expected.log_probs - exact.log_probs).abs().max()
    assert 1e-3 < noise < 0.3
    assert (actual.log_probs - exact.log_probs).abs().max() < 2 * noise
    assert error(actual.gradients, exact.gradients) < 2 * error(expected.gradients, exact.gradients)


# --- Adapters, quantization, checkpointing ---


def with_adapter(model):
    """Patch in the order of PPOTrainer: adapter first."""
    torch.manual_seed(3)
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    as_trainer_does(model.get_base_model())
    return model


def test_adapter_trains_alike_and_can_be_switched_off_for_the_reference():
    plain, sharing = with_adapter(new_model("qwen2")), with_adapter(new_model("qwen2"))
    assert can_share(sharing) == ""
    share_prompts(sharing.get_base_model())
    batch = new_batch(0, [3, 4], 9, 5)
    expected = run(plain, batch, share=False)
    assert any("lora_A" in name for name in expected.gradients)
    assert not any("base_layer" in name for name in expected.gradients)
    assert_same(run(sharing, batch, share=True), expected)
    with torch.no_grad(), plain.disable_adapter(), sharing.disable_adapter():
        reference = run(sharing, batch, share=True, backward=False)
        torch.testing.assert_close(reference.log_probs, run(plain, batch, share=False, backward=False).log_probs)
    assert (reference.log_probs - expected.log_probs).abs().max() > 1e-2


@pytest.mark.filterwarnings("ignore")
def test_four_bit_weights(tmp_path):
    config = LlamaConfig(**(SIZES | {"hidden_size": 64, "intermediate_size": 64, "head_dim": 16}))
    new_model("llama", config=config).save_pretrained(tmp_path)
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    models = []
    for _ in range(2):
        model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=quantization, device_map="cpu")
        for part in model.modules():
            if type(part).__name__ == "Linear4bit":
                part.support_avx512bf16_for_cpu = False
        models.append(with_adapter(model.train()))
    plain, sharing = models
    share_prompts(sharing.get_base_model())
    batch = new_batch(0, [3, 4], 9, 5)
    expected = run(plain, batch, share=False)
    assert any("lora_A" in name for name in expected.gradients)
    assert_same(run(sharing, batch, share=True), expected)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_is_exact_and_saves_memory(architecture, reentrant):
    plain, sharing = (as_trainer_does(new_model(architecture)) for _ in range(2))
    share_prompts(sharing)
    batch = new_batch(0, [4, 3], 10, 6)

    def count_saved():
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            run(sharing, batch, share=True, backward=False)
        return sum(sizes)

    everything = count_saved()
    sharing.gradient_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        sharing.enable_input_require_grads()
    assert count_saved() < 0.4 * everything
    assert_same(run(sharing, batch, share=True), run(plain, batch, share=False))


# --- What stays as it was ---


@pytest.mark.parametrize(("architecture", "attention"), [("llama", "sdpa"), ("gpt2", "eager"), ("gemma3", "sdpa")])
def test_other_calls_are_unchanged(architecture, attention):
    plain, sharing = pair_of(architecture, attention)
    batch = new_batch(0, [3, 2], 8, 5)
    expected, actual = run(plain, batch, share=False), run(sharing, batch, share=False)
    assert torch.equal(actual.log_probs, expected.log_probs)
    assert error(actual.gradients, expected.gradients) == 0
    tokens = [
        model.generate(batch.input_ids[:, :8], attention_mask=batch.attention_mask[:, :8], max_new_tokens=6)
        for model in (plain, sharing)
    ]
    assert torch.equal(*tokens)
    keywords = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    assert torch.equal(plain(**keywords).logits, sharing(**keywords).logits)


def test_saved_model_asks_for_no_attention_of_ours(tmp_path):
    _, sharing = pair_of("llama")
    sharing.save_pretrained(tmp_path)
    assert "shared_prompts" not in (tmp_path / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


def test_the_models_compared_attend_by_different_functions():
    for attention in ("sdpa", "eager"):
        plain, sharing = pair_of("llama", attention)
        assert plain.config._attn_implementation == attention
        assert sharing.config._attn_implementation == f"shared_prompts_{attention}"


def test_sharing_twice_is_sharing():
    plain, _ = pair_of("llama")
    sharing = as_trainer_does(new_model("llama"))
    share_prompts(sharing)
    share_prompts(sharing)
    batch = new_batch(0, [3, 2], 8, 5)
    assert_same(run(sharing, batch, share=True), run(plain, batch, share=False))


# --- Refusals ---

REFUSALS = {
    "several modalities": (Gemma3Config(), "multimodal"),
    "own attention": (StableLmConfig(**SIZES), "AttentionInterface"),
    "window without a mask": (
        MoshiConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            ffn_dim=16,
            sliding_window=4,
        ),
        "no mask for it",
    ),
    "layers used again": (HrmTextConfig(**SIZES), "once each"),
    "both directions": (LlamaConfig(**SIZES, is_causal=False), "not causal"),
    "state": (MambaConfig(vocab_size=VOCABULARY, hidden_size=16, state_size=4, num_hidden_layers=1), "state"),
    "linear attention": (
        Qwen3NextConfig(
            **SIZES,
            linear_num_value_heads=2,
            linear_num_key_heads=2,
            linear_key_head_dim=4,
            linear_value_head_dim=4,
            num_experts=2,
            num_experts_per_tok=1,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=8,
            layer_types=["linear_attention", "full_attention"],
        ),
        "LinearAttentionLayer",
    ),
    "chunks": (
        Llama4TextConfig(
            **SIZES, intermediate_size_mlp=16, num_local_experts=2, layer_types=["chunked_attention"] * 2
        ),
        "within chunks",
    ),
    "positions": (
        OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            num_hidden_layers=1,
            ffn_dim=16,
            num_attention_heads=2,
            word_embed_proj_dim=16,
            dropout=0.0,
        ),
        "positions of OPTForCausalLM",
    ),
    "dropout": (LlamaConfig(**SIZES, attention_dropout=0.1), "dropout"),
    "dropout module": (GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2), "dropout"),
    "load balancing": (
        MixtralConfig(**SIZES, num_local_experts=2, num_experts_per_tok=1, output_router_logits=True),
        "output_router_logits",
    ),
}


@pytest.mark.parametrize(("config", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_refuses_what_would_not_be_exact(config, reason):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert reason in can_share(model)
    with pytest.raises(ConfigError, match=r"Prompts cannot be shared: .*`share_prompts`"):
        share_prompts(model)


def test_refuses_an_encoder_decoder():
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=VOCABULARY, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    )
    assert "encoder-decoder" in can_share(model)


def test_refuses_other_attention_implementations():
    model = new_model("llama")
    model.config._attn_implementation = "flex_attention"
    assert "`flex_attention`" in can_share(model)


def test_refuses_an_unknown_cache_an_unknown_eager_attention_and_several_devices(monkeypatch):
    model = new_model("llama")
    monkeypatch.setattr(model.config, "layer_types", ["of another time"] * 2, raising=False)
    assert "no cache for LlamaForCausalLM (KeyError" in can_share(model)
    model = new_model("llama", "eager")
    monkeypatch.delattr(modeling_llama, "eager_attention_forward")
    assert "eager attention of LlamaForCausalLM" in can_share(model)
    model.lm_head.to("meta")
    assert "several devices" in can_share(model)


def test_refuses_virtual_tokens():
    model = get_peft_model(new_model("llama"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    assert "virtual tokens" in can_share(model)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_accepts_what_is_exact(architecture):
    assert can_share(new_model(architecture, "eager")) == ""


def test_a_layer_that_does_not_take_part_is_an_error(monkeypatch):
    model = as_trainer_does(new_model("llama"))
    share_prompts(model)
    layer = model.model.layers[1]
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda *a, shared_prompts, **k: forward(*a, **k))
    with pytest.raises(RuntimeError, match=r"layers \[1\]"):
        run(model, new_batch(0, [3], 6, 4), share=True)


def test_attention_that_drops_out_is_an_error():
    model = as_trainer_does(new_model("llama"))
    share_prompts(model)
    model.model.layers[1].self_attn.attention_dropout = 0.1
    with pytest.raises(RuntimeError, match="dropout"):
        run(model, new_batch(0, [3], 6, 4), share=True)


def test_prompts_padded_on_the_right_are_an_error():
    _, sharing = pair_of("llama")
    batch = new_batch(0, [3], 6, 4)
    batch.attention_mask[1, 5] = 0
    with pytest.raises(ValueError, match="Column 5"):
        run(sharing, batch, share=True)


# --- Groups ---


def test_groups_are_numbered_in_order_of_appearance():
    ids = torch.tensor([[7, 7, 3], [6, 5, 3], [9, 8, 3], [6, 5, 3], [6, 5, 4], [6, 5, 3]])
    mask = torch.tensor([[0, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1], [1, 1, 1], [1, 0, 1]])
    groups = group_prompts(ids, mask)
    assert groups.rows.tolist() == [0, 1, 4, 5]
    assert groups.members.tolist() == [0, 1, 0, 1, 2, 3]


@given(shape=shapes)
def test_groups_are_those_of_a_dictionary(shape):
    batch = new_batch(*shape)
    ids, mask = (tensor[:, : batch.prompt_length] for tensor in (batch.input_ids, batch.attention_mask))
    numbers = {}
    for row, (tokens, flags) in enumerate(zip(ids.tolist(), mask.tolist(), strict=True)):
        start = flags.index(1)
        numbers.setdefault((start, tuple(tokens[start:]), tuple(flags)), (len(numbers), row))
    groups = group_prompts(ids, mask)
    assert groups.rows.tolist() == [row for _, row in numbers.values()]
    assert sorted(set(groups.members.tolist())) == list(range(len(numbers)))
    for row, member in enumerate(groups.members.tolist()):
        start = mask[row].tolist().index(1)
        assert numbers[start, tuple(ids[row, start:].tolist()), tuple(mask[row].tolist())][0] == member


def new_rollout(group_sizes):
    batch = new_batch(0, group_sizes, 5, 3)
    return {
        "prompt_ids": batch.input_ids[:, :5],
        "prompt_mask": batch.attention_mask[:, :5],
        "row": torch.arange(len(batch.input_ids)),
        "names": [f"row {i}" for i in range(len(batch.input_ids))],
        "num_items_in_batch": torch.tensor(7),
        "nothing": None,
    }


def test_shuffling_moves_whole_rows_and_keeps_the_rest():
    rollout = new_rollout([4, 4, 4])
    shuffled = shuffle_groups(rollout)
    assert shuffled.keys() == shuffle_sequence_dict(rollout).keys()
    order = shuffled["row"]
    assert sorted(order.tolist()) == list(range(12))
    assert torch.equal(shuffled["prompt_ids"], rollout["prompt_ids"][order])
    assert shuffled["names"] == [f"row {i}" for i in order]
    assert shuffled["num_items_in_batch"] is rollout["num_items_in_batch"]
    assert shuffled["nothing"] is None


@pytest.mark.parametrize(
    ("sizes", "batches", "groups_per_batch"), [([4] * 6, 3, 2), ([4] * 6, 12, 1), ([6] * 4, 6, 2)]
)
def test_shuffled_groups_stay_together_when_the_rollout_is_split(sizes, batches, groups_per_batch):
    for seed in range(5):
        torch.manual_seed(seed)
        rollout = new_rollout(sizes)
        torch.manual_seed(seed)
        parts = split_tensor_dict(shuffle_groups(rollout), batches)
        for part in parts:
            assert len(group_prompts(part["prompt_ids"], part["prompt_mask"]).rows) <= groups_per_batch


def test_shuffling_is_random_between_and_within_groups():
    rollout = new_rollout([3, 3])
    members = group_prompts(rollout["prompt_ids"], rollout["prompt_mask"]).members
    orders = set()
    for seed in range(400):
        torch.manual_seed(seed)
        orders.add(tuple(shuffle_groups(rollout)["row"].tolist()))
    # Every order that keeps the two groups of three together: 2 · 3! · 3!
    assert len(orders) == 72
    assert all(members[list(order)].diff().count_nonzero() == 1 for order in orders)


# --- Several processes ---


@pytest.mark.slow
def test_two_processes_get_the_gradients_of_unshared_ones(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    done = subprocess.run(
        [*command, __file__, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert [report["world_size"] for report in reports] == [2, 2]
    for report in reports:
        assert report["shared"] == ["ddp", "fsdp"]
        assert max(report["log_probs"]) < 1e-5
        assert max(report["gradients"]) < 1e-5
    # Each process has a batch of its own, and gradients of both
    assert reports[0]["gradient_norm"] == pytest.approx(reports[1]["gradient_norm"], rel=1e-6)
    assert reports[0]["own_gradient"] > 1e-2


def distributed_main(folder):
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    batch = new_batch(rank, [3, 2], 9, 5)
    report = {
        "world_size": torch.distributed.get_world_size(),
        "shared": [],
        "log_probs": [],
        "gradients": [],
    }
    alone = run(as_trainer_does(new_model("llama")), batch, share=False)
    expected = run(DistributedDataParallel(as_trainer_does(new_model("llama"))), batch, share=False)
    expected = expected._replace(gradients={k.removeprefix("module."): v for k, v in expected.gradients.items()})
    report["own_gradient"] = error(alone.gradients, expected.gradients)
    report["gradient_norm"] = float(sum(g.norm() ** 2 for g in expected.gradients.values()))
    for how in ("ddp", "fsdp"):
        model = as_trainer_does(new_model("llama"))
        share_prompts(model)
        if how == "ddp":
            model = DistributedDataParallel(model)
        else:
            for layer in model.model.layers:
                fully_shard(layer)
            fully_shard(model)
        outcome = run(model, batch, share=True)
        gradients = {
            name.removeprefix("module."): gradient.full_tensor() if how == "fsdp" else gradient
            for name, gradient in outcome.gradients.items()
        }
        report["shared"].append(how)
        report["log_probs"].append(float((outcome.log_probs - expected.log_probs).abs().max()))
        report["gradients"].append(error(gradients, expected.gradients))
    (Path(folder) / f"rank{rank}.json").write_text(json.dumps(report))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    distributed_main(sys.argv[1])
