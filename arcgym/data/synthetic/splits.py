"""The named synthetic set: fixed seeds, so that everybody speaks of the same tasks.

Pretraining draws its tasks from other seeds and drops every task that equals one of the `evaluation` split.
"""

from functools import lru_cache

from arcgym.data.contamination import without_overlap
from arcgym.data.synthetic.generator import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import TaskError

_SEEDS = {"train": 1_000_001, "evaluation": 2_000_003}
_SIZES = {"train": 2000, "evaluation": 400}
_SPARE = 40


def split_seed(split: str) -> int:
    """The generator seed of a split of the named set."""
    if split not in _SEEDS:
        raise TaskError(f"The synthetic set has no split {split!r}. Its splits are {sorted(_SEEDS)}.")
    return _SEEDS[split]


@lru_cache
def _tasks(split: str) -> tuple[Task, ...]:
    size, seed = _SIZES[split], split_seed(split)
    if split == "train":
        return tuple(generate_tasks(size, seed=seed))
    # some families have few small inputs, so that two of their tasks may share pairs: others take their place
    drawn = list(generate_tasks(size + _SPARE, seed=seed))
    return tuple(without_overlap(drawn, _tasks("train"))[:size])


def load_split(split: str) -> list[Task]:
    """Generate the tasks of a split: 2 000 in `train`, 400 in `evaluation`.

    Raises:
        TaskError: There is no such split.
    """
    split_seed(split)
    return list(_tasks(split))
