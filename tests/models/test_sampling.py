"""Sampling on a random tiny Llama: the distribution, determinism, independence of the batch, no side effects."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcgym.errors import ConfigError, GenerationError
from arcgym.models import sampling
from arcgym.models.decoding import GumbelNoise
from arcgym.models.sampling import BatchLimit, Request, SamplingConfig, sample_completions, sample_texts

original = sampling.sample_tokens
PROMPTS = ["Input:\n12\n", "a", "Input:\n123\n456\nOutput:\n", "Program:\n"]


def sample(model, tokenizer, prompts=PROMPTS, **changes):
    config = SamplingConfig(**{"num_samples": 3, "max_new_tokens": 6, "batch_size": 64, "seed": 0} | changes)
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    return sample_texts(model, tokenizer, ids, list(prompts), config)


def test_one_list_of_samples_per_prompt_in_order(tiny_model, byte_tokenizer):
    texts = sample(tiny_model, byte_tokenizer)
    assert [len(samples) for samples in texts] == [3] * len(PROMPTS)
    assert sample(tiny_model, byte_tokenizer, prompts=PROMPTS[::-1]) == texts[::-1]
    assert sample(tiny_model, byte_tokenizer, prompts=[]) == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.integers(1, 12), chosen=st.sets(st.integers(0, 3), min_size=1), temperature=st.sampled_from([0, 1])
)
def test_samples_are_the_same_alone_and_in_any_batch(tiny_model, byte_tokenizer, batch_size, chosen, temperature):
    settings_ = {"temperature": temperature, "num_samples": 3 if temperature else 1}
    texts = sample(tiny_model, byte_tokenizer, **settings_)
    some = [PROMPTS[index] for index in sorted(chosen)]
    expected = [texts[index] for index in sorted(chosen)]
    assert sample(tiny_model, byte_tokenizer, some, batch_size=batch_size, **settings_) == expected


@pytest.mark.parametrize("batch_size", [2, 7, 64])
def test_samples_are_those_of_generate(tiny_model, byte_tokenizer, monkeypatch, batch_size):
    asked = []
    monkeypatch.setattr(sampling, "sample_tokens", lambda *a, **k: asked.append(1) or original(*a, **k))
    shared = sample(tiny_model, byte_tokenizer, batch_size=batch_size)
    assert asked
    monkeypatch.setattr(sampling, "why_not", lambda *_: "a reason")
    monkeypatch.delattr(sampling, "sample_tokens")
    assert sample(tiny_model, byte_tokenizer, batch_size=batch_size) == shared


def test_the_seed_decides_and_samples_differ(tiny_model, byte_tokenizer):
    texts = sample(tiny_model, byte_tokenizer)
    assert sample(tiny_model, byte_tokenizer) == texts
    assert sample(tiny_model, byte_tokenizer, seed=1) != texts
    assert all(len(set(samples)) == 3 for samples in texts)


def test_greedy_is_the_argmax_of_an_unpadded_forward(tiny_model, byte_tokenizer):
    texts = sample(tiny_model, byte_tokenizer, num_samples=1, temperature=0)
    for prompt, (text,) in zip(PROMPTS, texts, strict=True):
        ids = byte_tokenizer(prompt, return_tensors="pt")["input_ids"]
        start = ids.shape[1]
        with torch.no_grad():
            for _ in range(6):
                token = tiny_model(ids).logits[0, -1].argmax()
                if token == byte_tokenizer.eos_token_id:
                    break
                ids = torch.cat([ids, token.view(1, 1)], dim=1)
        assert text == byte_tokenizer.decode(ids[0, start:], skip_special_tokens=True)


def test_low_temperature_and_small_nucleus_approach_greedy(tiny_model, byte_tokenizer):
    greedy = sample(tiny_model, byte_tokenizer, num_samples=1, temperature=0)
    for changes in ({"temperature": 1e-4}, {"top_p": 1e-6}, {"top_k": 1}, {"min_p": 1.0}):
        texts = sample(tiny_model, byte_tokenizer, **changes)
        assert texts == [samples * 3 for samples in greedy]


def test_noise_samples_the_softmax():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -float("inf")])
    rows = 20_000
    noise = GumbelNoise(range(rows), torch.device("cpu"))
    counts = np.bincount(noise(torch.empty(0), logits.repeat(rows, 1)).argmax(dim=1).numpy(), minlength=5)
    expected = torch.softmax(logits, dim=0).numpy()
    assert counts[4] == 0
    # five standard deviations of a binomial share
    assert np.all(np.abs(counts / rows - expected) <= 5 * np.sqrt(expected * (1 - expected) / rows))


def test_successive_draws_of_a_row_differ():
    noise = GumbelNoise([0], torch.device("cpu"))
    scores = torch.zeros(1, 50)
    assert not torch.equal(noise(torch.empty(0), scores), noise(torch.empty(0), scores))


def test_a_completion_ends_at_the_end_token(tiny_model, byte_tokenizer):
    # The same draws with a longer limit continue what was cut, and leave alone what had ended by itself.
    short, long = (
        sample(tiny_model, byte_tokenizer, ["a"], num_samples=200, batch_size=200, max_new_tokens=limit)[0]
        for limit in (40, 80)
    )
    assert 5 < sum(start == text for start, text in zip(short, long, strict=True)) < 200
    assert not any("<eos>" in text or "<pad>" in text for text in long)


def test_modes_random_state_and_weights_are_left_alone(tiny_model, byte_tokenizer):
    tiny_model.train()
    frozen = tiny_model.model.layers[0]
    frozen.eval()
    weights = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = sample(tiny_model, byte_tokenizer)
    assert torch.equal(torch.rand(3), expected)
    assert sample(tiny_model, byte_tokenizer) == first
    assert tiny_model.training
    assert tiny_model.lm_head.training
    assert not frozen.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in tiny_model.state_dict().items())
    tiny_model.eval()


def test_the_models_own_generation_config_does_not_interfere(tiny_model, byte_tokenizer):
    texts = sample(tiny_model, byte_tokenizer)
    before = tiny_model.generation_config
    tiny_model.generation_config = type(before)(
        do_sample=True,
        temperature=0.2,
        top_k=1,
        top_p=0.3,
        repetition_penalty=5.0,
        max_length=8,
        num_return_sequences=2,
        suppress_tokens=[10],
    )
    try:
        assert sample(tiny_model, byte_tokenizer) == texts
    finally:
        tiny_model.generation_config = before


def test_a_tokenizer_that_cannot_end_is_refused(tiny_model, byte_tokenizer):
    eos, pad = byte_tokenizer.eos_token, byte_tokenizer.pad_token
    byte_tokenizer.eos_token = byte_tokenizer.pad_token = None
    try:
        with pytest.raises(GenerationError, match="end-of-sequence"):
            sample(tiny_model, byte_tokenizer)
    finally:
        byte_tokenizer.eos_token, byte_tokenizer.pad_token = eos, pad


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"batch_size": 0}, "batch_size"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"temperature": 0.0, "num_samples": 8}, "same completion 8 times"),
    ],
)
def test_settings_out_of_range_are_refused(changes, named):
    with pytest.raises(ConfigError, match=named):
        SamplingConfig(**changes)


def complete(model, tokenizer, requests, limit=None, **changes):
    config = SamplingConfig(**{"num_samples": 1, "max_new_tokens": 6} | changes)
    requests = [Request(tokenizer(prompt)["input_ids"], prompt, *rest) for prompt, *rest in requests]
    return sample_completions(model, tokenizer, requests, config, limit)


def test_samples_go_on_by_number(tiny_model, byte_tokenizer):
    (whole,) = complete(tiny_model, byte_tokenizer, [("a", 0, 5)])
    parts = complete(tiny_model, byte_tokenizer, [("a", 3, 2), ("Program:\n", 0, 1), ("a", 0, 3)])
    assert [completion.text for completion in (*parts[2], *parts[0])] == [completion.text for completion in whole]


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"temperature": 1.5, "top_k": 200}])
@pytest.mark.parametrize("is_shared", [True, False])
def test_log_probabilities_are_those_of_the_policy_itself(tiny_model, byte_tokenizer, monkeypatch, changes, is_shared):
    if not is_shared:
        monkeypatch.setattr(sampling, "why_not", lambda *_: "a reason")
    requests = [(prompt, 0, 30 if changes["temperature"] else 1) for prompt in PROMPTS]
    seen = []
    decoded = sampling.completions_of
    monkeypatch.setattr(sampling, "completions_of", lambda t, ids, lp: seen.extend(ids) or decoded(t, ids, lp))
    completions = complete(tiny_model, byte_tokenizer, requests, max_new_tokens=40, **changes)
    # the longest prompts come first
    order = sorted(PROMPTS, key=lambda prompt: -len(byte_tokenizer(prompt)["input_ids"]))
    flat = [(prompt, completion) for prompt in order for completion in completions[PROMPTS.index(prompt)]]
    if changes["temperature"]:
        assert any(completion.num_tokens < 40 for _, completion in flat), "some end by themselves"
    for (prompt, completion), ids in zip(flat, seen, strict=True):
        start = byte_tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            logits = tiny_model(torch.tensor([[*start, *ids]])).logits[0, len(start) - 1 : -1].log_softmax(dim=-1)
        expected = logits.gather(1, torch.tensor(ids)[:, None]).sum().item()
        assert completion.num_tokens == len(ids)
        assert completion.log_prob == pytest.approx(expected, abs=2e-3)


class Narrow:
    """Lets a model run out of memory when it is given more than a few rows, or tokens of a prompt."""

    def __init__(self, model, rows, error, tokens=10_000):
        self.model, self.rows, self.error, self.tokens = model, rows, error, tokens
        self.refused = []

    def __enter__(self):
        def check(module, args, kwargs):
            rows, tokens = kwargs["input_ids"].shape
            if rows > self.rows or tokens > self.tokens:
                self.refused.append(rows)
                raise self.error

        self.hook = self.model.register_forward_pre_hook(check, with_kwargs=True)
        return self

    def __exit__(self, *_):
        self.hook.remove()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate"),
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
    ],
)
def test_when_memory_runs_out_smaller_batches_give_the_same(tiny_model, byte_tokenizer, error):
    requests = [(prompt, 0, 4) for prompt in PROMPTS]
    expected = complete(tiny_model, byte_tokenizer, requests)
    limit = BatchLimit(16)
    with Narrow(tiny_model, 4, error) as narrow:
        found = complete(tiny_model, byte_tokenizer, requests, limit)
        assert [[c.text for c in samples] for samples in found] == [[c.text for c in samples] for samples in expected]
        assert narrow.refused and 1 <= limit.rows <= 4
        narrow.refused.clear()
        complete(tiny_model, byte_tokenizer, requests, limit)
        assert not narrow.refused, "what fits is remembered"


def test_memory_for_not_even_one_row_and_other_errors_end_it(tiny_model, byte_tokenizer):
    too_long = Narrow(tiny_model, 9, torch.OutOfMemoryError("no"), tokens=5)
    with too_long, pytest.raises(GenerationError, match="max_new_tokens"):
        complete(tiny_model, byte_tokenizer, [("Program:\n", 0, 4)])
    with Narrow(tiny_model, 0, RuntimeError("shapes differ")), pytest.raises(RuntimeError, match="shapes differ"):
        complete(tiny_model, byte_tokenizer, [("a", 0, 4)])
