import pytest
import torch

from arcgym.errors import ConfigError
from arcgym.models import build_tiny, build_tokenizer
from arcgym.models.growth import grow

TOKENIZER = build_tokenizer(128)


def model(hidden_size=64, num_layers=2, tokenizer=TOKENIZER):
    torch.manual_seed(hidden_size + num_layers)
    return build_tiny(tokenizer, hidden_size=hidden_size, num_layers=num_layers, max_length=128).eval()


def sharpened(small):
    """Weights far from their start, as after training, so that a lost one shows."""
    for parameter in small.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return small


@pytest.mark.parametrize("size", [(64, 2), (96, 2), (64, 4), (128, 3)])
@torch.no_grad()
def test_a_grown_model_does_what_the_small_one_did(size):
    small, large = sharpened(model()), model(*size)
    tokens = torch.randint(0, len(TOKENIZER), (4, 40))
    assert (large(tokens).logits - small(tokens).logits).abs().max() > 1
    grow(small, large, TOKENIZER, TOKENIZER)
    before, after = small(tokens).logits.log_softmax(-1), large(tokens).logits.log_softmax(-1)
    assert (before.exp() - after.exp()).abs().max() < 0.02


def test_what_is_new_learns():
    small, large = sharpened(model()), model(96, 3)
    grow(small, large, TOKENIZER, TOKENIZER)
    tokens = torch.randint(0, len(TOKENIZER), (4, 40))
    large(tokens, labels=tokens).loss.backward()
    layers = large.model.layers
    assert layers[0].self_attn.o_proj.weight.grad[:, 64:].abs().max() > 0
    assert layers[0].mlp.down_proj.weight.grad[:, small.config.intermediate_size :].abs().max() > 0
    assert layers[2].mlp.down_proj.weight.grad.abs().max() > 0
    assert layers[0].self_attn.q_proj.weight.grad[:, 64:].abs().max() > 0


@torch.no_grad()
def test_tokens_are_matched_by_their_text():
    small = sharpened(model())
    other = build_tokenizer(128)
    other.add_tokens(["brand_new_primitive"])
    large = model(64, 2, other)
    grow(small, large, TOKENIZER, other)
    known, new = other.convert_tokens_to_ids(["transpose", "brand_new_primitive"])
    old = small.model.embed_tokens.weight
    assert torch.allclose(large.model.embed_tokens.weight[known], old[TOKENIZER.convert_tokens_to_ids("transpose")])
    assert torch.allclose(large.model.embed_tokens.weight[new], old.mean(dim=0), atol=0.1)


def test_a_model_does_not_shrink():
    with pytest.raises(ConfigError, match="hidden_size 64, more than the 32"):
        grow(model(), model(32, 2), TOKENIZER, TOKENIZER)
