"""Beam search, plain and diverse: the most probable completions of a prompt, without chance.

Plain beam search is transformers'. Diverse beam search it has given up (its code moved to a repository on the Hub), so
it is here: beams in groups that take turns, each of which avoids the tokens that earlier groups have just chosen. With
a penalty of 0 every group finds what plain beam search of its width does.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, PreTrainedTokenizerBase

from arcgym.models.decoding import Policy
from arcgym.models.sampling import Completion, completions_of, cut_at_end, generation_config, sampling_mode

LogProbs = Float[Tensor, "beam vocabulary"]


class _Hypothesis(NamedTuple):
    """A finished completion: log-probability per token, all of it, and the tokens."""

    score: float
    log_prob: float
    tokens: list[int]


def beam_search(
    model: Policy,
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[int],
    width: int,
    max_new_tokens: int,
    *,
    groups: int = 1,
    penalty: float = 0.0,
) -> list[Completion]:
    """Find the completions with the greatest log-probability per token.

    Args:
        model: A causal LM; its training mode is the same afterwards.
        tokenizer: The model's.
        prompt: Token ids, 1 or more.
        width: Beams, 1 or more.
        max_new_tokens: Longest completion.
        groups: Groups of beams, at most one per beam; 1 for plain beam search.
        penalty: What a token loses per beam of an earlier group that has chosen it at the same place, in nats.

    Returns:
        `width` completions, group by group, within a group the best first.

    Raises:
        GenerationError: The tokenizer has neither a padding nor an end token.

    Reference:
        Vijayakumar et al. (2018), Diverse Beam Search, equations 4 and 5, with the Hamming diversity.
    """
    config = generation_config(model, tokenizer, max_new_tokens)
    with torch.no_grad(), sampling_mode(model):
        if groups == 1:
            found = _plain(model, prompt, width, config)
        else:
            found = _Diverse(model, prompt, width, min(groups, width), penalty, config).run()
    return completions_of(tokenizer, [entry.tokens for entry in found], [entry.log_prob for entry in found])


def _plain(model: Policy, prompt: list[int], width: int, config: GenerationConfig) -> list[_Hypothesis]:
    config.num_beams = config.num_return_sequences = width
    config.return_dict_in_generate = config.output_scores = True
    ids = torch.tensor([prompt], device=model.device)
    # A beam that could not be filled has a probability of 0
    outputs = cast(Any, model).generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    found = [cut_at_end(row, config) for row in outputs.sequences[:, len(prompt) :].tolist()]
    if width == 1:
        return [_hypothesis(found[0], sum(_step_log_probs(outputs.scores, found[0])))]
    scores = outputs.sequences_scores.tolist()
    return [_Hypothesis(score, score * len(tokens), tokens) for score, tokens in zip(scores, found, strict=True)]


def _step_log_probs(scores: tuple[Tensor, ...], tokens: list[int]) -> list[float]:
    return [float(step[0].float().log_softmax(dim=-1)[token]) for step, token in zip(scores, tokens, strict=False)]


def _hypothesis(tokens: list[int], log_prob: float) -> _Hypothesis:
    return _Hypothesis(log_prob / len(tokens), log_prob, tokens)


@dataclass
class _Group:
    """Beams that are extended together.

    Attributes:
        width: How many.
        totals: Log-probability of each, `(beam,)`; −inf for those that do not exist yet.
        beams: Tokens of each.
        finished: Completions that have ended, the best first, at most `width`.
    """

    width: int
    totals: Tensor
    beams: list[list[int]]
    finished: list[_Hypothesis] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether no beam can become better than those that have ended, if its score does not rise any more."""
        if len(self.finished) < self.width:
            return False
        return float(self.totals.max()) / len(self.beams[0]) <= self.finished[-1].score

    def finish(self, hypothesis: _Hypothesis) -> None:
        """Keep a completion if it is among the best."""
        self.finished = sorted([*self.finished, hypothesis], key=lambda entry: -entry.score)[: self.width]


class _Diverse:
    """Diverse beam search of one prompt."""

    def __init__(
        self, model: Policy, prompt: list[int], width: int, groups: int, penalty: float, config: GenerationConfig
    ) -> None:
        self._model = cast(Any, model)
        self._penalty = penalty
        self._num_new: int = config.max_new_tokens
        self._ends = set(config.eos_token_id)
        self._cache = DynamicCache(config=self._model.config.get_text_config())
        ids = torch.tensor([prompt], device=model.device)
        logits = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True).logits[:, -1]
        self._cache.batch_repeat_interleave(width)
        self._log_probs = logits.float().log_softmax(dim=-1).expand(width, -1)
        widths = [width // groups + (index < width % groups) for index in range(groups)]
        self._groups = [
            _Group(size, torch.tensor([0.0] + [-torch.inf] * (size - 1), device=model.device), [[]] * size)
            for size in widths
        ]

    def run(self) -> list[_Hypothesis]:
        """Search; return the groups' completions."""
        for time in range(self._num_new):
            rows, tokens = self._step()
            if time == self._num_new - 1 or all(group.is_done for group in self._groups):
                break
            self._cache.batch_select_indices(rows)
            logits = self._model(input_ids=tokens.unsqueeze(1), past_key_values=self._cache, use_cache=True).logits
            self._log_probs = logits[:, -1].float().log_softmax(dim=-1)
        for group in self._groups:
            if not group.is_done:
                for tokens_of, total in zip(group.beams, group.totals.tolist(), strict=True):
                    group.finish(_hypothesis(tokens_of, total))
        return [hypothesis for group in self._groups for hypothesis in group.finished]

    def _step(self) -> tuple[Tensor, Tensor]:
        """Extend every beam by a token; return which row each beam goes on from, and with which token."""
        device = self._log_probs.device
        taken = torch.zeros(self._log_probs.shape[1], device=device)
        rows: list[int] = []
        tokens: list[int] = []
        start = 0
        for group in self._groups:
            own = self._log_probs[start : start + group.width]
            sources, chosen = self._extend(group, own, self._penalty * taken)
            taken += torch.bincount(torch.tensor(chosen, device=device), minlength=len(taken))
            rows += [start + source for source in sources]
            tokens += chosen
            start += group.width
        return torch.tensor(rows, device=device), torch.tensor(tokens, device=device)

    def _extend(self, group: _Group, log_probs: LogProbs, penalties: Tensor) -> tuple[list[int], list[int]]:
        totals = group.totals.unsqueeze(1) + log_probs
        # Enough that `width` beams go on even if every beam could end here
        count = min(group.width * (1 + len(self._ends)), totals.numel())
        best = (totals - penalties).flatten().topk(count).indices.tolist()
        sources: list[int] = []
        chosen: list[int] = []
        gained: list[float] = []
        beams: list[list[int]] = []
        was_done = group.is_done if group.beams[0] else False
        for rank, place in enumerate(best):
            source, token = divmod(place, totals.shape[1])
            total, written = float(totals[source, token]), [*group.beams[source], token]
            if token in self._ends:
                if rank < group.width and total > -torch.inf and not was_done:
                    group.finish(_hypothesis(written, total))
            elif len(chosen) < group.width:
                sources.append(source)
                chosen.append(token)
                gained.append(total)
                beams.append(written)
        group.beams = beams
        group.totals = torch.tensor(gained, device=totals.device)
        return sources, chosen
