"""The evaluator with a tiny policy and the real sandbox; records by hand, aggregates recounted from the records."""

import json
import math
import os
from dataclasses import replace

import pytest
from tiny_policies import FLIP, IDENTITY, PARTIAL

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation import PerformanceEvaluator, pass_at_k, wilson_interval
from arcgym.evaluation.evaluator import aggregate, dataset_hash, score_solution
from arcgym.grids import as_grid
from arcgym.inference import Candidate, Solver, TaskSolution
from arcgym.sandbox import Status

MIRROR = Task.from_dict(
    {
        "train": [{"input": [[1, 2]], "output": [[2, 1]]}],
        "test": [{"input": [[7, 8, 9]], "output": [[9, 8, 7]]}, {"input": [[1, 3]], "output": [[3, 1]]}],
    },
    task_id="mirror",
)
SAME = Task.from_dict(
    {"train": [{"input": [[1, 2]], "output": [[1, 2]]}], "test": [{"input": [[3, 4]], "output": [[3, 4]]}]},
    task_id="same",
)
BEYOND = Task.from_dict(
    {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[9]]}]}, task_id="beyond"
)
HUGE = Task.from_dict(
    {"train": [{"input": [[1] * 30] * 30, "output": [[1] * 30] * 30}], "test": [{"input": [[1]], "output": [[1]]}]},
    task_id="huge",
)
TASKS = [MIRROR, SAME, BEYOND, HUGE]


@pytest.fixture(scope="module")
def evaluator(taught_model, byte_tokenizer, sandbox):
    solver = Solver(taught_model, byte_tokenizer, sandbox, TaskFormatter(), num_samples=30, max_new_tokens=4)
    return PerformanceEvaluator(solver)


@pytest.fixture(scope="module")
def report(evaluator):
    return evaluator.evaluate(TASKS, "by-hand")


def test_records_are_those_of_the_tasks(report):
    mirror, same, beyond, huge = report.records
    assert [record.task_id for record in report.records] == ["mirror", "same", "beyond", "huge"]
    assert [record.is_solved for record in report.records] == [True, True, False, False]
    assert mirror.best_program in (FLIP, PARTIAL)  # all inputs have one row, so both are right
    assert [tries[0] for tries in mirror.attempts] == [True, True]
    assert same.best_program == IDENTITY
    assert huge.attempts == ((),)
    assert huge.num_samples == 0
    assert "context" in huge.reason
    for record in (mirror, same, beyond):
        assert record.num_samples == 30
        assert sum(record.statuses.values()) + record.num_without_program == 30
        assert record.num_valid == record.statuses["ok"]
        assert record.num_test_correct <= record.num_train_fit <= record.num_valid
    assert beyond.num_train_fit == beyond.num_test_correct == 0


def test_aggregates_are_recounted_from_the_records(report):
    figures, records = report.aggregates, report.records
    assert (figures["solved"], figures["tasks"]) == (2, 4)
    assert figures["kaggle"] == pytest.approx(3 / 5)
    assert figures["arc_prize"] == pytest.approx(2 / 4)
    assert figures["pass@1"] == pytest.approx(sum(record.num_test_correct for record in records) / 30 / 4)
    assert figures["pass@30"] == pytest.approx(2 / 4)
    assert figures["programs"] == 90
    assert figures["valid_frac"] == pytest.approx(sum(record.num_valid for record in records) / 90)
    assert figures["programs_per_second"] == pytest.approx(90 / figures["seconds"])
    assert figures["interval"] == list(wilson_interval(2, 4))
    assert figures["dataset_hash"] == dataset_hash(TASKS)


def test_a_second_evaluation_differs_in_time_only(evaluator, report):
    again = evaluator.evaluate(TASKS, "by-hand")
    timed = ("seconds", "programs_per_second")
    assert again.records == report.records
    assert {name: value for name, value in again.aggregates.items() if name not in timed} == {
        name: value for name, value in report.aggregates.items() if name not in timed
    }


def test_evaluation_changes_no_weights(evaluator, taught_model):
    before = {name: tensor.clone() for name, tensor in taught_model.state_dict().items()}
    evaluator.evaluate([SAME], "same")
    assert all(tensor.equal(before[name]) for name, tensor in taught_model.state_dict().items())


def solution(task, attempts, candidates=(), **changes):
    grids = tuple(tuple(as_grid(grid) for grid in tries) for tries in attempts)
    return replace(TaskSolution(task.task_id, tuple(candidates), grids, 10, 3), **changes)


@pytest.mark.parametrize(
    ("attempts", "verdicts", "solved"),
    [
        ([[[[9, 8, 7]]], [[[3, 1]]]], ((True,), (True,)), True),
        ([[[[0]], [[9, 8, 7]]], [[[3, 1]], [[0]]]], ((False, True), (True, False)), True),
        ([[[[9, 8, 7]]], [[[0]], [[3], [1]]]], ((True,), (False, False)), False),
        ([[[[9, 8, 7]]], []], ((True,), ()), False),
        ([[], []], ((), ()), False),
    ],
)
def test_solved_means_every_test_output_within_the_attempts(attempts, verdicts, solved):
    record = score_solution(MIRROR, solution(MIRROR, attempts))
    assert record.attempts == verdicts
    assert record.is_solved is solved


def test_counts_are_of_samples():
    right = (as_grid([[9, 8, 7]]), as_grid([[3, 1]]))
    half = (as_grid([[9, 8, 7]]), as_grid([[0]]))
    candidates = [
        Candidate("a", 3, Status.OK, 1, 1, right),
        Candidate("b", 2, Status.OK, 1, 1, half),
        Candidate("c", 1, Status.RUNTIME_ERROR, 0, 1, (right[0], None)),
        Candidate("d", 1, Status.OK, 0, 1, right),
    ]
    record = score_solution(MIRROR, solution(MIRROR, [[], []], candidates))
    assert (record.num_valid, record.num_train_fit, record.num_test_correct, record.num_distinct) == (6, 5, 4, 4)
    assert record.statuses == {"ok": 6, "runtime_error": 1}
    assert aggregate([record], 10)["pass@10"] == pass_at_k(10, 4, 10)
    assert aggregate([record], 10)["pass@1"] == pytest.approx(0.4)


def test_a_task_that_could_not_be_tried_counts_zero():
    untried = score_solution(MIRROR, solution(MIRROR, [[], []], num_samples=0, num_without_program=0, reason="long"))
    figures = aggregate([untried], 10)
    assert (figures["solved"], figures["kaggle"], figures["pass@1"], figures["pass@10"]) == (0, 0, 0, 0)
    assert (figures["programs"], figures["valid_frac"]) == (0, 0)


def test_tasks_that_cannot_be_scored_are_refused(evaluator):
    blind = Task.from_dict({**SAME.to_dict(), "test": [{"input": [[3, 4]]}]}, task_id="blind")
    with pytest.raises(TaskError, match=r"1 of 2 tasks in 'x' lack a test output \(blind\)"):
        evaluator.evaluate([SAME, blind], "x")
    with pytest.raises(TaskError, match="no tasks in 'x'"):
        evaluator.evaluate([], "x")


def test_the_report_is_saved_whole_and_replaces_the_old_one(report, tmp_path):
    path = tmp_path / "eval" / "by-hand.json"
    report.save(path)
    assert json.loads(path.read_text()) == report.to_dict()
    assert report.to_dict()["records"][0]["task_id"] == "mirror"
    assert report.to_dict()["sampling"]["num_samples"] == 30
    replace(report, name="second").save(path)
    assert json.loads(path.read_text())["name"] == "second"
    assert os.listdir(path.parent) == ["by-hand.json"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(report, tmp_path):
    path = tmp_path / "report.json"
    report.save(path)
    before = path.read_text()
    with pytest.raises(ValueError, match="JSON"):
        replace(report, aggregates={"solved": math.nan}).save(path)
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["report.json"]


def test_the_dataset_hash_is_of_names_and_grids_whatever_their_order():
    assert dataset_hash([MIRROR, SAME]) == dataset_hash([SAME, MIRROR])
    renamed = replace(SAME, task_id="other")
    changed = Task.from_dict({**SAME.to_dict(), "test": [{"input": [[3, 5]], "output": [[3, 5]]}]}, task_id="same")
    assert len({dataset_hash(tasks) for tasks in ([SAME], [renamed], [changed], [SAME, SAME])}) == 4
