"""Intervals and tests against other ways of computing them: exhaustive resampling, closed forms, simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.evaluation.scoring import wilson_interval
from arcgym.evaluation.statistics import (
    adjust_p_values,
    bootstrap_interval,
    mcnemar_p,
    paired_difference,
)


def test_the_bootstrap_agrees_with_all_resamples_of_a_small_set():
    top, bottom = np.array([0, 1, 3, 0, 2]), np.array([1, 2, 3, 1, 2])
    all_figures = [top[list(chosen)].sum() / bottom[list(chosen)].sum() for chosen in product(range(5), repeat=5)]
    low, high = bootstrap_interval(top, bottom)
    assert low == pytest.approx(np.quantile(all_figures, 0.025), abs=0.03)
    assert high == pytest.approx(np.quantile(all_figures, 0.975), abs=0.03)


def test_the_bootstrap_of_a_large_set_is_close_to_the_closed_form():
    solved = [True] * 120 + [False] * 280
    assert bootstrap_interval(solved) == pytest.approx(wilson_interval(120, 400), abs=0.01)
    narrow, wide = bootstrap_interval(solved, confidence=0.5), bootstrap_interval(solved, confidence=0.99)
    assert wide.low < narrow.low < 0.3 < narrow.high < wide.high


def test_tasks_that_all_went_alike_are_no_certainty():
    assert bootstrap_interval([False] * 40) == wilson_interval(0, 40)
    assert bootstrap_interval([2, 1], [2, 1]) == wilson_interval(2, 2)
    assert bootstrap_interval([0.5]) == (0, 1)


def test_intervals_are_the_same_each_time_and_move_no_global_generator():
    before = np.random.get_state()[1].copy()
    assert bootstrap_interval([0, 1, 1, 0, 1]) == bootstrap_interval([0, 1, 1, 0, 1])
    assert np.array_equal(np.random.get_state()[1], before)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_paired_difference_holds_its_estimate_and_turns_its_sign(pairs):
    first, second = [min(pair) for pair in pairs], [pair[1] for pair in pairs]
    bottom = [3] * len(pairs)
    gain = paired_difference(first, second, bottom)
    assert gain.value == pytest.approx((sum(second) - sum(first)) / sum(bottom))
    assert gain.low - 1e-12 <= gain.value <= gain.high + 1e-12
    back = paired_difference(second, first, bottom)
    assert (back.value, back.low, back.high) == pytest.approx((-gain.value, -gain.high, -gain.low), abs=0.12)


def test_pairing_sees_what_two_separate_intervals_do_not():
    rng = np.random.default_rng(0)
    easy = rng.random(200)  # tasks differ far more than runs
    first, second = easy * 0.9, easy * 0.9 + 0.02
    assert paired_difference(first, second).low > 0
    assert bootstrap_interval(first).high > bootstrap_interval(second).low


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (9, 1), (3, 3), (0, 12)])
def test_mcnemar_is_the_binomial_test_of_the_tasks_that_differ(gained, lost):
    first = [True] * 3 + [False] * gained + [True] * lost + [False] * 4
    second = [True] * 3 + [True] * gained + [False] * lost + [False] * 4
    n, k = gained + lost, min(gained, lost)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar_p(first, second) == pytest.approx(expected)


@settings(max_examples=8)  # statsmodels collects garbage on each call, a third of a second with this many modules
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_its_definition(p_values):
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    expected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        expected[index] = highest
    assert adjust_p_values(p_values) == pytest.approx(expected)


def test_impossible_figures_are_refused():
    with pytest.raises(ValueError, match="0 numerators"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="2 numerators and 1 denominators"):
        bootstrap_interval([1, 2], [1])
    with pytest.raises(ValueError, match="2 and 3 tasks"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="zip"):
        mcnemar_p([True], [True, False])
