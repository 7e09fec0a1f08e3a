"""Sampling many completions of few prompts from a causal language model, without paying for the copies.

`generate` pushes every copy of a prompt through the model and keeps its keys and values once per row. Here each
distinct prompt goes through the model once, and all its rows read the same keys and values: in a decoding step a row
attends to its prompt together with the rows beside it, as one matrix product, and to its own tokens alone. Rows that
have ended leave the batch. The tokens have the distribution that `generate` gives them: logits are changed by
transformers' own processors, built from the same `GenerationConfig`.

The model's own forward does the rest. It has to take its attention from `transformers.AttentionInterface` and keep
nothing but keys and values of all positions; `why_not` says what is in the way of a model or a setting, and such a
one goes through `generate`.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
)
from transformers.cache_utils import Cache
from transformers.generation.configuration_utils import GenerationMode
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_managed_module

from arcgym.errors import GenerationError
from arcgym.models.shared_cache import PerRow, SharedCache, shared_attention

if TYPE_CHECKING:
    from peft import PeftModel  # whose import takes seconds

# Rows that have ended are computed along until they are this share of the batch: dropping them copies the cache
_ENDED_SHARE = 0.25
# What `generate` is made of, where a class may depart from the rest
_GENERATION_STEPS = (
    "generate",
    "_sample",
    "_prefill",
    "prepare_inputs_for_generation",
    "_prepare_position_ids_for_generation",
    "_update_model_kwargs_for_generation",
    "_prepare_cache_for_generation",
)

Policy: TypeAlias = "PreTrainedModel | PeftModel"

Marks = Bool[Tensor, " row"]
Logits = Float[Tensor, "row vocabulary"]


class RowProcessor(LogitsProcessor, ABC):
    """A logits processor that treats each row in its own way, and is told which rows it gets."""

    @abstractmethod
    def select_rows(self, rows: Sequence[int]) -> None:
        """Expect, from now on, scores of these rows.

        Args:
            rows: Per row of the scores its place in what `sample_tokens` returns.
        """


class GumbelNoise(RowProcessor):
    """Turn the argmax of the scores into a sample of their softmax, each row from a generator of its own.

    The next token is argmaxᵢ(scoreᵢ − log Eᵢ) with Eᵢ ~ Exp(1). It depends on the row's seed and scores alone, so a
    sample comes out the same in any batch; the global generators are neither read nor moved.

    Args:
        seeds: One per row.
        device: Where the scores live; the draws are made there.

    Reference:
        Maddison, Tarlow and Minka (2014), A* Sampling, section 2 (the Gumbel-max trick).
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]
        self._selected = self._generators

    def select_rows(self, rows: Sequence[int]) -> None:
        """Expect scores of these rows."""
        self._selected = [self._generators[row] for row in rows]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return perturbed scores, `(rows, vocabulary)`; a score of −inf stays one."""
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(noise, self._selected, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log()


def sample_tokens(
    model: Policy,
    prompts: Sequence[Sequence[int]],
    generation_config: GenerationConfig,
    *,
    num_samples: int = 1,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    logits_processor: LogitsProcessorList | None = None,
) -> list[list[int]]:
    """Sample completions as `model.generate` would, each distinct prompt computed once.

    Args:
        model: A causal LM, PEFT or not; runs in evaluation mode, and is in its own mode again afterwards.
        prompts: Token ids; any lengths, 1 or more. Equal prompts are shared too.
        generation_config: As for `generate`, which fills in what it leaves open from the model's own one.
        num_samples: Completions of each prompt.
        batch_size: Most rows at once; a prompt that has more is computed again for the rest. All by default.
        generator: What samples are drawn from; by default torch's global one, as in `generate`.
        logits_processor: Applied where `generate` applies its argument of this name: after the config's penalties,
            before its temperature. Those with a state per row have to be of type `RowProcessor`.

    Returns:
        Token ids up to the first end token, that included; `num_samples` for the first prompt, then for the next.

    Raises:
        GenerationError: `why_not` has a reason, or the model's probabilities are NaN.
        ValueError: A prompt is empty, or a number is below 1.
    """
    if num_samples < 1 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"`num_samples` is {num_samples} and `batch_size` {batch_size}, but both must be 1 or more.")
    if not all(len(prompt) for prompt in prompts):
        raise ValueError("a prompt is empty, but there must be a token to start from.")
    if reason := next(_reasons(model, generation_config), ""):
        raise GenerationError(f"prompts cannot be shared: {reason}. Use `generate`.")
    completions: list[list[int]] = [[] for _ in range(len(prompts) * num_samples)]
    config = _complete_config(model, generation_config)
    with torch.no_grad(), _evaluating(model):
        for batch in _batches(prompts, num_samples, batch_size or len(completions)):
            decoder = _Decoder(_base_model(model), batch, config, logits_processor or LogitsProcessorList(), generator)
            for row, completion in decoder.run().items():
                completions[row] = completion
    return completions


def why_not(model: Policy, generation_config: GenerationConfig) -> str:
    """Say why `sample_tokens` cannot do what `model.generate(generation_config=…)` does, or return ""."""
    return next(_reasons(model, generation_config), "") or _reason_of_trial(_base_model(model))


def _reasons(model: Policy, generation_config: GenerationConfig) -> Iterator[str]:
    """Yield reasons, the first before anything is looked at that it would trouble."""
    yield from _reasons_of_wrapper(model)
    yield from _reasons_of_model(_base_model(model))
    yield from _reasons_of_config(_complete_config(model, generation_config))


def _reasons_of_wrapper(model: Policy) -> Iterator[str]:
    for config in () if isinstance(model, PreTrainedModel) else model.peft_config.values():
        if config.is_prompt_learning:
            yield f"the adapter ({config.peft_type}) adds to the prompts"
        if getattr(config, "alora_invocation_tokens", None) is not None:
            yield "the adapter (activated LoRA) depends on where its invocation tokens are"


def _reasons_of_model(model: PreTrainedModel) -> Iterator[str]:
    name = type(model).__name__
    kind: Any = type(model)
    if not isinstance(model, GenerationMixin) or model.config.is_encoder_decoder:
        yield f"{name} is not a decoder-only language model"
    if model.config.get_text_config(decoder=True) is not model.config:
        yield f"{name} is not of text alone"
    own = [step for step in _GENERATION_STEPS if getattr(kind, step) is not getattr(GenerationMixin, step)]
    if own:
        yield f"{name} has a `{own[0]}` of its own"
    if not kind._supports_default_dynamic_cache():
        yield f"{name} has a cache of its own"
    if kept := {type(layer).__name__ for layer in DynamicCache(config=model.config).layers} - {"DynamicLayer"}:
        yield f"its cache is not made of keys and values of all positions alone, but of {', '.join(sorted(kept))}"
    if not kind.is_backend_compatible():
        yield f"{name} does not take its attention from transformers' `AttentionInterface`"
    if "position_ids" not in inspect.signature(model.forward).parameters:
        yield f"the forward of {name} takes no `position_ids`"
    if len(set((getattr(model, "hf_device_map", None) or {}).values())) > 1:
        yield "the model is spread over several devices"
    is_sharded = is_deepspeed_zero3_enabled() or is_fsdp_managed_module(model)
    if is_sharded and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        yield "the weights are sharded, so that all processes have to make the same number of steps"


def _reasons_of_config(config: GenerationConfig) -> Iterator[str]:
    mode = config.get_generation_mode()
    if mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
        yield f"the generation mode is {mode.value}"
    if config.max_new_tokens is None:
        yield "`max_new_tokens` is not set, and `max_length` counts padding"
    if config.min_length and config.min_new_tokens is None:
        yield "`min_length` is set, which counts padding"
    if config.use_cache is False:
        yield "`use_cache` is false"
    if config.cache_implementation not in (None, "dynamic"):
        yield f"`cache_implementation` is {config.cache_implementation!r}"
    if config.num_return_sequences != 1:
        yield f"`num_return_sequences` is {config.num_return_sequences}"
    if config.guidance_scale not in (None, 1):
        yield "`guidance_scale` needs a second prompt"
    # Stopping by the text or the clock; state from step to step; another kind of result
    for name in (
        "stop_strings",
        "max_time",
        "watermarking_config",
        "token_healing",
        "prefill_chunk_size",
        "return_dict_in_generate",
    ):
        if getattr(config, name):
            yield f"`{name}` is set"


def _reason_of_trial(model: PreTrainedModel) -> str:
    """Decode one token: what a class does in its attention is seen only there."""
    run = cast(Any, model)
    start = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    prompts = DynamicCache(config=model.config)
    with torch.no_grad(), _evaluating(model):
        run(input_ids=start, position_ids=start, past_key_values=prompts, use_cache=True)
        cache = SharedCache(prompts, prompt_of=start[0], padding=None, capacity=1)
        try:
            with shared_attention(model, cache):
                run(input_ids=start, position_ids=start + 1, past_key_values=cache, use_cache=True)
            cache.check_all_attended()
        except GenerationError as exc:
            return str(exc)
    return ""


def _base_model(model: Policy) -> PreTrainedModel:
    return model if isinstance(model, PreTrainedModel) else cast(PreTrainedModel, model.get_base_model())


def _complete_config(model: Policy, generation_config: GenerationConfig) -> GenerationConfig:
    """Copy the config and fill it in as `generate` does; PEFT's generates with the wrapper's defaults."""
    base: Any = _base_model(model)
    own_config = base.generation_config
    base.generation_config = model.generation_config
    try:
        complete: GenerationConfig = base._prepare_generation_config(generation_config)[0]
        return complete
    finally:
        base.generation_config = own_config


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode: no dropout, and a cache under gradient checkpointing. Then each module in its own mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training


# --- What is computed together ---


class _Group(NamedTuple):
    """A prompt and those of its rows that are sampled together, by their places in the result."""

    prompt: tuple[int, ...]
    rows: list[int]


def _batches(prompts: Sequence[Sequence[int]], num_samples: int, batch_size: int) -> Iterator[list[_Group]]:
    """Split the rows; neighbours in length share a batch, so that little is padded, the longest come first."""
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        places = range(index * num_samples, (index + 1) * num_samples)
        rows_of.setdefault(tuple(prompt), []).extend(places)
    batch: list[_Group] = []
    space = batch_size
    for prompt, rows in sorted(rows_of.items(), key=lambda item: -len(item[0])):
        for start in range(0, len(rows), batch_size):
            group = _Group(prompt, rows[start : start + batch_size])
            if len(group.rows) > space:
                yield batch
                batch, space = [], batch_size
            batch.append(group)
            space -= len(group.rows)
    if batch:
        yield batch


# --- The loop ---


def _draw(scores: Logits, generator: torch.Generator | None) -> PerRow:
    """Draw from the softmax by inverting its distribution function.

    That takes one random number per row; `torch.multinomial` takes one per token, which for large vocabularies is a
    good part of a decoding step.
    """
    cumulated = scores.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
    totals = cumulated[:, -1:]
    if not totals.isfinite().all():
        raise GenerationError("the policy gives no probabilities but NaN: its weights have diverged")
    uniform = torch.rand(len(scores), 1, dtype=torch.float64, device=scores.device, generator=generator)
    tokens = torch.searchsorted(cumulated, uniform * totals, right=True).squeeze(1)
    return tokens.clamp(max=scores.shape[1] - 1)


class _Decoder:
    """Samples the rows of one batch.

    Args:
        model: In evaluation mode.
        batch: Prompts and rows.
        config: Complete.
        extra: Processors beside those of the config.
        generator: Source of the draws.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        batch: list[_Group],
        config: GenerationConfig,
        extra: LogitsProcessorList,
        generator: torch.Generator | None,
    ) -> None:
        self._model = cast(Any, model)  # `generate`'s parts, which are used here, have no types
        self._extra = extra
        self._generator = generator
        self._width = max(len(group.prompt) for group in batch)
        self._num_new: int = config.max_new_tokens
        self._config = copy.deepcopy(config)
        self._config.max_length = self._width + self._num_new
        if config.min_new_tokens is not None:
            self._config.min_length = self._width + config.min_new_tokens
        self._model._prepare_special_tokens(self._config, True, device=model.device)
        self._ends: Tensor | None = self._config._eos_token_tensor
        # Of the prompts
        self._prompts, self._mask = self._padded([group.prompt for group in batch])
        # Of the rows in the batch
        self._rows = [row for group in batch for row in group.rows]
        self._prompt_of = torch.repeat_interleave(torch.tensor([len(group.rows) for group in batch])).to(model.device)
        self._ids = nn.functional.pad(self._prompts[self._prompt_of], (0, self._num_new))
        self._positions = self._mask.sum(dim=1, keepdim=True)[self._prompt_of] - 1
        # Of rows that have left it
        self._completions: dict[int, list[int]] = {}

    def run(self) -> dict[int, list[int]]:
        """Sample; return each row's completion."""
        padding = self._mask == 0
        is_padded = bool(padding.any())
        prompts = DynamicCache(config=self._model.config)
        logits = self._forward(
            prompts,
            self._prompts,
            (self._mask.cumsum(dim=1) - 1).clamp(min=0),
            attention_mask=self._mask if is_padded else None,
            **({"logits_to_keep": 1} if self._model._supports_logits_to_keep() else {}),
        )
        most_padded = int(padding.sum(dim=1).max())
        cache = SharedCache(
            prompts, self._prompt_of, padding[:, :most_padded] if is_padded else None, capacity=self._num_new - 1
        )
        del prompts
        with shared_attention(self._model, cache):
            self._decode(cache, logits[self._prompt_of])
        return self._completions

    def _decode(self, cache: SharedCache, logits: Logits) -> None:
        processors = self._processors()
        is_running = torch.ones(len(self._rows), dtype=torch.bool, device=logits.device)
        last = self._width + self._num_new - 1
        for time in range(self._width, last + 1):
            scores = processors(self._ids[:, :time], logits)
            tokens = _draw(scores, self._generator) if self._config.do_sample else scores.argmax(dim=-1)
            self._ids[:, time] = tokens
            if self._ends is not None:
                is_running &= (tokens.unsqueeze(1) != self._ends).all(dim=1)
                num_running = int(is_running.sum())
                if num_running <= (1 - _ENDED_SHARE) * len(is_running):
                    self._record(~is_running)
                    if num_running == 0:
                        return
                    kept = is_running.nonzero().squeeze(1)
                    self._keep(kept)
                    cache.keep(kept)
                    processors = self._processors()
                    is_running, tokens = is_running[kept], tokens[kept]
            if time < last:
                self._positions += 1
                logits = self._forward(cache, tokens.unsqueeze(1), self._positions)
                cache.check_all_attended()
        self._record(torch.ones_like(is_running))

    def _forward(self, cache: Cache, ids: Tensor, positions: Tensor, **inputs: Any) -> Logits:
        """Run the model and return its last logits, in float32 as in `generate`."""
        outputs = self._model(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, return_dict=True, **inputs
        )
        logits: Tensor = outputs.logits[:, -1].float()
        return logits

    def _processors(self) -> Callable[[Tensor, Logits], Logits]:
        """Build those for the rows at hand."""
        for processor in self._extra:
            if isinstance(processor, RowProcessor):
                processor.select_rows(self._rows)
        processors: Callable[[Tensor, Logits], Logits] = self._model._get_logits_processor(
            self._config,
            input_ids_seq_length=self._width,
            encoder_input_ids=self._ids[:, : self._width],
            logits_processor=self._extra,
            device=self._ids.device,
            model_kwargs={"attention_mask": self._mask[self._prompt_of]},
        )
        return processors

    def _keep(self, kept: PerRow) -> None:
        """Drop all other rows."""
        self._rows = [self._rows[index] for index in kept.tolist()]
        self._prompt_of = self._prompt_of[kept]
        self._ids = self._ids[kept]
        self._positions = self._positions[kept]

    def _record(self, is_done: Marks) -> None:
        """Take down the rows' tokens up to the first end token, that included."""
        ends = set() if self._ends is None else set(self._ends.tolist())
        for index in is_done.nonzero().squeeze(1).tolist():
            tokens: list[int] = self._ids[index, self._width :].tolist()
            first_end = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
            self._completions[self._rows[index]] = tokens[: first_end + 1]

    def _padded(self, prompts: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Return ids and mask, both `(prompt, time)`, padded on the left."""
        pad = self._config._pad_token_tensor
        ids = torch.full((len(prompts), self._width), 0 if pad is None else int(pad))
        mask = torch.zeros_like(ids)
        for line, prompt in enumerate(prompts):
            ids[line, self._width - len(prompt) :] = torch.tensor(prompt)
            mask[line, self._width - len(prompt) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)
