"""Rewards on one scale for every task, so that a hard task's only success weighs as much as an easy one's.

Off by default: advantages over groups do the same (`scale_rewards: group` in TRL), and a critic learns the mean. It is
for runs with one completion per prompt on tasks of very different rewards (`running`), and for trainers that do not
scale (`group`). Within a task the order of rewards is kept; between tasks it is given up: that is the point.

An infrastructure failure (`None`) takes no part and stays `None`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from arcgym.rewards.config import Normalization

# A spread below this share of the largest reward is rounding, not a difference between programs.
_ROUNDING = 1e-9


def normalize_group(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (r − mean) / std, with the standard deviation of the group itself (not an estimate for a larger one).

    Args:
        rewards: Finite, shape (completions,).

    Returns:
        Mean 0 and standard deviation 1; zeros where all rewards are equal.
    """
    return _scale(rewards, float(rewards.mean()), float(rewards.std()))


class TaskStatistics(NamedTuple):
    """Mean and variance of a task's rewards over rollouts, and how many rollouts had it."""

    mean: float
    variance: float
    rollouts: int

    def update(self, rewards: NDArray[np.float64], decay: float) -> "TaskStatistics":
        """Mix in a rollout's rewards: the moments of a mixture of past (1 − α) and rollout (α).

            α = max(1 − decay, 1 / rollouts)    mean ← mean + α·d    variance ← (1 − α)·(variance + α·d²) + α·var(r)

        with d = mean(r) − mean. While 1 / rollouts is the larger, all rollouts weigh the same, so that the first ones
        do not linger.

        Args:
            rewards: Finite, shape (completions,), at least one.
            decay: Weight of the past, in [0, 1].
        """
        rollouts = self.rollouts + 1
        alpha = max(1 - decay, 1 / rollouts)
        moved = float(rewards.mean()) - self.mean
        variance = (1 - alpha) * (self.variance + alpha * moved**2) + alpha * float(rewards.var())
        return TaskStatistics(self.mean + alpha * moved, variance, rollouts)


class RewardNormalizer:
    """Scales rewards by task; holds the tasks' running statistics.

    Args:
        mode: `none`, `group` (statistics of the batch) or `running` (of this and earlier batches).
        decay: Weight of the past in running statistics, in [0, 1].

    Raises:
        ValueError: An argument is not one of these.

    With several processes each normalises what it scores itself, and has running statistics of its own.
    """

    def __init__(self, mode: Normalization = "none", decay: float = 0.9) -> None:
        if mode not in get_args(Normalization) or not 0 <= decay <= 1:
            raise ValueError(f"mode is {mode!r} and decay {decay!r}; use none, group or running, and 0 to 1")
        self.mode = mode
        self.decay = decay
        self._statistics: dict[str, TaskStatistics] = {}

    def normalize(self, rewards: Sequence[float | None], tasks: Sequence[str]) -> list[float | None]:
        """Scale a batch of rewards.

        Args:
            rewards: Finite; `None` stays `None`.
            tasks: Name of the task of each reward.

        Returns:
            One reward each, in order. Those of a task that has had but one value so far are 0.
        """
        if self.mode == "none":
            return list(rewards)
        groups: dict[str, list[int]] = {}
        for index, (reward, task) in enumerate(zip(rewards, tasks, strict=True)):
            if reward is not None:
                groups.setdefault(task, []).append(index)
        normalized: list[float | None] = [None] * len(rewards)
        for task, members in groups.items():
            values = np.array([rewards[index] for index in members], dtype=np.float64)
            for index, value in zip(members, self._normalize_task(task, values).tolist(), strict=True):
                normalized[index] = value
        return normalized

    def _normalize_task(self, task: str, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.mode == "group":
            return normalize_group(rewards)
        # With the rewards that are being scaled: a first success after failures is then no outlier without bound.
        updated = self._statistics.get(task, TaskStatistics(0.0, 0.0, 0)).update(rewards, self.decay)
        self._statistics[task] = updated
        return _scale(rewards, updated.mean, updated.variance**0.5)

    def state_dict(self) -> dict[str, Any]:
        """Return the running statistics as plain data, for a checkpoint."""
        return {"tasks": {task: list(statistics) for task, statistics in self._statistics.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: It is something else.
        """
        try:
            loaded = {
                str(task): TaskStatistics(float(mean), float(variance), int(rollouts))
                for task, (mean, variance, rollouts) in state["tasks"].items()
            }
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            raise ValueError(f"not a state of a RewardNormalizer: {exc!r}") from exc
        self._statistics = loaded


def _scale(rewards: NDArray[np.float64], mean: float, spread: float) -> NDArray[np.float64]:
    if spread <= _ROUNDING * float(np.abs(rewards).max()):
        return np.zeros_like(rewards)
    scaled: NDArray[np.float64] = (rewards - mean) / spread
    return scaled
