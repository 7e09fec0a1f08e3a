import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from task_strategies import grids, tasks

from arcgym.data import Pair, Task, task_problems
from arcgym.errors import TaskError

GOOD = {"train": [{"input": [[1, 2]], "output": [[3]]}], "test": [{"input": [[4]]}]}


@given(tasks())
def test_a_task_survives_json_and_pickle(task):
    again = Task.from_dict(json.loads(json.dumps(task.to_dict())), task_id=task.task_id, source=task.source)
    assert again == task
    assert hash(again) == hash(task)
    for copied in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert copied == task
        grids_of = [grid for pair in copied.train + copied.test for grid in (pair.input, pair.output)]
        assert not any(grid.flags.writeable for grid in grids_of if grid is not None)


@given(grids(4), grids(4))
def test_pairs_are_equal_when_their_grids_are(a, b):
    assert Pair(a, b) == Pair(a.tolist(), b.tolist())
    assert Pair(a, None) == Pair(a, None)
    assert Pair(a, None) != Pair(a, b)
    assert (Pair(a, b) == Pair(b, a)) == (a.tolist() == b.tolist())
    assert Pair(a, b) != "pair"


def test_the_content_hash_is_of_the_grids_alone():
    task = Task.from_dict(GOOD, task_id="a")
    assert task.content_hash == Task.from_dict(GOOD, task_id="b", source="s", family="f", program="p").content_hash
    assert task.content_hash == "5e4a3ddddbea08ed6b4683a0676546e27b5adaa562b85d464e017373441bda13"
    moved = {"train": GOOD["train"], "test": [{"input": [[4]], "output": [[4]]}]}
    assert task.content_hash != Task.from_dict(moved, task_id="a").content_hash


def test_plain_ints_come_out():
    cell = Task.from_dict(GOOD, task_id="a").to_dict()["train"][0]["input"][0][0]
    assert type(cell) is int
    assert "output" not in Task.from_dict(GOOD, task_id="a").to_dict()["test"][0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: [], ["a list is not a task"]),
        (lambda t: None, ["a NoneType is not a task"]),
        (lambda t: {}, ['"train" is missing', '"test" is missing']),
        (lambda t: {**t, "train": []}, ['"train" holds no pair']),
        (lambda t: {**t, "test": {}}, ['"test" is a dict']),
        (lambda t: {**t, "train": [[1], *t["train"]]}, ["train pair 0, a list is not a pair"]),
        (lambda t: {**t, "train": [{"input": [[1]]}]}, ["train pair 0, output is missing"]),
        (lambda t: {**t, "train": [{"input": [[1]], "output": None}]}, ["train pair 0, output is missing"]),
        (lambda t: {**t, "test": [{"output": [[1]]}]}, ["test pair 0, input is missing"]),
        (
            lambda t: {**t, "test": [*t["test"], {"input": [[4]], "outputs": [[1]]}]},
            ['test pair 1, unknown key "outputs"; did you mean "output"?'],
        ),
        (lambda t: {**t, "tests": []}, ['unknown key "tests"; did you mean "test"?']),
        (
            lambda t: {"train": [{"input": [[1, 99]], "output": [[True]]}], "test": [{"input": [[2, 2], [2]]}]},
            [
                "train pair 0, input, row 0, column 1: int 99",
                "train pair 0, output, row 0, column 0: bool True",
                "test pair 0, input, row 1: 1 columns",
            ],
        ),
    ],
)
def test_every_problem_is_listed_with_its_place(change, expected):
    obj = change(copy.deepcopy(GOOD))
    problems = task_problems(obj)
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)
    with pytest.raises(TaskError) as caught:
        Task.from_dict(obj, task_id="abc")
    assert "task 'abc'" in str(caught.value)
    assert all(problem in str(caught.value) for problem in problems)


def test_foreign_keys_are_ignored():
    obj = {**GOOD, "name": "x", "train": [{**GOOD["train"][0], "id": 7}]}
    assert Task.from_dict(obj, task_id="a") == Task.from_dict(GOOD, task_id="a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", (), (Pair([[1]], None),)), "train holds no pair"),
        (("a", (Pair([[1]], [[2]]),), ()), "test holds no pair"),
        (("a", (Pair([[1]], None),), (Pair([[1]], None),)), "train pair 0 has no output"),
        (("", (Pair([[1]], [[2]]),), (Pair([[1]], None),)), "no name"),
    ],
)
def test_no_bad_task_can_be_built_by_hand(arguments, message):
    with pytest.raises(TaskError, match=message):
        Task(*arguments)


def test_no_bad_pair_can_be_built_by_hand():
    with pytest.raises(TaskError, match="row 0, column 0"):
        Pair([[10]], None)
    pair = Pair([[1]], np.array([[2]]))
    with pytest.raises(ValueError, match="read-only"):
        pair.output[0, 0] = 3
