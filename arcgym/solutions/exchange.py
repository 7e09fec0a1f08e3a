"""Solutions in and out: `datasets`, JSON Lines and parquet for others, and the programs of others, verified.

All exports have the columns of `SCHEMA` and the order of the ranking, and hold one batch of solutions in memory, the
`datasets.Dataset` excepted. Nothing that is imported is believed: a program counts for what the sandbox saw it do.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, DatabaseError, ProgramError
from arcgym.sandbox import CodeSandbox, Status
from arcgym.solutions.database import SolutionDatabase, SolutionFilter
from arcgym.solutions.records import Solution, is_storable, task_inputs

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

_BATCH = 500
_REASONS_SHOWN = 20


@dataclass
class ImportReport:
    """What became of a file of programs.

    Attributes:
        read: Lines that hold a program.
        stored: Records that are new or have replaced a worse one.
        solved: Programs that are right on every known pair, doubles included.
        failed: Programs that are not; stored only where failures are wanted.
        unknown_tasks: Programs for a task that was not given.
        refused: Lines that hold no program, or one that does not compile or could not be run.
        problems: The first few refusals and unknown tasks, a sentence each, with their line.
    """

    read: int = 0
    stored: int = 0
    solved: int = 0
    failed: int = 0
    unknown_tasks: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        """Keep a problem, if it is among the first."""
        if len(self.problems) < _REASONS_SHOWN:
            self.problems.append(problem)


class _Entry(NamedTuple):
    line: int
    task: Task
    source: str
    policy: str


def import_programs(
    database: SolutionDatabase,
    path: str | Path,
    tasks: Iterable[Task],
    sandbox: CodeSandbox,
    *,
    source_policy: str = "",
    source_revision: str = "",
    keep_failed: bool = False,
    batch_size: int = 200,
) -> ImportReport:
    """Run the programs of a JSON Lines file on their tasks and store them with what they did.

    A line is an object with `task_id` and `source` (or `program`, as exports have it); `policy` may name who wrote it.

    Args:
        database: Where they go, one transaction at least per batch.
        path: The file.
        tasks: Those that the file may name.
        sandbox: Runs the programs. Stays the caller's.
        source_policy: Who wrote the programs of lines that do not say; the file's name by default.
        source_revision: Which state of it.
        keep_failed: Whether to store programs that are wrong on some pair too.
        batch_size: Programs that are run at once.

    Returns:
        The counts, and the first problems.

    Raises:
        ConfigError: The file cannot be read, or two tasks of the same name have different content.
        DatabaseError: Nothing in the file is a program, or the database cannot be written.
    """
    path, report, by_id = Path(path), ImportReport(), _by_id(tasks)
    default = source_policy or path.name
    pending: list[_Entry] = []
    for entry in _entries(path, by_id, default, report):
        pending.append(entry)
        if len(pending) == batch_size:
            _verify(database, pending, sandbox, source_revision, keep_failed, report)
            pending = []
    _verify(database, pending, sandbox, source_revision, keep_failed, report)
    if not report.read and report.problems:
        raise DatabaseError(f"{path} holds no programs: {report.problems[0]}")
    return report


def export_jsonl(database: SolutionDatabase, path: str | Path, wanted: SolutionFilter | None = None) -> int:
    """Write solutions as JSON Lines, best first.

    Args:
        database: Where they are.
        path: Of the file; it is replaced when all is written.
        wanted: Which; all by default.

    Returns:
        How many.

    Raises:
        ConfigError: The file cannot be written.
    """

    def write(temporary: str) -> int:
        with open(temporary, "w", encoding="utf-8") as file:
            lines = (file.write(json.dumps(_record(solution)) + "\n") for solution in database.iterate(wanted))
            return sum(1 for _ in lines)

    return _replace(Path(path), write)


def export_parquet(database: SolutionDatabase, path: str | Path, wanted: SolutionFilter | None = None) -> int:
    """Write solutions as a parquet file, best first, for `load_dataset("parquet", …)`, pandas or DuckDB.

    Args:
        database: Where they are.
        path: Of the file; it is replaced when all is written.
        wanted: Which; all by default.

    Returns:
        How many.

    Raises:
        ConfigError: The file cannot be written.
    """
    from pyarrow import parquet

    def write(temporary: str) -> int:
        with parquet.ParquetWriter(temporary, schema()) as writer:
            return sum(writer.write_batch(batch) or batch.num_rows for batch in _record_batches(database, wanted))

    return _replace(Path(path), write)


def export_dataset(database: SolutionDatabase, wanted: SolutionFilter | None = None) -> "Dataset":
    """Hand solutions to `datasets`, best first, as a table in memory.

    Args:
        database: Where they are.
        wanted: Which; all by default.
    """
    import pyarrow
    from datasets import Dataset

    return Dataset(pyarrow.Table.from_batches(_record_batches(database, wanted), schema=schema()))


@cache
def schema() -> "pyarrow.Schema":
    """The columns of exports; those of `Solution`, with `is_solved`, and `sampling` as the text of a JSON object."""
    import pyarrow as pa

    verdict = pa.struct([("part", pa.string()), ("pair", pa.int32()), ("is_right", pa.bool_())])
    texts = ("task_id", "task_hash", "program", "normal_form", "program_hash", "status", "output_signature")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("is_solved", pa.bool_()),
            ("verdicts", pa.list_(verdict)),
            ("outputs", pa.list_(pa.list_(pa.list_(pa.int8())))),
            ("length", pa.int32()),
            *((name, pa.float64()) for name in ("log_prob", "view_share", "fresh_share")),
            *((name, pa.string()) for name in ("source_policy", "source_revision", "sampling", "parent")),
            ("generation", pa.int32()),
            ("created_at", pa.float64()),
        ]
    )


def _record(solution: Solution) -> dict[str, Any]:
    """What an export holds of a solution."""
    derived = {
        "status": str(solution.status),
        "verdicts": [verdict._asdict() for verdict in solution.verdicts],
        "outputs": [None if grid is None else grid.tolist() for grid in solution.outputs],
        "sampling": json.dumps(solution.sampling, sort_keys=True),
    }
    return {name: derived[name] if name in derived else getattr(solution, name) for name in schema().names}


def _record_batches(database: SolutionDatabase, wanted: SolutionFilter | None) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow

    records: list[dict[str, Any]] = []
    for solution in database.iterate(wanted):
        records.append(_record(solution))
        if len(records) == _BATCH:
            yield pyarrow.RecordBatch.from_pylist(records, schema=schema())
            records = []
    yield pyarrow.RecordBatch.from_pylist(records, schema=schema())


def _replace(path: Path, write: Callable[[str], int]) -> int:
    """Write beside the file, then put it in its place: a reader never sees half of it."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        try:
            count = write(temporary)
            os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise ConfigError(f"{str(path)!r} cannot be written: {exc.strerror}. Name a file in a folder.") from exc
    return count


def _by_id(tasks: Iterable[Task]) -> dict[str, Task]:
    by_id: dict[str, Task] = {}
    for task in tasks:
        if by_id.setdefault(task.task_id, task).content_hash != task.content_hash:
            raise ConfigError(f"two different tasks are named {task.task_id!r}. Give the sets one after the other.")
    return by_id


def _entries(path: Path, by_id: Mapping[str, Task], policy: str, report: ImportReport) -> Iterator[_Entry]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    entry = _entry(number, line, by_id, policy, report)
                    if entry is not None:
                        yield entry
    except OSError as exc:
        raise ConfigError(f"{str(path)!r} cannot be read: {exc.strerror}. Name a JSON Lines file.") from exc


def _entry(number: int, line: bytes, by_id: Mapping[str, Task], policy: str, report: ImportReport) -> _Entry | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        value = f"no JSON ({exc})"
    if not isinstance(value, dict):
        report.refused += 1
        report.note(f"line {number}: {value if isinstance(value, str) else 'no object'}; write an object per line")
        return None
    source, task_id = value.get("source", value.get("program")), value.get("task_id")
    if not _is_text(source) or not _is_text(task_id):
        report.refused += 1
        report.note(f'line {number}: "task_id" and "source" are not both texts that can be stored')
        return None
    report.read += 1
    if task_id not in by_id:
        report.unknown_tasks += 1
        report.note(f"line {number}: there is no task {task_id!r} among those given")
        return None
    writer = value.get("policy", value.get("source_policy"))
    return _Entry(number, by_id[task_id], source, writer if writer and _is_text(writer) else policy)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_storable(value)


def _verify(
    database: SolutionDatabase,
    entries: list[_Entry],
    sandbox: CodeSandbox,
    revision: str,
    keep_failed: bool,
    report: ImportReport,
) -> None:
    """Run a batch and store it."""
    results = sandbox.run([entry.source for entry in entries], [task_inputs(entry.task) for entry in entries])
    solutions = []
    for entry, result in zip(entries, results, strict=True):
        if result.status is Status.INFRASTRUCTURE:
            report.refused += 1
            report.note(f"line {entry.line}: the program could not be run: {result.message}")
            continue
        try:
            solution = Solution.from_result(
                entry.task, entry.source, result, source_policy=entry.policy, source_revision=revision
            )
        except ProgramError as exc:
            report.refused += 1
            report.note(f"line {entry.line}: {exc}")
            continue
        if solution.is_solved:
            report.solved += 1
        else:
            report.failed += 1
        if solution.is_solved or keep_failed:
            solutions.append(solution)
    report.stored += database.add(solutions)
