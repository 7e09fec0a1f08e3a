"""Submissions as Kaggle's ARC competitions take them: building, checking, writing and scoring `submission.json`.

A submission is a JSON object from the name of each task to one entry per test input, in order, and an entry holds two
grids, `attempt_1` and `attempt_2`. A scorer must not trust it: what is missing or malformed here counts as wrong, and
attempts beyond the two, entries beyond the test inputs and tasks beyond the set count nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.files import write_whole
from arcgym.evaluation.records import TaskRecord
from arcgym.evaluation.scoring import OfficialScores, official_scores
from arcgym.grids import Grid, grid_problems, grids_equal
from arcgym.inference import TaskSolution

ATTEMPTS = ("attempt_1", "attempt_2")
# What Kaggle's sample submission holds. It is compared like any other attempt.
PLACEHOLDER = ((0, 0), (0, 0))
Submission = dict[str, list[dict[str, list[list[int]]]]]


def build_submission(solutions: Sequence[TaskSolution | TaskRecord], tasks: Sequence[Task]) -> Submission:
    """Build a submission with every task of a set.

    One attempt is handed in twice; a test input without any attempt, or a task without a solution, gets the
    placeholder of Kaggle's sample submission.

    Args:
        solutions: A `TaskSolution` or a `TaskRecord` for each task that was tried, in any order.
        tasks: The set; its test outputs are not read.

    Raises:
        TaskError: A solution is of a task that is not in the set, or of another number of test inputs.
    """
    attempts = {solution.task_id: _attempts(solution) for solution in solutions}
    unknown = sorted(attempts.keys() - {task.task_id for task in tasks})
    if unknown:
        raise TaskError(f"there are solutions of tasks that are not in the set: {_listed(unknown)}. Load their set.")
    submission: Submission = {}
    for task in tasks:
        made = attempts.get(task.task_id, [[]] * len(task.test))
        if len(made) != len(task.test):
            raise TaskError(
                f"the solution of task {task.task_id!r} answers {len(made)} test inputs, but the task has "
                f"{len(task.test)}. Solve this version of the task."
            )
        submission[task.task_id] = [_entry(grids) for grids in made]
    return submission


def validate_submission(submission: object, tasks: Sequence[Task]) -> list[str]:
    """List everything for which a submission would be refused or would lose points.

    Args:
        submission: A decoded JSON value.
        tasks: The set; its test outputs are not read.

    Returns:
        One sentence per fault, with task, test input, attempt, row and column; empty for a good submission.
    """
    if not isinstance(submission, Mapping):
        return [f"the submission is a {type(submission).__name__}; write an object from task names to lists"]
    known = {task.task_id for task in tasks}
    faults = [f"task {name!r} is not in the set; remove it" for name in submission if name not in known]
    for task in tasks:
        if task.task_id not in submission:
            faults.append(f"task {task.task_id!r} is missing; add it, with a placeholder if it was not solved")
        else:
            faults += _task_faults(task, submission[task.task_id])
    return faults


def write_submission(path: str | Path, submission: Mapping[str, Any]) -> None:
    """Write a submission as JSON; a reader sees the old file or the new one, never half of one.

    Args:
        path: Of the file, `submission.json` for Kaggle; missing folders are made.
        submission: What `build_submission` returned.
    """
    write_whole(path, json.dumps(submission, allow_nan=False) + "\n")


def read_submission(path: str | Path) -> Any:
    """Read a file that is meant to be a submission; `validate_submission` says whether it is one.

    Raises:
        TaskError: It cannot be read, or is no JSON, or names a task twice.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_refuse_doubles)
    except (OSError, ValueError) as exc:
        raise TaskError(f"{path} cannot be read as a submission: {exc}.") from exc


def score_submission(submission: Mapping[str, Any], tasks: Sequence[Task]) -> OfficialScores:
    """Score a submission by the three official conventions.

    A task that is missing counts 0, as does an attempt that is no grid.

    Args:
        submission: A decoded JSON object, valid or not.
        tasks: The set, with every test output.

    Raises:
        TaskError: There are no tasks, or a test output is not known.
    """
    blind = [task.task_id for task in tasks if any(pair.output is None for pair in task.test)]
    if not tasks or blind:
        raise TaskError(
            f"a submission cannot be scored on {len(tasks)} tasks, {len(blind)} of them without a test output "
            f"({_listed(blind) or 'none'}). Load a set with its solutions."
        )
    return official_scores([_verdicts(task, submission.get(task.task_id)) for task in tasks])


def _attempts(solution: TaskSolution | TaskRecord) -> list[list[Any]]:
    """The grids per test input; a record's `attempts` are verdicts."""
    grids = solution.predictions if isinstance(solution, TaskRecord) else solution.attempts
    return [list(tries) for tries in grids]


def _entry(grids: Sequence[Any]) -> dict[str, list[list[int]]]:
    chosen = [*grids[: len(ATTEMPTS)]] or [PLACEHOLDER]
    chosen += [chosen[0]] * (len(ATTEMPTS) - len(chosen))
    return {name: np.asarray(grid).tolist() for name, grid in zip(ATTEMPTS, chosen, strict=True)}


def _task_faults(task: Task, entries: Any) -> Iterator[str]:
    place = f"task {task.task_id!r}"
    if not isinstance(entries, list):
        yield f"{place} holds a {type(entries).__name__}; write a list with one entry per test input"
        return
    if len(entries) != len(task.test):
        yield f"{place} has {len(entries)} entries, but {len(task.test)} test inputs; write one for each, in order"
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            yield f"{place}, test input {number}: a {type(entry).__name__} is no entry; write an object with {_NAMES}"
            continue
        for name in ATTEMPTS:
            if name not in entry:
                yield f'{place}, test input {number}: "{name}" is missing; give two attempts, the same one if need be'
                continue
            for problem in grid_problems(entry[name]):
                yield f"{place}, test input {number}, {name}, {problem}"
        for name in entry:
            if name not in ATTEMPTS:
                yield f"{place}, test input {number}: {name!r} is no attempt; write {_NAMES} and nothing else"


def _verdicts(task: Task, entries: Any) -> list[bool]:
    given = entries if isinstance(entries, list) else []
    padded = [*given[: len(task.test)], *[None] * (len(task.test) - len(given))]
    return [
        any(_is_right(entry, name, pair.output) for name in ATTEMPTS)
        for entry, pair in zip(padded, task.test, strict=True)
    ]


def _is_right(entry: Any, name: str, truth: Grid | None) -> bool:
    if not isinstance(entry, Mapping) or grid_problems(entry.get(name)):  # 1.0 and true equal 1, but are no colours
        return False
    return grids_equal(np.asarray(entry[name]), truth)


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"the name {_listed(doubled)} stands in one object twice")
    return dict(pairs)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_NAMES = " and ".join(f'"{name}"' for name in ATTEMPTS)
