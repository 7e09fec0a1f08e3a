"""From a verdict to a reward: pure arithmetic.

A reward is a sum of parts (`RewardParts`), so that a run can say what it pays for:

    correctness    correctness_weight · p                  p: weighted share of passed pairs, shown and hidden
    shape          shape_weight · step · (q − p)           q: the same share for outputs of the right size
    cells          cell_weight · step · (c − p)            c: the same for cells, in outputs of the right size
    solved_bonus   solved_bonus                            only when every pair passes
    brevity        brevity_weight · step′ / (1 + characters / brevity_scale)   only when every pair passes
    penalty        −severity(status) · (1 − p)             0 for a program that answers, however wrong

`step` is what the lightest pair is worth, correctness_weight · min wᵢ / Σ wᵢ, and step′ = (1 − shape_weight −
cell_weight) · step is the least that one more passed pair adds. Since the weights of shape and cells are below 1
together, and so is that of brevity, neither near misses on all pairs nor length outrank one more passed pair. Brevity
is paid to solutions only: among programs that all fail, group-normalised advantages would turn any length term into
pressure towards the shortest wrong program. Shape and cells are off by default for the same reason: they are what
`return grid` earns on most tasks. To measure what they do, train twice from the same seed, with `cell_weight` 0 and
0.5, and compare `tasks/solved_frac` of the evaluations, `programs/identity_frac`, and `rewards/cells` against
`rewards/hidden_pass_rate`: a part that rises while that rate does not is the policy learning the wrong thing.

A shortcut (`arcgym.rewards.shortcuts`) passes pairs without having the rule. Such a pass is worth `shortcut_share` of
another, in p; shape, cells, bonus and brevity are 0, and the penalty is at least `shortcut_penalty` · (1 − p).

A program that crashed the interpreter or tried to break out is judged by that alone: its outputs are not looked at. An
infrastructure failure is no verdict: the reward is `None`, which trainers leave out, never 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arcgym.rewards.config import RewardConfig
from arcgym.rewards.shortcuts import Shortcut
from arcgym.sandbox import Status

NO_PROGRAM = "no_program"


class PairVerdict(NamedTuple):
    """How one pair ended.

    Attributes:
        is_hidden: Whether the prompt does not show the pair's output.
        is_passed: Whether the output is right.
        is_right_shape: Whether it has the right size; holds for passed pairs too.
        right_cells: Share of its cells that are right, in [0, 1]; 0 for another size. Not read for passed pairs.
        by_shortcut: Whether it passed by a shortcut.
    """

    is_hidden: bool
    is_passed: bool
    is_right_shape: bool
    right_cells: float = 0.0
    by_shortcut: bool = False


@dataclass(frozen=True)
class Verdict:
    """What one program did on the pairs of one task; everything that its reward depends on."""

    status: Status | None  # None: the completion held no program
    pairs: tuple[PairVerdict, ...]
    num_chars: int = 0
    error: str = ""
    mutated_input: bool = False
    is_deterministic: bool | None = None  # None: not checked
    shortcut: Shortcut | None = None

    @property
    def label(self) -> str:
        """The status as logged."""
        return NO_PROGRAM if self.status is None else self.status.value

    @property
    def is_solved(self) -> bool:
        """Whether the program answered every input, rightly and not by a shortcut."""
        return self.status is Status.OK and self.shortcut is None and all(pair.is_passed for pair in self.pairs)

    def rate(self, hidden: bool) -> float | None:
        """Return the share of hidden (or of shown) pairs that passed; `None` when there is none of that kind."""
        passed = [pair.is_passed for pair in self.pairs if pair.is_hidden == hidden]
        return sum(passed) / len(passed) if passed else None


class RewardParts(NamedTuple):
    """The parts of one reward, in reward units. Penalties are negative."""

    correctness: float
    shape: float
    cells: float
    solved_bonus: float
    brevity: float
    penalty: float

    @property
    def total(self) -> float:
        """The reward."""
        return math.fsum(self)


def pass_rate(verdict: Verdict, hidden_weight: float = 1.0) -> float:
    """Return the weighted share of passed pairs, Σ wᵢ·passedᵢ / Σ wᵢ, with wᵢ = `hidden_weight` if hidden, else 1.

    Args:
        verdict: At least one pair. Whether a pair passed by a shortcut makes no difference here.
        hidden_weight: Above 0.

    Returns:
        In [0, 1].
    """
    return _weighted_share(verdict, [float(pair.is_passed) for pair in verdict.pairs], hidden_weight)


def score_program(verdict: Verdict, config: RewardConfig) -> RewardParts | None:
    """Return the parts of a program's reward, as the module's docstring defines them.

    Args:
        verdict: What the program did; at least one pair.
        config: Weights and penalties.

    Returns:
        The parts, each finite; `None` for an infrastructure failure, which says nothing about the program.
    """
    if verdict.status is Status.INFRASTRUCTURE:
        return None
    worth = [config.shortcut_share if pair.by_shortcut else 1.0 for pair in verdict.pairs]
    earned = [share if pair.is_passed else 0.0 for share, pair in zip(worth, verdict.pairs, strict=True)]
    passed = _weighted_share(verdict, earned, config.hidden_weight)
    shape = cells = solved_bonus = brevity = 0.0
    severity = _severity(verdict.status, config)
    if verdict.shortcut is None:
        step = _lightest_pair(verdict, config)
        near = [float(pair.is_right_shape and not pair.is_passed) for pair in verdict.pairs]
        shape = config.shape_weight * step * _weighted_share(verdict, near, config.hidden_weight)
        near = [0.0 if pair.is_passed else pair.right_cells for pair in verdict.pairs]
        cells = config.cell_weight * step * _weighted_share(verdict, near, config.hidden_weight)
    else:
        severity = max(severity, config.shortcut_penalty)
    if verdict.is_solved:
        solved_bonus = config.solved_bonus
        short = 1 / (1 + verdict.num_chars / config.brevity_scale)
        brevity = config.brevity_weight * smallest_step(verdict, config) * short
    return RewardParts(
        correctness=config.correctness_weight * passed,
        shape=shape,
        cells=cells,
        solved_bonus=solved_bonus,
        brevity=brevity,
        penalty=-severity * (1 - passed),
    )


def smallest_step(verdict: Verdict, config: RewardConfig) -> float:
    """Return what one more passed pair of this task adds to a reward at the least (reward units, above 0)."""
    return (1 - config.shape_weight - config.cell_weight) * _lightest_pair(verdict, config)


def _lightest_pair(verdict: Verdict, config: RewardConfig) -> float:
    """What the pair of the smallest weight is worth in correctness."""
    weights = _weights(verdict, config.hidden_weight)
    return config.correctness_weight * min(weights) / sum(weights)


def _weights(verdict: Verdict, hidden_weight: float) -> list[float]:
    return [hidden_weight if pair.is_hidden else 1.0 for pair in verdict.pairs]


def _weighted_share(verdict: Verdict, shares: Sequence[float], hidden_weight: float) -> float:
    weights = _weights(verdict, hidden_weight)
    held = [weight * share for weight, share in zip(weights, shares, strict=True)]
    return sum(held) / sum(weights)


def _severity(status: Status | None, config: RewardConfig) -> float:
    match status:
        case Status.OK:
            return 0.0
        case Status.INVALID_OUTPUT:
            return config.output_penalty
        case Status.RUNTIME_ERROR:
            return config.runtime_penalty
        case Status.TIMEOUT:
            return config.timeout_penalty
        case Status.MEMORY:
            return config.memory_penalty
        case Status.OUTPUT_LIMIT:
            return config.output_limit_penalty
        case Status.CRASHED:
            return config.crash_penalty
        case Status.SECURITY_VIOLATION:
            return config.violation_penalty
        case None | Status.SYNTAX_ERROR:
            return config.syntax_penalty
    raise ValueError(f"no penalty is defined for the status {status!r}")
