from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solution_strategies import HASHES, solutions

from arcgym.solutions import SolutionDatabase, SolutionFilter, quality_key, rank
from arcgym.solutions.models import from_row, to_row
from arcgym.solutions.ranking import merge_key


def kept(stored):
    """What must be there after these were stored: of every solution the best record, as rows by identity."""
    best = {}
    for row in map(to_row, stored):
        identity = row["task_hash"], row["program_hash"]
        best[identity] = min(best.get(identity, row), row, key=merge_key)
    return best


@pytest.mark.property(31)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(solutions(), max_size=6), min_size=1, max_size=3), st.integers(1, 4))
def test_what_was_stored_is_there_once_after_the_database_was_closed(fresh_location, sessions, batch_size):
    location, everything = fresh_location(), []
    for session in sessions:
        everything += session
        with SolutionDatabase(location, batch_size=batch_size) as database:
            before = database.position()
            database.add(session)
            assert {solution.number for solution in database.after(before)} <= set(range(before + 1, before + 500))
        with SolutionDatabase(location, create=False) as database:
            found = list(database.after(0))
            assert database.count() == len(found)
            assert {(row.task_hash, row.program_hash): to_row(row) for row in found} == kept(everything)
            assert len({row.key for row in found}) == len({row.number for row in found}) == len(found)


@pytest.mark.property(32)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.lists(solutions(), min_size=1, max_size=12), st.integers(1, 3))
def test_the_ranking_is_total_and_independent_of_the_order_of_insertion(fresh_location, data, stored, per_task):
    twin = replace(stored[0], program_hash=data.draw(st.sampled_from(HASHES)))  # often all but the hash is equal
    stored = [*stored, twin]
    expected = rank(from_row(row) for row in kept(stored).values())
    keys = [quality_key(solution) for solution in expected]
    assert all(worse > better for better, worse in pairwise(keys))
    assert rank(reversed(expected)) == expected
    tops = [s for s in expected if [o.task_hash for o in expected[: expected.index(s)]].count(s.task_hash) < per_task]
    for order in (stored, data.draw(st.permutations(stored))):
        with SolutionDatabase(fresh_location(), batch_size=data.draw(st.integers(1, 5))) as database:
            for part in (order[: len(order) // 2], order[len(order) // 2 :]):
                database.add(part)
            assert [to_row(row) for row in database.best()] == [to_row(row) for row in expected]
            top = database.best(SolutionFilter(per_task=per_task))
            assert [row.key for row in top] == [row.key for row in tops]
