"""The arithmetic of evaluation: pure functions of counts and verdicts, without models, files or state."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class OfficialScores(NamedTuple):
    """The three ways in which ARC results are published, each in [0, 1].

    `kaggle`: mean over test outputs. `arc_prize`: mean over tasks of the share of their test outputs. `solved`: share
    of tasks with every test output right. They agree when every task has one test input.
    """

    kaggle: float
    arc_prize: float
    solved: float


class Interval(NamedTuple):
    """A confidence interval of a share; 0 ≤ low ≤ high ≤ 1."""

    low: float
    high: float


def official_scores(correct: Sequence[Sequence[bool]]) -> OfficialScores:
    """Score tasks by the three official conventions.

    Args:
        correct: Per task, per test input: whether one of the attempts is right. A task without an answer stands in it
            with `False` for every test input, so that it counts 0.

    Raises:
        ValueError: There is no task, or a task without test inputs.
    """
    if not correct or not all(correct):
        raise ValueError(
            f"official_scores got {len(correct)} tasks, {sum(not outputs for outputs in correct)} of them without "
            "test inputs; it needs at least one task, each with at least one test input"
        )
    return OfficialScores(
        kaggle=sum(map(sum, correct)) / sum(map(len, correct)),
        arc_prize=math.fsum(sum(outputs) / len(outputs) for outputs in correct) / len(correct),
        solved=sum(map(all, correct)) / len(correct),
    )


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Estimate the probability that at least one of k samples is correct, without bias.

    1 − C(n−c, k) / C(n, k), with the quotient as exp(Σ log(1 − k/i)) over i = n−c+1 … n, which neither overflows nor
    cancels.

    Args:
        num_samples: n, samples drawn; 0 or more.
        num_correct: c, of these correct; 0 to n.
        k: 1 or more.

    Returns:
        In [0, 1]; NaN with fewer than k samples, which estimate nothing.

    Raises:
        ValueError: A count is out of range.

    Reference:
        Chen et al. (2021), Evaluating Large Language Models Trained on Code, equation 1.
    """
    if k < 1 or not 0 <= num_correct <= num_samples:
        raise ValueError(
            f"pass_at_k got {num_correct} correct of {num_samples} samples and k={k}; it needs "
            "0 <= correct <= samples and k >= 1"
        )
    if num_samples < k:
        return math.nan
    if num_samples - num_correct < k:
        return 1.0
    i = np.arange(num_samples - num_correct + 1, num_samples + 1)
    return float(-np.expm1(np.log1p(-k / i).sum()) + 0.0)  # + 0.0 turns −0.0 into 0.0


def wilson_interval(num_successes: int, num_trials: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share.

    (p̂ + z²/2n ± z·√(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n), with z the normal quantile at (1 + confidence) / 2.

    Args:
        num_successes: 0 to `num_trials`.
        num_trials: n, 1 or more.
        confidence: In (0, 1).

    Raises:
        ValueError: An argument is out of range.

    Reference:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if num_trials < 1 or not 0 <= num_successes <= num_trials or not 0 < confidence < 1:
        raise ValueError(
            f"wilson_interval got {num_successes} successes of {num_trials} trials at confidence {confidence}; it "
            "needs 0 <= successes <= trials, at least one trial and a confidence in (0, 1)"
        )
    share, z = num_successes / num_trials, NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * num_trials)
    half = z * math.sqrt(share * (1 - share) / num_trials + z * z / (4 * num_trials**2))
    scale = 1 + z * z / num_trials
    # At 0 and n successes one end is exact in theory and a rounding error away in practice.
    low = 0.0 if num_successes == 0 else (centre - half) / scale
    high = 1.0 if num_successes == num_trials else (centre + half) / scale
    return Interval(low, high)
