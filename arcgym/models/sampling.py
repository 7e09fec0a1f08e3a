"""Sampling texts from a causal language model, reproducibly and independently of how prompts are batched.

`generate` draws all rows of a batch from the one global generator, so that a text depends on its neighbours. Here each
row has a generator of its own, seeded by (seed, prompt's name, number of the sample), whose noise on the scores makes
the greedy choice a sample (`arcgym.models.decoding.GumbelNoise`). The same sample comes out alone or in any batch, up
to rounding in the model; the global generators are neither read nor moved.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from arcgym.errors import ConfigError, GenerationError
from arcgym.models.decoding import GumbelNoise, Policy, sample_tokens, why_not

Logits = Float[Tensor, "row vocabulary"]
Probabilities = Float[Tensor, "row vocabulary"]


@dataclass(frozen=True)
class SamplingConfig:
    """How programs are sampled."""

    num_samples: int = field(default=8, metadata={"help": "Completions per task; 1 or more."})
    temperature: float = field(
        default=1.0, metadata={"help": "Divides the logits; 0 means greedy, which allows one sample only."}
    )
    top_p: float = field(
        default=1.0, metadata={"help": "Sample from the smallest set of tokens with this probability; in (0, 1]."}
    )
    max_new_tokens: int = field(default=64, metadata={"help": "Longest completion, in tokens; 1 or more."})
    batch_size: int = field(
        default=64, metadata={"help": "Completions generated at once. Lower it when memory runs out."}
    )
    seed: int = field(default=0, metadata={"help": "The same seed gives the same completions."})
    top_k: int = field(default=0, metadata={"help": "Sample from so many most probable tokens; 0 for all."})
    min_p: float = field(
        default=0.0,
        metadata={"help": "Leave out tokens below this share of the most probable one's probability; in [0, 1]."},
    )

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` is {getattr(self, name)}, but must be 1 or more"
            for name in ("num_samples", "max_new_tokens", "batch_size")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.temperature < float("inf"):
            problems.append(f"`temperature` is {self.temperature}, but must be a finite number of 0 or more")
        if not 0 < self.top_p <= 1:
            problems.append(f"`top_p` is {self.top_p}, but must be in (0, 1]")
        if self.top_k < 0:
            problems.append(f"`top_k` is {self.top_k}, but must be 0, for all tokens, or more")
        if not 0 <= self.min_p <= 1:
            problems.append(f"`min_p` is {self.min_p}, but must be in [0, 1]")
        if self.temperature == 0 and self.num_samples > 1:
            problems.append(
                f"`temperature` is 0, which gives the same completion {self.num_samples} times; set `num_samples` to "
                "1 or raise the temperature"
            )
        if problems:
            raise ConfigError("; ".join(problems) + ".")


class _Row(NamedTuple):
    """One completion to be generated."""

    prompt: int
    sample: int


def sample_texts(
    model: Policy,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    config: SamplingConfig,
) -> list[list[str]]:
    """Sample `config.num_samples` completions for each prompt.

    Args:
        model: A causal LM, PEFT or not; its training mode is the same afterwards.
        tokenizer: The model's.
        prompts: Token ids; any lengths, 1 or more.
        names: What the random draws of a prompt depend on, besides the seed; one per prompt.
        config: How to sample.

    Returns:
        Per prompt the completions as text, without special tokens.

    Raises:
        GenerationError: The tokenizer has neither a padding nor an end token.
    """
    generation = _generation_config(model, tokenizer, config)
    # Neighbours in length share a batch, so little is padded; the longest come first, so that memory fails early.
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    rows = [_Row(prompt, sample) for prompt in order for sample in range(config.num_samples)]
    texts: list[list[str]] = [[""] * config.num_samples for _ in prompts]
    with _sampling_mode(model):
        # A prompt that all its samples share goes through the model once, where the model allows it.
        is_shared = not why_not(model, generation)
        # Whole prompts, unless one has more samples than a batch has room for.
        size = max(config.batch_size - config.batch_size % config.num_samples, config.num_samples)
        for start in range(0, len(rows), size if is_shared else config.batch_size):
            batch = rows[start : start + (size if is_shared else config.batch_size)]
            seeds = [_row_seed(config.seed, names[row.prompt], row.sample) for row in batch]
            processors = _processors(config, seeds, model.device)
            ids = [prompts[row.prompt] for row in batch]
            if is_shared:
                generated: Any = sample_tokens(
                    model, ids, generation, batch_size=config.batch_size, logits_processor=processors
                )
            else:
                generated = _generate(model, ids, generation, processors)
            completions = tokenizer.batch_decode(
                generated,
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,  # it would edit the program
            )
            for row, text in zip(batch, completions, strict=True):
                texts[row.prompt][row.sample] = text
    return texts


def _generate(
    model: Policy,
    prompts: Sequence[Sequence[int]],
    generation: GenerationConfig,
    processors: LogitsProcessorList,
) -> Tensor:
    inputs = _left_padded(prompts, generation.pad_token_id, model.device)
    generated: Tensor = model.generate(  # type: ignore[operator]  # typed as a tensor by nn.Module's __getattr__
        **inputs, generation_config=generation, logits_processor=processors
    )
    return generated[:, inputs["input_ids"].shape[1] :]


def sampling_probabilities(scores: Logits, config: SamplingConfig) -> Probabilities:
    """Compute what `sample_texts` draws a token from: softmax of the scores as `config` changes and cuts them.

    Args:
        scores: The model's logits for the next token.
        config: Temperature 0 gives all probability to the greatest score, the first of several.

    Returns:
        Rows that sum to 1; 0 where a token is cut off.
    """
    if config.temperature == 0:
        return nn.functional.one_hot(scores.argmax(dim=-1), scores.shape[-1]).to(scores.dtype)
    nothing = torch.empty(len(scores), 0, dtype=torch.long, device=scores.device)
    changed: Tensor = cast(Any, _warpers(config))(nothing, scores)
    return changed.softmax(dim=-1)


def _warpers(config: SamplingConfig) -> LogitsProcessorList:
    """Build transformers' own, in the order of `generate`."""
    warpers = LogitsProcessorList()
    if config.temperature != 1:
        warpers.append(TemperatureLogitsWarper(float(config.temperature)))
    if config.top_k:
        warpers.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1:
        warpers.append(TopPLogitsWarper(config.top_p))
    if config.min_p:
        warpers.append(MinPLogitsWarper(config.min_p))
    return warpers


def _processors(config: SamplingConfig, seeds: Sequence[int], device: torch.device) -> LogitsProcessorList:
    if config.temperature == 0:
        return LogitsProcessorList()
    return LogitsProcessorList([*_warpers(config), GumbelNoise(seeds, device)])


def _generation_config(model: Policy, tokenizer: PreTrainedTokenizerBase, config: SamplingConfig) -> GenerationConfig:
    """Greedy decoding: over perturbed scores it is sampling."""
    own_ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = {tokenizer.eos_token_id, *(own_ends if isinstance(own_ends, list) else [own_ends])} - {None}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad is None or not ends:
        raise GenerationError(
            "the tokenizer has no end-of-sequence token and no padding token, or only one that the model does not end "
            "with. Set `tokenizer.eos_token` and `tokenizer.pad_token` before solving."
        )
    return GenerationConfig(
        max_new_tokens=config.max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
        use_cache=True,
    )


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> dict[str, Any]:
    """Return `input_ids` and `attention_mask`, both `(batch, time)`, padded on the left."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def _row_seed(seed: int, name: str, sample: int) -> int:
    """Hash to 32 bits, all that torch's CPU generator uses; neighbouring seeds must not give related streams."""
    digest = hashlib.sha256(f"{seed}\0{name}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


@contextmanager
def _sampling_mode(model: Policy) -> Iterator[None]:
    """Evaluation mode and a neutral generation config; afterwards every sub-module is back in its own mode.

    `generate` fills what a config leaves open from the model's own one. A repetition penalty or suppressed tokens, as
    published checkpoints bring along, would sample from another distribution than the policy's.
    """
    modes = [(module, module.training) for module in model.modules()]
    # PEFT's wrapper has a config of its own, which its `generate` puts into the place of the base model's
    holders: list[Any] = [model] if isinstance(model, PreTrainedModel) else [model, model.get_base_model()]
    own_configs = [holder.generation_config for holder in holders]
    for holder in holders:
        holder.generation_config = GenerationConfig()
    model.eval()
    try:
        yield
    finally:
        for holder, own_config in zip(holders, own_configs, strict=True):
            holder.generation_config = own_config
        for module, is_training in modes:
            module.training = is_training
