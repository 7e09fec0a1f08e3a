"""The table of solutions, and the way between a row and a `Solution`.

Structured values (verdicts, outputs, sampling parameters) are canonical JSON in text columns: the same bytes in SQLite
and PostgreSQL, comparable in both, readable without arcgym. A grid is its rows of digits: `"012/345"`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Double, Integer, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from arcgym.grids import Grid, as_grid
from arcgym.sandbox import Status
from arcgym.solutions.records import PairVerdict, Solution

# SQLite compares bytes; PostgreSQL compares by the language of the database unless told otherwise.
_Text = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_Hash = String(64).with_variant(postgresql.VARCHAR(64, collation="C"), "postgresql")
# Only INTEGER is a row number in SQLite; AUTOINCREMENT never gives one twice, so that positions stay valid.
_Number = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Holds the metadata that the migrations are checked against."""


class SolutionRow(Base):
    """One solution; `Solution` explains the columns."""

    __tablename__ = "solutions"
    __table_args__ = (
        UniqueConstraint("task_hash", "program_hash", name="uq_solutions_task_program"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    task_hash: Mapped[str] = mapped_column(_Hash)
    program_hash: Mapped[str] = mapped_column(_Hash)
    task_id: Mapped[str] = mapped_column(_Text, index=True)
    program: Mapped[str] = mapped_column(_Text)
    normal_form: Mapped[str] = mapped_column(_Text)
    status: Mapped[str] = mapped_column(_Text)
    verdicts: Mapped[str] = mapped_column(_Text)
    outputs: Mapped[str] = mapped_column(_Text)
    output_signature: Mapped[str] = mapped_column(_Hash)
    pass_share: Mapped[float] = mapped_column(Double)
    length: Mapped[int] = mapped_column(Integer)
    log_prob: Mapped[float | None] = mapped_column(Double)
    view_share: Mapped[float | None] = mapped_column(Double)
    fresh_share: Mapped[float | None] = mapped_column(Double)
    source_policy: Mapped[str] = mapped_column(_Text)
    source_revision: Mapped[str] = mapped_column(_Text)
    sampling: Mapped[str] = mapped_column(_Text)
    parent: Mapped[str | None] = mapped_column(_Text)
    generation: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[float] = mapped_column(Double)


def solutions_table() -> Table:
    """The table, for statements of SQLAlchemy Core."""
    table = SolutionRow.__table__
    assert isinstance(table, Table)
    return table


def to_row(solution: Solution) -> dict[str, Any]:
    """The values to store for a solution; its number is the database's to give.

    Args:
        solution: The solution.

    Raises:
        TypeError: The sampling parameters are no JSON.
    """
    return {
        "task_hash": solution.task_hash,
        "program_hash": solution.program_hash,
        "task_id": solution.task_id,
        "program": solution.program,
        "normal_form": solution.normal_form,
        "status": str(solution.status),
        "verdicts": _dumps([[part, index, int(right)] for part, index, right in solution.verdicts]),
        "outputs": _dumps([None if grid is None else _grid_text(grid) for grid in solution.outputs]),
        "output_signature": solution.output_signature,
        "pass_share": solution.pass_share,
        "length": solution.length,
        "log_prob": solution.log_prob,
        "view_share": solution.view_share,
        "fresh_share": solution.fresh_share,
        "source_policy": solution.source_policy,
        "source_revision": solution.source_revision,
        "sampling": _dumps(solution.sampling),
        "parent": solution.parent,
        "generation": solution.generation,
        "created_at": float(solution.created_at),
    }


def from_row(row: Mapping[str, Any]) -> Solution:
    """The solution that a row holds.

    Args:
        row: Values by column.
    """
    values = {name: value for name, value in row.items() if name != "pass_share"}
    verdicts = tuple(PairVerdict(part, index, bool(right)) for part, index, right in json.loads(row["verdicts"]))
    outputs = tuple(None if text is None else _grid(text) for text in json.loads(row["outputs"]))
    values |= {"status": Status(row["status"]), "verdicts": verdicts, "outputs": outputs}
    return Solution(**values | {"sampling": json.loads(row["sampling"])})


def _dumps(value: Sequence[Any] | Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _grid_text(grid: Grid) -> str:
    digits, width = (grid + np.int8(48)).tobytes().decode("ascii"), grid.shape[1]
    return "/".join(digits[start : start + width] for start in range(0, len(digits), width))


def _grid(text: str) -> Grid:
    return as_grid(np.array([[ord(digit) - 48 for digit in row] for row in text.split("/")], dtype=np.int8))
