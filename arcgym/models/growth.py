"""Start a larger model from a smaller one of the same kind, so that what the small one learned is not lost.

The large model computes nearly what the small one did: the small weights fill the first rows and columns, what is new
writes nothing yet, and the gains of the norms make up for the width. Tokens are matched by their text.

References:
    Chen et al. (2016), Net2Net: Accelerating Learning via Knowledge Transfer.
    Chen et al. (2022), bert2BERT: Towards Reusable Pretrained Language Models.
"""

import math

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from arcgym.errors import ConfigError

_WRITERS = ("o_proj.weight", "down_proj.weight")  # what they compute is added to the residual stream
_NOISE = 0.01  # of new embeddings, relative to the spread of the old ones; breaks ties between new directions


@torch.no_grad()
def grow(
    small: LlamaForCausalLM,
    large: LlamaForCausalLM,
    small_tokenizer: PreTrainedTokenizerBase,
    large_tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Fill a fresh model with the weights of a smaller one.

    Args:
        small: A trained model.
        large: An untrained one, at least as wide and as deep, with heads of the same size. It is changed.
        small_tokenizer: Of the trained model.
        large_tokenizer: Of the other; tokens that the small one lacks begin at the mean of its embeddings.

    Raises:
        ConfigError: The small model does not fit into the large one.
    """
    _check(small, large)
    gain = math.sqrt(small.config.hidden_size / large.config.hidden_size)
    old = dict(small.named_parameters())
    for name, target in large.named_parameters():
        source = old.get(name)
        if source is None:
            if name.endswith(_WRITERS):
                target.zero_()
        elif name.endswith("embed_tokens.weight"):
            _copy_embeddings(source, target, small_tokenizer, large_tokenizer)
        elif target.dim() == 1:
            target.fill_(source.mean().item() * gain)
            target[: len(source)] = source * gain
        else:
            if name.endswith(_WRITERS):
                target.zero_()
            target[: source.shape[0], : source.shape[1]] = source


def _check(small: LlamaForCausalLM, large: LlamaForCausalLM) -> None:
    if small.config.head_dim != large.config.head_dim:
        raise ConfigError(
            f"`init_from` has attention heads of size {small.config.head_dim}, the new model of "
            f"{large.config.head_dim}; they must be equal."
        )
    for size in ("hidden_size", "num_hidden_layers", "intermediate_size"):
        has, wanted = getattr(small.config, size), getattr(large.config, size)
        if has > wanted:
            raise ConfigError(f"`init_from` has {size} {has}, more than the {wanted} of the new model. Enlarge it.")


def _copy_embeddings(
    source: Tensor, target: Tensor, small_tokenizer: PreTrainedTokenizerBase, large_tokenizer: PreTrainedTokenizerBase
) -> None:
    width = source.shape[1]
    target.normal_(std=source.std().item() * _NOISE)
    target[:, :width] += source.mean(dim=0)
    known = small_tokenizer.get_vocab()
    for token, row in large_tokenizer.get_vocab().items():
        if token in known:
            target[row, :width] = source[known[token]]
