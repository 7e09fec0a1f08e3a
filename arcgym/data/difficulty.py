"""Difficulty: how likely a policy is to fail at a task, from what the task looks like and from how attempts went.

The score of a task is the expected failure rate of a small policy, in [0, 1]. What is known before any attempt is a
logistic model of the features below; it is the mean of a Beta prior, which attempts turn into a posterior. So tasks
that were tried and tasks that were not are on one scale, and a task is believed to be hard or easy only as far as
there is evidence. Test outputs are never read: a task has the same difficulty with and without them.

The weights were fitted to what `arcgym-tiny` solves of synthetic tasks and of ARC-AGI-1 training
(`benchmarks/difficulty.py`; figures in docs/tasks.md). For a policy that is unlike it they are a first guess, which
its own attempts correct.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from arcgym.data.augmentation import symmetric_views
from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.grids import Grid
from arcgym.primitives import objects

_T = TypeVar("_T")


class DifficultyFeatures(NamedTuple):
    """What a task looks like. Means are over the demonstrations.

    Attributes:
        cells: Mean cells of a grid, of inputs and outputs alike.
        prompt_tokens: Tokens of the prompt.
        same_size: Share of demonstrations whose output has the size of the input.
        size_ratio: Mean base-2 logarithm of the output's cells divided by the input's.
        constant_ratio: 1 when output and input sides are in the same proportion everywhere, else 0.
        colours: Mean number of colours in a pair.
        new_colours: Mean number of colours that only the output has.
        lost_colours: Mean number of colours that only the input has.
        change_ratio: Mean share of cells that differ; 1 for a pair of different sizes.
        objects: Mean number of objects in an input, as `arcgym.primitives.objects` counts them.
        object_change: Mean size of the base-2 logarithm of output objects by input objects, each plus 1.
        symmetry: Mean share of an output's cells that agree with its best mirror image or rotation.
        turned: 1 when one mirror image or rotation of every input is the output, else 0.
    """

    cells: float
    prompt_tokens: float
    same_size: float
    size_ratio: float
    constant_ratio: float
    colours: float
    new_colours: float
    lost_colours: float
    change_ratio: float
    objects: float
    object_change: float
    symmetry: float
    turned: float


class Attempts(NamedTuple):
    """How a policy did at a task: programs that were right, of programs that were sampled."""

    successes: int
    total: int


_UNTRIED = Attempts(0, 0)


class PassRate(NamedTuple):
    """What is believed of a policy's pass rate at a task: a Beta distribution.

    Attributes:
        alpha: First parameter: prior strength times expected pass rate, plus successes.
        beta: Second parameter: prior strength times expected failure rate, plus failures.
    """

    alpha: float
    beta: float

    @property
    def mean(self) -> float:
        """Expected pass rate, in [0, 1]."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def std(self) -> float:
        """Standard deviation of the pass rate."""
        total = self.alpha + self.beta
        return math.sqrt(self.alpha * self.beta / (total + 1)) / total


@dataclass(frozen=True)
class TaskDifficulty:
    """How difficult one task is.

    Attributes:
        task_id: Its name.
        score: Expected failure rate, in [0, 1].
        band: From 0, the easiest, to the number of bands less 1: its place among the tasks that it was analysed with.
        pass_rate: The belief that `score` is 1 minus the mean of.
        features: What the task looks like.
    """

    task_id: str
    score: float
    band: int
    pass_rate: PassRate
    features: DifficultyFeatures


# Logistic regression of the pass rate of arcgym-tiny: `python benchmarks/difficulty.py`
_INTERCEPT = 4.478
_WEIGHTS = DifficultyFeatures(
    cells=-0.1249,
    prompt_tokens=-0.4689,
    same_size=-0.5822,
    size_ratio=0.0577,
    constant_ratio=-0.5024,
    colours=-0.3036,
    new_colours=-0.0001,
    lost_colours=0.2597,
    change_ratio=-0.9183,
    objects=0.1996,
    object_change=-0.3510,
    symmetry=-0.3458,
    turned=-1.5444,
)
_PRIOR_STRENGTH = 3.7


class DifficultyAnalyzer:
    """Score tasks, and divide them into bands.

    Args:
        num_bands: Number of bands, 1 or more; each holds about as many tasks.
        formatter: Counts the prompt's tokens as the policy sees them, with its tokenizer. Without one, a token per
            cell, per end of a row and per header is assumed, which is what `arcgym-tiny` has.
        prior_strength: How many attempts the features are worth, above 0. The default was fitted with the weights;
            use less for a policy that is unlike `arcgym-tiny`.

    Raises:
        ConfigError: An argument is out of range, or the formatter has no tokenizer.
    """

    def __init__(
        self,
        *,
        num_bands: int = 4,
        formatter: TaskFormatter | None = None,
        prior_strength: float = _PRIOR_STRENGTH,
    ) -> None:
        if num_bands < 1:
            raise ConfigError(f"`num_bands` is {num_bands}. Use 1 or more.")
        if not 0 < prior_strength < math.inf:
            raise ConfigError(f"`prior_strength` is {prior_strength}, but counts attempts. Use a number above 0.")
        if formatter is not None and formatter.tokenizer is None:
            raise ConfigError("`formatter` is to count tokens, but has no tokenizer. Pass it the policy's.")
        self.num_bands = num_bands
        self.formatter = formatter
        self.prior_strength = prior_strength

    def features(self, task: Task) -> DifficultyFeatures:
        """Compute the features of a task.

        Raises:
            TaskError: The prompt does not fit into the formatter's budget.
        """
        pairs = [(pair.input, pair.output) for pair in task.train if pair.output is not None]
        same_size = [before.shape == after.shape for before, after in pairs]
        proportions = {(after.shape[0] / before.shape[0], after.shape[1] / before.shape[1]) for before, after in pairs}
        colours = [(set(before.tobytes()), set(after.tobytes())) for before, after in pairs]
        counts = [(len(objects(before)), len(objects(after))) for before, after in pairs]
        return DifficultyFeatures(
            cells=_mean(before.size + after.size for before, after in pairs) / 2,
            prompt_tokens=self._prompt_tokens(task),
            same_size=_mean(same_size),
            size_ratio=_mean(math.log2(after.size / before.size) for before, after in pairs),
            constant_ratio=float(len(proportions) == 1),
            colours=_mean(len(before | after) for before, after in colours),
            new_colours=_mean(len(after - before) for before, after in colours),
            lost_colours=_mean(len(before - after) for before, after in colours),
            change_ratio=_mean(1 - _agreement(before, after) for before, after in pairs),
            objects=_mean(before for before, _ in counts),
            object_change=_mean(abs(math.log2((1 + after) / (1 + before))) for before, after in counts),
            symmetry=_mean(max(_agreement(view, after) for view in symmetric_views(after)[1:]) for _, after in pairs),
            turned=float(_is_turned(pairs)),
        )

    def pass_rate(self, features: DifficultyFeatures, attempts: Attempts = _UNTRIED) -> PassRate:
        """Say what is to be believed of the pass rate at a task.

        Args:
            features: Of the task.
            attempts: How attempts went, if there were any.

        Raises:
            ValueError: There are more successes than attempts, or fewer than none.
        """
        if not 0 <= attempts.successes <= attempts.total:
            raise ValueError(f"{attempts.successes} of {attempts.total} attempts cannot have succeeded.")
        expected = expected_pass_rate(features)
        return PassRate(
            self.prior_strength * expected + attempts.successes,
            self.prior_strength * (1 - expected) + attempts.total - attempts.successes,
        )

    def analyze(self, tasks: Sequence[Task], attempts: Mapping[str, Attempts] | None = None) -> list[TaskDifficulty]:
        """Score tasks and divide them into bands by the quantiles of their scores.

        Tasks with equal scores are in the same band, and the easiest task is always in band 0.

        Args:
            tasks: Any number.
            attempts: By name of the task, how attempts at it went; tasks may be missing.

        Returns:
            One entry per task, in order.

        Raises:
            TaskError: A prompt does not fit into the formatter's budget.
            ValueError: There are more successes than attempts somewhere.
        """
        known = attempts or {}
        features = [self.features(task) for task in tasks]
        beliefs = [
            self.pass_rate(its, known.get(task.task_id, _UNTRIED)) for its, task in zip(features, tasks, strict=True)
        ]
        scores = [1 - belief.mean for belief in beliefs]
        bands = _bands(scores, self.num_bands)
        return [
            TaskDifficulty(task.task_id, score, band, belief, its)
            for task, score, band, belief, its in zip(tasks, scores, bands, beliefs, features, strict=True)
        ]

    def _prompt_tokens(self, task: Task) -> float:
        if self.formatter is not None:
            return float(self.formatter.format(task).num_tokens or 0)
        shown = [grid for pair in task.train for grid in (pair.input, pair.output) if grid is not None]
        shown += [pair.input for pair in task.test]
        return float(sum(grid.size + grid.shape[0] + 1 for grid in shown) + 1)


def expected_pass_rate(features: DifficultyFeatures) -> float:
    """Return the share of programs that `arcgym-tiny` is expected to get right, in (0, 1), from the features alone."""
    return float(1 / (1 + np.exp(-_INTERCEPT - predictors(features) @ np.array(_WEIGHTS))))


def predictors(features: DifficultyFeatures) -> np.ndarray:
    """Return what the model is linear in: the features, with base-2 logarithms of the counts that vary widely."""
    logarithms = features._replace(
        cells=math.log2(features.cells),
        prompt_tokens=math.log2(features.prompt_tokens),
        objects=math.log2(1 + features.objects),
    )
    return np.array(logarithms)


def difficulty_lines(difficulties: Sequence[TaskDifficulty]) -> Iterator[str]:
    """Write a table of difficulties, a line per task, the easiest first."""
    yield f"{'task':20} {'band':>4} {'score':>6}  " + " ".join(
        f"{name:>7}" for name in ("cells", "tokens", "colours", "objects", "change")
    )
    for entry in order_by_difficulty(difficulties, [entry.score for entry in difficulties]):
        facts = entry.features
        yield (
            f"{entry.task_id:20} {entry.band:4} {entry.score:6.3f}  {facts.cells:7.1f} {facts.prompt_tokens:7.0f} "
            f"{facts.colours:7.1f} {facts.objects:7.1f} {facts.change_ratio:7.2f}"
        )


def order_by_difficulty(items: Sequence[_T], scores: Sequence[float]) -> list[_T]:
    """Return items from the easiest to the hardest; those of equal difficulty stay in order.

    Args:
        items: Tasks, rows or whatever else was scored.
        scores: Of each item; higher is harder.

    Raises:
        ValueError: There are more or fewer scores than items, or a score is not a number.
    """
    if any(math.isnan(score) for score in scores):
        raise ValueError("A score is NaN, which has no place in an order.")
    return [item for _, item in sorted(zip(scores, items, strict=True), key=lambda scored: scored[0])]


def batches_by_difficulty(items: Sequence[_T], scores: Sequence[float], batch_size: int) -> list[list[_T]]:
    """Divide items into batches of which none holds an easier item than the one before.

    Args:
        items: As for `order_by_difficulty`.
        scores: Of each item.
        batch_size: Items per batch, 1 or more; the last batch may hold fewer.

    Raises:
        ValueError: As for `order_by_difficulty`, or `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}, but must be 1 or more.")
    ordered = order_by_difficulty(items, scores)
    return [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)


def _agreement(before: Grid, after: Grid) -> float:
    """Share of cells that are equal; 0 where the sizes differ."""
    return float(np.mean(before == after)) if before.shape == after.shape else 0.0


def _is_turned(pairs: Sequence[tuple[Grid, Grid]]) -> bool:
    """Whether one symmetry other than the identity turns every input into its output."""
    views = [symmetric_views(before)[1:] for before, _ in pairs]
    return any(
        all(np.array_equal(view, after) for view, (_, after) in zip(kind, pairs, strict=True))
        for kind in zip(*views, strict=True)
    )


def _bands(scores: Sequence[float], num_bands: int) -> list[int]:
    """Number the quantile of each score; the lowest score is in band 0, equal scores are in one band."""
    if not scores:
        return []
    edges = np.quantile(scores, np.arange(1, num_bands) / num_bands)
    return np.searchsorted(edges, scores, side="left").tolist()
