"""The evaluator with a tiny policy and the real sandbox; records by hand, aggregates recounted from the records."""

import ast
import json
import math
import os
import random
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_policies import FLIP, IDENTITY, PARTIAL

import arcgym.evaluation
from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError
from arcgym.evaluation import (
    EvaluationReport,
    PerformanceEvaluator,
    TaskRecord,
    aggregate,
    dataset_hash,
    pass_at_k,
    remove_journal,
    score_solution,
    wilson_interval,
)
from arcgym.evaluation.records import TIMED
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


def compared(report):
    """What the file says, but for the clock."""
    return {name: value for name, value in report.to_dict().items() if name != "timing"}


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
    assert again.records == report.records
    assert compared(again) == compared(report)
    assert set(report.to_dict()["timing"]) == set(TIMED) <= set(report.aggregates)


def test_evaluation_changes_no_weights(evaluator, taught_model):
    before = {name: tensor.clone() for name, tensor in taught_model.state_dict().items()}
    evaluator.evaluate([SAME], "same")
    assert all(tensor.equal(before[name]) for name, tensor in taught_model.state_dict().items())


def test_evaluation_knows_neither_curriculum_nor_database():
    imported = [
        node.module
        for path in Path(arcgym.evaluation.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    ]
    assert "arcgym.inference" in imported
    assert not [name for name in imported if name.startswith(("arcgym.training", "arcgym.solutions"))]


def test_evaluation_leaves_training_as_it_is(evaluator, taught_model):
    taught_model.train()
    generators = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    try:
        evaluator.evaluate([SAME], "same")
        assert taught_model.training
    finally:
        taught_model.eval()
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == generators


def test_records_say_what_a_task_is_and_what_it_cost(report, evaluator):
    mirror, same, beyond, huge = report.records
    assert [record.side for record in report.records] == [3, 2, 1, 30]
    assert {record.band for record in report.records} <= {0, 1, 2, 3}
    tokenizer, prompt = evaluator.solver.tokenizer, evaluator.solver.formatter.format(MIRROR).prompt
    assert mirror.tokens_in == len(tokenizer(prompt)["input_ids"])
    # A taught program is one token
    taught = sum(1 for _ in range(mirror.num_samples - mirror.num_without_program))
    assert mirror.tokens_out >= taught
    assert (huge.tokens_in, huge.tokens_out, huge.executions) == (0, 0, 0)
    assert mirror.executions <= mirror.num_distinct
    assert mirror.oracle == (True, True) and beyond.oracle == (False,)
    assert mirror.predictions[0][0] == ((9, 8, 7),)
    assert same.solving_program in (IDENTITY,) and beyond.solving_program == ""


class Counted:
    """A solver that counts its tasks, and can be interrupted."""

    def __init__(self, solver, limit=99):
        self.solver, self.sampling, self.limit, self.asked = solver, solver.sampling, limit, []

    def solve(self, tasks):
        if len(self.asked) + len(tasks) > self.limit:
            raise KeyboardInterrupt
        self.asked += [task.task_id for task in tasks]
        return self.solver.solve(tasks)


def test_an_evaluation_that_was_stopped_goes_on_and_gives_the_same_report(evaluator, tmp_path):
    whole = PerformanceEvaluator(Counted(evaluator.solver)).evaluate(TASKS, "by-hand")
    stopped = Counted(evaluator.solver, limit=2)
    options = {"journal": tmp_path / "parts", "chunk_size": 1}
    with pytest.raises(KeyboardInterrupt):
        PerformanceEvaluator(stopped).evaluate(TASKS, "by-hand", **options)
    assert stopped.asked == ["mirror", "same"]
    with (tmp_path / "parts" / "part-0.jsonl").open("a") as file:
        file.write('[2, {"task_id"')  # killed while it wrote
    resumed = Counted(evaluator.solver)
    report = PerformanceEvaluator(resumed).evaluate(TASKS, "by-hand", **options)
    assert resumed.asked == ["beyond", "huge"]
    assert compared(report) == compared(whole)
    assert report.records == whole.records
    again = Counted(evaluator.solver)
    assert compared(PerformanceEvaluator(again).evaluate(TASKS, "by-hand", **options)) == compared(whole)
    assert again.asked == []
    remove_journal(tmp_path / "parts")
    assert os.listdir(tmp_path) == []


def test_the_rows_of_another_evaluation_are_not_taken_over(evaluator, tmp_path):
    evaluator.evaluate([SAME], "same", journal=tmp_path / "parts")
    for tasks, name, config in (
        ([MIRROR], "same", None),
        ([SAME], "other", None),
        ([SAME], "same", {"sandbox_timeout_s": 5}),
    ):
        with pytest.raises(ConfigError, match="beginning of another evaluation"):
            evaluator.evaluate(tasks, name, config=config, journal=tmp_path / "parts")


def test_other_weights_are_another_evaluation(evaluator, taught_model):
    before = evaluator.evaluate([SAME], "same").provenance["config"]["policy"]
    weight = taught_model.get_output_embeddings().weight
    with torch.no_grad():
        weight[0, 0] += 1
        try:
            after = evaluator.evaluate([SAME], "same").provenance["config"]["policy"]
        finally:
            weight[0, 0] -= 1
    assert before["fingerprint"] != after["fingerprint"]
    assert {**before, "fingerprint": ""} == {**after, "fingerprint": ""}


def test_a_report_is_kept_for_the_very_same_evaluation_only(evaluator, tmp_path):
    path = tmp_path / "same.json"
    assert evaluator.kept_report(path, [SAME], {"a": (1, 2)}) is None
    report = evaluator.evaluate([SAME], "same", config={"a": (1, 2)})
    report.save(path)
    assert evaluator.kept_report(path, [SAME], {"a": (1, 2)}).records == report.records
    assert evaluator.kept_report(path, [SAME], {"a": (1, 3)}) is None
    assert evaluator.kept_report(path, [MIRROR], {"a": (1, 2)}) is None


def test_every_report_says_what_it_is_of(report):
    provenance = report.provenance
    assert provenance["dataset_hash"] == report.aggregates["dataset_hash"]
    assert provenance["seeds"] == {"sampling": 0, "bootstrap": 0}
    assert provenance["config"]["sampling"]["num_samples"] == 30
    assert provenance["config"]["prompt"]["encoding"] == "digits"
    assert len(provenance["code_version"]["source"]) == 64
    assert provenance["sandbox_layers"]


def test_a_report_of_an_earlier_version_is_read(report, tmp_path):
    path = tmp_path / "old.json"
    old = report.to_dict()
    for name in ("provenance", "breakdown", "timing"):
        del old[name]
    old["aggregates"]["seconds"] = 2.0
    early = [entry.name for entry in fields(TaskRecord)][:12]
    old["records"] = [{name: record[name] for name in early} for record in old["records"]]
    path.write_text(json.dumps(old))
    loaded = EvaluationReport.load(path)
    assert loaded.provenance == {}
    assert loaded.aggregates["seconds"] == 2.0
    assert [record.attempts for record in loaded.records] == [record.attempts for record in report.records]


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
    assert EvaluationReport.load(path) == report
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
