"""Experience replay: groups of completions that taught something, used again beside fresh ones.

A group is all completions of one prompt in one rollout, with the log-probabilities under which they were sampled. What
is kept is chosen by how rare its success was: on ARC a solved task among unsolved attempts is the best signal there
is, and soon gone. Replayed tokens weigh as much as the present policy would still sample them, at most `truncation`
times; that keeps the gradient's spread bounded, for a bias that shrinks with `max_age`.

Reference:
    Espeholt et al., "IMPALA", 2018, section 4.1 (truncated importance weights); Schaul et al., "Prioritized Experience
    Replay", 2016.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from arcgym.training.advantages import PerToken, TokenMask


@dataclass
class ReplayGroup:
    """The completions of one prompt, as they were sampled.

    Attributes:
        prompt_ids: Tokens of the prompt.
        completion_ids: Per completion its tokens.
        logps: Per completion the log-probability of each token under the policy that sampled it.
        ref_logps: The same under the reference policy; None without one.
        scores: Score of each completion, finite.
        priority: How much the best completion exceeds what was usual; above 0.
        born: Number of the rollout that sampled it.
        uses: How often it was replayed.
    """

    prompt_ids: list[int]
    completion_ids: list[list[int]]
    logps: list[list[float]]
    ref_logps: list[list[float]] | None
    scores: list[float]
    priority: float
    born: int
    uses: int = 0


def rarity(scores: Sequence[float], usual: float) -> float:
    """How rare the best score of a group is: its distance to the group's mean, in groups of one to `usual`.

    0 or less means that there is nothing to learn from it again: all did as well, or none did well.
    """
    mean = usual if len(scores) == 1 else sum(scores) / len(scores)
    return max(scores) - mean


def truncated_weights(logps: PerToken, behaviour_logps: PerToken, mask: TokenMask, truncation: float) -> PerToken:
    """Compute min(π(token) / μ(token), truncation) for tokens that μ sampled; 0 where the mask is false.

    Args:
        logps: Log-probabilities under the present policy π, `(batch, time)`.
        behaviour_logps: Those under the policy μ that sampled, `(batch, time)`.
        mask: True at real tokens.
        truncation: Largest weight, at least 1.
    """
    weights = (logps - behaviour_logps).exp().clamp(max=truncation)
    return torch.where(mask.bool(), weights, 0.0)


class ReplayBuffer:
    """Keeps the groups of the last rollouts with the rarest successes.

    Args:
        capacity: Most groups to keep, at least 1.
        max_age: Rollouts after which a group is dropped, at least 1.

    `rollout` is the number of the rollout that is under way.
    """

    def __init__(self, capacity: int, max_age: int) -> None:
        self.capacity = capacity
        self.max_age = max_age
        self.rollout = 0
        self._groups: list[ReplayGroup] = []

    def __len__(self) -> int:
        return len(self._groups)

    def begin_rollout(self) -> None:
        """Count a rollout, and drop the groups that are too old for it."""
        self.rollout += 1
        self._groups = [group for group in self._groups if self.rollout - group.born <= self.max_age]

    def add(self, groups: Iterable[ReplayGroup]) -> None:
        """Keep groups with a priority above 0; where there is no room, the lowest priorities go, the oldest first."""
        self._groups += [group for group in groups if group.priority > 0]
        self._groups.sort(key=lambda group: (-group.priority, -group.born))
        del self._groups[self.capacity :]

    def take(self, count: int) -> list[ReplayGroup]:
        """Choose groups to replay: those least often used, of these the rarest successes, of these the newest.

        Raises:
            ValueError: There are fewer than `count`.
        """
        if count > len(self._groups):
            raise ValueError(f"{count} groups were asked for, but the buffer holds {len(self._groups)}")
        chosen = sorted(self._groups, key=lambda group: (group.uses, -group.priority, -group.born))[:count]
        for group in chosen:
            group.uses += 1
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs, as plain data."""
        return {"rollout": self.rollout, "groups": [asdict(group) for group in self._groups]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.rollout = state["rollout"]
        self._groups = [ReplayGroup(**group) for group in state["groups"]]


def as_groups(
    rollout: dict[str, Tensor], scores: Tensor, num_generations: int, born: int, usual: float
) -> list[ReplayGroup]:
    """Take a rollout apart into groups; those with a completion that has no score or no token are left out.

    Args:
        rollout: `prompt_ids`, `prompt_mask`, `completion_ids`, `completion_mask`, `old_per_token_logps` and, with a
            reference, `ref_per_token_logps`; rows of a group are neighbours.
        scores: Score of each row, NaN where there is none.
        num_generations: Rows of a group.
        born: Number of this rollout.
        usual: Mean score of the rollout on all processes, to compare groups of one with.
    """
    groups = []
    lengths = rollout["completion_mask"].sum(dim=1).tolist()
    ref_logps = rollout.get("ref_per_token_logps")
    for start in range(0, len(scores), num_generations):
        rows = range(start, start + num_generations)
        group_scores = scores[start : start + num_generations].tolist()
        if any(math.isnan(score) for score in group_scores) or not all(lengths[row] for row in rows):
            continue

        def cut(tensor: Tensor, rows: range = rows) -> list[list[Any]]:
            return [tensor[row, : lengths[row]].tolist() for row in rows]

        groups.append(
            ReplayGroup(
                prompt_ids=rollout["prompt_ids"][start][rollout["prompt_mask"][start].bool()].tolist(),
                completion_ids=cut(rollout["completion_ids"]),
                logps=cut(rollout["old_per_token_logps"]),
                ref_logps=None if ref_logps is None else cut(ref_logps),
                scores=group_scores,
                priority=rarity(group_scores, usual),
                born=born,
            )
        )
    return groups


def as_rollout(groups: Sequence[ReplayGroup], pad_token_id: int, device: torch.device) -> dict[str, Tensor]:
    """Put groups together to a rollout, padded as TRL pads: prompts on the left, completions on the right.

    Returns:
        `prompt_ids`, `prompt_mask`, `completion_ids`, `completion_mask`, `behaviour_logps`, `scores` and, if the
        groups have them, `ref_per_token_logps`.
    """
    prompts = [group.prompt_ids for group in groups for _ in group.completion_ids]
    completions = [ids for group in groups for ids in group.completion_ids]
    rollout = {
        "prompt_ids": _padded(prompts, pad_token_id, left=True),
        "prompt_mask": _padded([[1] * len(ids) for ids in prompts], 0, left=True),
        "completion_ids": _padded(completions, pad_token_id),
        "completion_mask": _padded([[1] * len(ids) for ids in completions], 0),
        "behaviour_logps": _padded([logps for group in groups for logps in group.logps], 0.0),
        "scores": torch.tensor([score for group in groups for score in group.scores]),
    }
    if all(group.ref_logps is not None for group in groups):
        rollout["ref_per_token_logps"] = _padded([logps for group in groups for logps in group.ref_logps or []], 0.0)
    return {name: tensor.to(device) for name, tensor in rollout.items()}


def _padded(rows: Sequence[Sequence[Any]], filler: float, left: bool = False) -> Tensor:
    width = max(len(row) for row in rows)
    padded = [
        [filler] * (width - len(row)) + [*row] if left else [*row] + [filler] * (width - len(row)) for row in rows
    ]
    return torch.tensor(padded)


def join_rollouts(first: dict[str, Any], second: dict[str, Any], pad_token_id: int) -> dict[str, Any]:
    """Append the rows of one rollout to another, padding both to the same widths.

    Only what both have is kept, but for scalars of the first.
    """
    joined: dict[str, Any] = {}
    for name, tensor in first.items():
        if not isinstance(tensor, Tensor) or tensor.dim() == 0:
            joined[name] = tensor
        elif name in second:
            filler = pad_token_id if name in ("prompt_ids", "completion_ids") else 0
            joined[name] = _stack(tensor, second[name], filler, left=name.startswith("prompt"))
    return joined


def _stack(first: Tensor, second: Tensor, filler: float, left: bool) -> Tensor:
    if first.dim() == 1:
        return torch.cat([first, second])
    width = max(first.size(1), second.size(1))

    def widened(tensor: Tensor) -> Tensor:
        missing = width - tensor.size(1)
        return torch.nn.functional.pad(tensor, (missing, 0) if left else (0, missing), value=filler)

    return torch.cat([widened(first), widened(second)])
