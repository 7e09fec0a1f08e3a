"""The dataset builder behind `datasets.load_dataset("arcgym", …)`.

Configurations are the named sets of `TaskLoader`; with `data_dir` there is one more, `"folder"`, for any other source.
The builder only turns tasks into rows: what a valid task is, and where tasks are, is the loader's business. `datasets`
finds this module through `arcgym.data.registration`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import datasets

from arcgym.data.loader import NAMED_SETS, TaskLoader, source_splits
from arcgym.data.sources import open_source
from arcgym.data.tasks import Task

FOLDER_CONFIG = "folder"
DATA_VERSION = datasets.Version("1.1.0")
_NUM_SHARDS = 8  # of a split: so many processes can take part in preparing it

_ROWS = datasets.List(datasets.List(datasets.Value("int8")))
PAIRS_FEATURE = datasets.List({"input": _ROWS, "output": _ROWS})
_TEXTS = ("task_id", "source", "family", "program", "version", "file", "licence", "content_hash")
TASK_FEATURES = datasets.Features(
    {**{name: datasets.Value("string") for name in _TEXTS}, "train": PAIRS_FEATURE, "test": PAIRS_FEATURE}
)


@dataclass
class TasksConfig(datasets.BuilderConfig):
    """Which tasks, and how files are read that leave something open.

    Args:
        num_train: as for `TaskLoader`.
        num_test: as for `TaskLoader`.
        loose_cells: as for `TaskLoader`.
    """

    num_train: int = 4
    num_test: int = 1
    loose_cells: bool = False


def task_row(task: Task) -> dict[str, Any]:
    """Turn a task into a row of a dataset: `TASK_FEATURES`, with a null output where a test output is not known."""
    pairs = task.to_dict()
    return {
        **{name: getattr(task, name) for name in _TEXTS},
        "train": pairs["train"],
        "test": [{"output": None, **pair} for pair in pairs["test"]],
    }


class ArcGymDatasetBuilder(datasets.GeneratorBasedBuilder):
    """Build the rows of a named set, or of the source given as `data_dir`."""

    BUILDER_CONFIG_CLASS = TasksConfig
    BUILDER_CONFIGS: ClassVar = [
        TasksConfig(name=name, version=DATA_VERSION, description=known.description)
        for name, known in NAMED_SETS.items()
    ]
    DEFAULT_CONFIG_NAME = "arc-agi-1"

    def _info(self) -> datasets.DatasetInfo:
        source = open_source(self._source())
        origin = source.origin()
        version = f"\nVersion: {origin.version}" if origin.version else ""
        return datasets.DatasetInfo(
            description=f"{origin.description}{version}\nContent: sha256 {source.digest()}",
            features=TASK_FEATURES,
            homepage=origin.homepage,
            license=origin.licence,
        )

    def _source(self) -> str:
        return self.config.data_dir or self.config.name

    def _loader(self) -> TaskLoader:
        config = self.config
        return TaskLoader(num_train=config.num_train, num_test=config.num_test, loose_cells=config.loose_cells)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        source = self._source()
        splits = source_splits(source)
        if self.config.data_dir:
            # Here and not in the generator, whose errors `datasets` hides behind a DatasetGenerationError.
            for split in splits:
                self._loader().load(source, split)
        # `datasets` divides a list among its processes.
        shards = list(range(_NUM_SHARDS))
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"source": source, "split": split, "shards": shards})
            for split in splits
        ]

    def _generate_examples(self, source: str, split: str, shards: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        tasks = self._loader().load(source, split)
        for shard in shards:
            first, last = (len(tasks) * number // _NUM_SHARDS for number in (shard, shard + 1))
            for task in tasks[first:last]:
                yield task.task_id, task_row(task)
