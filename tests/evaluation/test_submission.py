"""Submissions: built from solutions, every fault explained, and the three scorings on cases in which they differ."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation import build_submission, score_submission, validate_submission, write_submission
from arcgym.evaluation.evaluator import score_solution
from arcgym.evaluation.submission import read_submission
from arcgym.grids import as_grid
from arcgym.inference import TaskSolution


def task(task_id, *outputs):
    return Task.from_dict(
        {
            "train": [{"input": [[1]], "output": [[1]]}],
            "test": [{"input": [[index % 10]], "output": output} for index, output in enumerate(outputs)],
        },
        task_id=task_id,
    )


ONE, TWO, THREE = task("one", [[1, 2]]), task("two", [[3]], [[4]]), task("three", [[5]], [[6]], [[7]])
TASKS = [ONE, TWO, THREE]


def entry(first, second=((0, 0), (0, 0))):
    return {"attempt_1": [list(row) for row in first], "attempt_2": [list(row) for row in second]}


def solution(task, *attempts):
    grids = tuple(tuple(as_grid(grid) for grid in tries) for tries in attempts)
    return TaskSolution(task.task_id, (), grids, 4, 4)


def test_every_task_and_test_input_has_two_attempts():
    built = build_submission([solution(TWO, [[[3]], [[9]]], [[[8]]])], TASKS)
    assert built == {
        "one": [entry([[0, 0], [0, 0]])],
        "two": [entry([[3]], [[9]]), entry([[8]], [[8]])],
        "three": [entry([[0, 0], [0, 0]])] * 3,
    }
    assert validate_submission(built, TASKS) == []
    assert json.loads(json.dumps(built)) == built, "plain integers, not numpy's"


def test_a_record_gives_the_submission_of_its_solution():
    solved = solution(TWO, [[[3]], [[9]]], [])
    assert build_submission([score_solution(TWO, solved)], TASKS) == build_submission([solved], TASKS)


def test_solutions_of_other_tasks_are_refused():
    with pytest.raises(TaskError, match="tasks that are not in the set: two"):
        build_submission([solution(TWO, [], [])], [ONE])
    with pytest.raises(TaskError, match="answers 1 test inputs, but the task has 2"):
        build_submission([TaskSolution("two", (), ((),), 4, 4)], TASKS)


GOOD = {"one": [entry([[1, 2]])], "two": [entry([[3]]), entry([[4]])], "three": [entry([[5]])] * 3}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"four": [entry([[1]])]}, "task 'four' is not in the set"),
        ({"one": None}, "task 'one' holds a NoneType; write a list with one entry per test input"),
        ({"one": []}, "task 'one' has 0 entries, but 1 test inputs"),
        ({"one": [entry([[1]])] * 2}, "task 'one' has 2 entries, but 1 test inputs"),
        ({"one": [[[1]]]}, "task 'one', test input 0: a list is no entry"),
        ({"one": [{"attempt_1": [[1]]}]}, "task 'one', test input 0: \"attempt_2\" is missing"),
        ({"one": [entry([[1]]) | {"attempt_3": [[1]]}]}, "test input 0: 'attempt_3' is no attempt"),
        ({"one": [entry([[1, 10]])]}, "task 'one', test input 0, attempt_1, row 0, column 1"),
        ({"one": [entry([[1]], [[1, 2], [3]])]}, "task 'one', test input 0, attempt_2, "),
        ({"one": [entry([[1.0]])]}, "task 'one', test input 0, attempt_1, row 0, column 0"),
        ({"one": [entry([[True]])]}, "task 'one', test input 0, attempt_1, row 0, column 0"),
        ({"one": [entry([[0] * 31])]}, "task 'one', test input 0, attempt_1, "),
        ({"one": [entry([])]}, "task 'one', test input 0, attempt_1, "),
        ({"two": [entry([[3]]), entry([[-1]])]}, "task 'two', test input 1, attempt_1, row 0, column 0"),
    ],
)
def test_each_fault_is_explained_where_it_is(change, fault):
    assert validate_submission(GOOD, TASKS) == []
    faults = validate_submission(GOOD | change, TASKS)
    assert len(faults) == 1
    assert fault in faults[0]


def test_what_is_missing_and_what_is_no_object_is_said_too():
    without = {name: entries for name, entries in GOOD.items() if name != "two"}
    assert validate_submission(without, TASKS) == [
        "task 'two' is missing; add it, with a placeholder if it was not solved"
    ]
    assert "write an object" in validate_submission([GOOD], TASKS)[0]


@given(st.dictionaries(st.sampled_from(["one", "two", "four"]), st.recursive(
    st.none() | st.integers(-1, 10) | st.booleans() | st.just(1.0),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["attempt_1", "attempt_2"]), inner, max_size=2),
    max_leaves=12,
)))  # fmt: skip
def test_nothing_that_json_can_hold_breaks_the_scorer_or_scores_for_a_fault(submission):
    scores = score_submission(submission, [task("one", [[1]]), TWO])
    assert all(0 <= score <= 1 for score in scores)
    if scores.solved == 1:
        assert set(submission) >= {"one", "two"}


# Tasks with 1, 2 and 3 test inputs; per task and test input, whether it is answered right; `None`: not handed in.
CASES = {
    "several test inputs": ([[1], [1, 0], [0, 0, 0]], (2 / 6, 1.5 / 3, 1 / 3)),
    "the large task": ([[0], [0, 0], [1, 1, 1]], (3 / 6, 1 / 3, 1 / 3)),
    "one wrong of three": ([[0], [0, 0], [1, 1, 0]], (2 / 6, (2 / 3) / 3, 0)),
    # The scorer of arc-agi-benchmarking divides by the tasks handed in, and would say 1 here
    "a task that is missing": ([[1], None, None], (1 / 6, 1 / 3, 1 / 3)),
    "all": ([[1], [1, 1], [1, 1, 1]], (1, 1, 1)),
}


@pytest.mark.parametrize(("answered", "expected"), CASES.values(), ids=CASES)
def test_the_conventions_where_they_differ(answered, expected):
    wrong = [[9, 9, 9]]
    submission = {
        task.task_id: [
            entry(pair.output.tolist() if right else wrong) for right, pair in zip(rights, task.test, strict=True)
        ]
        for task, rights in zip(TASKS, answered, strict=True)
        if rights is not None
    }
    assert score_submission(submission, TASKS) == pytest.approx(expected)


def test_attempts_of_different_ranks_count_together_and_a_third_does_not():
    crosswise = {"two": [entry([[3]], [[9]]), entry([[9]], [[4]])]}
    assert score_submission(crosswise, [TWO]).solved == 1
    third = {"two": [entry([[9]]) | {"attempt_3": [[3]]}, entry([[4]])]}
    assert score_submission(third, [TWO]).kaggle == 0.5
    swapped = {"two": [entry([[4]]), entry([[3]])]}
    assert score_submission(swapped, [TWO]).kaggle == 0
    beyond = {"two": [entry([[9]]), entry([[9]]), entry([[3]])], "four": [entry([[1]])]}
    assert score_submission(beyond, [TWO]).kaggle == 0


@pytest.mark.parametrize(
    "grid", [[[1.0, 2]], [[True, 2]], [["1", 2]], [[1, 2], []], [[[1], [2]]], [[1]], [[1, 2]] * 2]
)
def test_only_the_very_grid_is_right(grid):
    assert score_submission({"one": [{"attempt_1": grid, "attempt_2": None}]}, [ONE]).solved == 0
    assert score_submission({"one": [{"attempt_1": [[1, 2]], "attempt_2": grid}]}, [ONE]).solved == 1


def test_a_set_without_solutions_cannot_be_scored():
    blind = Task.from_dict({**ONE.to_dict(), "test": [{"input": [[1]]}]}, task_id="blind")
    assert validate_submission({"blind": [entry([[1]])]}, [blind]) == []
    with pytest.raises(TaskError, match=r"1 of them without a test output \(blind\)"):
        score_submission({}, [ONE, blind])


def test_a_submission_is_written_whole(tmp_path):
    path = tmp_path / "made" / "submission.json"
    write_submission(path, GOOD)
    assert read_submission(path) == GOOD
    with pytest.raises(ValueError, match="JSON"):
        write_submission(path, {"one": np.nan})
    assert read_submission(path) == GOOD
    assert os.listdir(path.parent) == ["submission.json"]


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "submission.json"
    path.write_text('{"one": [], "one": []}')
    with pytest.raises(TaskError, match="the name one stands in one object twice"):
        read_submission(path)
    path.write_text("{")
    with pytest.raises(TaskError, match="cannot be read as a submission"):
        read_submission(path)
