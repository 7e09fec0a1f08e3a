"""Hand-made cases in which the official conventions differ, through every way that leads to a score.

`test_scoring.py` and `test_submission.py` hold the definitions and the scorer of submissions; here the evaluator's
records, the submission made of them, the module for `evaluate` and the independent script have to give the scores
that a person computes.
"""

import importlib.util
from fractions import Fraction
from pathlib import Path

import evaluate
import pytest

from arcgym.data.tasks import Task
from arcgym.evaluation import aggregate, build_submission, score_solution, score_submission
from arcgym.grids import as_grid
from arcgym.inference import TaskSolution

ROOT = Path(__file__).parents[2]
WRONG = [[9, 9, 9]]
NAMES = ("kaggle", "arc_prize", "solved")

# Per task, per test input, which of the two attempts are right; then three scores. Kaggle: right outputs of all
# outputs. arc-agi-benchmarking: mean over tasks of the share of right ones. README of ARC-AGI: tasks with all right.
CASES = {
    "one output each": (["x.", ".."], (Fraction(1, 2), Fraction(1, 2), Fraction(1, 2))),
    "the small task": (["x.", ".. .."], (Fraction(1, 3), Fraction(1, 2), Fraction(1, 2))),
    "the large task": (["..", "x. .x x."], (Fraction(3, 4), Fraction(1, 2), Fraction(1, 2))),
    "half of each": (["x. ..", ".. .x"], (Fraction(1, 2), Fraction(1, 2), 0)),
    "parts of unequal tasks": (["x. ..", "x. x. .."], (Fraction(3, 5), Fraction(7, 12), 0)),
    "attempts of different ranks": (["x. .x", ".x x."], (1, 1, 1)),
    "both attempts at one output": (["xx .."], (Fraction(1, 2), Fraction(1, 2), 0)),
}


def output(index):
    return [[index + 1, index + 2]]


def worked_out(case):
    """Tasks, and a record of each: what the evaluator makes of the attempts that a case describes."""
    tasks, records = [], []
    for number, marks in enumerate(case):
        tries = marks.split()
        test = [{"input": [[index]], "output": output(index)} for index in range(len(tries))]
        train = [{"input": [[1]], "output": [[2]]}]
        task = Task.from_dict({"train": train, "test": test}, task_id=f"task{number}")
        attempts = tuple(
            tuple(as_grid(output(index) if mark == "x" else WRONG) for mark in marks)
            for index, marks in enumerate(tries)
        )
        tasks.append(task)
        records.append(score_solution(task, TaskSolution(task.task_id, (), attempts, 2, 2)))
    return tasks, records


def by_hand(expected):
    return pytest.approx(dict(zip(NAMES, map(float, expected), strict=True)))


@pytest.fixture(scope="module")
def arc_score(tmp_path_factory):
    return evaluate.load(str(ROOT / "metrics" / "arc_score"), cache_dir=str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("recompute_scores", ROOT / "benchmarks" / "recompute_scores.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cases_tell_the_conventions_apart():
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert any(scores[i] != scores[j] for _, scores in CASES.values())
    assert any(scores[0] > scores[1] for _, scores in CASES.values()), "the large task weighs more with Kaggle"
    assert any(scores[0] < scores[1] for _, scores in CASES.values()), "and less as one task of many"


@pytest.mark.parametrize(("case", "expected"), CASES.values(), ids=CASES)
def test_every_way_to_a_score_is_that_of_a_person(case, expected, arc_score, script):
    tasks, records = worked_out(case)
    figures = aggregate(records, 2)
    assert {
        "kaggle": figures["kaggle"],
        "arc_prize": figures["arc_prize"],
        "solved": figures["solved_frac"],
    } == by_hand(expected)
    submitted = score_submission(build_submission(records, tasks), tasks)
    assert submitted._asdict() == by_hand(expected)
    module = arc_score.compute(
        predictions=[
            [[list(map(list, grid)) for grid in tries] for tries in record.predictions] for record in records
        ],
        references=[[pair.output.tolist() for pair in task.test] for task in tasks],
    )
    assert module == by_hand(expected)
    found = script.scores([record.to_dict() for record in records])
    assert {"kaggle": found["kaggle"], "arc_prize": found["arc_prize"], "solved": found["solved_frac"]} == by_hand(
        expected
    )


def test_a_task_without_an_answer_counts_zero_in_each_convention():
    tasks, records = worked_out(["x.", "x. x. x."])
    untried = TaskSolution(tasks[1].task_id, (), ((), (), ()), 0, 0, reason="its prompt is too long")
    figures = aggregate([records[0], score_solution(tasks[1], untried)], 2)
    assert (figures["kaggle"], figures["arc_prize"], figures["solved_frac"]) == (1 / 4, 1 / 2, 1 / 2)
    assert score_submission(build_submission([records[0]], tasks[:1]), tasks) == (1 / 4, 1 / 2, 1 / 2)
