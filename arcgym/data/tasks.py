"""Tasks and pairs: the objects that everything else passes around.

A `Task` cannot exist in a bad state: whoever builds one, from a file, a generator or by hand, goes through the same
checks. `task_problems` is the one definition of a well-formed task object; the loader, the dataset builder and the
command line all ask it, and so they always agree.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from arcgym.data.drawing import task_svg
from arcgym.errors import TaskError
from arcgym.grids import Grid, as_grid, grid_problems, grids_equal

PARTS = ("train", "test")
SIDES = ("input", "output")


@dataclass(frozen=True, eq=False)
class Pair:
    """One demonstration or one question: an input grid and, unless it is still to be found, its output grid.

    Raises:
        TaskError: a grid is malformed.
    """

    input: Grid
    output: Grid | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", as_grid(self.input))
        if self.output is not None:
            object.__setattr__(self, "output", as_grid(self.output))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pair):
            return NotImplemented
        same_output = grids_equal(self.output, other.output) or (self.output is None and other.output is None)
        return same_output and grids_equal(self.input, other.input)

    def __hash__(self) -> int:
        return hash(self.input.tobytes())

    def __reduce__(self) -> tuple[type["Pair"], tuple[Grid, Grid | None]]:
        # Pickle forgets that an array is read-only; going through the constructor restores it in worker processes.
        return Pair, (self.input, self.output)

    def to_dict(self) -> dict[str, list[list[int]]]:
        """Return the pair as plain lists of ints; `"output"` is absent when there is none."""
        grids = {"input": self.input.tolist()}
        if self.output is not None:
            grids["output"] = self.output.tolist()
        return grids


class TaskPairs(NamedTuple):
    """The pairs of a task, without all that is known about it."""

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]


NO_PAIRS = TaskPairs((), ())


class PairsRead(NamedTuple):
    """What `read_pairs` found.

    Args:
        pairs: the pairs; none where there are problems.
        problems: one sentence per problem, as of `task_problems`.
    """

    pairs: TaskPairs
    problems: list[str]


@dataclass(frozen=True)
class Task:
    """An ARC task: the pairs that demonstrate a rule, the pairs to solve, and where the task came from.

    Args:
        task_id: name of the task, unique in its set.
        train: the demonstrations, at least one, each with an output.
        test: the questions, at least one; the output is `None` where it is secret.
        source: name of the set, or path of the folder.
        family: name of the generator for synthetic tasks, name of the concept where a set is ordered by concepts.
        program: a program that solves the task, where one is known, else empty.
        version: which state of the source: a commit, or the name of a snapshot; empty where it is not known.
        file: the file within the source that the task was read from.
        licence: under which licence the source says it is, as an SPDX name where it is a common one.

    Tasks are equal when name, pairs, source, family and program are; the rest is where that was found.

    Raises:
        TaskError: there is no pair, or a demonstration without output.
    """

    task_id: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    source: str = ""
    family: str = ""
    program: str = ""
    version: str = field(default="", compare=False)
    file: str = field(default="", compare=False)
    licence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        problems = [f"{part} holds no pair; give at least one" for part in PARTS if not getattr(self, part)]
        problems += [
            f"train pair {i} has no output; a demonstration needs one"
            for i, pair in enumerate(self.train)
            if pair.output is None
        ]
        if not self.task_id:
            problems.append("the task has no name; give it a `task_id`")
        if problems:
            raise TaskError(describe_problems(f"task {self.task_id!r}", problems))
        object.__setattr__(self, "train", tuple(self.train))
        object.__setattr__(self, "test", tuple(self.test))

    @classmethod
    def from_dict(
        cls,
        obj: object,
        *,
        task_id: str,
        source: str = "",
        family: str = "",
        program: str = "",
        version: str = "",
        file: str = "",
        licence: str = "",
    ) -> "Task":
        """Build a task from the object of an official task file (`{"train": [{"input", "output"}], "test": […]}`).

        Args:
            obj: the decoded JSON value; keys other than `train` and `test` are ignored.
            task_id: name of the task.
            source: name of the set, or path of the folder.
            family: name of the generator, for synthetic tasks, or of the concept.
            program: a program that solves the task.
            version: state of the source.
            file: file within the source.
            licence: licence of the source.

        Raises:
            TaskError: the object is malformed; the message lists every problem with pair, row and column.
        """
        pairs, problems = read_pairs(obj)
        if problems:
            raise TaskError(describe_problems(f"task {task_id!r}", problems))
        return cls(task_id, *pairs, source, family, program, version, file, licence)

    def to_dict(self) -> dict[str, list[dict[str, list[list[int]]]]]:
        """Return the object of an official task file, in plain ints; `"output"` is absent where it is not known."""
        return {"train": [pair.to_dict() for pair in self.train], "test": [pair.to_dict() for pair in self.test]}

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the grids alone: equal for equal tasks, whatever their names and sources."""
        return hashlib.sha256(json.dumps(self.to_dict(), separators=(",", ":")).encode()).hexdigest()

    def _repr_html_(self) -> str:
        """What a notebook shows for a task: the drawing of its grids."""
        return f'<div style="overflow-x: auto">{task_svg(self)}</div>'


def task_problems(obj: object) -> list[str]:
    """List everything that keeps a decoded JSON value from being a task.

    Args:
        obj: any value that `json.loads` can return.

    Returns:
        One sentence per problem, with pair, side, row and column (all counted from 0) and what to do; empty when
        the task is valid.
    """
    if not isinstance(obj, Mapping):
        return [f'a {type(obj).__name__} is not a task; write an object with the keys "train" and "test"']
    return [*_misspelt_keys(obj, PARTS), *(problem for part in PARTS for problem in _part_problems(obj, part))]


def read_pairs(obj: object) -> PairsRead:
    """Build the pairs of a decoded JSON value, or list everything that keeps it from being a task.

    The same as asking `task_problems` first, but each grid of a task in official form is looked at only once.

    Args:
        obj: any value that `json.loads` can return.
    """
    if _has_plain_keys(obj):  # then the pairs check all that there is
        try:
            pairs = _pairs(obj)
        except TaskError:
            pass  # of the first problem; below they are all listed
        else:
            if all(pairs) and all(pair.output is not None for pair in pairs.train):
                return PairsRead(pairs, [])
    problems = task_problems(obj)
    return PairsRead(NO_PAIRS, problems) if problems else PairsRead(_pairs(obj), [])


def describe_problems(what: str, problems: list[str]) -> str:
    """Put a list of problems into one message, a line each."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{what}: {count} (pairs, rows and columns count from 0)\n" + "\n".join(f"  - {line}" for line in problems)


def _has_plain_keys(obj: Any) -> bool:
    return (
        isinstance(obj, dict)
        and obj.keys() == set(PARTS)
        and all(isinstance(pairs, list) for pairs in obj.values())
        and all(isinstance(pair, dict) and pair.keys() == set(SIDES) for pairs in obj.values() for pair in pairs)
    )


def _pairs(obj: Any) -> TaskPairs:
    return TaskPairs(*(tuple([Pair(pair["input"], pair.get("output")) for pair in obj[part]]) for part in PARTS))


def _part_problems(obj: Mapping[Any, Any], part: str) -> Iterator[str]:
    if part not in obj:
        yield f'"{part}" is missing; add a list of pairs under that name'
        return
    pairs = obj[part]
    if not isinstance(pairs, list | tuple):
        yield f'"{part}" is a {type(pairs).__name__}; make it a list of pairs'
        return
    if not pairs:
        yield f'"{part}" holds no pair; give at least one'
    for i, pair in enumerate(pairs):
        for problem in pair_problems(pair, needs_output=part == "train"):
            yield f"{part} pair {i}, {problem}"


def pair_problems(pair: object, *, needs_output: bool) -> Iterator[str]:
    """Yield everything that keeps a decoded JSON value from being a pair, a sentence each, with side, row and column.

    Args:
        pair: any value that `json.loads` can return.
        needs_output: whether the output may not be missing, as in a demonstration.
    """
    if not isinstance(pair, Mapping):
        yield f'a {type(pair).__name__} is not a pair; write an object with the keys "input" and "output"'
        return
    yield from _misspelt_keys(pair, SIDES)
    for side in SIDES:
        if pair.get(side) is not None:
            for problem in grid_problems(pair[side]):
                yield f"{side}, {problem}"
        elif side == "input" or needs_output:
            yield f"{side} is missing; add the grid"


def _misspelt_keys(obj: Mapping[Any, Any], known: tuple[str, ...]) -> Iterator[str]:
    """Foreign keys are welcome, but one that looks like a known key would drop a grid in silence."""
    for key in obj:
        if key not in known and isinstance(key, str):
            for close in difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.8):
                yield f'unknown key "{key}"; did you mean "{close}"?'
