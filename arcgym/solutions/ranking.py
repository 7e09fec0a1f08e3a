"""Which of two solutions is better: one table, read by Python and by SQL alike.

The quality key, first difference decides:

1. share of pairs passed, larger first, so that every solution of all pairs comes before every other;
2. share of augmented views passed, larger first; one that was not measured counts as 0;
3. share of fresh examples passed, larger first; one that was not measured counts as 0;
4. length of the normal form, smaller first;
5. log-probability, larger first; unknown comes last;
6. hash of the program, then of the task.

The hashes identify a solution, so no two stored ones tie: the order is total, and does not depend on who came first.
`MERGE` goes on where two records are of the *same* program for the same task: from all of them, in whatever order and
from however many writers they arrive, the same one is kept.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func

from arcgym.solutions.records import Solution


class Term(NamedTuple):
    """One place of a key.

    Attributes:
        column: What is compared.
        largest_first: Whether more is better.
        missing: What stands for an unknown value; None where there is none.
    """

    column: str
    largest_first: bool = False
    missing: float | str | None = None


QUALITY = (
    Term("pass_share", largest_first=True),
    Term("view_share", largest_first=True, missing=0.0),
    Term("fresh_share", largest_first=True, missing=0.0),
    Term("length"),
    Term("log_prob", largest_first=True, missing=-sys.float_info.max),
    Term("program_hash"),
    Term("task_hash"),
)

MERGE = (
    *QUALITY,
    Term("view_share", largest_first=True, missing=-1.0),  # a measured 0 says more than nothing
    Term("fresh_share", largest_first=True, missing=-1.0),
    Term("program"),
    Term("created_at"),
    Term("task_id"),
    Term("source_policy"),
    Term("source_revision"),
    Term("generation"),
    Term("parent", missing=""),
    Term("sampling"),
    Term("status"),
    Term("verdicts"),
    Term("outputs"),
)


def quality_key(solution: Solution) -> tuple[Any, ...]:
    """The key to sort solutions by, best first.

    Args:
        solution: Of any task.
    """
    return tuple(_value(term, getattr(solution, term.column)) for term in QUALITY)


def rank(solutions: Iterable[Solution]) -> list[Solution]:
    """Sort solutions, best first; the order that they come in has no influence.

    Args:
        solutions: Distinct ones, of one task or of several.
    """
    return sorted(solutions, key=quality_key)


def merge_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key by which one of several records of the same solution is kept: the smallest.

    Args:
        row: Values of the columns, as stored.
    """
    return tuple(_value(term, row[term.column]) for term in MERGE)


def key_columns(terms: Iterable[Term], columns: Any) -> list[ColumnElement[Any]]:
    """The same key in SQL: expressions to order by, or to compare as a row value.

    Args:
        terms: `QUALITY` or `MERGE`.
        columns: Of the table, or of the row that an upsert brings.
    """
    return [_expression(term, columns[term.column]) for term in terms]


def _value(term: Term, value: Any) -> Any:
    known: Any = term.missing if value is None else value
    return -known if term.largest_first else known


def _expression(term: Term, column: ColumnElement[Any]) -> ColumnElement[Any]:
    known = column if term.missing is None else func.coalesce(column, term.missing)
    return -known if term.largest_first else known
