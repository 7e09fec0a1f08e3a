"""The policy of reinforcement learning: a code language model that samples programs and scores its own tokens.

Log-probabilities and entropies come from the forward that TRL gives its trainers, values from the critic that
PPOTrainer trains, so that they are the trainer's numbers and not a second version of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.utils import add_fused_lm_head, pad

from arcgym.errors import ConfigError
from arcgym.models.code_llm import CodeLLM
from arcgym.models.loading import resolve_policy
from arcgym.models.sampling import SamplingConfig, sample_texts
from arcgym.models.value import (
    VALUE_HEAD_FILE,
    Critic,
    PerPosition,
    TokenIds,
    TokenMask,
    attach_critic,
    critic_of,
    estimate_values,
    load_critic,
)

PerToken = Float[Tensor, "batch completion"]


class TokenBatch(NamedTuple):
    """Prompts, padded on the left, and behind them completions, padded on the right: a trainer's layout.

    Attributes:
        input_ids: Tokens.
        attention_mask: 1 on tokens and 0 on padding.
        completion_length: How many columns, the last ones, are completions.
    """

    input_ids: TokenIds
    attention_mask: TokenMask
    completion_length: int


class TokenScores(NamedTuple):
    """What a policy says of the tokens of completions; 0 on padding.

    Attributes:
        log_probs: Of each token.
        entropy: Of the distribution that it was one of, in nats.
    """

    log_probs: PerToken
    entropy: PerToken


class PolicyNetwork(CodeLLM):
    """A policy over programs: samples them, and computes log-probability, entropy and value of each token.

    None of this changes weights or the mode of the model; outside `torch.no_grad()` the numbers carry gradients.
    """

    def sample(
        self, prompts: Sequence[str | Sequence[int]], config: SamplingConfig, names: Sequence[str] | None = None
    ) -> list[list[str]]:
        """Sample `config.num_samples` completions of each prompt, the same in any batch.

        Args:
            prompts: Texts or token ids.
            config: How to sample.
            names: What the draws of a prompt depend on, besides the seed; by default the prompt itself.

        Returns:
            Per prompt the completions as text, without special tokens.

        Raises:
            GenerationError: The tokenizer cannot end a completion.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        names = names if names is not None else [" ".join(map(str, ids)) for ids in encoded]
        return sample_texts(self.model, self.tokenizer, encoded, names, config)

    def collate(
        self, prompts: Sequence[str | Sequence[int]], completions: Sequence[str | Sequence[int]]
    ) -> TokenBatch:
        """Put prompts and their completions into one batch, as trainers do.

        Args:
            prompts: Texts or token ids; none empty.
            completions: One per prompt, texts or token ids. A text gets no end token.
        """
        rows = [
            (self._encode(prompt), self._encode(completion, is_completion=True))
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        padding = self.tokenizer.pad_token_id
        sides: tuple[Literal["left"], Literal["right"]] = ("left", "right")
        ids, masks = [], []
        for side, tokens in zip(sides, zip(*rows, strict=True), strict=True):
            tensors = [torch.tensor(row, dtype=torch.long) for row in tokens]
            ids.append(pad(tensors, padding_value=padding, padding_side=side))
            masks.append(pad([torch.ones_like(row) for row in tensors], padding_value=0, padding_side=side))
        device = self.causal_lm.device
        return TokenBatch(torch.cat(ids, dim=1).to(device), torch.cat(masks, dim=1).to(device), ids[1].size(1))

    def log_probs(self, batch: TokenBatch, temperature: float = 1.0) -> PerToken:
        """Compute the log-probability of each token of the completions; 0 on padding.

        Args:
            batch: From `collate`, or a trainer's.
            temperature: Divides the logits; above 0.
        """
        return self.score(batch, temperature).log_probs

    def entropy(self, batch: TokenBatch, temperature: float = 1.0) -> PerToken:
        """Compute the entropy of the distribution that each token of the completions was drawn from, in nats.

        Args:
            batch: From `collate`, or a trainer's.
            temperature: Divides the logits; above 0.
        """
        return self.score(batch, temperature).entropy

    def score(self, batch: TokenBatch, temperature: float = 1.0) -> TokenScores:
        """Compute log-probabilities and entropies in one forward; see `log_probs` and `entropy`.

        Raises:
            ValueError: The temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"`temperature` is {temperature}, but log-probabilities need one above 0.")
        length = batch.completion_length
        labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
        labels[:, :-length] = -100
        with _fused_head(self.causal_lm, temperature):
            outputs: Any = self.model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels, fused_lm_head=True
            )
        return TokenScores(outputs.log_probs[:, -length:], outputs.entropy[:, -length:])

    @property
    def critic(self) -> Critic | None:
        """The critic, if there is one."""
        return critic_of(self.causal_lm)

    def add_critic(self, kind: Literal["head", "network"] = "head") -> Critic:
        """Give the policy the critic that PPOTrainer trains, with the weights that lie where it was loaded from.

        Args:
            kind: `head`, a linear layer on the policy's own states, or `network`, a trunk of its own.

        Returns:
            The critic. Without saved weights its values are 0.

        Raises:
            CheckpointError: The weights that lie there are of another kind or size.
            ConfigError: There is a critic of the other kind, or the policy's weights cannot be copied.
        """
        if kind == "network" and isinstance(self.model, PeftModel):
            raise ConfigError("`critic` is `network`, but with PEFT there are no full weights to copy. Use `head`.")
        is_new = self.critic is None
        critic = attach_critic(self.causal_lm, kind)
        if is_new and self.source is not None and (_folder(self.source) / VALUE_HEAD_FILE).is_file():
            load_critic(critic, _folder(self.source))
        return critic

    def values(self, input_ids: TokenIds, attention_mask: TokenMask) -> PerPosition:
        """Estimate the value of the tokens up to each position; see `arcgym.models.value.estimate_values`."""
        return estimate_values(self.causal_lm, input_ids, attention_mask)

    def _encode(self, text: str | Sequence[int], *, is_completion: bool = False) -> list[int]:
        if not isinstance(text, str):
            return list(text)
        ids: list[int] = self.tokenizer(text, add_special_tokens=not is_completion)["input_ids"]
        return ids


@contextmanager
def _fused_head(model: PreTrainedModel, temperature: float) -> Iterator[None]:
    """Give a causal LM, for a while, the forward that TRL's trainers give it for good."""
    own = vars(model).get("forward")
    add_fused_lm_head(model, temperature=temperature, outputs=("log_probs", "entropy"))
    try:
        yield
    finally:
        del model.forward
        if own is not None:
            model.forward = own


def _folder(source: str) -> Path:
    return Path(resolve_policy(source))
