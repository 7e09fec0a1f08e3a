"""The gallery: every evaluated task with its grids, predictions and programs, in few bytes.

Grids travel as strings of digits and are drawn by the page when they come into view. Programs are highlighted here,
with a handful of one-letter classes. Task names, programs and whatever else comes from outside is escaped, here or by
the template.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup, escape
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from arcgym.data.tasks import Task
from arcgym.evaluation.records import PlainGrid, TaskRecord
from arcgym.evaluation.report.outcomes import Column

MAX_PROGRAM = 6000  # characters of a program that are shown
_CLOSE = 0.05  # share of wrong cells below which a task counts as nearly solved
_CLASSES = (
    (Comment, "c"),
    (String, "s"),
    (Number, "m"),
    (Operator.Word, "k"),
    (Keyword, "k"),
    (Name.Function, "f"),
    (Name.Builtin, "b"),
)


@dataclass(frozen=True)
class Result:
    """How one column of the comparison did at a task.

    Args:
        label: The column.
        record: Of the task.
        program: The one to show, as highlighted HTML; empty without any.
        is_solution: That program reproduces every pair.
        wrong_cells: Share of cells of the best attempts that are wrong; `None` where that cannot be said.
    """

    label: str
    record: TaskRecord
    program: Markup
    is_solution: bool
    wrong_cells: float | None


@dataclass(frozen=True)
class Entry:
    """A task of the gallery.

    Args:
        number: Its place, from 0, by which the page knows it.
        set_name: The set.
        task_id: Its name.
        task: Its grids, where they are known.
        results: One per column that has the task; at least one.
        is_compared: There are several columns.
    """

    number: int
    set_name: str
    task_id: str
    task: Task | None
    results: tuple[Result, ...]
    is_compared: bool

    @property
    def record(self) -> TaskRecord:
        """That of the last column."""
        return self.results[-1].record

    @property
    def is_solved(self) -> bool:
        """Solved by the last column."""
        return self.record.is_solved

    @property
    def change(self) -> str:
        """`new` if only the last column solves it and not the first, `lost` the other way round; else empty."""
        first, last = self.results[0].record.is_solved, self.is_solved
        return "" if first == last else ("new" if last else "lost")

    @cached_property
    def near(self) -> str:
        """Why an unsolved task was nearly solved; empty if it was not."""
        record = self.record
        if record.is_solved:
            return ""
        if record.oracle and all(record.oracle):
            return "a right program was sampled, but not chosen"
        if record.num_train_fit:
            return f"{record.num_train_fit} of {record.num_samples} programs fit the demonstrations"
        wrong = self.results[-1].wrong_cells
        if wrong is not None and wrong <= _CLOSE:
            return f"{wrong:.1%} of the cells are wrong"
        return ""

    @property
    def outcomes(self) -> list[str]:
        """The words that the page filters by."""
        words = ["solved" if self.is_solved else "unsolved", self.change, "near" if self.near else ""]
        if len({result.record.is_solved for result in self.results}) > 1:
            words.append("differ")
        return [word for word in words if word]

    def grids(self) -> dict[str, Any]:
        """Return the grids as the page wants them.

        Returns:
            `d`: demonstrations, an input and an output each; `t`: tests, with an empty output where it is secret;
            `p`: by column, by test, the attempts.
        """
        predictions = [
            [[encode_grid(grid) for grid in attempts] for attempts in result.record.predictions]
            for result in self.results
        ]
        if self.task is None:
            return {"d": [], "t": [], "p": predictions}
        pairs = [
            [(encode_grid(pair.input), "" if pair.output is None else encode_grid(pair.output)) for pair in part]
            for part in (self.task.train, self.task.test)
        ]
        return {"d": pairs[0], "t": pairs[1], "p": predictions}


def gallery_entries(
    columns: Sequence[Column], tasks: Mapping[str, Mapping[str, Task]], limit: int
) -> tuple[list[Entry], int]:
    """List the tasks of all sets.

    Args:
        columns: What is compared.
        tasks: By set name and task id, as far as they are known.
        limit: How many to show; those that were won, lost, nearly solved or solved come first.

    Returns:
        The entries, in order of the sets; and how many were left out.
    """
    records: dict[tuple[str, str], list[tuple[str, TaskRecord]]] = {}
    for column in columns:
        for name, report in column.reports.items():
            for record in report.records:
                records.setdefault((name, record.task_id), []).append((column.label, record))
    entries = [
        Entry(
            number,
            name,
            task_id,
            task := tasks.get(name, {}).get(task_id),
            tuple(_result(label, record, task) for label, record in found),
            len(columns) > 1,
        )
        for number, ((name, task_id), found) in enumerate(records.items())
    ]
    if len(entries) <= limit:
        return entries, 0
    ranked = sorted(entries, key=lambda entry: (not entry.change, not entry.near, not entry.is_solved, entry.number))
    kept = {entry.number for entry in ranked[:limit]}
    return [entry for entry in entries if entry.number in kept], len(entries) - limit


def grids_json(entries: Iterable[Entry]) -> Markup:
    """Write the grids of all entries as JSON that can stand in a script element."""
    text = json.dumps({entry.number: entry.grids() for entry in entries}, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def encode_grid(grid: Any) -> str:
    """Write a grid as its digits, row by row, with a slash between rows."""
    rows = grid if isinstance(grid, tuple) else grid.tolist()
    return "/".join("".join(map(str, row)) for row in rows)


def highlight(program: str) -> Markup:
    """Highlight a Python program as HTML, with a class of one letter around what is not plain."""
    shown = program if len(program) <= MAX_PROGRAM else program[:MAX_PROGRAM]
    pieces: list[Markup] = []
    for kind, text in PythonLexer(ensurenl=False, stripnl=False).get_tokens(shown):
        letter = next((letter for parent, letter in _CLASSES if kind in parent), "")
        pieces.append(Markup("<i class={}>{}</i>").format(letter, text) if letter and text.strip() else escape(text))
    if shown is not program:
        pieces.append(escape(f"\n… {len(program) - len(shown)} more characters"))
    return Markup("").join(pieces)


def _result(label: str, record: TaskRecord, task: Task | None) -> Result:
    program = record.solving_program or record.best_program
    return Result(
        label,
        record,
        highlight(program.strip("\n")),
        bool(record.solving_program),
        _wrong_cells(record, task),
    )


def _wrong_cells(record: TaskRecord, task: Task | None) -> float | None:
    """Share of wrong cells over all tests, of the better attempt at each; `None` without one of the right size."""
    if task is None:
        return None
    wrong = total = 0
    for index, pair in enumerate(task.test):
        attempts = record.predictions[index] if index < len(record.predictions) else ()
        if pair.output is None:
            return None
        truth = pair.output.tolist()
        differing = [_differences(attempt, truth) for attempt in attempts]
        sized = [count for count in differing if count is not None]
        if not sized:
            return None
        wrong += min(sized)
        total += pair.output.size
    return wrong / total


def _differences(attempt: PlainGrid, truth: list[list[int]]) -> int | None:
    """Number of differing cells; `None` for grids of different sizes."""
    if len(attempt) != len(truth) or len(attempt[0]) != len(truth[0]):
        return None
    return sum(
        cell != other for row, line in zip(attempt, truth, strict=True) for cell, other in zip(row, line, strict=True)
    )
