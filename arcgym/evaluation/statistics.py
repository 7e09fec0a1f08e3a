"""How sure a figure is: intervals over tasks, differences of two runs on the same tasks, and several tests at once.

Tasks are what is drawn from a population, so they are what is resampled; the samples of one task are not independent
evidence. Two runs on the same tasks are compared task by task. Every draw has a generator of its own: the global ones
are neither read nor moved, and the same records give the same interval.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from arcgym.evaluation.scoring import Interval, wilson_interval

NUM_RESAMPLES = 2000
BOOTSTRAP_SEED = 0


class Difference(NamedTuple):
    """A second run's figure less the first's, with its confidence interval.

    Attributes:
        value: The difference, in [−1, 1].
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def bootstrap_interval(
    numerators: ArrayLike, denominators: ArrayLike | None = None, confidence: float = 0.95
) -> Interval:
    """Return a percentile bootstrap interval over tasks of Σ numerators / Σ denominators, a figure in [0, 1].

    Args:
        numerators: Per task, such as its solved test outputs; shape (task,).
        denominators: Per task, such as its test outputs; 1 each by default, so that the figure is a mean.
        confidence: In (0, 1).

    Returns:
        The interval; all of [0, 1] for a single task, which says nothing of others. Where every task failed, or none
        did, resampling gives nothing else, and the interval is Wilson's.

    Raises:
        ValueError: There is no task, or the lengths differ.

    Reference:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    top, bottom = _figures(numerators, denominators)
    if len(top) == 1:
        return Interval(0.0, 1.0)
    if not top.any() or np.array_equal(top, bottom):
        return wilson_interval(len(top) if top.any() else 0, len(top), confidence)
    low, high = _percentiles(top, bottom, confidence)
    value = float(top.sum() / bottom.sum())
    return Interval(min(low, value), max(high, value))  # percentiles are rounded


def paired_difference(
    first: ArrayLike, second: ArrayLike, denominators: ArrayLike | None = None, confidence: float = 0.95
) -> Difference:
    """Compare a figure of two runs on the same tasks: Σ (second − first) / Σ denominators, bootstrapped over tasks.

    Args:
        first: Numerators of the first run, per task; shape (task,).
        second: Of the second run, in the same order.
        denominators: Of both; 1 each by default.
        confidence: In (0, 1).

    Returns:
        The difference; its interval is all of [−1, 1] for a single task.

    Raises:
        ValueError: There is no task, or the lengths differ.
    """
    before, bottom = _figures(first, denominators)
    after, _ = _figures(second, denominators)
    if len(before) != len(after):
        raise ValueError(f"paired_difference got {len(before)} and {len(after)} tasks; it needs the same ones twice")
    gain = after - before
    value = float(gain.sum() / bottom.sum())
    if len(gain) == 1:
        return Difference(value, -1.0, 1.0)
    return Difference(value, *_percentiles(gain, bottom, confidence))


def mcnemar_p(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the p-value of McNemar's exact test that two runs solve tasks equally often.

    Only tasks that one run solves and the other does not count; each is a toss of a fair coin if the runs are alike.

    Args:
        first: Per task, whether the first run solved it.
        second: The second run, in the same order.

    Raises:
        ValueError: The lengths differ.

    Reference:
        McNemar (1947), Note on the sampling error of the difference between correlated proportions or percentages.
    """
    from statsmodels.stats.contingency_tables import mcnemar  # imports pandas: a second

    table = np.zeros((2, 2), dtype=int)
    for before, after in zip(first, second, strict=True):
        table[int(before), int(after)] += 1
    return min(1.0, float(mcnemar(table, exact=True).pvalue))


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's method, which holds whatever their dependence.

    Args:
        p_values: Each in [0, 1]; any number.

    Reference:
        Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def _figures(numerators: ArrayLike, denominators: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    top = np.asarray(numerators, dtype=float)
    bottom = np.ones_like(top) if denominators is None else np.asarray(denominators, dtype=float)
    if not len(top) or top.shape != bottom.shape:
        raise ValueError(
            f"a figure over tasks got {len(top)} numerators and {len(bottom)} denominators; it needs one each for at "
            "least one task"
        )
    return top, bottom


def _percentiles(top: np.ndarray, bottom: np.ndarray, confidence: float) -> tuple[float, float]:
    interval = bootstrap(
        (top, bottom),
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=NUM_RESAMPLES,
        confidence_level=confidence,
        # BCa has no value for tasks that all went alike, which is common among hard ones
        method="percentile",
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    ).confidence_interval
    return float(interval.low), float(interval.high)
