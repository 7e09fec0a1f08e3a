"""Figures recomputed the slow way: from samples one by one, and from the records of a report's file."""

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.data.tasks import Task
from arcgym.evaluation import aggregate, break_down, score_solution, wilson_interval
from arcgym.evaluation.records import TaskRecord
from arcgym.grids import as_grid, grids_equal
from arcgym.inference import Candidate, TaskSolution, choose_attempts, rank_candidates
from arcgym.sandbox import Status

GRIDS = [as_grid([[0]]), as_grid([[1]]), as_grid([[0, 1]])]
TRUTHS = st.lists(st.sampled_from(GRIDS), min_size=1, max_size=3)
STATUSES = [Status.RUNTIME_ERROR, Status.TIMEOUT, Status.SYNTAX_ERROR]


@st.composite
def samples_of_task(draw, num_samples=6):
    """Draw a task, and per completion what its program did: status, train pairs passed, outputs; or no program."""
    truths = draw(TRUTHS)
    task = Task.from_dict(
        {
            "train": [{"input": [[1]], "output": [[1]]}] * 2,
            "test": [{"input": [[2]], "output": truth.tolist()} for truth in truths],
        },
        task_id=f"task-{draw(st.integers(0, 10**9))}",
    )
    programs = []
    for number in range(3):
        outputs = tuple(draw(st.sampled_from([*GRIDS, None])) for _ in truths)
        status = Status.OK if all(grid is not None for grid in outputs) else draw(st.sampled_from(STATUSES))
        programs.append((f"program {number}", status, draw(st.integers(0, 2)), outputs))
    samples = draw(st.lists(st.sampled_from([*programs, None]), min_size=num_samples, max_size=num_samples))
    return task, samples


def solution_of(task, samples):
    programs = {sample[0]: sample for sample in samples if sample is not None}
    candidates = [
        Candidate(
            name, sum(sample is not None and sample[0] == name for sample in samples), status, passed, 2, outputs
        )
        for name, status, passed, outputs in programs.values()
    ]
    return TaskSolution(
        task.task_id,
        rank_candidates(candidates),
        choose_attempts(candidates, len(task.test)),
        len(samples),
        samples.count(None),
    )


def is_right(task, sample):
    return sample is not None and all(map(grids_equal, sample[3], (pair.output for pair in task.test)))


@pytest.mark.property(34)
@given(samples_of_task())
def test_each_tasks_success_rate_is_a_recount_of_its_samples(task_and_samples):
    task, samples = task_and_samples
    record = score_solution(task, solution_of(task, samples))
    right = [sample for sample in samples if is_right(task, sample)]
    given_ = [sample for sample in samples if sample is not None]
    assert record.success_rate == len(right) / len(samples)
    low, high = record.success_interval
    assert low <= record.success_rate <= high
    assert record.num_test_correct == len(right)
    assert record.num_train_fit == sum(sample[2] == 2 for sample in given_)
    assert record.num_valid == sum(sample[1] is Status.OK for sample in given_)
    assert record.num_without_program == len(samples) - len(given_)
    assert record.statuses == {
        status.value: count for status in Status if (count := sum(sample[1] is status for sample in given_))
    }
    assert record.num_distinct == len({sample[0] for sample in given_})
    answers = [sample[3] for sample in given_ if any(grid is not None for grid in sample[3])]
    distinct = [
        answer
        for index, answer in enumerate(answers)
        if not any(
            all((a is b is None) or grids_equal(a, b) for a, b in zip(answer, other, strict=True))
            for other in answers[:index]
        )
    ]
    assert record.num_distinct_outputs == len(distinct)
    assert record.executions == len({sample[0] for sample in given_ if sample[1] is not Status.SYNTAX_ERROR})
    assert record.oracle == tuple(
        any(grids_equal(sample[3][index], pair.output) for sample in given_) for index, pair in enumerate(task.test)
    )
    assert all(any(tries) <= reach for tries, reach in zip(record.attempts, record.oracle, strict=True))
    assert TaskRecord.from_dict(record.to_dict()) == record


@pytest.mark.property(35)
@settings(max_examples=40)
@given(st.lists(samples_of_task(), min_size=1, max_size=6, unique_by=lambda drawn: drawn[0].task_id), st.data())
def test_aggregates_are_their_definitions_and_intervals_hold_the_estimates(drawn, data):
    untried = data.draw(st.sets(st.integers(0, len(drawn) - 1), max_size=2))
    records = [
        score_solution(task, TaskSolution(task.task_id, (), ((),) * len(task.test), 0, 0, "too long"))
        if index in untried
        else score_solution(task, solution_of(task, samples))
        for index, (task, samples) in enumerate(drawn)
    ]
    figures = aggregate(records, 6)
    answered = [
        [index not in untried and any(tries) for tries in record.attempts] for index, record in enumerate(records)
    ]
    outputs = [right for task in answered for right in task]
    assert figures["kaggle"] == pytest.approx(sum(outputs) / len(outputs))
    assert figures["arc_prize"] == pytest.approx(sum(sum(task) / len(task) for task in answered) / len(answered))
    assert figures["solved"] == sum(map(all, answered))
    assert figures["solved_frac"] == pytest.approx(figures["solved"] / len(records))
    for k in (1, 2, 4, 6):
        # Every choice of k samples is as likely; a task that was not tried fails
        shares = []
        for index, (task, samples) in enumerate(drawn):
            choices = list(combinations([is_right(task, sample) for sample in samples], k))
            shares.append(0.0 if index in untried else sum(map(any, choices)) / len(choices))
        assert figures[f"pass@{k}"] == pytest.approx(sum(shares) / len(shares))
        assert figures[f"train_pass@{k}"] >= 0
    assert "pass@3" not in figures and "pass@8" not in figures
    low, high = figures["interval"]
    assert low <= figures["solved_frac"] <= high
    assert figures["interval"] == list(wilson_interval(figures["solved"], len(records)))
    for name, (low, high) in figures["intervals"].items():
        assert 0 <= low <= figures[name] + 1e-12 and figures[name] - 1e-12 <= high <= 1, name
    assert sum(figures["statuses"].values()) == pytest.approx(1 if figures["programs"] else 0)
    assert figures["solved"] <= figures["oracle_solved"]


def record(task_id, *, solved=False, **changes):
    facts = {
        "attempts": ((solved,),),
        "num_samples": 4,
        "num_without_program": 1,
        "num_valid": 3,
        "num_train_fit": 2,
        "num_test_correct": 2 if solved else 0,
        "num_distinct": 2,
        "statuses": {"ok": 3},
        "best_program": "",
        "reason": "",
        "oracle": (solved,),
    }
    return TaskRecord(task_id=task_id, is_solved=solved, **(facts | changes))


def test_cost_is_total_per_task_and_per_solved_task():
    records = [
        record("a", solved=True, tokens_in=100, tokens_out=10, executions=2),
        record("b", tokens_in=50, tokens_out=20, executions=4),
    ]
    cost = aggregate(records, 4)["cost"]
    assert cost["tokens_in"] == {"total": 150, "per_task": 75, "per_solved": 150}
    assert cost["tokens_out"] == {"total": 30, "per_task": 15, "per_solved": 30}
    assert cost["executions"] == {"total": 6, "per_task": 3, "per_solved": 6}
    none_solved = aggregate(records[1:], 4)["cost"]
    assert none_solved["executions"] == {"total": 4, "per_task": 4, "per_solved": None}
    assert aggregate([record("c")], 4)["cost"]["tokens_in"] == {"total": None, "per_task": None, "per_solved": None}


def test_the_vote_is_held_against_the_best_choice():
    records = [record("a", solved=True), record("b", oracle=(True,)), record("c")]
    figures = aggregate(records, 4)
    assert (figures["solved"], figures["oracle_solved"], figures["vote_share"]) == (1, 2, 0.5)
    assert aggregate(records[2:], 4)["vote_share"] is None


def test_pass_at_k_is_left_out_where_a_task_has_too_few_samples():
    figures = aggregate([record("a", solved=True), record("b", num_samples=2)], 4)
    assert {name for name in figures if name.startswith("pass@")} == {"pass@1", "pass@2"}
    assert figures["pass@1"] == pytest.approx(0.25)
    assert not any(isinstance(value, float) and math.isnan(value) for value in figures.values())


def test_parts_add_up_and_leave_out_what_is_not_known():
    records = [
        record("a", solved=True, band=0, side=5, family="flip", source="synthetic"),
        record("b", band=0, side=6, source="synthetic"),
        record("c", solved=True, band=10, side=30, family="flip", source="arc"),
    ]
    parts = break_down(records)
    assert {name: (part["solved"], part["tasks"]) for name, part in parts["band"].items()} == {
        "0": (1, 2),
        "10": (1, 1),
    }
    assert {name: part["tasks"] for name, part in parts["side"].items()} == {"≤5": 1, "≤10": 1, "≤30": 1}
    assert {name: (part["solved"], part["tasks"]) for name, part in parts["family"].items()} == {"flip": (2, 2)}
    assert parts["source"]["synthetic"] == {
        "tasks": 2,
        "solved": 1,
        "interval": list(wilson_interval(1, 2)),
        "arc_prize": 0.5,
        "success_rate": 0.25,
    }
    assert break_down([record("d")]) == {"band": {}, "side": {}, "family": {}, "source": {}}
