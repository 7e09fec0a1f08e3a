"""What the primitives can express: ARC-AGI-1 training tasks solved by enumeration, by depth, and which kinds are not.

    python benchmarks/coverage.py              # two tables; about ten minutes on two cores
    python benchmarks/coverage.py --json       # one row per line: case, subject, value, unit

Every composition of at most `--depth` steps of the synthetic families' grammar is tried on each task, shallow ones
first, equal states once, up to `--executions` programs per task. A task is solved when one of the first two different
answers that fit all train pairs is right on every test pair. `random` draws programs uniformly from the same grammar,
as many as the enumeration tried at most, up to `--random`. Evaluation tasks are for reports, not for deciding which
primitives there should be; hence `--split train` is the default.
"""

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from arcgym.data import Task, TaskLoader
from arcgym.data.synthetic.enumeration import Fit, enumerate_fits, random_fits

ATTEMPTS = 2


class Outcome(NamedTuple):
    """How the search went on one task: the depth of the right program or 0, whether anything fitted, the kind."""

    task_id: str
    depth: int
    fitted: bool
    random: bool
    kind: str
    program: str


def search(task: Task, *, depth: int, executions: int, draws: int) -> Outcome:
    """Search one task by enumeration, and by random programs."""
    fits = first_answers(enumerate_fits(task, max_depth=depth, max_executions=executions))
    right = next((fit for fit in fits if is_right(fit, task)), None)
    rng = np.random.default_rng(int(task.content_hash[:8], 16))
    lucky = first_answers(random_fits(task, draws, rng, max_depth=depth))
    return Outcome(
        task.task_id,
        len(right.steps) if right else 0,
        bool(fits),
        any(is_right(fit, task) for fit in lucky),
        kind_of(task),
        right.program if right else "",
    )


def first_answers(fits: object) -> list[Fit]:
    """The first two fits whose answers differ: what a competitor would submit."""
    chosen: dict[bytes, Fit] = {}
    for fit in fits:  # type: ignore[attr-defined]
        answer = b"|".join(b"" if grid is None else bytes(grid.shape) + grid.tobytes() for grid in fit.outputs)
        chosen.setdefault(answer, fit)
        if len(chosen) == ATTEMPTS:
            break
    return list(chosen.values())


def is_right(fit: Fit, task: Task) -> bool:
    """Whether the fit's answers are those of the task."""
    return all(
        grid is not None and np.array_equal(grid, pair.output)
        for grid, pair in zip(fit.outputs, task.test, strict=True)
    )


def kind_of(task: Task) -> str:
    """How outputs compare to inputs in size."""
    areas = {np.sign(pair.output.size - pair.input.size) for pair in task.train}
    shapes = all(pair.output.shape == pair.input.shape for pair in task.train)
    return "same size" if shapes else {(1,): "larger", (-1,): "smaller"}.get(tuple(areas), "other sizes")


def main() -> None:
    """Search all tasks and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the tables")
    parser.add_argument("--source", default="arc-agi-1", help="set of tasks")
    parser.add_argument("--split", default="train", help="train or evaluation")
    parser.add_argument("--depth", type=int, default=2, help="most steps of a program")
    parser.add_argument("--executions", type=int, default=200_000, help="programs tried per task by enumeration")
    parser.add_argument("--random", type=int, default=4096, help="programs drawn per task at random")
    parser.add_argument("--every", type=int, default=1, help="search each n-th task only")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--programs", action="store_true", help="print the right programs too")
    arguments = parser.parse_args()
    tasks = TaskLoader().load(arguments.source, arguments.split)[:: arguments.every]
    look = partial(search, depth=arguments.depth, executions=arguments.executions, draws=arguments.random)
    with ProcessPoolExecutor(arguments.workers) as pool:
        outcomes = list(pool.map(look, tasks, chunksize=4))
    rows = figures(outcomes)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return
    print(f"{arguments.source}/{arguments.split}, {len(tasks)} tasks, depth {arguments.depth}")
    for row in rows:
        print(f"{row['case']:24} {row['subject']:12} {row['value']:6} {row['unit']}")
    if arguments.programs:
        for outcome in outcomes:
            if outcome.program:
                print(outcome.task_id, *outcome.program.splitlines()[4:-1])


def figures(outcomes: list[Outcome]) -> list[dict[str, object]]:
    """Count by depth and by kind."""
    rows: list[dict[str, object]] = []

    def add(case: str, subject: str, value: int) -> None:
        rows.append({"case": case, "subject": subject, "value": value, "unit": "tasks"})

    add("all", "all", len(outcomes))
    add("all", "enumeration", sum(outcome.depth > 0 for outcome in outcomes))
    add("all", "random", sum(outcome.random for outcome in outcomes))
    for depth, count in sorted(Counter(outcome.depth for outcome in outcomes if outcome.depth).items()):
        add(f"depth {depth}", "enumeration", count)
    add("fits that are wrong", "enumeration", sum(outcome.fitted and not outcome.depth for outcome in outcomes))
    for kind, count in sorted(Counter(outcome.kind for outcome in outcomes).items()):
        add(kind, "all", count)
        add(kind, "enumeration", sum(outcome.depth > 0 for outcome in outcomes if outcome.kind == kind))
    return rows


if __name__ == "__main__":
    main()
