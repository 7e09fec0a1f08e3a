import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_strategies import tasks

from arcgym.data import Pair, Task, TaskFormatter
from arcgym.data.difficulty import (
    Attempts,
    DifficultyAnalyzer,
    DifficultyFeatures,
    batches_by_difficulty,
    difficulty_lines,
    expected_pass_rate,
    order_by_difficulty,
)
from arcgym.data.synthetic import generate_tasks
from arcgym.errors import ConfigError
from arcgym.models import load_tokenizer

TASK = Task.from_dict(
    {
        "train": [
            {"input": [[0, 1], [0, 0]], "output": [[0, 2], [0, 0]]},
            {"input": [[1, 0, 1]], "output": [[2, 0, 2], [0, 0, 0]]},
        ],
        "test": [{"input": [[1]], "output": [[2]]}],
    },
    task_id="t",
)
task_lists = st.lists(tasks(max_side=4), max_size=8, unique_by=lambda task: task.task_id)


@pytest.fixture(scope="module")
def benchmark():
    file = Path(__file__).parents[2] / "benchmarks" / "difficulty.py"
    spec = importlib.util.spec_from_file_location("benchmarks_difficulty", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.property(3)
@settings(max_examples=50)
@given(task_lists, st.integers(1, 5))
def test_batches_are_a_permutation_of_the_tasks_from_easy_to_hard(chosen, batch_size):
    scores = {entry.task_id: entry.score for entry in DifficultyAnalyzer().analyze(chosen)}
    batches = batches_by_difficulty(chosen, list(scores.values()), batch_size)
    flat = list(itertools.chain(*batches))
    assert sorted(task.task_id for task in flat) == sorted(task.task_id for task in chosen)
    assert all(task in chosen for task in flat)
    assert [scores[task.task_id] for task in flat] == sorted(scores.values())
    assert all(len(batch) == batch_size for batch in batches[:-1]) and all(batches)


def test_equal_difficulty_keeps_the_order_and_what_cannot_be_ordered_is_refused():
    assert order_by_difficulty("abcd", [0.5, 0.2, 0.5, 0.2]) == list("bdac")
    assert batches_by_difficulty([], [], 3) == []
    for scores, batch_size in (([0.1], 2), ([0.1, float("nan")], 2), ([0.1, 0.2], 0)):
        with pytest.raises(ValueError):
            batches_by_difficulty("ab", scores, batch_size)


@given(tasks(max_side=6))
def test_a_score_is_a_probability_and_does_not_depend_on_test_outputs(task):
    secret = Task(task.task_id, task.train, tuple(Pair(pair.input, None) for pair in task.test))
    (entry,) = DifficultyAnalyzer().analyze([task])
    assert 0 < entry.score < 1
    assert entry == DifficultyAnalyzer().analyze([secret])[0]


def test_features_by_hand():
    features = DifficultyAnalyzer().features(TASK)
    assert features == DifficultyFeatures(
        cells=(4 + 4 + 3 + 6) / 4,
        prompt_tokens=4 + 2 + 4 + 2 + 3 + 1 + 6 + 2 + 1 + 1 + 5 + 1,
        same_size=0.5,
        size_ratio=0.5,
        constant_ratio=0.0,
        colours=3.0,
        new_colours=1.0,
        lost_colours=1.0,
        change_ratio=(1 / 4 + 1) / 2,
        objects=1.5,
        object_change=0.0,
        symmetry=1.0,
        turned=0.0,
    )


def test_a_task_is_turned_when_one_symmetry_serves_all_its_pairs():
    flips, other = (next(generate_tasks(1, seed=2, families=[name], max_depth=1)) for name in ("flip_lr", "rotate_cw"))
    mixed = Task("mixed", (flips.train[0], other.train[0]), flips.test)
    analyzer = DifficultyAnalyzer()
    assert [analyzer.features(task).turned for task in (flips, other, mixed)] == [1, 1, 0]


@settings(max_examples=30)
@given(tasks(max_side=6))
def test_without_a_tokenizer_tokens_are_those_of_the_default_policy(task):
    formatter = TaskFormatter(tokenizer=load_tokenizer("arcgym-tiny"))
    counted = DifficultyAnalyzer(formatter=formatter).features(task)
    assert counted == DifficultyAnalyzer().features(task)


def test_another_tokenizer_changes_the_score():
    class Pairs:
        chat_template = None

        def __call__(self, text):
            return {"input_ids": text[::2]}

    by_pairs = DifficultyAnalyzer(formatter=TaskFormatter(tokenizer=Pairs())).analyze([TASK])[0]
    assert by_pairs.features.prompt_tokens != DifficultyAnalyzer().features(TASK).prompt_tokens
    assert by_pairs.score != DifficultyAnalyzer().analyze([TASK])[0].score


def test_attempts_turn_the_prior_into_a_posterior():
    analyzer = DifficultyAnalyzer(prior_strength=2.0)
    features = analyzer.features(TASK)
    expected = expected_pass_rate(features)
    belief = analyzer.pass_rate(features, Attempts(3, 8))
    assert tuple(belief) == pytest.approx((2 * expected + 3, 2 * (1 - expected) + 5))
    assert belief.mean == pytest.approx((2 * expected + 3) / 10)
    assert belief.std == pytest.approx((belief.mean * (1 - belief.mean) / 11) ** 0.5)
    assert analyzer.pass_rate(features).mean == pytest.approx(expected)
    scores = [analyzer.analyze([TASK], {"t": Attempts(n, 8)})[0].score for n in range(9)]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 9
    assert analyzer.pass_rate(features, Attempts(9000, 10000)).mean == pytest.approx(0.9, abs=1e-3)
    for impossible in (Attempts(2, 1), Attempts(-1, 1)):
        with pytest.raises(ValueError, match="cannot have succeeded"):
            analyzer.pass_rate(features, impossible)


@given(task_lists.filter(bool), st.integers(1, 5))
def test_bands_follow_the_scores_and_begin_with_the_easiest(chosen, num_bands):
    entries = DifficultyAnalyzer(num_bands=num_bands).analyze(chosen)
    ordered = sorted(entries, key=lambda entry: entry.score)
    assert ordered[0].band == 0
    assert [entry.band for entry in ordered] == sorted(entry.band for entry in entries)
    assert max(entry.band for entry in entries) < num_bands
    for first, second in itertools.combinations(entries, 2):
        assert first.score != second.score or first.band == second.band


def test_bands_hold_about_as_many_tasks_each():
    entries = DifficultyAnalyzer(num_bands=4).analyze(list(generate_tasks(80, seed=6)))
    assert np.bincount([entry.band for entry in entries]).tolist() == [20, 20, 20, 20]
    assert DifficultyAnalyzer().analyze([]) == []


def test_arguments_out_of_range_are_refused():
    for arguments in ({"num_bands": 0}, {"prior_strength": 0.0}, {"prior_strength": float("nan")}):
        with pytest.raises(ConfigError, match=next(iter(arguments))):
            DifficultyAnalyzer(**arguments)
    with pytest.raises(ConfigError, match="no tokenizer"):
        DifficultyAnalyzer(formatter=TaskFormatter())


def test_the_table_has_the_easiest_task_first():
    chosen = list(generate_tasks(5, seed=6))
    header, *rows = difficulty_lines(DifficultyAnalyzer().analyze(chosen))
    assert header.split()[:3] == ["task", "band", "score"]
    assert {row.split()[0] for row in rows} == {task.task_id for task in chosen}
    assert [float(row.split()[2]) for row in rows] == sorted(float(row.split()[2]) for row in rows)


def test_the_shipped_weights_predict_measured_pass_rates_better_than_mean_cells(benchmark):
    """On the half of the families, and on the ARC tasks, that they were not fitted to."""
    rates = json.loads(benchmark.RATES.read_text(encoding="utf-8"))
    _, held_out = benchmark.halves(benchmark.Sample.of(benchmark.SYNTHETIC, rates), benchmark.DIVISION_SEED)
    real = benchmark.Sample.of(["arc-agi-1/evaluation"], rates)
    for sample, least_gain in ((held_out, 0.1), (real, 0.0)):
        measured = sample.failure_rates.tolist()
        ours, cells = (benchmark.spearman(of(sample), measured) for of in (benchmark.shipped, benchmark.cells))
        assert ours > cells + least_gain


def test_measured_rates_are_of_the_tasks_that_are_loaded(benchmark):
    rates = json.loads(benchmark.RATES.read_text(encoding="utf-8"))
    assert set(rates) == {*benchmark.SYNTHETIC, *benchmark.REAL}
    for name, successes in rates.items():
        assert len(successes) == len(benchmark.load(name))
        assert all(count is None or 0 <= count <= benchmark.SAMPLES for count in successes)
