"""Mixtures of task sets, as recipes name them: `source/split`, or `source/split:n` for `n` tasks of it.

A mixture keeps training and evaluation apart: a share of a set can be held out, and a task that is in both, turned and
recoloured or as it is, is refused.
"""

import logging
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from arcgym.data.contamination import refuse_overlap, without_overlap
from arcgym.data.formatting import TaskFormatter
from arcgym.data.loader import SPLITS, TaskLoader
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError

T = TypeVar("T")

logger = logging.getLogger(__name__)


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
    match = re.fullmatch(r"(.+)/(train|evaluation)(?::([1-9][0-9]*))?", text)
    if match is None:
        raise ConfigError(
            f"{text!r} does not name tasks. Write `source/split` or `source/split:n`, with split one of "
            f"{', '.join(SPLITS)} and n at least 1, such as `arc-agi-1/train:100`."
        )
    return TaskSpec(match[1], match[2], int(match[3]) if match[3] else None)


def select(tasks: Sequence[T], limit: int | None, seed: int) -> list[T]:
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

    def keep_apart(self, count: int, seed: int) -> tuple[list[Task], "Mixture"]:
        """Take tasks out of the training part, to choose a model by.

        Args:
            count: How many.
            seed: The same seed takes the same tasks.

        Returns:
            The tasks, and the mixture without them.

        Raises:
            ConfigError: No task would be left to train on.
        """
        if count >= len(self.train):
            raise ConfigError(
                f"`validation_tasks` is {count}, but there are only {len(self.train)} tasks to train on. Lower it, or "
                "name more sets in `train_tasks`."
            )
        order = select(range(len(self.train)), None, seed)
        apart, rest = sorted(order[:count]), sorted(order[count:])
        return [self.train[i] for i in apart], replace(self, train=[self.train[i] for i in rest])


def load_mixture(
    train: Sequence[str],
    evaluation: Sequence[str],
    formatter: TaskFormatter,
    *,
    min_pairs: int = 2,
    holdout_share: float = 0.5,
    seed: int = 0,
    allow_contamination: bool = False,
    drop_contaminated: bool = False,
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
        allow_contamination: Do not refuse tasks that are in both parts; `arcgym.data.contamination` says when they
            are.
        drop_contaminated: Leave such tasks out of training instead.

    Raises:
        ConfigError: A spec is malformed, no task is left to train on or in a set to evaluate on, the parts overlap, or
            overlaps are to be both allowed and dropped.
        TaskError: Task files are malformed.
    """
    if allow_contamination and drop_contaminated:
        raise ConfigError("`allow_contamination` and `drop_contaminated` contradict each other. Set one of them.")
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
    secret = [task for tasks in evaluated.values() for task in tasks]
    if drop_contaminated:
        kept = without_overlap(chosen, secret)
        logger.info("%d tasks are not trained on, because they are evaluated on", len(chosen) - len(kept))
        chosen = kept
    _refuse_empty(chosen, evaluated, formatter, dropped)
    if not (allow_contamination or drop_contaminated):
        refuse_overlap(chosen, secret)
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
