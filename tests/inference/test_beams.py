"""Beam search on a random tiny Llama."""

import pytest
import torch
from transformers import DynamicCache

from arcgym.inference.beams import beam_search

PROMPT = "Input:\n12\n"


def log_prob(model, prompt, tokens):
    ids = torch.tensor([[*prompt, *tokens]])
    with torch.no_grad():
        logits = model(ids).logits[0].log_softmax(dim=-1)
    return sum(float(logits[len(prompt) - 1 + place, token]) for place, token in enumerate(tokens))


@pytest.fixture
def search(tiny_model, byte_tokenizer):
    def run(width, prompt=PROMPT, **settings):
        ids = byte_tokenizer(prompt)["input_ids"]
        return beam_search(tiny_model, byte_tokenizer, ids, width, 4, **settings)

    return run


def exhaustive(model, tokenizer, length):
    """The best completions of at most `length` tokens by log-probability per token, by an unhurried search."""
    prompt = tokenizer(PROMPT)["input_ids"]
    found, open_ = [], [([], 0.0)]
    for time in range(length):
        grown = []
        for tokens, total in open_:
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, -1].log_softmax(dim=-1)
            for token, gained in enumerate(logits.tolist()):
                entry = ([*tokens, token], total + gained)
                (found if token == tokenizer.eos_token_id or time == length - 1 else grown).append(entry)
        open_ = sorted(grown, key=lambda entry: -entry[1])[:40]  # far more than any beam keeps
    return sorted(found, key=lambda entry: -entry[1] / len(entry[0]))


@pytest.mark.parametrize("settings", [{}, {"groups": 2}, {"groups": 2, "penalty": 2.0}])
def test_log_probabilities_are_those_of_a_forward(search, tiny_model, byte_tokenizer, settings):
    prompt = byte_tokenizer(PROMPT)["input_ids"]
    for completion in search(4, **settings):
        tokens = byte_tokenizer(completion.text)["input_ids"]
        if len(tokens) < completion.num_tokens:
            tokens = [*tokens, byte_tokenizer.eos_token_id]
        if len(tokens) == completion.num_tokens:  # bytes that are no UTF-8 do not come back
            assert completion.log_prob == pytest.approx(log_prob(tiny_model, prompt, tokens), abs=1e-3)


def test_wide_beams_find_the_best_completion_there_is(search, tiny_model, byte_tokenizer):
    tokens, total = exhaustive(tiny_model, byte_tokenizer, 4)[0]
    best = search(12)[0]
    assert best.log_prob == pytest.approx(total, abs=1e-3)
    assert best.text == byte_tokenizer.decode(tokens, skip_special_tokens=True)
    assert search(24, groups=2, penalty=0.0)[0].log_prob == pytest.approx(total, abs=1e-3)


def test_without_a_penalty_every_group_is_plain_beam_search(search):
    plain = search(3)
    assert len({completion.text for completion in plain}) == 3
    groups = search(6, groups=2, penalty=0.0)
    for half in (groups[:3], groups[3:]):
        assert [completion.text for completion in half] == [completion.text for completion in plain]
        assert [c.log_prob for c in half] == pytest.approx([c.log_prob for c in plain], abs=1e-3)


def test_a_penalty_makes_groups_differ(search):
    def distinct(**settings):
        return len({completion.text for completion in search(6, groups=3, **settings)})

    assert distinct(penalty=0.0) == 2
    assert distinct(penalty=5.0) >= 4


def test_beams_of_one_are_greedy_and_nothing_is_left_behind(search, tiny_model, byte_tokenizer):
    own = tiny_model.generation_config
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    (best,) = search(1)
    assert torch.equal(torch.rand(2), expected)
    ids = torch.tensor([byte_tokenizer(PROMPT)["input_ids"]])
    tokens = []
    cache = DynamicCache(config=tiny_model.config)
    step = ids
    with torch.no_grad():
        for _ in range(4):
            step = tiny_model(step, past_key_values=cache).logits[:, -1].argmax(dim=-1, keepdim=True)
            tokens.append(int(step))
            if tokens[-1] == byte_tokenizer.eos_token_id:
                break
    assert best.text == byte_tokenizer.decode(tokens, skip_special_tokens=True)
    assert best.log_prob == pytest.approx(log_prob(tiny_model, ids[0].tolist(), tokens), abs=1e-3)
    assert tiny_model.generation_config is own and not tiny_model.training


def test_more_groups_than_beams_are_as_many_as_beams(search):
    assert len(search(2, groups=5, penalty=1.0)) == 2
