"""What an evaluation leaves behind: one record per task, and a report with all that its figures follow from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.files import write_whole
from arcgym.evaluation.scoring import Interval, wilson_interval

CONFIDENCE = 0.95
# Aggregates that differ between two runs of the same evaluation; the file holds them apart from all others.
TIMED = ("seconds", "programs_per_second", "seconds_per_task", "seconds_per_solved", "peak_memory_mb")
PlainGrid = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TaskRecord:
    """How one task went; counts are of samples, so a program that was drawn three times counts three times.

    Args:
        task_id: The task's name.
        is_solved: Every test output is among its two attempts.
        attempts: Per test input, per attempt: whether it is right.
        num_samples: Completions drawn; 0 when the task could not be tried.
        num_without_program: Completions that held no program.
        num_valid: Samples that gave a grid for every input.
        num_train_fit: Samples that reproduce every train pair.
        num_test_correct: Samples that reproduce every test pair.
        num_distinct: Distinct programs.
        statuses: Samples per status of the sandbox.
        best_program: The best-ranked program; empty when there is none.
        reason: Why the task could not be tried; empty when it was.
        oracle: Per test input: whether any program gave the right output, chosen by the vote or not.
        predictions: Per test input, per attempt: the grid.
        num_distinct_outputs: Distinct joint answers to all test inputs; programs without any output give none.
        executions: Programs that were run; of equal ones, one, and none that do not compile.
        tokens_in: Tokens of the prompt; `None` without a policy.
        tokens_out: Tokens of all completions; `None` without a policy.
        solving_program: The best-ranked program that reproduces every train and test pair; empty when there is none.
        source: The task's set.
        family: Its family; empty where it has none.
        band: Its band of difficulty within the set, from 0, the easiest.
        side: Longest side of its grids, in cells.
    """

    task_id: str
    is_solved: bool
    attempts: tuple[tuple[bool, ...], ...]
    num_samples: int
    num_without_program: int
    num_valid: int
    num_train_fit: int
    num_test_correct: int
    num_distinct: int
    statuses: dict[str, int]
    best_program: str
    reason: str
    oracle: tuple[bool, ...] = ()
    predictions: tuple[tuple[PlainGrid, ...], ...] = ()
    num_distinct_outputs: int = 0
    executions: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    solving_program: str = ""
    source: str = ""
    family: str = ""
    band: int | None = None
    side: int | None = None

    @property
    def success_rate(self) -> float:
        """Share of samples that reproduce every test pair; 0 for a task that could not be tried."""
        return self.num_test_correct / self.num_samples if self.num_samples else 0.0

    @property
    def success_interval(self) -> Interval:
        """95 % Wilson interval of the success rate; all of [0, 1] without samples."""
        if not self.num_samples:
            return Interval(0.0, 1.0)
        return wilson_interval(self.num_test_correct, self.num_samples, CONFIDENCE)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the success rate and its interval for readers without arcgym."""
        derived = {"success_rate": self.success_rate, "success_interval": self.success_interval}
        return json.loads(json.dumps(asdict(self) | derived, allow_nan=False))

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "TaskRecord":
        """Read what `to_dict` gave, of this version or an earlier one.

        Raises:
            KeyError: A field that every version has is missing.
            TypeError: A value is not what the field holds.
        """
        known = {name: value for name, value in plain.items() if name in _FIELDS}
        known["attempts"] = tuple(map(tuple, plain["attempts"]))
        known["oracle"] = tuple(plain.get("oracle", ()))
        known["predictions"] = tuple(tuple(map(plain_grid, tries)) for tries in plain.get("predictions", ()))
        return cls(**known)


_FIELDS = frozenset(entry.name for entry in fields(TaskRecord))


@dataclass(frozen=True)
class EvaluationReport:
    """The outcome of one evaluation.

    Args:
        name: Which set of tasks, as in `TaskLoader`.
        aggregates: Figures over all tasks; `arcgym.evaluation.aggregate` says which, and `seconds` (of solving, all
            processes together), `programs_per_second`, `seconds_per_task`, `seconds_per_solved`, `peak_memory_mb`
            and `dataset_hash` beside them.
        sampling: How programs were sampled.
        records: One per task, in order.
        provenance: What the figures are of; `arcgym.evaluation.provenance` says what that is. Empty in files of old.
        breakdown: Figures by `band`, `side`, `family` and `source`.
    """

    name: str
    aggregates: dict[str, Any]
    sampling: dict[str, Any]
    records: tuple[TaskRecord, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    breakdown: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` writes and reads back unchanged.

        What the clock says is under `timing`; the rest is the same for the same evaluation, however often it was
        interrupted and by however many processes it was done.
        """
        plain = {
            "name": self.name,
            "provenance": self.provenance,
            "sampling": self.sampling,
            "aggregates": {name: value for name, value in self.aggregates.items() if name not in TIMED},
            "breakdown": self.breakdown,
            "timing": {name: self.aggregates[name] for name in TIMED if name in self.aggregates},
        }
        plain = json.loads(json.dumps(plain, allow_nan=False))
        return plain | {"records": [record.to_dict() for record in self.records]}

    @classmethod
    def load(cls, path: str | Path) -> "EvaluationReport":
        """Read a report that `save` wrote.

        Args:
            path: Of the file.

        Raises:
            TaskError: It is not a report.
        """
        try:
            plain = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(
                plain["name"],
                plain["aggregates"] | plain.get("timing", {}),
                plain["sampling"],
                tuple(map(TaskRecord.from_dict, plain["records"])),
                plain.get("provenance", {}),
                plain.get("breakdown", {}),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise TaskError(f"{path} is not a report of an evaluation ({exc}). Evaluate anew.") from exc

    def save(self, path: str | Path) -> None:
        """Write the report as JSON; a reader sees the old file or the new one, never half of one.

        Args:
            path: Of the file; missing folders are made.
        """
        write_whole(path, json.dumps(self.to_dict(), indent=1) + "\n")


def plain_grid(grid: Any) -> PlainGrid:
    """Turn a grid, as an array or as lists, into nested tuples."""
    return tuple(tuple(int(cell) for cell in row) for row in grid)


def dataset_hash(tasks: Sequence[Task]) -> str:
    """Return a SHA-256 (hex) of a set of tasks: their names and grids, whatever their order."""
    lines = sorted(f"{task.task_id} {task.content_hash}" for task in tasks)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
