"""The programs of a run on disk, from which a run that was stopped goes on: `programs.jsonl`.

The first line says what the run is of, so that programs of another one are not taken over. Every other line is one
completion with what became of its program, or the end of one task. Lines are appended; a process that is killed while
it writes leaves a torn last line, which does not count.
"""

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from arcgym.errors import ConfigError
from arcgym.grids import Grid, as_grid
from arcgym.inference.config import Draw
from arcgym.sandbox import ExecutionResult, Status


class Row(NamedTuple):
    """One completion, as it is kept.

    Args:
        stage: Index of its stage.
        view: Index of its view.
        number: Its number among those of the stage and view.
        program: Its program; `None` when it held none.
        num_tokens: Its length.
        log_prob: Of its tokens, in nats; `None` when unknown.
        parent: Source of the program that it repairs; empty for none.
        result: What came of the program; `None` when it held none, or the same one was run for the view before.
    """

    stage: int
    view: int
    number: int
    program: str | None
    num_tokens: int
    log_prob: float | None
    parent: str = ""
    result: ExecutionResult | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """What tells it from the others of its task."""
        return self.stage, self.view, self.number

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for `json`."""
        plain = self._asdict()
        if self.log_prob is not None and not math.isfinite(self.log_prob):
            plain["log_prob"] = None
        if self.result is not None:
            plain["result"] = {
                "status": self.result.status.value,
                "outputs": [None if grid is None else grid.tolist() for grid in self.result.outputs],
                **{name: getattr(self.result, name) for name in _TOLD},
            }
        return plain

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Row":
        """Read what `to_plain` gave."""
        values = {name: plain[name] for name in cls._fields}
        if (kept := values["result"]) is not None:
            outputs = tuple(None if grid is None else _frozen(grid) for grid in kept["outputs"])
            values["result"] = ExecutionResult(Status(kept["status"]), outputs, **{name: kept[name] for name in _TOLD})
        return cls(**values)


_TOLD = ("error_type", "message", "line", "line_text")


class Known(NamedTuple):
    """What the journal holds of one task.

    Args:
        rows: By place.
        ended: Why the task was finished; empty if it was not.
    """

    rows: dict[tuple[int, int, int], Row]
    ended: str

    def draw(self, draw: Draw) -> list[Row | None]:
        """Return the rows of a draw, in order; `None` for those that are missing."""
        numbers = range(draw.first, draw.first + draw.num)
        return [self.rows.get((draw.stage, draw.view, number)) for number in numbers]

    def result(self, row: Row) -> ExecutionResult | None:
        """Return what came of an equal program for the same view: it was run once, and is kept once."""
        if row.program is None:
            return None
        equal = (other for other in self.rows.values() if (other.view, other.program) == (row.view, row.program))
        return next((other.result for other in equal if other.result is not None), None)


class ProgramJournal:
    """Reads and appends to `programs.jsonl`; a context manager.

    Args:
        path: The file; made if missing, with its folder.
        identity: Plain data that says what the run is of: settings, policy, and whatever else changes programs.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.identity = dict(identity or {})

    def open(self, settings: Mapping[str, Any]) -> dict[str, Known]:
        """Read what is there, and open the file for more.

        Args:
            settings: What the run is of, beside `identity`.

        Returns:
            What is known, by the task's key.

        Raises:
            ConfigError: The file is of another run, cannot be written, or is damaged other than at its end.
        """
        header = json.dumps({"run": self.identity | dict(settings)}, sort_keys=True, default=str)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = self.path.read_bytes() if self.path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            self._file = self.path.open("ab")
            self._file.truncate(len(whole))
        except OSError as exc:
            raise ConfigError(f"{self.path} cannot be written to ({exc}). Choose another folder.") from exc
        lines = whole.decode().splitlines()
        if lines and lines[0] != header:
            self._file.close()
            raise ConfigError(
                f"{self.path} holds programs of another run: other tasks, policy or settings. Remove it to begin "
                "anew, or choose another folder."
            )
        if not lines:
            self._write([header])
        return self._known(lines[1:])

    def append(self, key: str, task_id: str, rows: Sequence[Row], views: Sequence[str]) -> None:
        """Add completions of a task; they are on the disk on return.

        Args:
            key: By which the task's rows are found again.
            task_id: The task's name, for readers.
            rows: The completions.
            views: Names of the task's views.
        """
        names = [{"task": key, "task_id": task_id, "view_name": views[row.view]} for row in rows]
        self._write([json.dumps(name | row.to_plain()) for name, row in zip(names, rows, strict=True)])

    def end(self, key: str, task_id: str, reason: str) -> None:
        """Add that a task is finished."""
        self._write([json.dumps({"task": key, "task_id": task_id, "ended": reason})])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _known(self, lines: Iterable[str]) -> dict[str, Known]:
        rows: dict[str, dict[tuple[int, int, int], Row]] = defaultdict(dict)
        ended: dict[str, str] = {}
        for number, line in enumerate(lines, start=2):
            try:
                plain = json.loads(line)
                if "ended" in plain:
                    ended[plain["task"]] = plain["ended"]
                else:
                    row = Row.read(plain)
                    rows[plain["task"]][row.place] = row
            except (ValueError, KeyError, TypeError) as exc:
                self._file.close()
                raise ConfigError(f"{self.path}, line {number}, is damaged ({exc!r}). Remove the file.") from exc
        return {key: Known(rows[key], ended.get(key, "")) for key in {*rows, *ended}}

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._file.write("".join(f"{line}\n" for line in lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())


def _frozen(rows: list[list[int]]) -> Grid:
    return as_grid(np.array(rows, dtype=np.int8))
