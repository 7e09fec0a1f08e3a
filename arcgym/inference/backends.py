"""What generates completions for the solver: arcgym's rollout, transformers' continuous batching, or a vLLM server.

All take the same requests and give the same kind of completions. The rollout's are the same in any batch, and each
comes with its log-probability. The other two are made for large models and many requests, and keep neither promise:
there a completion may depend on what else is generated, and is the same again only as far as they say so.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedTokenizerBase

from arcgym.errors import ConfigError, GenerationError
from arcgym.inference.beams import beam_search
from arcgym.inference.config import Stage
from arcgym.models.decoding import Policy
from arcgym.models.sampling import (
    BatchLimit,
    Completion,
    Request,
    SamplingConfig,
    completions_of,
    generation_config,
    is_out_of_memory,
    row_seed,
    sample_completions,
    sampling_mode,
)

_PAGE_SIZE = 32  # tokens whose keys and values continuous batching keeps together
_CONCURRENT_REQUESTS = 32  # the server puts them into one batch
_MOST_SHOWN = 300  # characters of a server's error


class Backend(Protocol):
    """What the solver generates with."""

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and completion together; `None` where nothing is known of a limit."""

    def generate(self, requests: Sequence[Request], stage: Stage) -> list[list[Completion]]:
        """Generate completions.

        Args:
            requests: What to generate.
            stage: How.

        Returns:
            Per request its completions, in the order of their numbers.

        Raises:
            GenerationError: Nothing can be generated.
        """


class RolloutBackend:
    """Generate with a model in this process; prompts are computed once for all their completions.

    Args:
        model: A causal LM.
        tokenizer: The model's.
        sampling: Seed, longest completion, and completions at once; the latter is lowered when memory runs out.
    """

    def __init__(self, model: Policy, tokenizer: PreTrainedTokenizerBase, sampling: SamplingConfig) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.limit = BatchLimit(sampling.batch_size)

    @property
    def context(self) -> int | None:
        """The model's context."""
        return context_of(self.model)

    def generate(self, requests: Sequence[Request], stage: Stage) -> list[list[Completion]]:
        """Generate completions; the same ones for the same requests, alone or together with others."""
        if stage.strategy in ("greedy", "sample"):
            return sample_completions(self.model, self.tokenizer, requests, stage.sampling(self.sampling), self.limit)
        return [self._beams(request, stage) for request in requests]

    def _beams(self, request: Request, stage: Stage) -> list[Completion]:
        try:
            return beam_search(
                self.model,
                self.tokenizer,
                list(request.prompt),
                request.num,
                self.sampling.max_new_tokens,
                groups=stage.groups if stage.strategy == "diverse_beam" else 1,
                penalty=stage.penalty,
            )
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            raise GenerationError(
                f"memory does not suffice for {request.num} beams of a prompt of {len(request.prompt)} tokens "
                f"({exc}). Beams cannot be computed apart: lower their share in `schedule`, or `num_samples`."
            ) from exc


class ContinuousBackend:
    """Generate by transformers' continuous batching: completions that end make room for others at once.

    The same requests together give the same completions. Of the log-probabilities nothing is known.

    Args:
        model: A causal LM, without an adapter's wrapper.
        tokenizer: The model's.
        sampling: Seed, longest completion, and completions at once, for which room is made.
    """

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, sampling: SamplingConfig) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.sampling = sampling

    @property
    def context(self) -> int | None:
        """The model's context."""
        return context_of(self.model)

    def generate(self, requests: Sequence[Request], stage: Stage) -> list[list[Completion]]:
        """Generate completions.

        Raises:
            ConfigError: The stage is a beam search.
            GenerationError: A request failed.
        """
        _refuse_beams(stage, "continuous")
        settings = stage.sampling(self.sampling)
        config = _drawing(generation_config(self.model, self.tokenizer, settings.max_new_tokens), settings)
        inputs = [list(request.prompt) for request in requests for _ in range(request.num)]
        if not inputs:
            return []
        longest = max(map(len, inputs)) + settings.max_new_tokens
        pages = -(-longest // _PAGE_SIZE) * min(self.sampling.batch_size, len(inputs))
        batching = ContinuousBatchingConfig(
            page_size=_PAGE_SIZE,
            num_blocks=pages + 1,
            max_batch_tokens=max(256, self.sampling.batch_size),
            seed=_seed_of(requests, settings.seed),
        )
        with _forked_random_state(self.model, batching.seed), sampling_mode(self.model):
            outputs = self.model.generate_batch(
                inputs, generation_config=config, continuous_batching_config=batching, progress_bar=False
            )
        failed = [output.error for output in outputs.values() if output.error is not None]
        if failed or len(outputs) < len(inputs):
            raise GenerationError(
                f"continuous batching gave {len(outputs) - len(failed)} of {len(inputs)} completions"
                f"{f' ({failed[0]})' if failed else ''}. Lower `batch_size`, or use `backend: rollout`."
            )
        tokens = [list(output.generated_tokens) for output in outputs.values()]
        return _by_request(requests, completions_of(self.tokenizer, tokens, [None] * len(tokens)))


class ServerBackend:
    """Generate on a vLLM server, by its HTTP interface: `/v1/models` and `/v1/completions`, with prompts as tokens.

    Each request has a seed of its own, from which the server draws; whether it comes out the same in any batch is up
    to the server. Log-probabilities are those that the server reports, of the distribution as the stage changes it
    where it was started with `--logprobs-mode processed_logprobs`.

    Args:
        url: Address of the server, such as `http://localhost:8000`.
        tokenizer: The served model's.
        sampling: Seed and longest completion.
        timeout_s: Seconds that one request may take, the wait in the server's queue included.

    Raises:
        ConfigError: The address is not one.
        GenerationError: The server does not answer, or serves no model.
    """

    def __init__(
        self, url: str, tokenizer: PreTrainedTokenizerBase, sampling: SamplingConfig, *, timeout_s: float = 600.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"`server_url` is {url!r}, but must begin with http:// or https://.")
        if timeout_s <= 0:
            raise ConfigError(f"`server_timeout_s` is {timeout_s}, but must be above 0.")
        self.url = url.rstrip("/")
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.timeout_s = timeout_s
        models = self._call("/v1/models")["data"]
        if not models:
            raise GenerationError(f"the server at {self.url} serves no model. Start it with `vllm serve MODEL`.")
        self.model_name: str = models[0]["id"]
        self._context: int | None = models[0].get("max_model_len")

    @property
    def context(self) -> int | None:
        """What the server says."""
        return self._context

    def generate(self, requests: Sequence[Request], stage: Stage) -> list[list[Completion]]:
        """Generate completions.

        Raises:
            ConfigError: The stage is a beam search.
            GenerationError: The server does not answer, or answers with an error.
        """
        _refuse_beams(stage, "server")
        settings = stage.sampling(self.sampling)
        with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as executor:
            return list(executor.map(lambda request: self._complete(request, settings), requests))

    def _complete(self, request: Request, settings: SamplingConfig) -> list[Completion]:
        body = {
            "model": self.model_name,
            "prompt": list(request.prompt),
            "n": request.num,
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "min_p": settings.min_p,
            "seed": row_seed(settings.seed, request.name, request.first),
            "logprobs": 0,
            "return_token_ids": True,
        }
        choices = self._call("/v1/completions", body)["choices"]
        if len(choices) != request.num:
            raise GenerationError(f"the server gave {len(choices)} completions of {request.num}.")
        choices = sorted(choices, key=lambda choice: choice.get("index", 0))
        tokens = [choice["token_ids"] for choice in choices]
        return completions_of(self.tokenizer, tokens, [_log_prob(choice.get("logprobs")) for choice in choices])

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                return json.load(response)
        except urllib.error.HTTPError as exc:
            with exc:
                answer = exc.read().decode(errors="replace")[:_MOST_SHOWN]
            raise GenerationError(f"the server at {self.url} refused {path} with {exc.code}: {answer}") from exc
        except (OSError, ValueError) as exc:
            raise GenerationError(
                f"the server at {self.url} gave no answer to {path} ({exc}). Start it with `vllm serve MODEL`, check "
                "`server_url`, or raise `server_timeout_s`."
            ) from exc


def context_of(model: Policy) -> int | None:
    """Return the context of a model; `None` for those without a fixed one, such as recurrent ones."""
    context: int | None = getattr(cast(Any, model).config.get_text_config(), "max_position_embeddings", None)
    return context


def _refuse_beams(stage: Stage, backend: str) -> None:
    if stage.strategy not in ("greedy", "sample"):
        raise ConfigError(
            f"`backend` is `{backend}`, which has no `{stage.strategy}`. Use `backend: rollout`, or the stages "
            "`greedy` and `sample`."
        )


def _drawing(config: GenerationConfig, settings: SamplingConfig) -> GenerationConfig:
    if settings.temperature == 0:
        return config
    config.do_sample = True
    config.temperature, config.top_p = settings.temperature, settings.top_p
    config.top_k, config.min_p = settings.top_k, settings.min_p or None
    return config


def _seed_of(requests: Sequence[Request], seed: int) -> int:
    return row_seed(seed, "\0".join(f"{request.name}\0{request.first}" for request in requests), len(requests))


@contextmanager
def _forked_random_state(model: Any, seed: int | None) -> Iterator[None]:
    """Seed the global generators, from which continuous batching draws, and put them back as they were."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed or 0)
        yield


def _by_request(requests: Sequence[Request], completions: Sequence[Completion]) -> list[list[Completion]]:
    remaining = iter(completions)
    return [[next(remaining) for _ in range(request.num)] for request in requests]


def _log_prob(reported: Any) -> float | None:
    values = (reported or {}).get("token_logprobs")
    return None if values is None or None in values else float(sum(values))
