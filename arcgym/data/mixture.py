"""Mixtures of task sets, as recipes name them: `source/split`, or `source/split:n` for `n` tasks of it.

A mixture keeps training and evaluation apart: a share of a set can be held out, and a task that is in both is refused.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arcgym.data.formatting import TaskFormatter
from arcgym.data.loader import SPLITS, TaskLoader
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError


class TaskSpec(NamedTuple):
    """One entry of a mixture: a set, its split, and how many of its tasks; `None` means all."""

    source: str
    split: str
    limit: int | None

    @property
    def name(self) -> str:
        """The set's name in summaries: `source/split`."""
        return f"{self.source}/{self.split}"


def parse_spec(text: str) -> TaskSpec:
    """Read `source/split` or `source/split:n`, such as `arc-agi-1/train:100` or `path/to/folder/evaluation`.

    Raises:
        ConfigError: The text has another form.
    """
    name, _, count = text.partition(":")
    source, _, split = name.rpartition("/")
    if not source or split not in SPLITS or (count and not (count.isdigit() and int(count))) or text.endswith(":"):
        raise ConfigError(
            f"{text!r} does not name tasks. Write `source/split` or `source/split:n`, with split one of "
            f"{', '.join(SPLITS)} and n at least 1, such as `arc-agi-1/train:100`."
        )
    return TaskSpec(source, split, int(count) if count else None)


def select(tasks: Sequence[Task], limit: int | None, seed: int) -> list[Task]:
    """Draw `limit` tasks without replacement, the same ones for the same seed; all of them, shuffled, by default."""
    chosen = list(tasks)
    random.Random(seed).shuffle(chosen)
    return chosen[:limit]


def hold_out(tasks: Sequence[Task], share: float, seed: int) -> tuple[list[Task], list[Task]]:
    """Divide tasks into those to train on and those held out for evaluation.

    Args:
        tasks: Any number.
        share: Share to hold out, in [0, 1].
        seed: The same seed gives the same division.

    Returns:
        Tasks to train on, and tasks held out.

    Raises:
        ConfigError: `share` is out of range.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"The share to hold out is {share}, but has to be in [0, 1].")
    shuffled = select(tasks, None, seed)
    count = round(share * len(shuffled))
    return shuffled[count:], shuffled[:count]


@dataclass(frozen=True)
class Mixture:
    """The tasks of a run.

    Attributes:
        train: Tasks to train on.
        evaluation: Tasks to evaluate on, by set name; none of them is in `train`.
        dropped: By set name, how many tasks were left out because their prompt is too long.
    """

    train: list[Task]
    evaluation: dict[str, list[Task]]
    dropped: dict[str, int]


def load_mixture(
    train: Sequence[str],
    evaluation: Sequence[str],
    formatter: TaskFormatter,
    *,
    min_pairs: int = 2,
    holdout_share: float = 0.5,
    seed: int = 0,
    allow_contamination: bool = False,
) -> Mixture:
    """Load what a run trains and evaluates on.

    A set named in both is divided: `holdout_share` of its tasks are for evaluation only. Limits count tasks whose
    prompt fits.

    Args:
        train: Specs of the sets to train on.
        evaluation: Specs of the sets to evaluate on.
        formatter: Decides which tasks fit, by its budget.
        min_pairs: Fewest demonstrations that the prompt must have room for; a task with fewer has to fit whole.
        holdout_share: Share of a set in both lists that is held out, in [0, 1].
        seed: Seed of the division and of the draws.
        allow_contamination: Do not refuse tasks that are in both parts.

    Raises:
        ConfigError: A spec is malformed, no task is left to train on or in a set to evaluate on, or the parts overlap.
        TaskError: Task files are malformed.
    """
    train_specs, eval_specs = [parse_spec(text) for text in train], [parse_spec(text) for text in evaluation]
    fitting: dict[str, list[Task]] = {}
    dropped: dict[str, int] = {}
    for spec in (*train_specs, *eval_specs):
        if spec.name not in fitting:
            loaded = TaskLoader().load(spec.source, spec.split)
            fitting[spec.name] = [task for task in loaded if _fits(task, formatter, min_pairs)]
            dropped[spec.name] = len(loaded) - len(fitting[spec.name])
    shared = {spec.name for spec in train_specs} & {spec.name for spec in eval_specs}
    parts = {name: hold_out(tasks, holdout_share if name in shared else 0.0, seed) for name, tasks in fitting.items()}
    chosen = [task for spec in train_specs for task in select(parts[spec.name][0], spec.limit, seed)]
    evaluated = {
        spec.name: select(parts[spec.name][1] if spec.name in shared else fitting[spec.name], spec.limit, seed)
        for spec in eval_specs
    }
    _refuse_empty(chosen, evaluated, formatter, dropped)
    refuse_overlap(chosen, [task for tasks in evaluated.values() for task in tasks], allow=allow_contamination)
    return Mixture(chosen, evaluated, {name: count for name, count in dropped.items() if count})


def _fits(task: Task, formatter: TaskFormatter, min_pairs: int) -> bool:
    try:
        return len(formatter.format(task).shown) >= min(min_pairs, len(task.train))
    except TaskError:
        return False


def _refuse_empty(
    train: Sequence[Task], evaluation: dict[str, list[Task]], formatter: TaskFormatter, dropped: dict[str, int]
) -> None:
    empty = [name for name, tasks in evaluation.items() if not tasks] + ([] if train else ["the training mixture"])
    if empty:
        raise ConfigError(
            f"No task is left in {', '.join(empty)}. Too long for a prompt of {formatter.budget} tokens: {dropped}. "
            "Raise `max_prompt_tokens` (up to the model's context), name other sets, or change `holdout_share`."
        )


def refuse_overlap(train: Sequence[Task], evaluation: Sequence[Task], *, allow: bool = False) -> None:
    """Refuse to train on an evaluation task, under whatever name and in whatever order its pairs stand.

    One training task that holds at least half of an evaluation task's pairs counts as that task. (A single pair in
    common happens by chance among small grids.)

    Raises:
        ConfigError: There is such a task and `allow` is false. ARC-AGI-2 training, for one, holds most of ARC-AGI-1.
    """
    holders: dict[_PairKey, list[int]] = {}
    for index, task in enumerate(train):
        for key in _pair_keys(task):
            holders.setdefault(key, []).append(index)
    shared = sorted(task.task_id for task in evaluation if _is_held(_pair_keys(task), holders))
    if shared and not allow:
        listed = ", ".join(shared[:10]) + (f" and {len(shared) - 10} more" if len(shared) > 10 else "")
        raise ConfigError(
            f"{len(shared)} evaluation tasks are in the training data: {listed}. Their score would say nothing. Train "
            "on other tasks, raise `holdout_share`, or set `allow_contamination: true` if this is what you want."
        )


_PairKey = tuple[tuple[int, ...], bytes, tuple[int, ...], bytes]


def _pair_keys(task: Task) -> set[_PairKey]:
    return {
        (pair.input.shape, pair.input.tobytes(), pair.output.shape, pair.output.tobytes())
        for pair in (*task.train, *task.test)
        if pair.output is not None
    }


def _is_held(keys: set[_PairKey], holders: dict[_PairKey, list[int]]) -> bool:
    """Whether one of the holders has at least half of the pairs."""
    counts = Counter(holder for key in keys for holder in holders.get(key, ()))
    return bool(counts) and 2 * max(counts.values()) >= len(keys)
