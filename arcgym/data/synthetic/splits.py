"""The named synthetic set: fixed seeds, so that everybody speaks of the same tasks.

Pretraining draws its tasks from other seeds and drops every task that equals one of the `evaluation` split.
"""

from functools import lru_cache

from arcgym.data.synthetic.generator import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import TaskError

_SEEDS = {"train": 1_000_001, "evaluation": 2_000_003}
_SIZES = {"train": 2000, "evaluation": 400}


def split_seed(split: str) -> int:
    """The generator seed of a split of the named set."""
    if split not in _SEEDS:
        raise TaskError(f"The synthetic set has no split {split!r}. Its splits are {sorted(_SEEDS)}.")
    return _SEEDS[split]


@lru_cache
def _tasks(split: str) -> tuple[Task, ...]:
    return tuple(generate_tasks(_SIZES[split], seed=split_seed(split)))


def load_split(split: str) -> list[Task]:
    """Generate the tasks of a split: 2 000 in `train`, 400 in `evaluation`.

    Raises:
        TaskError: There is no such split.
    """
    split_seed(split)
    return list(_tasks(split))
