"""Loading sets of tasks: the ARC sets by name, the synthetic set, files and folders, and datasets.

A source is never loaded in part without a word. All its files are read before anything is said, and then everything
that is wrong with any of them is said at once, so that one run is enough to repair a folder.
"""

import difflib
import logging
from pathlib import Path
from typing import Literal, NamedTuple

from arcgym.data.decoding import Reading
from arcgym.data.sources import NAMED_SETS, SPLITS, open_source
from arcgym.data.tasks import Task, describe_problems
from arcgym.errors import ConfigError, TaskError

__all__ = ["NAMED_SETS", "SPLITS", "FileReport", "TaskLoader", "source_splits"]

logger = logging.getLogger(__name__)


class FileReport(NamedTuple):
    """What was found in one file.

    Args:
        name: the file, relative to the source; of a dataset, its split.
        num_tasks: how many good tasks it holds.
        problems: everything that is wrong with it, a sentence each.
    """

    name: str
    num_tasks: int
    problems: tuple[str, ...]


class TaskLoader:
    """Load the tasks of a set.

    Args:
        num_train: how many of a file's examples become demonstrations, where a file only lists examples, as in
            re-arc. They are the first in the file.
        num_test: how many of the examples after those become questions. The rest is not used.
        loose_cells: read a digit in quotes, a float without fraction and `null` as the colours that they mean (`null`
            is 0), as the files of Mini-ARC need it, and warn of it. By default they are refused.

    Attributes:
        reports: what the files of the last `load` held.

    Raises:
        ConfigError: a number is less than 1.
    """

    def __init__(self, *, num_train: int = 4, num_test: int = 1, loose_cells: bool = False) -> None:
        for name, value in (("num_train", num_train), ("num_test", num_test)):
            if value < 1:
                raise ConfigError(f"`{name}` is {value}, but a task needs at least 1.")
        self.reading = Reading(num_train, num_test, loose_cells)
        self.reports: list[FileReport] = []

    @property
    def problems(self) -> list[str]:
        """Everything that was wrong with the files of the last `load`, a sentence each, with the name of the file."""
        return [f"{report.name}: {problem}" for report in self.reports for problem in report.problems]

    def load(
        self, source: str | Path, split: str = "train", *, on_error: Literal["raise", "report"] = "raise"
    ) -> list[Task]:
        """Load one split of a set.

        Args:
            source: one of these. A `Path` is never taken for a name.

                - a set: `arc-agi-1`, `arc-agi-1@2019`, `arc-agi-2`, `kaggle-2024`, `kaggle-2025`, `synthetic`;
                - a folder of task files, flat, with the folders `training` and `evaluation`, or with a folder per
                  concept; of Kaggle's files; of JSON Lines; or one such file;
                - an address of a file or folder that fsspec opens, such as `https://…/tasks.json`,
                  `github://owner:repo@ref/data`, `zip://tasks::file:///…/re_arc.zip`;
                - a folder written by `Dataset.save_to_disk`, or a dataset of the Hub, `hub:owner/name[@revision]`.
            split: `"train"` or `"evaluation"`. A source that does not divide its tasks is all `"train"`.
            on_error: `"raise"` one error that lists every problem of every file, or `"report"` them in `problems` and
                return the good tasks.

        Returns:
            The tasks, in the order of their files, and within a file in its order.

        Raises:
            ConfigError: the source or the split does not exist.
            TaskError: files are malformed and `on_error` is `"raise"`.
        """
        self.reports = []
        if on_error not in ("raise", "report"):
            raise ConfigError(f"`on_error` is {on_error!r}, but it must be 'raise' or 'report'.")
        if split not in SPLITS:
            close = difflib.get_close_matches(split.lower(), SPLITS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"`split` is {split!r}, but it must be 'train' or 'evaluation'.{hint}")
        opened = open_source(source)
        available = opened.splits()
        if split not in available:
            raise ConfigError(
                f"{source} has no split {split!r}, only {', '.join(map(repr, available))}. A folder has the split "
                f"{split!r} when there are tasks in a subfolder {'training' if split == 'train' else split!r} of it."
            )
        taken = {name: file for other in available if other != split for name, file in opened.taken(other).items()}
        tasks: list[Task] = []
        num_mended = 0
        for part in opened.parts(split, self.reading):
            problems = list(part.problems)
            kept = []
            for task in part.tasks:
                if task.task_id in taken:  # ids identify tasks in prompts and scores
                    problems.append(
                        f"there is another task {task.task_id!r} in {taken[task.task_id]}; rename one or remove it"
                    )
                else:
                    taken[task.task_id] = part.name
                    kept.append(task)
            tasks += kept
            num_mended += part.num_mended
            self.reports.append(FileReport(part.name, len(kept), tuple(problems)))
        if num_mended:
            logger.warning(
                "%s, %s: %d cells were no integers and were read as the colours they mean", source, split, num_mended
            )
        problems = self.problems
        if problems and on_error == "raise":
            raise TaskError(describe_problems(str(source), problems))
        if problems:
            logger.info("%s: problems in `TaskLoader.problems`: %d", source, len(problems))
        return tasks


def source_splits(source: str | Path) -> tuple[str, ...]:
    """Name the splits of a set, without loading it.

    Args:
        source: as for `TaskLoader.load`.

    Raises:
        ConfigError: there is no such source, or there are no tasks in it.
    """
    return open_source(source).splits()
