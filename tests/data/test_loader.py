import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, write, write_layout
from task_strategies import tasks

from arcgym.data import TaskLoader
from arcgym.data.loader import source_splits
from arcgym.errors import ConfigError, TaskError

GOOD = '{"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}'
BROKEN = (
    "",
    "{",
    "[]",
    "null",
    "NaN",
    "[" * 100_000,
    GOOD.replace("[[1]]", "[[NaN]]"),
    GOOD.replace("[[1]]", "[[1.0]]"),
    GOOD.replace("[[1]]", "[[true]]"),
    GOOD.replace("[[1]]", "[[1], [1, 2]]"),
    GOOD.replace("[[3]]", "[[10]]"),
    GOOD.replace("[[1]]", "[[" + "9" * 5000 + "]]"),
    GOOD.replace('"test"', '"train"'),
    GOOD + GOOD,
)


@pytest.mark.property(1)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(tasks(max_side=3), min_size=1, max_size=6, unique_by=lambda task: task.task_id),
    st.dictionaries(st.text("ghijk", min_size=8, max_size=8), st.sampled_from(BROKEN), max_size=3),
    st.sampled_from([*LAYOUTS, "single"]),
    st.integers(0, 6),
)
def test_every_task_pair_and_cell_comes_back_once_and_every_bad_file_is_reported(good, bad, layout, cut):
    with tempfile.TemporaryDirectory() as name:
        written = write_layout(Path(name), "flat" if layout == "single" else layout, good, bad, cut)
        sources = [str(file) for file in sorted(Path(name).iterdir())] if layout == "single" else [written.source]
        loaded = {}
        for source in sources:
            for split in source_splits(source):
                loader = TaskLoader(num_train=100)
                loaded[split] = loaded.get(split, []) + loader.load(source, split, on_error="report")
                expected = {f for f in written.bad[split] if layout != "single" or source.endswith(f"/{f}")}
                assert {report.name for report in loader.reports if report.problems} == expected
                assert all(any(problem.startswith(f"{f}: ") for problem in loader.problems) for f in expected)
                if expected:
                    with pytest.raises(TaskError) as caught:
                        TaskLoader(num_train=100).load(source, split)
                    assert all(problem in str(caught.value) for problem in loader.problems)
                else:
                    again = TaskLoader(num_train=100).load(source, split)
                    assert again == TaskLoader(num_train=100).load(source, split, on_error="report")
        assert {split: [(task.task_id, task.to_dict()) for task in part] for split, part in loaded.items()} == {
            split: [(task.task_id, task.to_dict()) for task in part] for split, part in written.tasks.items()
        }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"train": [\n  1,,', "bad.json: line 2, column 5: Expecting value; write valid JSON"),
        ("", "bad.json: line 1, column 1: Expecting value"),
        (GOOD.replace('"test"', '"train"'), 'the key "train" appears twice'),
        ("[" * 100_000, "bad.json: maximum recursion depth"),
        (GOOD.replace("[[3]]", "[[3, 10]]"), "bad.json: test pair 0, input, row 0, column 1: int 10 is out of range"),
        (GOOD.replace("[[3]]", "[[NaN]]"), "bad.json: test pair 0, input, row 0, column 0: float nan"),
    ],
)
def test_a_bad_file_is_described(tmp_path, text, expected):
    write(tmp_path, {"bad.json": text, "good.json": GOOD})
    loader = TaskLoader()
    with pytest.raises(TaskError) as caught:
        loader.load(tmp_path)
    assert expected in str(caught.value)
    assert "good.json" not in str(caught.value)
    assert [task.task_id for task in loader.load(str(tmp_path), on_error="report")] == ["good"]
    assert any(expected in problem for problem in loader.problems)
    with pytest.raises(ConfigError):
        loader.load(tmp_path, "evaluation")
    assert loader.problems == []  # of the last load, not of an earlier one
    (tmp_path / "bad.json").unlink()
    loader.load(tmp_path)
    assert loader.problems == []


def test_all_problems_of_all_files_come_in_one_error(tmp_path):
    write(tmp_path, {"a.json": GOOD.replace("1", "11").replace("3", "33"), "b.json": "{", "c.json": GOOD})
    with pytest.raises(TaskError) as caught:
        TaskLoader().load(tmp_path)
    lines = str(caught.value).splitlines()
    assert "3 problems" in lines[0]
    assert [line.split(":")[0].strip(" -") for line in lines[1:]] == ["a.json", "a.json", "b.json"]


def test_files_that_are_not_utf8_or_not_readable_are_reported(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"train": "\xff"}')
    write(tmp_path, {"bom.json": "\ufeff" + GOOD})
    loader = TaskLoader()
    assert [task.task_id for task in loader.load(tmp_path, on_error="report")] == ["bom"]
    assert "a.json: byte 11: invalid start byte; save the file as UTF-8" in loader.problems[0]
    if os.geteuid():
        (tmp_path / "bom.json").chmod(0)
        loader.load(tmp_path, on_error="report")
        assert "bom.json: Permission denied" in loader.problems[1]


def test_a_task_name_is_used_once_in_a_set(tmp_path):
    write(tmp_path / "flat", {"a.JSON": GOOD, "a.json": GOOD, "notes.txt": "no task"})
    loader = TaskLoader()
    assert [task.task_id for task in loader.load(tmp_path / "flat", on_error="report")] == ["a"]
    assert loader.problems == ["a.json: there is another task 'a' in a.JSON; rename one or remove it"]

    write(tmp_path / "split", {"training/a.json": GOOD, "evaluation/a.json": GOOD, "evaluation/b.json": GOOD})
    for split, other in (("train", "evaluation"), ("evaluation", "training")):
        with pytest.raises(TaskError, match=f"there is another task 'a' in {other}/a.json"):
            TaskLoader().load(tmp_path / "split", split)


def test_a_file_beside_the_folders_of_the_splits_is_reported(tmp_path):
    write(tmp_path, {"training/a.json": GOOD, "evaluation/b.json": GOOD, "c.json": GOOD})
    with pytest.raises(TaskError, match=r"c\.json: lies beside"):
        TaskLoader().load(tmp_path)
    assert len(TaskLoader().load(tmp_path, on_error="report")) == 1


def test_splits_of_a_folder(tmp_path):
    write(tmp_path / "flat", {"a.json": GOOD})
    write(tmp_path / "official", {"data/training/a.json": GOOD, "data/evaluation/b.json": GOOD})
    write(tmp_path / "half", {"evaluation/b.json": GOOD})
    assert source_splits(tmp_path / "flat") == ("train",)
    assert source_splits(tmp_path / "official" / "data") == ("train", "evaluation")
    assert source_splits(tmp_path / "half") == ("evaluation",)
    assert TaskLoader().load(tmp_path / "official/data", "evaluation")[0].source == str(tmp_path / "official/data")
    with pytest.raises(ConfigError, match="has no split 'evaluation', only 'train'"):
        TaskLoader().load(tmp_path / "flat", "evaluation")
    with pytest.raises(ConfigError, match="has no split 'train', only 'evaluation'"):
        TaskLoader().load(tmp_path / "half")
    assert [task.file for task in TaskLoader().load(tmp_path / "official")] == ["data/training/a.json"]
    write(tmp_path / "empty", {"training/notes.txt": "no task"})
    with pytest.raises(ConfigError, match="there is no task in"):
        TaskLoader().load(tmp_path / "empty")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "arc-agi1"}, "Did you mean 'arc-agi-1'"),
        ({"source": "Synthetic"}, "Did you mean 'synthetic'"),
        ({"source": "no/such/folder"}, "neither a set .* nor an existing folder"),
        ({"source": "arc-agi-1", "split": "training"}, "'train' or 'evaluation'.* Did you mean 'train'"),
        ({"source": "arc-agi-1", "on_error": "ignore"}, "must be 'raise' or 'report'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TaskLoader().load(**arguments)


def test_a_path_is_no_name(tmp_path, monkeypatch):
    write(tmp_path, {"synthetic/mine.json": GOOD})
    monkeypatch.chdir(tmp_path)
    assert [task.task_id for task in TaskLoader().load(Path("synthetic"))] == ["mine"]
    assert [task.task_id for task in TaskLoader().load("./synthetic")] == ["mine"]
