"""From solutions to figures: one record per task, and aggregates that can be recomputed from the records.

The evaluator alone compares attempts with expected test outputs; the solver and the sandbox never see them. It changes
neither the model nor the tasks. A task that could not be tried is in the records with the reason, and counts 0.
"""

import hashlib
import json
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.scoring import official_scores, pass_at_k, wilson_interval
from arcgym.grids import grids_equal
from arcgym.inference import Candidate, Solver, TaskSolution
from arcgym.sandbox import Status

CONFIDENCE = 0.95


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


@dataclass(frozen=True)
class EvaluationReport:
    """The outcome of one evaluation.

    Args:
        name: Which set of tasks, as in `TaskLoader`.
        aggregates: Figures over all tasks: `solved` and `tasks` (counts), `interval` (95 % Wilson interval of their
            quotient), `kaggle` and `arc_prize` (shares), `pass@1` and `pass@N` (means over tasks), `valid_frac` (of
            samples), `programs` (samples drawn), `seconds`, `programs_per_second`, `dataset_hash`.
        sampling: How programs were sampled.
        records: One per task, in order.
    """

    name: str
    aggregates: dict[str, Any]
    sampling: dict[str, Any]
    records: tuple[TaskRecord, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` writes and reads back unchanged."""
        return json.loads(json.dumps(asdict(self), allow_nan=False))

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
            records = tuple(
                TaskRecord(**record | {"attempts": tuple(map(tuple, record["attempts"]))})
                for record in plain["records"]
            )
            return cls(plain["name"], plain["aggregates"], plain["sampling"], records)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise TaskError(f"{path} is not a report of an evaluation ({exc}). Evaluate anew.") from exc

    def save(self, path: str | Path) -> None:
        """Write the report as JSON; a reader sees the old file or the new one, never half of one.

        Args:
            path: Of the file; missing folders are made.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1) + "\n"
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


class PerformanceEvaluator:
    """Evaluate a solver on tasks whose test outputs are known.

    Args:
        solver: What is evaluated.
    """

    def __init__(self, solver: Solver) -> None:
        self.solver = solver

    def evaluate(self, tasks: Sequence[Task], name: str) -> EvaluationReport:
        """Solve tasks and compare the attempts with the expected outputs.

        Args:
            tasks: At least one, each with every test output.
            name: Which set of tasks this is.

        Returns:
            The report.

        Raises:
            TaskError: There are no tasks, or test outputs are missing.
        """
        _require_outputs(tasks, name)
        start = time.perf_counter()
        solutions = self.solver.solve(tasks)
        seconds = time.perf_counter() - start
        records = tuple(score_solution(task, solution) for task, solution in zip(tasks, solutions, strict=True))
        aggregates = aggregate(records, self.solver.sampling.num_samples)
        aggregates["seconds"] = seconds
        aggregates["programs_per_second"] = aggregates["programs"] / seconds
        aggregates["dataset_hash"] = dataset_hash(tasks)
        return EvaluationReport(name, aggregates, asdict(self.solver.sampling), records)


def score_solution(task: Task, solution: TaskSolution) -> TaskRecord:
    """Compare a solution with the task's expected test outputs."""
    attempts = tuple(
        tuple(grids_equal(attempt, pair.output) for attempt in grids)
        for grids, pair in zip(solution.attempts, task.test, strict=True)
    )
    statuses: Counter[str] = Counter()
    for candidate in solution.candidates:
        statuses[candidate.status.value] += candidate.count
    return TaskRecord(
        task_id=task.task_id,
        is_solved=all(any(tries) for tries in attempts),
        attempts=attempts,
        num_samples=solution.num_samples,
        num_without_program=solution.num_without_program,
        num_valid=statuses[Status.OK.value],
        num_train_fit=sum(candidate.count for candidate in solution.candidates if candidate.is_train_fit),
        num_test_correct=sum(candidate.count for candidate in solution.candidates if _is_right(candidate, task)),
        num_distinct=len(solution.candidates),
        statuses={status: count for status, count in statuses.items() if count},
        best_program=solution.candidates[0].program if solution.candidates else "",
        reason=solution.reason,
    )


def aggregate(records: Sequence[TaskRecord], num_samples: int) -> dict[str, Any]:
    """Compute the figures that depend on the records alone; `EvaluationReport` says what they mean.

    A task that could not be tried counts 0 everywhere, in pass@k too.

    Args:
        records: At least one.
        num_samples: N of pass@N, the samples per task that was tried.
    """
    scores = official_scores([[any(tries) for tries in record.attempts] for record in records])
    num_solved = sum(record.is_solved for record in records)
    num_programs = sum(record.num_samples for record in records)
    num_valid = sum(record.num_valid for record in records)
    return {
        "solved": num_solved,
        "tasks": len(records),
        "interval": list(wilson_interval(num_solved, len(records), CONFIDENCE)),
        "kaggle": scores.kaggle,
        "arc_prize": scores.arc_prize,
        "pass@1": _mean_pass_at(records, 1),
        f"pass@{num_samples}": _mean_pass_at(records, num_samples),
        "valid_frac": num_valid / num_programs if num_programs else 0.0,
        "programs": num_programs,
    }


def dataset_hash(tasks: Sequence[Task]) -> str:
    """Return a SHA-256 (hex) of a set of tasks: their names and grids, whatever their order."""
    lines = sorted(f"{task.task_id} {task.content_hash}" for task in tasks)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _mean_pass_at(records: Sequence[TaskRecord], k: int) -> float:
    values = [
        0.0 if record.reason else pass_at_k(record.num_samples, record.num_test_correct, k) for record in records
    ]
    return math.fsum(values) / len(values)


def _is_right(candidate: Candidate, task: Task) -> bool:
    return all(grids_equal(output, pair.output) for output, pair in zip(candidate.outputs, task.test, strict=True))


def _require_outputs(tasks: Sequence[Task], name: str) -> None:
    if not tasks:
        raise TaskError(f"there are no tasks in {name!r} to evaluate on; check the source and the split.")
    unknown = [task.task_id for task in tasks if any(pair.output is None for pair in task.test)]
    if unknown:
        listed = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        raise TaskError(
            f"{len(unknown)} of {len(tasks)} tasks in {name!r} lack a test output ({listed}) and cannot be scored. "
            "Use `Solver.solve` for tasks without solutions, or leave them out."
        )
