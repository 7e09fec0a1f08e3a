"""Sampling texts from a causal language model, reproducibly and independently of how prompts are batched.

`generate` draws all rows of a batch from the one global generator, so that a text depends on its neighbours. Here each
row has a generator of its own, seeded by (seed, prompt's name, number of the sample), whose noise on the scores makes
the greedy choice a sample (`arcgym.models.decoding.GumbelNoise`). The same sample comes out alone or in any batch, up
to rounding in the model; the global generators are neither read nor moved.
"""

import hashlib
import logging
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
from arcgym.models.decoding import GumbelNoise, Policy, RowProcessor, sample_tokens, why_not

logger = logging.getLogger(__name__)

_OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "not enough memory")

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


class Request(NamedTuple):
    """Completions of one prompt that are to be generated.

    Args:
        prompt: Token ids, 1 or more.
        name: What the random draws depend on, besides the seed and the number of the sample.
        first: Number of the first sample.
        num: How many, 1 or more.
    """

    prompt: Sequence[int]
    name: str
    first: int = 0
    num: int = 1


class Completion(NamedTuple):
    """What a policy wrote.

    Args:
        text: Without special tokens.
        num_tokens: Its length, the end token included.
        log_prob: Of its tokens under the policy itself, whatever temperature they were drawn at, in nats; `None` when
            unknown.
    """

    text: str
    num_tokens: int
    log_prob: float | None


@dataclass
class BatchLimit:
    """How many rows are generated at once; lowered for good when memory runs out.

    Args:
        rows: 1 or more.
    """

    rows: int


class _Row(NamedTuple):
    """One completion to be generated: its place in the result and the number of the sample."""

    request: int
    place: int
    number: int


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
        GenerationError: The tokenizer has neither a padding nor an end token, or memory does not suffice for one row.
    """
    requests = [Request(prompt, name, num=config.num_samples) for prompt, name in zip(prompts, names, strict=True)]
    completions = sample_completions(model, tokenizer, requests, config)
    return [[completion.text for completion in samples] for samples in completions]


def sample_completions(
    model: Policy,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    config: SamplingConfig,
    limit: BatchLimit | None = None,
) -> list[list[Completion]]:
    """Sample completions of prompts, each with its log-probability.

    When memory runs out, the batch is halved and tried again, and no later one is larger.

    Args:
        model: A causal LM, PEFT or not; its training mode is the same afterwards.
        tokenizer: The model's.
        requests: What to sample; they say how many, instead of `config.num_samples`.
        config: How to sample.
        limit: Rows at once, instead of `config.batch_size`; remembers from call to call what fits.

    Returns:
        Per request its completions, in the order of their numbers.

    Raises:
        GenerationError: The tokenizer has neither a padding nor an end token, or memory does not suffice for one row.
    """
    limit = limit or BatchLimit(config.batch_size)
    generation = generation_config(model, tokenizer, config.max_new_tokens)
    # Neighbours in length share a batch, so little is padded; the longest come first, so that memory fails early.
    order = sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt))
    pending = [
        _Row(index, place, requests[index].first + place) for index in order for place in range(requests[index].num)
    ]
    completed: list[list[Any]] = [[None] * request.num for request in requests]
    with sampling_mode(model):
        # A prompt that all its samples share goes through the model once, where the model allows it.
        is_shared = not why_not(model, generation)
        while pending:
            batch = _next_batch(pending, limit.rows)
            try:
                completions = _complete(model, tokenizer, requests, batch, config, generation, is_shared)
            except (RuntimeError, MemoryError) as exc:
                if not is_out_of_memory(exc):
                    raise
                if len(batch) == 1:
                    raise GenerationError(
                        f"memory does not suffice for one completion of a prompt of "
                        f"{len(requests[batch[0].request].prompt)} tokens ({exc}). Lower `max_prompt_tokens` or "
                        "`max_new_tokens`, or load the weights in a smaller type."
                    ) from exc
                limit.rows = len(batch) // 2
                completions = None
            if completions is None:  # outside of the handler, whose traceback holds on to the tensors
                logger.warning("memory ran out with %d completions at once; going on with %d", len(batch), limit.rows)
                if model.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            for row, completion in zip(batch, completions, strict=True):
                completed[row.request][row.place] = completion
            del pending[: len(batch)]
    return completed


def is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether an error says that the device's or the machine's memory has run out."""
    if isinstance(exc, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(exc, RuntimeError) and any(sign in str(exc) for sign in _OUT_OF_MEMORY)


def _next_batch(pending: Sequence[_Row], size: int) -> list[_Row]:
    """Take whole requests, unless the first alone has more rows than a batch has room for."""
    batch = list(pending[:size])
    if len(pending) > size and pending[size].request == batch[-1].request != batch[0].request:
        return [row for row in batch if row.request != batch[-1].request]
    return batch


def _complete(
    model: Policy,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    batch: Sequence[_Row],
    config: SamplingConfig,
    generation: GenerationConfig,
    is_shared: bool,
) -> list[Completion]:
    """Generate the rows of one batch."""
    seeds = [row_seed(config.seed, requests[row.request].name, row.number) for row in batch]
    ends = torch.tensor(generation.eos_token_id, device=model.device)
    recorder = _Recorder(_processors(config, seeds, model.device), len(batch), ends)
    ids = [requests[row.request].prompt for row in batch]
    processors = LogitsProcessorList([recorder])
    if is_shared:
        generated = sample_tokens(model, ids, generation, batch_size=len(batch), logits_processor=processors)
    else:
        generated = _generate(model, ids, generation, processors)
    return completions_of(tokenizer, generated, recorder.log_probs.tolist())


def completions_of(
    tokenizer: PreTrainedTokenizerBase, generated: Sequence[Sequence[int]], log_probs: Sequence[float | None]
) -> list[Completion]:
    """Turn tokens into texts.

    Args:
        tokenizer: The model's.
        generated: Token ids, each up to its end token.
        log_probs: One each.
    """
    texts = tokenizer.batch_decode(
        [list(ids) for ids in generated],
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,  # it would edit the program
    )
    return [
        Completion(text, len(ids), log_prob) for text, ids, log_prob in zip(texts, generated, log_probs, strict=True)
    ]


def _generate(
    model: Policy,
    prompts: Sequence[Sequence[int]],
    generation: GenerationConfig,
    processors: LogitsProcessorList,
) -> list[list[int]]:
    inputs = _left_padded(prompts, generation.pad_token_id, model.device)
    generated: Tensor = model.generate(  # type: ignore[operator]  # typed as a tensor by nn.Module's __getattr__
        **inputs, generation_config=generation, logits_processor=processors
    )
    return [cut_at_end(ids, generation) for ids in generated[:, inputs["input_ids"].shape[1] :].tolist()]


def cut_at_end(ids: list[int], generation: GenerationConfig) -> list[int]:
    """Leave out what `generate` pads a completion with: all behind its first end token."""
    ends = generation.eos_token_id
    first = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: first + 1]


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


class _Recorder(RowProcessor):
    """Apply processors, and add up the log-probabilities that the model itself gave to what is chosen after them.

    Args:
        inner: The processors, after which the greatest score is chosen.
        rows: Number of rows.
        ends: End tokens.
    """

    def __init__(self, inner: LogitsProcessorList, rows: int, ends: Tensor) -> None:
        self.log_probs = torch.zeros(rows, device=ends.device)
        self._is_running = torch.ones(rows, dtype=torch.bool, device=ends.device)
        self._selected = torch.arange(rows, device=ends.device)
        self._inner = inner
        self._ends = ends

    def select_rows(self, rows: Sequence[int]) -> None:
        """Expect scores of these rows."""
        self._selected = torch.tensor(rows, device=self._ends.device)
        for processor in self._inner:
            if isinstance(processor, RowProcessor):
                processor.select_rows(rows)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the processors' scores, `(rows, vocabulary)`."""
        changed: Tensor = cast(Any, self._inner)(input_ids, scores)
        tokens = changed.argmax(dim=-1, keepdim=True)
        gained = scores.float().log_softmax(dim=-1).gather(-1, tokens).squeeze(-1)
        is_running = self._is_running[self._selected]
        self.log_probs[self._selected] += torch.where(is_running, gained, 0.0)
        self._is_running[self._selected] = is_running & ~torch.isin(tokens.squeeze(-1), self._ends)
        return changed


def _processors(config: SamplingConfig, seeds: Sequence[int], device: torch.device) -> LogitsProcessorList:
    if config.temperature == 0:
        return LogitsProcessorList()
    return LogitsProcessorList([*_warpers(config), GumbelNoise(seeds, device)])


def generation_config(model: Policy, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> GenerationConfig:
    """Build the config of greedy decoding, which over perturbed scores is sampling.

    Args:
        model: Whose own end tokens count too.
        tokenizer: The model's.
        max_new_tokens: Longest completion.

    Raises:
        GenerationError: The tokenizer has neither a padding nor an end token.
    """
    own_ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = {tokenizer.eos_token_id, *(own_ends if isinstance(own_ends, list) else [own_ends])} - {None}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad is None or not ends:
        raise GenerationError(
            "the tokenizer has no end-of-sequence token and no padding token, or only one that the model does not end "
            "with. Set `tokenizer.eos_token` and `tokenizer.pad_token` before solving."
        )
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
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


def row_seed(seed: int, name: str, sample: int) -> int:
    """Hash to 32 bits, all that torch's CPU generator uses; neighbouring seeds must not give related streams."""
    digest = hashlib.sha256(f"{seed}\0{name}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


@contextmanager
def sampling_mode(model: Policy) -> Iterator[None]:
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
