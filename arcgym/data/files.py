"""Where files of tasks lie, on this machine or behind any address that fsspec opens, and which split each belongs to.

A tree is read to the depth that the known sets have: official repositories (`training/`, `evaluation/`, also below
`data/`), one folder per concept as in ConceptARC and 1D-ARC, a flat folder, or Kaggle's files. What makes a split is
stated in `find_task_files`, and a file that has no place in it is named rather than left out.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from arcgym.data.decoding import CHALLENGES, SOLUTIONS
from arcgym.errors import ConfigError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MAX_FILE_MIB = 256
MAX_DEPTH = 6  # folders below the one that is named; a limit because links can make a tree endless
SUFFIXES = (".json", ".jsonl")
# Files that lie among the tasks of known sets, or in a checkout, and hold none.
NOT_TASKS = ("metadata.json", "sample_submission.json", "package.json", "package-lock.json", "dataset_infos.json")

_SPLIT_FOLDERS = {"training": "train", "evaluation": "evaluation"}
_CHALLENGE_SPLITS = {**_SPLIT_FOLDERS, "test": "test"}
_LINES_SPLITS = {"train": "train", **_SPLIT_FOLDERS, **dict.fromkeys(("eval", "validation", "test"), "evaluation")}
_SAVED_DATASET = (("dataset_dict.json",), ("dataset_info.json", "state.json"))


class FileProblem(Exception):
    """A file cannot be read; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """A file, or a folder, on some file system.

    Args:
        name: as it was given.
        fs: the file system.
        root: path in the file system.
        is_file: whether it is a file.
    """

    name: str
    fs: "AbstractFileSystem"
    root: str
    is_file: bool

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine."""
        return bool(getattr(self.fs, "local_file", False))

    @cached_property
    def listing(self) -> dict[str, str]:
        """Paths of all files, by their names relative to the place, in the order of these names.

        Files and folders whose names begin with a dot are left out.
        """
        if self.is_file:
            return {self.root.rsplit("/", 1)[-1].split("?")[0]: self.root}
        paths = _walk(self.root) if self.is_local else self.fs.find(self.root, maxdepth=MAX_DEPTH + 1)
        names = {str(path).removeprefix(self.root.rstrip("/")).lstrip("/"): str(path) for path in paths}
        return {name: names[name] for name in sorted(names) if "/." not in f"/{name}"}

    def read(self, path: str) -> bytes:
        """Read a file whole.

        Raises:
            FileProblem: it cannot be read, or is larger than `MAX_FILE_MIB`.
        """
        limit = MAX_FILE_MIB * 2**20
        try:
            data = b""
            # Local files without fsspec, which makes several objects for each.
            # Some file systems do not know sizes; then the length read tells.
            size = os.stat(path).st_size if self.is_local else self.fs.size(path) or 0
            if size <= limit:
                with open(path, "rb") if self.is_local else self.fs.open(path, "rb") as file:
                    # Memory is set aside for as much as is asked for, which takes time when there are many files.
                    data = file.read(-1 if self.is_local else limit + 1)
        except Exception as exc:  # each file system has exceptions of its own
            raise FileProblem(f"{_reason(exc)}; make the file readable") from exc
        if max(size, len(data)) > limit:
            raise FileProblem(f"it is larger than {MAX_FILE_MIB} MiB; divide it into several files")
        return data

    def digest(self, path: str) -> bytes:
        """SHA-256 of the content of a file of any size; of one that cannot be read, of the reason."""
        digest = hashlib.sha256()
        try:
            with self.fs.open(path, "rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
        except Exception as exc:
            digest = hashlib.sha256(_reason(exc).encode())
        return digest.digest()


class TaskFile(NamedTuple):
    """A file of tasks.

    Args:
        name: relative to the place.
        path: in the file system.
        split: which split its tasks belong to.
        family: the concept that its tasks are about, where the set is ordered by concepts.
        solutions: name and path of the file with its test outputs, where there is one.
    """

    name: str
    path: str
    split: str
    family: str
    solutions: tuple[str, str] | None

    @property
    def task_id(self) -> str:
        """The name of its task, for a file that holds one."""
        return os.path.splitext(os.path.basename(self.name))[0]

    @property
    def holds_lines(self) -> bool:
        """Whether it holds a task per line."""
        return self.name.lower().endswith(".jsonl")

    @property
    def holds_challenges(self) -> bool:
        """Whether it is a Kaggle file, from names to tasks."""
        return self.name.endswith(CHALLENGES)


class TaskFiles(NamedTuple):
    """The files of a place.

    Args:
        files: those with tasks.
        strays: those that have no place in the order of the others, with the reason.
        left_out: names of those that are left out on purpose.
    """

    files: list[TaskFile]
    strays: dict[str, str]
    left_out: list[str]


def is_address(source: str | Path) -> bool:
    """Whether a source is for fsspec, and no path of this machine."""
    return isinstance(source, str) and ("://" in source or "::" in source)


def open_place(source: str | Path) -> Place | None:
    """Find a file or a folder; `None` where there is none.

    Args:
        source: a path, or an address such as `https://host/tasks.json`, `github://owner:repo@ref/data`,
            `zip://tasks::file:///some.zip`, `memory://tasks`.

    Raises:
        ConfigError: the address is of a kind that fsspec does not know, or its host does not answer.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    # Instances of their own, rather than fsspec's shared ones: nothing about files is kept between two loads.
    if not is_address(source):
        fs, root = LocalFileSystem(skip_instance_cache=True), str(Path(source).expanduser().absolute())
    else:
        try:
            fs, root = fsspec.url_to_fs(str(source), skip_instance_cache=True)
        except ImportError as exc:
            raise ConfigError(f"{str(source)!r} needs a package that is missing: {exc}.") from exc
        except Exception as exc:  # each file system has exceptions of its own
            raise ConfigError(f"{str(source)!r} cannot be opened: {_reason(exc)}. Correct the address.") from exc
    try:
        is_file = fs.isfile(root)
        return Place(str(source), fs, root, is_file) if is_file or fs.isdir(root) else None
    except Exception as exc:
        raise ConfigError(f"{str(source)!r} cannot be reached: {_reason(exc)}. Try again, or load a copy.") from exc


def is_saved_dataset(place: Place) -> bool:
    """Whether a folder was written by `save_to_disk` of the library `datasets`."""
    root = place.root.rstrip("/")
    return not place.is_file and any(
        all(place.fs.isfile(f"{root}/{name}") for name in names) for names in _SAVED_DATASET
    )


def find_task_files(place: Place) -> TaskFiles:
    """List the files of tasks in a place, and say which split each belongs to.

    A file belongs to the split of the first folder on its way that is called `training` or `evaluation`. A Kaggle
    file of challenges, and a file of JSON Lines, may say it by its own name instead, such as
    `arc-agi_evaluation_challenges.json` or `train.jsonl`. Where no file says it, all are for training. Where some do,
    the others are strays. Kaggle's challenges of the test phase repeat others; they are left out unless they are
    alone or named themselves, and then they are for evaluation.

    Args:
        place: a file or a folder.
    """
    names = place.listing
    if not place.is_file:
        names = {name: path for name, path in names.items() if name.lower().endswith(SUFFIXES)}
    left_out = [name for name in names if not place.is_file and name.rsplit("/", 1)[-1] in NOT_TASKS]
    # A file of solutions that is named itself is read as a task, and refused as such.
    solutions = set() if place.is_file else {name for name in names if name.endswith(SOLUTIONS)}
    splits = {name: _split_of(name) for name in names if name not in solutions and name not in left_out}
    has_others = not {"train", "evaluation"}.isdisjoint(splits.values())
    files, strays = [], {}
    for name, split in splits.items():
        partner = name.removesuffix(CHALLENGES) + SOLUTIONS if name.endswith(CHALLENGES) else ""
        solutions.discard(partner)
        if split == "test" and has_others:
            left_out.append(name)
        elif split is None and any(splits.values()):
            strays[name] = "lies beside the folders of the splits and belongs to none; move it into one"
        else:
            path = _find_solutions(place, names, name, partner)
            kept = {None: "train", "test": "evaluation"}.get(split, split)
            files.append(TaskFile(name, names[name], str(kept), _family(name), (partner, path) if path else None))
    for name in sorted(solutions):
        strays[name] = f"lacks its challenges; add {name.removesuffix(SOLUTIONS) + CHALLENGES!r} or remove it"
    return TaskFiles(files, strays, left_out)


def _walk(root: str) -> Iterator[str]:
    """The files below a folder, links followed."""
    folders = [(root, 0)]
    for folder, depth in folders:  # which grow on the way
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:  # a folder that may not be listed
            continue
        for entry in entries:
            # Only links cost a look at the file itself.
            is_link = entry.is_symlink()
            if os.path.isfile(entry.path) if is_link else entry.is_file(follow_symlinks=False):
                yield entry.path
            elif depth < MAX_DEPTH and not entry.name.startswith("."):
                if os.path.isdir(entry.path) if is_link else entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))


def _split_of(name: str) -> str | None:
    *folders, file = name.lower().split("/")
    for folder in folders:
        if folder in _SPLIT_FOLDERS:
            return _SPLIT_FOLDERS[folder]
    known = _CHALLENGE_SPLITS if file.endswith(CHALLENGES) else _LINES_SPLITS if file.endswith(".jsonl") else {}
    return next((known[word] for word in re.split(r"[^a-z]+", file) if word in known), None)


def _family(name: str) -> str:
    """The innermost folder that is not one for a split or for all: a concept in ConceptARC, a rule in 1D-ARC."""
    folders = [folder for folder in name.split("/")[:-1] if folder.lower() not in (*_SPLIT_FOLDERS, "data")]
    return folders[-1] if folders else ""


def _find_solutions(place: Place, names: dict[str, str], name: str, partner: str) -> str | None:
    """The path of the solutions; those of a file that is named itself are looked for beside it."""
    if not partner or not place.is_file:
        return names.get(partner)
    path = place.root.replace(name, partner)
    return path if place.fs.isfile(path) else None


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
