"""Ranking and voting on hand-made candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.grids import as_grid, grids_equal
from arcgym.inference.voting import Candidate, choose_attempts, rank_candidates
from arcgym.sandbox import Status

A, B, C, D = (as_grid([[colour]]) for colour in range(1, 5))


def candidate(program, outputs, *, count=1, fit=3, total=3, log_prob=None):
    status = Status.RUNTIME_ERROR if any(grid is None for grid in outputs) else Status.OK
    return Candidate(program, count, status, fit, total, tuple(outputs), log_prob)


def values(attempts):
    return [[int(grid[0, 0]) for grid in grids] for grids in attempts]


def test_train_fit_outranks_frequency_and_frequency_outranks_length():
    rare_fit = candidate("a long program", [A])
    frequent = candidate("b", [B], count=50, fit=2)
    shorter = candidate("c", [C])
    twice = candidate("yet another program", [D], count=2)
    ranked = rank_candidates([frequent, rare_fit, shorter, twice])
    assert [entry.program for entry in ranked] == ["yet another program", "c", "a long program", "b"]


def test_programs_with_the_same_answer_add_up_their_votes():
    attempts = choose_attempts(
        [candidate("x", [A], count=3), candidate("y1", [B], count=2), candidate("y2", [B], count=2)], 1
    )
    assert values(attempts) == [[2, 1]]


def test_votes_are_weighted_by_train_fit():
    # Each answer has a supporter that passes 2 of 3 pairs. The first has more samples behind it, but of programs that
    # pass nothing: 2/3 + 5 · 0 < 2/3 + 1/3.
    one = [candidate("a1", [A], fit=2), candidate("a2", [A], fit=0, count=5)]
    two = [candidate("b1", [B], fit=2), candidate("b2", [B], fit=1)]
    assert values(choose_attempts(one + two, 1)) == [[2, 1]]


def test_ties_go_to_the_shorter_then_to_the_more_probable_program():
    short, probable = candidate("pp", [A], log_prob=-9.0), candidate("qqq", [B], log_prob=-1.0)
    less, unknown = candidate("ppp", [C], log_prob=-2.0), candidate("aaa", [D])
    assert rank_candidates([unknown, less, probable, short]) == (short, probable, less, unknown)
    assert values(choose_attempts([unknown, less, probable], 1)) == [[2, 3]]
    assert values(choose_attempts([unknown, less, probable, short], 1)) == [[1, 2]]


def test_without_any_train_fit_frequency_decides():
    assert values(choose_attempts([candidate("a", [A], fit=0), candidate("bb", [B], fit=0, count=2)], 1)) == [[2, 1]]


def test_answers_are_joint_over_test_inputs():
    # Input by input C would win the second one with 4 votes, but no program says A and C together.
    candidates = [
        candidate("p", [A, D], count=3),
        candidate("q", [B, C], count=2),
        candidate("r", [D, C], count=2),
    ]
    assert values(choose_attempts(candidates, 2)) == [[1, 2], [4, 3]]


def test_second_attempt_is_taken_from_further_down_where_the_second_answer_agrees():
    candidates = [
        candidate("p", [A, A], count=3),
        candidate("q", [A, B], count=2),
        candidate("r", [C, A], count=1),
    ]
    assert values(choose_attempts(candidates, 2)) == [[1, 3], [1, 2]]


def test_missing_outputs_leave_attempts_to_others():
    candidates = [candidate("p", [A, None], count=3), candidate("q", [None, None], count=9), candidate("r", [B, B])]
    assert values(choose_attempts(candidates, 2)) == [[1, 2], [2]]
    assert values(choose_attempts([candidate("q", [None])], 1)) == [[]]
    assert choose_attempts([], 2) == ((), ())


def test_grids_of_equal_cells_and_other_shape_are_other_answers():
    wide, tall = as_grid([[1, 2]]), as_grid([[1], [2]])
    (attempts,) = choose_attempts([candidate("p", [wide], count=2), candidate("q", [tall])], 1)
    assert [grid.shape for grid in attempts] == [(1, 2), (2, 1)]


@st.composite
def candidate_lists(draw, num_test=2):
    grids = st.one_of(st.none(), st.sampled_from([A, B, C, D, as_grid(np.ones((1, 2), dtype=np.int8))]))
    programs = draw(st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=8))
    return [
        candidate(
            program,
            draw(st.lists(grids, min_size=num_test, max_size=num_test)),
            count=draw(st.integers(1, 3)),
            fit=draw(st.integers(0, 3)),
        )
        for program in programs
    ]


@given(candidate_lists(), st.randoms())
def test_ranking_and_attempts_do_not_depend_on_the_order_of_candidates(candidates, random):
    shuffled = random.sample(candidates, len(candidates))
    assert rank_candidates(shuffled) == rank_candidates(candidates)
    before, after = choose_attempts(candidates, 2), choose_attempts(shuffled, 2)
    assert [[grid.tolist() for grid in grids] for grids in before] == [[g.tolist() for g in grids] for grids in after]


@given(candidate_lists())
def test_attempts_are_distinct_outputs_of_candidates_and_as_many_as_there_can_be(candidates):
    for index, attempts in enumerate(choose_attempts(candidates, 2)):
        offered = {
            (entry.outputs[index].shape, entry.outputs[index].tobytes())
            for entry in candidates
            if entry.outputs[index] is not None
        }
        chosen = [(grid.shape, grid.tobytes()) for grid in attempts]
        assert len(set(chosen)) == len(chosen) == min(2, len(offered))
        assert set(chosen) <= offered


@given(candidate_lists().filter(bool))
def test_the_first_attempt_comes_from_a_program_of_the_best_train_fit(candidates):
    voting = [entry for entry in candidates if any(output is not None for output in entry.outputs)]
    if not voting:
        return
    best = max(entry.train_passed for entry in voting)
    for index, attempts in enumerate(choose_attempts(candidates, 2)):
        leaders = [entry.outputs[index] for entry in voting if entry.train_passed == best]
        if all(leader is not None for leader in leaders):
            assert any(grids_equal(attempts[0], leader) for leader in leaders)


def test_train_fit_needs_every_pair():
    assert candidate("p", [A]).is_train_fit
    assert not candidate("p", [A], fit=2).is_train_fit


@pytest.mark.parametrize("count", [1, 5])
def test_a_single_candidate_gives_one_attempt(count):
    assert values(choose_attempts([candidate("p", [A], count=count)], 1)) == [[1]]
