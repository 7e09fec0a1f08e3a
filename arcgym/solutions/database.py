"""`SolutionDatabase`: every program that was found for a task, kept once, ranked, and shared by many writers.

One SQLite file serves a machine; a PostgreSQL server serves several. A solution is identified by the content of its
task and by its program up to names and formatting. When the same one comes again, the better record stays
(`ranking.MERGE`), so the content of a database depends on what was put in and not on the order, the number of writers,
or restarts: putting in everything again after a crash is always safe. Solutions are written in transactions of
`batch_size`; a crash loses at most the one that is open.

It does not run programs (`exchange.import_programs` does), and it never deletes.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, bindparam, case, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from arcgym.errors import DatabaseError
from arcgym.solutions.models import from_row, solutions_table, to_row
from arcgym.solutions.ranking import MERGE, QUALITY, key_columns, merge_key
from arcgym.solutions.records import Solution
from arcgym.solutions.schema import database_url, open_engine, prepare, shown, translated_errors, writing

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class SolutionFilter:
    """Which solutions are wanted; every condition that is given must hold.

    Args:
        task_ids: Of tasks with one of these names.
        task_hashes: Of tasks with one of these content hashes.
        solved: Right on every pair whose output is known, or not.
        statuses: Ended in one of these ways.
        policies: Written by one of these.
        generations: Of the rounds from the first to the second of these, both included.
        max_length: At most this many characters of normal form.
        after: With a number above this position.
        hash_prefix: The hash of the program begins so.
        per_task: Of each task only so many, the best ones among those that meet all other conditions.
        limit: So many in all, the best ones.
    """

    task_ids: Sequence[str] | None = None
    task_hashes: Sequence[str] | None = None
    solved: bool | None = None
    statuses: Sequence[str] | None = None
    policies: Sequence[str] | None = None
    generations: tuple[int, int] | None = None
    max_length: int | None = None
    after: int | None = None
    hash_prefix: str | None = None
    per_task: int | None = None
    limit: int | None = None

    def conditions(self, columns: Any) -> list[ColumnElement[bool]]:
        """The conditions in SQL, less `per_task` and `limit`.

        Args:
            columns: Of the table.
        """
        lists = (
            ("task_id", self.task_ids),
            ("task_hash", self.task_hashes),
            ("status", self.statuses),
            ("source_policy", self.policies),
        )
        found = [columns[name].in_([str(value) for value in values]) for name, values in lists if values is not None]
        if self.solved is not None:
            found.append(columns.pass_share == 1.0 if self.solved else columns.pass_share < 1.0)
        if self.generations is not None:
            found.append(columns.generation.between(*self.generations))
        if self.max_length is not None:
            found.append(columns.length <= self.max_length)
        if self.after is not None:
            found.append(columns.number > self.after)
        if self.hash_prefix is not None:
            found.append(columns.program_hash.startswith(self.hash_prefix, autoescape=True))
        return found


class TaskCount(NamedTuple):
    """What a database holds for one task.

    Attributes:
        task_id: Name of the task.
        task_hash: Its content hash.
        programs: Distinct programs.
        solved: How many of them are right on every known pair.
        signatures: Distinct outputs that they give.
        shortest: Characters of the shortest one that is right on every known pair; None if there is none.
    """

    task_id: str
    task_hash: str
    programs: int
    solved: int
    signatures: int
    shortest: int | None


class Generality(NamedTuple):
    """What was measured of a stored solution; see `generality`.

    Attributes:
        task_hash: With `program_hash` the identity of the solution.
        program_hash: As above.
        view_share: Share of augmented views that it gets right; None keeps what is stored.
        fresh_share: Share of fresh examples that it gets right; None keeps what is stored.
    """

    task_hash: str
    program_hash: str
    view_share: float | None = None
    fresh_share: float | None = None


class SolutionDatabase:
    """Open a database of solutions, and make it where there is none.

    It may be used from several threads and after a fork; every process has connections of its own.

    Args:
        location: Path of an SQLite file, or an address `postgresql://user:password@host/name`. An SQLite file must
            be on a local disk: network file systems do not keep its locks.
        create: Whether to make what is not there; otherwise that is an error.
        batch_size: Solutions per transaction.
        timeout_s: How long to wait for other writers.

    Raises:
        ConfigError: The location is none, or the driver is missing.
        DatabaseError: It cannot be opened, or is no database of solutions.
    """

    def __init__(
        self, location: str | Path, *, create: bool = True, batch_size: int = 1000, timeout_s: float = 60.0
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give at least 1")
        self._url = database_url(location)
        self._batch_size = batch_size
        self._timeout_s = timeout_s
        self._table = solutions_table()
        if self._url.get_backend_name() == "sqlite" and not Path(str(self._url.database)).exists():
            if not create:
                raise DatabaseError(f"there is no database {shown(self._url)}. Name the file of one.")
            Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
        self._engine = open_engine(self._url, timeout_s)
        self._owner = os.getpid()
        self._upsert = _upsert(self._table, self._engine.dialect.name)
        try:
            with translated_errors(self._url, "opened"):
                prepare(self._engine, timeout_s, create=create)
        except BaseException:
            self._engine.dispose()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._after_fork()
        self._engine.dispose()

    def add(self, solutions: Iterable[Solution]) -> int:
        """Store solutions; those that are there already stay once, as the better of the two records.

        Args:
            solutions: Of any tasks; read lazily, and written in transactions of `batch_size`.

        Returns:
            How many records are new or have replaced a worse one.

        Raises:
            DatabaseError: They cannot be written; whole batches before the one that failed are stored.
        """
        written = 0
        for batch in _batches(solutions, self._batch_size):
            rows = _distinct(map(to_row, batch))
            with self._writing("written") as connection:
                written += _rows_changed(connection, self._upsert, rows)
        return written

    def get(self, task_hash: str, program_hash: str) -> Solution | None:
        """Look up one solution by its identity.

        Args:
            task_hash: `Solution.task_hash`.
            program_hash: `Solution.program_hash`.
        """
        columns = self._table.c
        wanted = and_(columns.task_hash == task_hash, columns.program_hash == program_hash)
        found = list(self._fetch(select(self._table).where(wanted)))
        return found[0] if found else None

    def parent(self, solution: Solution) -> Solution | None:
        """The solution that this one came from, if it has a parent and that is stored here.

        Args:
            solution: Of this database or another.
        """
        return self.get(*solution.parent.split("/", 1)) if solution.parent else None

    def best(self, wanted: SolutionFilter | None = None) -> list[Solution]:
        """Solutions by rank, best first (`ranking` states the key).

        Args:
            wanted: Which; all by default.
        """
        return list(self._fetch(self._ranked(wanted or SolutionFilter())))

    def iterate(self, wanted: SolutionFilter | None = None) -> Iterator[Solution]:
        """The same as `best`, without holding all of them in memory.

        Args:
            wanted: Which; all by default.
        """
        return self._fetch(self._ranked(wanted or SolutionFilter()))

    def count(self, wanted: SolutionFilter | None = None) -> int:
        """How many solutions there are.

        Args:
            wanted: Which; all by default.
        """
        rows = self._ranked(wanted or SolutionFilter()).subquery()
        return int(self._scalar(select(func.count()).select_from(rows)))

    def tasks(self, wanted: SolutionFilter | None = None) -> list[TaskCount]:
        """What there is for each task, by name.

        Args:
            wanted: Which solutions count; all by default.
        """
        kept = self._ranked(wanted or SolutionFilter()).subquery()
        solved = kept.c.pass_share == 1.0
        counts = select(
            func.min(kept.c.task_id),
            kept.c.task_hash,
            func.count(),
            func.sum(case((solved, 1), else_=0)),
            func.count(kept.c.output_signature.distinct()),
            func.min(case((solved, kept.c.length))),
        ).group_by(kept.c.task_hash)
        with self._reading() as connection:
            rows = connection.execute(counts).all()
        return sorted(TaskCount(name, key, n, int(right), *more) for name, key, n, right, *more in rows)

    def position(self) -> int:
        """The number of the newest solution, 0 where there is none.

        No solution that is stored later gets a number at or below it, from whichever process. A record that replaces a
        worse one keeps its number.
        """
        return int(self._scalar(select(func.coalesce(func.max(self._table.c.number), 0))))

    def after(self, position: int) -> Iterator[Solution]:
        """The solutions that came after a position, in the order of their numbers.

        Args:
            position: From an earlier call of `position`; 0 for all.
        """
        number = self._table.c.number
        return self._fetch(select(self._table).where(number > position).order_by(number))

    def set_generality(self, measured: Iterable[Generality]) -> int:
        """Record how solutions fare beyond the pairs of their task, in place of what was recorded before.

        Args:
            measured: Of stored solutions; others are passed over.

        Returns:
            How many solutions were found.
        """
        columns, found = self._table.c, 0
        update = (
            self._table.update()
            .where(columns.task_hash == bindparam("of_task"), columns.program_hash == bindparam("of_program"))
            .values(
                view_share=func.coalesce(bindparam("views", type_=columns.view_share.type), columns.view_share),
                fresh_share=func.coalesce(bindparam("fresh", type_=columns.fresh_share.type), columns.fresh_share),
            )
        )
        for batch in _batches(measured, self._batch_size):
            rows = [dict(zip(("of_task", "of_program", "views", "fresh"), item, strict=True)) for item in batch]
            with self._writing("updated") as connection:
                found += _rows_changed(connection, update, rows)
        return found

    def merge(self, other: "SolutionDatabase") -> int:
        """Take over the solutions of another database, which stays as it is.

        Args:
            other: Of either kind.

        Returns:
            How many records are new here or have replaced a worse one.
        """
        return self.add(other.after(0))

    def _ranked(self, wanted: SolutionFilter) -> Select[Any]:
        conditions = wanted.conditions(self._table.c)
        order = key_columns(QUALITY, self._table.c)
        if wanted.per_task is None:
            return select(self._table).where(*conditions).order_by(*order).limit(wanted.limit)
        place = func.row_number().over(partition_by=self._table.c.task_hash, order_by=order).label("place")
        placed = select(self._table, place).where(*conditions).subquery()
        columns = [column for column in placed.c if column.name != "place"]
        chosen = select(*columns).where(placed.c.place <= wanted.per_task)
        return chosen.order_by(*key_columns(QUALITY, placed.c)).limit(wanted.limit)

    def _fetch(self, statement: Select[Any]) -> Iterator[Solution]:
        with self._reading() as connection:
            streamed = connection.execution_options(yield_per=self._batch_size)
            with streamed.execute(statement) as result:  # closed by a reader that stops early too
                for row in result.mappings():
                    yield from_row(dict(row))

    def _scalar(self, statement: Select[Any]) -> Any:
        with self._reading() as connection:
            return connection.execute(statement).scalar_one()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._after_fork()
        with translated_errors(self._url, "read"), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[Connection]:
        self._after_fork()
        with translated_errors(self._url, doing), writing(self._engine, self._timeout_s) as connection:
            yield connection

    def _after_fork(self) -> None:
        """Leave the connections that a fork copied to the process that they belong to."""
        if self._owner != os.getpid():
            self._engine.dispose(close=False)
            self._owner = os.getpid()


def _rows_changed(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> int:
    """Execute for many rows, and add up what the database says that it did."""
    return connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount


def _upsert(table: Table, dialect: str) -> Any:
    """Insert a row, or let it take the place of a worse one of the same solution."""
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    brought = insert.excluded
    identity = ("task_hash", "program_hash")
    better = tuple_(*key_columns(MERGE, brought)) < tuple_(*key_columns(MERGE, table.c))
    values = {column.name: brought[column.name] for column in table.c if column.name not in ("number", *identity)}
    return insert.on_conflict_do_update(index_elements=identity, set_=values, where=better)


def _distinct(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best record of each solution, in the order of their identities."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        identity = row["task_hash"], row["program_hash"]
        if identity not in best or merge_key(row) < merge_key(best[identity]):
            best[identity] = row
    return [best[identity] for identity in sorted(best)]


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
