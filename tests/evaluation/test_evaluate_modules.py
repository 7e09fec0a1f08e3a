"""The modules for the library `evaluate`, loaded as its users do, without network."""

import math
from pathlib import Path

import evaluate
import pytest

from arcgym.evaluation.scoring import pass_at_k

METRICS = Path(__file__).parents[2] / "metrics"


@pytest.fixture(scope="module")
def arc_score(tmp_path_factory):
    return evaluate.load(str(METRICS / "arc_score"), cache_dir=str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    return evaluate.load(str(METRICS / "pass_at_k"), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_the_three_scores_differ_as_they_should(arc_score):
    scores = arc_score.compute(
        predictions=[[[[[1, 2]], [[2]]], [[[3]]]], [[[[5]]]], [[]]],
        references=[[[[2]], [[4]]], [[[5]]], [[[6]]]],
    )
    assert scores == pytest.approx({"kaggle": 2 / 4, "arc_prize": (0.5 + 1 + 0) / 3, "solved": 1 / 3})


def test_batches_add_up_and_a_third_attempt_does_not_count(arc_score):
    arc_score.add_batch(predictions=[[[[[1]], [[2]], [[9]]]]], references=[[[[9]]]])
    arc_score.add_batch(predictions=[[[[[1]], [[9]]]]], references=[[[[9]]]])
    assert arc_score.compute() == {"kaggle": 0.5, "arc_prize": 0.5, "solved": 0.5}


@pytest.mark.parametrize("grid", [[[1, 2], [3]], [], [[]], [[11]], [[1, 2, 3]]])
def test_what_is_no_grid_is_wrong(arc_score, grid):
    assert arc_score.compute(predictions=[[[grid]]], references=[[[[1, 2]]]])["kaggle"] == 0


def test_attempts_for_other_test_inputs_are_refused(arc_score):
    with pytest.raises(ValueError, match="2 test outputs, but attempts for 1"):
        arc_score.compute(predictions=[[[[[1]]]]], references=[[[[1]], [[2]]]])


def test_pass_at_k_is_the_mean_of_the_estimate(passes):
    found = passes.compute(predictions=[1, 0, 5], references=[8, 8, 10], k=[1, 4, 10])
    for k in (1, 4):
        assert found[f"pass@{k}"] == pytest.approx(sum(pass_at_k(n, c, k) for n, c in [(8, 1), (8, 0), (10, 5)]) / 3)
    assert math.isnan(found["pass@10"])
    again = passes.compute(predictions=[1], references=[4])
    assert again == pytest.approx({"pass@1": 0.25}), "nothing is kept from earlier calls"
