"""Scores against slow references and hand-made cases in which the conventions differ."""

import math
from fractions import Fraction
from itertools import combinations
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.evaluation.scoring import official_scores, pass_at_k, wilson_interval


def test_the_three_conventions_differ_where_tasks_have_several_test_inputs():
    scores = official_scores([[True], [True, False], [False, False, False], [True, True]])
    assert scores.kaggle == pytest.approx(4 / 8)
    assert scores.arc_prize == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert scores.solved == pytest.approx(2 / 4)


def test_tasks_without_test_inputs_are_refused():
    with pytest.raises(ValueError, match="1 of them without test inputs"):
        official_scores([[True], []])
    with pytest.raises(ValueError, match="got 0 tasks"):
        official_scores([])


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=20))
def test_scores_are_shares_and_agree_for_single_test_inputs(correct):
    scores = official_scores(correct)
    assert all(0 <= score <= 1 for score in scores)
    assert scores.solved <= scores.arc_prize
    single = official_scores([outputs[:1] for outputs in correct])
    assert single.kaggle == pytest.approx(single.arc_prize) == single.solved


def test_pass_at_k_equals_counting_all_subsets():
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                subsets = list(combinations([True] * c + [False] * (n - c), k))
                expected = Fraction(sum(map(any, subsets)), len(subsets))
                assert pass_at_k(n, c, k) == pytest.approx(float(expected), abs=1e-12)


def test_pass_at_k_with_fewer_than_k_samples_is_nan():
    assert math.isnan(pass_at_k(3, 3, 4))
    assert math.isnan(pass_at_k(0, 0, 1))


@pytest.mark.parametrize(("n", "c", "k"), [(100_000, 3, 50_000), (10**6, 1, 10), (500, 250, 200)])
def test_pass_at_k_of_large_counts_equals_exact_arithmetic(n, c, k):
    expected = 1 - Fraction(math.comb(n - c, k), math.comb(n, k)) if n < 1000 else None
    if expected is None:  # C(n−c, k) / C(n, k) with the few factors that differ
        quotient = Fraction(1)
        for i in range(c):
            quotient *= Fraction(n - k - i, n - i)
        expected = 1 - quotient
    assert pass_at_k(n, c, k) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="0 <= correct <= samples"):
        pass_at_k(n, c, k)


def test_no_correct_sample_is_plain_zero():
    assert math.copysign(1, pass_at_k(8, 0, 4)) == 1


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # statsmodels 0.14 proportion_confint(successes, trials, method="wilson")
    [(0, 10, 0.0, 0.277532799862889), (5, 10, 0.236593090512564, 0.763406909487436), (10, 10, 0.722467200137111, 1.0)],
)
def test_wilson_interval_by_known_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_interval_solves_its_defining_equation(counts, confidence):
    successes, trials = counts
    low, high = wilson_interval(successes, trials, confidence)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    # Its ends are where the score test just rejects: |p̂ − p| = z·√(p(1−p)/n).
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    for end in (low, high):
        assert abs(share - end) == pytest.approx(z * math.sqrt(end * (1 - end) / trials), abs=1e-6)


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(0, 0, 0.95), (2, 1, 0.95), (1, 2, 1.0)])
def test_wilson_interval_refuses_impossible_counts(successes, trials, confidence):
    with pytest.raises(ValueError, match="at least one trial"):
        wilson_interval(successes, trials, confidence)
