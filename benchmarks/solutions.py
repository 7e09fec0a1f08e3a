"""Solutions stored per second by many writers, against one writer without our checks; and 400 programs taken in.

    python benchmarks/solutions.py            # a table
    python benchmarks/solutions.py --json     # one row per line: case, subject, value, unit

`write-sqlite` and `write-postgres`: 8 processes store 50 000 distinct solutions in one database, made by whoever comes
first; every tenth solution is stored by two of them. Afterwards the database is read: nothing may be missing, doubled
or changed, or the benchmark fails. Processes start and solutions are built before the clock runs. Subjects:

- `arcgym`: `SolutionDatabase.add`, in transactions of 1000;
- `sqlite3`: the standard library's `executemany`, one process, a plain `INSERT` of the same 50 000 rows into the same
  table, in the same transactions, with the same journal: what the file itself allows;
- `psycopg`: the same with psycopg's `executemany`, on the same server.

`import-400`: 400 programs of up to 10 kB for synthetic tasks, every 20th wrong, are run in the sandbox (2 workers),
judged, stored, ranked, and exported as JSON Lines and parquet, in seconds. PostgreSQL is started for the benchmark,
without durability (`fsync=off`), and left out where it is not installed.
"""

import argparse
import contextlib
import inspect
import json
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
from postgres_server import find_pg_ctl, postgres_server
from solvers import SOLVERS

from arcgym.data import Task, TaskLoader
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status
from arcgym.solutions import (
    Solution,
    SolutionDatabase,
    SolutionFilter,
    export_jsonl,
    export_parquet,
    import_programs,
    rank,
)
from arcgym.solutions.models import to_row

BATCH = 1000
MODULES = ("colours", "counting", "cropping", "filling", "geometry", "gravity", "objects", "patterns", "symmetry")


def make_solution(number: int, task: Task) -> Solution:
    """A solution with a solver's program and the outputs of a task, different for every number."""
    sources = list(SOLVERS.values())
    program = f"{sources[number % len(sources)]}\nSETTING = {number}\n"
    outputs = tuple(np.rot90(pair.input, number % 4) for pair in (*task.train, *task.test))
    return Solution.from_result(
        task,
        program,
        ExecutionResult(Status.OK, outputs),
        log_prob=-float(number % 97),
        source_policy="benchmark",
        sampling={"temperature": 1.0, "seed": number},
        created_at=float(number),
    )


def make_solutions(numbers: Sequence[int]) -> list[Solution]:
    """The solutions of these numbers, for tasks of the generated set."""
    tasks = TaskLoader().load("synthetic", "train")[:200]
    return [make_solution(number, tasks[number % len(tasks)]) for number in numbers]


def share_of(writer: int, writers: int, count: int) -> list[int]:
    """What one writer stores: its part, and every tenth of the next writer's, in an order of its own."""
    numbers = [n for n in range(count) if n % writers == writer]
    numbers += [n for n in range(count) if n % writers == (writer + 1) % writers and n // writers % 10 == 0]
    random.Random(writer).shuffle(numbers)
    return numbers


def write(location: str, writer: int, writers: int, count: int, barrier: Any) -> None:
    """One writer process."""
    solutions = make_solutions(share_of(writer, writers, count))
    barrier.wait()
    with SolutionDatabase(location, batch_size=BATCH, timeout_s=300) as database:
        database.add(solutions)
    barrier.wait()


def measure_writers(location: str, writers: int, count: int) -> float:
    """Seconds from the start of all writers until the last one is done."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(writers + 1)
    processes = [spawn.Process(target=write, args=(location, i, writers, count, barrier)) for i in range(writers)]
    for process in processes:
        process.start()
    barrier.wait(timeout=1800)
    started = time.perf_counter()
    barrier.wait(timeout=1800)
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"writers ended with {[process.exitcode for process in processes]}")
    return seconds


def check(location: str, rows: Sequence[dict[str, Any]]) -> None:
    """Compare what is stored with what should be, row by row."""
    expected = {(row["task_hash"], row["program_hash"]): row for row in rows}
    with SolutionDatabase(location, create=False) as database:
        numbers = set()
        for solution in database.after(0):
            numbers.add(solution.number)
            row = expected.pop((solution.task_hash, solution.program_hash), None)
            if row is None:
                raise RuntimeError(f"{location}: {solution.key} is doubled or foreign")
            if row != to_row(solution):
                changed = [name for name, value in to_row(solution).items() if row[name] != value]
                raise RuntimeError(f"{location}: {solution.key} has another {' and '.join(changed)}")
        if expected or len(numbers) != len(rows):
            raise RuntimeError(f"{location}: {len(expected)} of {len(rows)} solutions are missing")


def sqlite3_peer(path: str, rows: Sequence[dict[str, Any]]) -> float:
    """Seconds that the standard library takes for the same rows."""
    SolutionDatabase(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        statement = _insert(rows[0], lambda name: f":{name}")
        started = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, rows[first : first + BATCH])
            connection.execute("COMMIT")
        return time.perf_counter() - started


def psycopg_peer(url: str, rows: Sequence[dict[str, Any]]) -> float:
    """Seconds that psycopg takes for the same rows."""
    import psycopg

    SolutionDatabase(url).close()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        statement = _insert(rows[0], lambda name: f"%({name})s")
        started = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            cursor.executemany(statement, rows[first : first + BATCH])
            connection.commit()
        return time.perf_counter() - started


def _insert(row: dict[str, Any], parameter: Callable[[str], str]) -> str:
    return f"INSERT INTO solutions ({', '.join(row)}) VALUES ({', '.join(map(parameter, row))})"


def measure_writing(count: int, writers: int) -> Iterator[dict[str, object]]:
    """Both databases, ours and the peers."""
    rows = [to_row(solution) for solution in make_solutions(range(count))]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = f"{folder}/ours.db", f"{folder}/theirs.db"
        figures = {"arcgym": measure_writers(ours, writers, count), "sqlite3": sqlite3_peer(theirs, rows)}
        check(ours, rows)
        check(theirs, rows)
        yield from _rates("write-sqlite", figures, count)
    if find_pg_ctl() is None:
        print("write-postgres: left out, PostgreSQL is not installed (apt-get install postgresql)", file=sys.stderr)
        return
    with postgres_server() as url:
        ours, theirs = _schema(url, "ours"), _schema(url, "theirs")
        figures = {"arcgym": measure_writers(ours, writers, count), "psycopg": psycopg_peer(theirs, rows)}
        check(ours, rows)
        check(theirs, rows)
        yield from _rates("write-postgres", figures, count)


def _schema(url: str, name: str) -> str:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}?options=-csearch_path%3D{name}"


def _rates(case: str, figures: dict[str, float], count: int) -> list[dict[str, object]]:
    return [
        {"case": case, "subject": subject, "value": round(count / seconds), "unit": "per_s"}
        for subject, seconds in figures.items()
    ]


def helper_sources() -> list[str]:
    """Functions as solvers bring them along: the source of arcgym's primitives."""
    modules = [import_module(f"arcgym.primitives.{name}") for name in MODULES]
    return [
        inspect.getsource(member)
        for module in modules
        for name, member in sorted(vars(module).items())
        if inspect.isfunction(member) and member.__module__ == module.__name__
    ]


def make_programs(count: int) -> list[tuple[Task, str]]:
    """Tasks, each with a program of up to 10 kB, of which every 20th is wrong."""
    helpers, rng, made = helper_sources(), random.Random(0), []
    for number, task in enumerate(TaskLoader().load("synthetic", "train")[:count]):
        room, chosen = rng.randint(1_000, 10_000), ["from __future__ import annotations\n", "import numpy as np\n"]
        for helper in rng.sample(helpers, len(helpers)):
            if sum(map(len, chosen)) + len(helper) + len(task.program) + 100 < room:
                chosen.append(helper)
        # After its helpers, whose names the import takes back: what solves the task is what the generator knows.
        wrong = (
            "\n\nright = transform\n\n\ndef transform(grid):\n    return 9 - right(grid)\n" if number % 20 == 0 else ""
        )
        made.append((task, "\n\n".join([*chosen, task.program]) + wrong))
    return made


def measure_import(count: int) -> Iterator[dict[str, object]]:
    """Import, verify, rank and export."""
    programs = make_programs(count)
    with tempfile.TemporaryDirectory() as name, CodeSandbox(workers=2) as sandbox:
        folder = Path(name)
        lines = [json.dumps({"task_id": task.task_id, "source": source}) for task, source in programs]
        (folder / "programs.jsonl").write_text("\n".join(lines))
        started = time.perf_counter()
        with SolutionDatabase(folder / "solutions.db") as database:
            tasks = [task for task, _ in programs]
            report = import_programs(database, folder / "programs.jsonl", tasks, sandbox, keep_failed=True)
            imported = time.perf_counter()
            best = database.best()
            exported = (
                export_jsonl(database, folder / "out.jsonl"),
                export_parquet(database, folder / "out.parquet", SolutionFilter(solved=True)),
            )
            ended = time.perf_counter()
        wrong = -(-count // 20)
        counts = (report.read, report.solved, report.failed, *exported)
        if counts != (count, count - wrong, wrong, count, count - wrong) or rank(best) != best:
            raise RuntimeError(f"the import did not do what it should: {report}, exported {exported}")
    sizes = sorted(len(source) for _, source in programs)
    print(f"programs of {sizes[0]} to {sizes[-1]} characters, median {sizes[len(sizes) // 2]}", file=sys.stderr)
    case = f"import-{count}"
    yield {"case": case, "subject": "import+verify", "value": round(imported - started, 2), "unit": "s"}
    yield {"case": case, "subject": "rank+export", "value": round(ended - imported, 2), "unit": "s"}
    yield {"case": case, "subject": "arcgym", "value": round(ended - started, 2), "unit": "s"}


def print_table(rows: Sequence[dict[str, object]]) -> None:
    """Print the figures, rates with their ratio to ours."""
    ours = {row["case"]: float(str(row["value"])) for row in rows if row["subject"] == "arcgym"}
    print(f"{'case':16} {'subject':14} {'value':>9} {'unit':6} arcgym / subject")
    for row in rows:
        ratio = f"{ours[row['case']] / float(str(row['value'])):.2f}" if row["unit"] == "per_s" else ""
        print(f"{row['case']:16} {row['subject']:14} {row['value']:>9} {row['unit']:6} {ratio}")


def main() -> None:
    """Measure all cases and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--solutions", type=int, default=50_000, help="how many the writers store")
    parser.add_argument("--writers", type=int, default=8, help="how many processes store them")
    parser.add_argument("--programs", type=int, default=400, help="how many are imported")
    arguments = parser.parse_args()
    rows = [*measure_import(arguments.programs), *measure_writing(arguments.solutions, arguments.writers)]
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
