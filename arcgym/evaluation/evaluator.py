"""From solutions to figures: one record per task, and aggregates that can be recomputed from the records.

The evaluator alone compares attempts with expected test outputs; the solver and the sandbox never see them. It changes
neither the model nor the tasks, and draws no number from a global generator. A task that could not be tried is in the
records with the reason, and counts 0.
"""

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from arcgym.data.difficulty import DifficultyAnalyzer
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.aggregates import aggregate, break_down
from arcgym.evaluation.files import PARTS, Journal
from arcgym.evaluation.provenance import TaskSolver, describe_solver, provenance, source_hash
from arcgym.evaluation.records import EvaluationReport, TaskRecord, dataset_hash, plain_grid
from arcgym.grids import grids_equal
from arcgym.inference import Candidate, Solver, TaskSolution
from arcgym.sandbox import Status

CHUNK = 16  # tasks between two entries in the journal


class PerformanceEvaluator:
    """Evaluate a solver on tasks whose test outputs are known.

    Args:
        solver: What is evaluated: a `Solver`, or anything else with `sampling` and `solve`.
    """

    def __init__(self, solver: TaskSolver) -> None:
        self.solver = solver

    def evaluate(
        self,
        tasks: Sequence[Task],
        name: str,
        *,
        config: Mapping[str, Any] | None = None,
        journal: str | Path | None = None,
        divide: bool = False,
        chunk_size: int = CHUNK,
    ) -> EvaluationReport:
        """Solve tasks and compare the attempts with the expected outputs.

        The report is the same with a journal and without, after an interruption, and for any number of processes, up
        to what it says of time and memory, and to programs at the edge of the sandbox's time limit.

        Args:
            tasks: At least one, each with every test output.
            name: Which set of tasks this is.
            config: Settings to keep in the report, plain data.
            journal: Folder for what is finished, a chunk at a time; an evaluation that was stopped goes on from
                there. For one process, unless `divide`. `remove_journal` is for after the report was saved.
            divide: Each process of the launch evaluates a part of the tasks, instead of all of them. Every process
                returns the whole report. Not for policies that are sharded over processes.
            chunk_size: Tasks solved at once where there is a journal, 1 or more.

        Returns:
            The report.

        Raises:
            TaskError: There are no tasks, or test outputs are missing.
            ConfigError: The journal is of another evaluation.
        """
        _require_outputs(tasks, name)
        described = describe_solver(self.solver, tasks)
        facts = _facts(tasks)
        whole = _Whole(self.solver, tasks, facts)
        if journal is None and not divide:
            finished = list(whole.solve(range(len(tasks)), len(tasks)))
        else:
            identity = {"name": name, "tasks": _ordered_hash(tasks), "config": dict(config or {}), **described}
            identity["code"] = source_hash()
            finished = _finish(whole, identity, None if journal is None else Path(journal), divide, chunk_size)
        records = tuple(row.record for row in sorted(finished, key=lambda row: row.place))
        aggregates = aggregate(records, self.solver.sampling.num_samples)
        aggregates |= {"dataset_hash": dataset_hash(tasks)}
        aggregates |= _timing(finished, aggregates)
        return EvaluationReport(
            name,
            aggregates,
            asdict(self.solver.sampling),
            records,
            provenance(self.solver, aggregates["dataset_hash"], config, described),
            break_down(records),
        )

    def kept_report(
        self, path: str | Path, tasks: Sequence[Task], config: Mapping[str, Any] | None = None
    ) -> EvaluationReport | None:
        """Read a report that is of the same tasks, policy, settings and code as `evaluate` would give now.

        Args:
            path: Where it was saved.
            tasks: As for `evaluate`.
            config: As for `evaluate`.

        Returns:
            The report, or `None` where there is no file, or one of anything else.

        Raises:
            TaskError: The file is no report.
        """
        if not Path(path).is_file():
            return None
        report = EvaluationReport.load(path)
        expected = provenance(self.solver, dataset_hash(tasks), config, describe_solver(self.solver, tasks))
        return report if report.provenance == json.loads(json.dumps(expected)) else None


def remove_journal(folder: str | Path) -> None:
    """Remove what an evaluation that is finished and saved kept for the case of an interruption.

    Args:
        folder: The `journal` of `PerformanceEvaluator.evaluate`; it may be missing.
    """
    folder = Path(folder)
    if folder.is_dir():
        for path in folder.glob(PARTS):
            path.unlink()
        folder.rmdir()


class _Facts(NamedTuple):
    """What is known of a task before it is solved."""

    band: int
    side: int


class _Row(NamedTuple):
    """One finished task: its place, its record, and what it took."""

    place: int
    record: TaskRecord
    seconds: float
    peak_mb: float

    def plain(self) -> list[Any]:
        return [self.place, self.record.to_dict(), self.seconds, self.peak_mb]

    @classmethod
    def read(cls, plain: list[Any]) -> "_Row":
        place, record, seconds, peak_mb = plain
        return cls(place, TaskRecord.from_dict(record), seconds, peak_mb)


class _Whole:
    """All tasks of an evaluation, of which a process solves some."""

    def __init__(self, solver: TaskSolver, tasks: Sequence[Task], facts: Sequence[_Facts]) -> None:
        self.solver = solver
        self.tasks = tasks
        self.facts = facts

    def solve(self, indices: Sequence[int], chunk_size: int) -> Iterator[_Row]:
        """Solve tasks, a chunk at a time."""
        for start in range(0, len(indices), chunk_size):
            chunk = indices[start : start + chunk_size]
            begun = time.perf_counter()
            solutions = self.solver.solve([self.tasks[index] for index in chunk])
            seconds = (time.perf_counter() - begun) / len(chunk)
            for index, solution in zip(chunk, solutions, strict=True):
                yield _Row(index, self._record(index, solution), seconds, peak_memory_mb())

    def _record(self, index: int, solution: TaskSolution) -> TaskRecord:
        task, facts = self.tasks[index], self.facts[index]
        tokens_in, tokens_out = _token_counts(self.solver, task, solution)
        return score_solution(
            task, solution, band=facts.band, side=facts.side, tokens_in=tokens_in, tokens_out=tokens_out
        )


def _finish(whole: _Whole, identity: Any, folder: Path | None, divide: bool, chunk_size: int) -> list[_Row]:
    """Solve what no process has solved yet, and gather all rows in every process."""
    state = PartialState() if divide else None
    process, processes = (0, 1) if state is None else (state.process_index, state.num_processes)
    journal = None if folder is None else Journal(folder, identity, process)
    known = {row.place: row for row in map(_Row.read, journal.rows())} if journal and not process else {}
    if state is not None and processes > 1:
        shared = [known]
        broadcast_object_list(shared)  # nobody writes before the main process has read
        known = shared[0]
    missing = [index for index in range(len(whole.tasks)) if index not in known]
    mine = missing[process::processes]
    rows = []
    if journal is None:
        rows = list(whole.solve(mine, chunk_size))
    else:
        with journal:
            for start in range(0, len(mine), chunk_size):
                chunk = list(whole.solve(mine[start : start + chunk_size], chunk_size))
                journal.append([row.plain() for row in chunk])
                rows += chunk
    if state is not None and processes > 1:
        rows = gather_object(rows)
    return [*known.values(), *rows]


def score_solution(
    task: Task,
    solution: TaskSolution,
    *,
    band: int | None = None,
    side: int | None = None,
    tokens_in: int | None = None,
    tokens_out: int | None = None,
) -> TaskRecord:
    """Compare a solution with the task's expected test outputs.

    Args:
        task: With every test output.
        solution: Of this task.
        band: Its band of difficulty.
        side: Longest side of its grids.
        tokens_in: Tokens of its prompt.
        tokens_out: Tokens of the completions.
    """
    attempts = tuple(
        tuple(grids_equal(attempt, pair.output) for attempt in grids)
        for grids, pair in zip(solution.attempts, task.test, strict=True)
    )
    statuses: Counter[str] = Counter()
    for candidate in solution.candidates:
        statuses[candidate.status.value] += candidate.count
    right = [candidate for candidate in solution.candidates if _is_right(candidate, task)]
    answers = {
        tuple(None if output is None else (output.shape, output.tobytes()) for output in candidate.outputs)
        for candidate in solution.candidates
        if any(output is not None for output in candidate.outputs)
    }
    return TaskRecord(
        task_id=task.task_id,
        is_solved=all(any(tries) for tries in attempts),
        attempts=attempts,
        num_samples=solution.num_samples,
        num_without_program=solution.num_without_program,
        num_valid=statuses[Status.OK.value],
        num_train_fit=sum(candidate.count for candidate in solution.candidates if candidate.is_train_fit),
        num_test_correct=sum(candidate.count for candidate in right),
        num_distinct=len(solution.candidates),
        statuses={status: count for status, count in sorted(statuses.items()) if count},
        best_program=solution.candidates[0].program if solution.candidates else "",
        reason=solution.reason,
        oracle=tuple(
            any(grids_equal(candidate.outputs[index], pair.output) for candidate in solution.candidates)
            for index, pair in enumerate(task.test)
        ),
        predictions=tuple(tuple(map(plain_grid, grids)) for grids in solution.attempts),
        num_distinct_outputs=len(answers),
        executions=sum(candidate.status is not Status.SYNTAX_ERROR for candidate in solution.candidates),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        solving_program=next((candidate.program for candidate in right if candidate.is_train_fit), ""),
        source=task.source,
        family=task.family,
        band=band,
        side=side,
    )


def peak_memory_mb() -> float:
    """Return the most memory that this process has had, in MiB: on its accelerator if it uses one, else resident."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere


def _facts(tasks: Sequence[Task]) -> list[_Facts]:
    sides = [
        max(
            max(grid.shape)
            for pair in (*task.train, *task.test)
            for grid in (pair.input, pair.output)
            if grid is not None
        )
        for task in tasks
    ]
    return [_Facts(entry.band, side) for entry, side in zip(DifficultyAnalyzer().analyze(tasks), sides, strict=True)]


def _token_counts(solver: TaskSolver, task: Task, solution: TaskSolution) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the completions; nothing for what is no policy."""
    if not isinstance(solver, Solver):
        return None, None
    if solution.reason:
        return 0, 0
    tokenizer: Any = solver.tokenizer
    formatted = solver.formatter.format(task)
    prompt, tokens_in = formatted.prompt, formatted.num_tokens
    if tokens_in is None:
        text = prompt if isinstance(prompt, str) else "".join(message["content"] for message in prompt)
        tokens_in = len(tokenizer(text)["input_ids"])
    return tokens_in, solution.num_tokens


def _timing(finished: Sequence[_Row], aggregates: Mapping[str, Any]) -> dict[str, float | None]:
    seconds = sum(row.seconds for row in finished)
    return {
        "seconds": seconds,
        "programs_per_second": aggregates["programs"] / seconds,
        "seconds_per_task": seconds / len(finished),
        "seconds_per_solved": seconds / aggregates["solved"] if aggregates["solved"] else None,
        "peak_memory_mb": max(row.peak_mb for row in finished),
    }


def _ordered_hash(tasks: Sequence[Task]) -> str:
    """A journal knows tasks by their place."""
    return hashlib.sha256("\n".join(f"{task.task_id} {task.content_hash}" for task in tasks).encode()).hexdigest()


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
