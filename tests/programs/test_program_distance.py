import io
import itertools
import tokenize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.errors import ProgramError
from arcgym.programs import near_duplicates, normal_form, token_distance, token_distances

LINES = ("x = 1", "x = 2", "y = x + 1", "if x:\n    y = 3", "return grid", "return grid[::-1]", "print('é', x)")
PROGRAMS = st.lists(st.sampled_from(LINES), max_size=4).map(
    lambda lines: (
        "def transform(grid):\n" + "".join(f"    {line}\n" for line in "\n".join(["pass", *lines]).split("\n"))
    )
)


def slow_distance(a, b):
    """Levenshtein's table over the tokens, less the end mark."""
    a, b = (
        [
            (token.type, token.string.strip(" "))
            for token in tokenize.generate_tokens(io.StringIO(normal_form(source) + "\n").readline)
            if token.type not in (tokenize.NL, tokenize.ENDMARKER)
        ]
        for source in (a, b)
    )
    row = list(range(len(b) + 1))
    for i, token in enumerate(a, start=1):
        before, row = row, [i]
        for j, other in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (token != other)))
    return row[-1] / max(len(a), len(b))


@settings(max_examples=50)
@given(PROGRAMS, PROGRAMS)
def test_the_distance_is_the_share_of_tokens_to_change(a, b):
    assert token_distance(a, b) == pytest.approx(slow_distance(a, b))
    assert token_distance(b, a) == token_distance(a, b)
    assert 0 <= token_distance(a, b) <= 1
    assert (token_distance(a, b) == 0) == (normal_form(a) == normal_form(b))


def test_the_distance_by_hand():
    assert token_distance("x = 1", "x = 2") == 1 / 4  # the end of the line is the fourth token
    assert token_distance("x = 1  # one", "x: int = (1)") == 0
    assert token_distance("x", "") == 1


def test_all_distances_at_once_are_the_same():
    programs = [f"def transform(grid):\n    {line}\n" for line in ("x = 1", "return grid", "y = 'a'")]
    table = token_distances(programs, programs[1:])
    assert table.shape == (3, 2)
    assert table.tolist() == [[token_distance(a, b) for b in programs[1:]] for a in programs]


def linked(programs, threshold):
    """Groups by the slow distance, joined one pair at a time."""
    groups = [{i} for i in range(len(programs))]
    for i, j in itertools.combinations(range(len(programs)), 2):
        if slow_distance(programs[i], programs[j]) <= threshold:
            one, other = (next(group for group in groups if member in group) for member in (i, j))
            if one is not other:
                one |= other
                groups.remove(other)
    return sorted(sorted(group) for group in groups if len(group) > 1)


@settings(max_examples=50)
@given(st.lists(PROGRAMS, max_size=7), st.sampled_from([0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9]))
def test_groups_are_those_that_close_pairs_link(programs, threshold):
    assert near_duplicates(programs, threshold) == linked(programs, threshold)


def test_blocks_of_the_table_change_nothing(monkeypatch):
    programs = [f"x = {'+'.join(['y'] * i)}" for i in range(1, 20)]
    expected = near_duplicates(programs, 0.1)
    assert expected == linked(programs, 0.1)
    monkeypatch.setattr("arcgym.programs.distance._CELLS", 20)
    assert near_duplicates(programs, 0.1) == expected


def many_programs(rng, families, members):
    """Programs in families: members differ from their first in one number of thirty, and families in nearly all."""
    programs = []
    for _ in range(families):
        numbers = rng.integers(0, 10_000, 30)
        for member in range(members):
            own = numbers.copy()
            own[rng.integers(30)] += 10_000 * member
            programs.append("def transform(grid):\n" + "".join(f"    x{i} = {n}\n" for i, n in enumerate(own)))
    return programs


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.15])
def test_above_the_limit_the_groups_are_nearly_the_same(threshold):
    programs = many_programs(np.random.default_rng(0), families=40, members=3)
    exact = near_duplicates(programs, threshold)
    assert exact == [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(40)]
    proposed = near_duplicates(programs, threshold, exact_limit=0)
    assert all(any(set(group) <= set(whole) for whole in exact) for group in proposed)
    assert sum(group in proposed for group in exact) >= 38


def test_above_the_limit_what_is_proposed_is_checked():
    # The same tokens in another order: alike as sets, and far apart
    lines = [f"x{i} = {i}" for i in range(30)]
    programs = ["\n".join(lines), "\n".join(reversed(lines))]
    assert token_distance(*programs) > 0.3
    assert near_duplicates(programs, 0.3, exact_limit=0) == []


@pytest.mark.parametrize("threshold", [-0.1, 1, 2])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is"):
        near_duplicates(["x = 1"], threshold)


def test_what_does_not_compile_has_no_distance():
    for call in (
        lambda: token_distance("x = (", "x"),
        lambda: token_distances(["x"], ["x = ("]),
        lambda: near_duplicates(["x = ("], 0.1),
    ):
        with pytest.raises(ProgramError):
            call()
