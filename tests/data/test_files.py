import functools
import http.server
import json
import os
import threading
import zipfile
from pathlib import Path

import fsspec
import pytest
from layouts import write

from arcgym.data import TaskLoader
from arcgym.data.files import MAX_DEPTH, MAX_FILE_MIB, find_task_files, open_place
from arcgym.data.loader import source_splits
from arcgym.errors import ConfigError, TaskError

GOOD = '{"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}'
LINES = '{"task_id": "x", ' + GOOD[1:] + "\n" + '{"task_id": "y", ' + GOOD[1:] + "\n"
HIDDEN = '{"k": ' + GOOD.replace(', "output": [[4]]', "") + "}"
ANSWERS = '{"k": [[[4]]]}'


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture
def server(tmp_path):
    """A web server on this machine; the address of a folder of `tmp_path`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    (tmp_path / "web").mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "web"))
    ) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def ids(source, split="train", **options):
    return [task.task_id for task in TaskLoader(**options).load(source, split)]


def layout(folder):
    """What is found in a folder: split, family and solutions by name, then the strays, then what is left out."""
    files, strays, left_out = find_task_files(open_place(folder))
    found = {file.name: (file.split, file.family, (file.solutions or [None])[0]) for file in files}
    return found, set(strays), set(left_out)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.json", "a.json"], {"a.json": ("train", "", None), "b.json": ("train", "", None)}),
        (
            ["training/a.json", "evaluation/b.json"],
            {"evaluation/b.json": ("evaluation", "", None), "training/a.json": ("train", "", None)},
        ),
        (
            ["data/training/a.json", "data/evaluation/b.json", "apps/package.json"],
            {"data/evaluation/b.json": ("evaluation", "", None), "data/training/a.json": ("train", "", None)},
        ),
        (
            ["corpus/Copy/Copy1.json", "corpus/Order/Order1.json", "MinimalTasks/CopyMinimal.json"],
            {
                "MinimalTasks/CopyMinimal.json": ("train", "MinimalTasks", None),
                "corpus/Copy/Copy1.json": ("train", "Copy", None),
                "corpus/Order/Order1.json": ("train", "Order", None),
            },
        ),
        (
            ["dataset/1d_fill/1d_fill_0.json", "dataset/1d_flip/1d_flip_0.json"],
            {
                "dataset/1d_fill/1d_fill_0.json": ("train", "1d_fill", None),
                "dataset/1d_flip/1d_flip_0.json": ("train", "1d_flip", None),
            },
        ),
        (["data/MiniARC/a, b_l6a.json"], {"data/MiniARC/a, b_l6a.json": ("train", "MiniARC", None)}),
        (["training/Copy/a.json"], {"training/Copy/a.json": ("train", "Copy", None)}),
        (["metadata.json", "tasks/00d62c1b.json"], {"tasks/00d62c1b.json": ("train", "tasks", None)}),
        (
            [
                "arc-agi_training_challenges.json",
                "arc-agi_training_solutions.json",
                "arc-agi_evaluation_challenges.json",
                "arc-agi_test_challenges.json",
                "sample_submission.json",
            ],
            {
                "arc-agi_evaluation_challenges.json": ("evaluation", "", None),
                "arc-agi_training_challenges.json": ("train", "", "arc-agi_training_solutions.json"),
            },
        ),
        (["arc-agi_test_challenges.json"], {"arc-agi_test_challenges.json": ("evaluation", "", None)}),
        (["my_challenges.json"], {"my_challenges.json": ("train", "", None)}),
        (
            ["train.jsonl", "test.jsonl"],
            {"test.jsonl": ("evaluation", "", None), "train.jsonl": ("train", "", None)},
        ),
        (["my-validation-set.jsonl"], {"my-validation-set.jsonl": ("evaluation", "", None)}),
        ([".git/x.json", "a/.cache/b.json", ".d.json", "c.json", "notes.txt"], {"c.json": ("train", "", None)}),
    ],
)
def test_each_file_of_a_known_layout_has_its_place(tmp_path, names, expected):
    write(tmp_path, dict.fromkeys(names, GOOD))
    found, strays, _ = layout(tmp_path)
    assert found == expected
    assert list(found) == sorted(found)
    assert strays == set()


def test_what_has_no_place_is_named(tmp_path):
    write(tmp_path, {"training/a.json": GOOD, "b.json": GOOD, "c.jsonl": LINES, "old_solutions.json": ANSWERS})
    _, strays, _ = layout(tmp_path)
    assert strays == {"b.json", "c.jsonl", "old_solutions.json"}
    with pytest.raises(TaskError, match=r"old_solutions\.json: lacks its challenges; add 'old_challenges\.json'"):
        TaskLoader().load(tmp_path)


def test_what_is_left_out_is_logged(tmp_path, caplog):
    write(tmp_path, {"metadata.json": "{}", "a.json": GOOD})
    with caplog.at_level("INFO", "arcgym"):
        assert ids(tmp_path) == ["a"]
    assert "left out metadata.json" in caplog.text


def test_links_are_followed_but_not_for_ever(tmp_path):
    write(tmp_path / "elsewhere", {"a.json": GOOD})
    write(tmp_path / "tree", {"b.json": GOOD})
    (tmp_path / "tree/training").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tree/b.json").unlink()
    assert ids(tmp_path / "tree") == ["a"]
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    names = find_task_files(open_place(tmp_path / "elsewhere")).files
    assert len(names) == MAX_DEPTH + 1


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    opened = []

    def open_noted(path, mode):
        opened.append(os.path.basename(path))
        return open(path, mode)

    monkeypatch.setattr("arcgym.data.files.open", open_noted, raising=False)
    write(tmp_path, {"huge.json": "", "good.json": GOOD})
    os.truncate(tmp_path / "huge.json", MAX_FILE_MIB * 2**20 + 1)  # a hole: it takes no space
    loader = TaskLoader()
    assert [task.task_id for task in loader.load(tmp_path, on_error="report")] == ["good"]
    assert loader.problems == [f"huge.json: it is larger than {MAX_FILE_MIB} MiB; divide it into several files"]
    assert opened == ["good.json"]


def test_a_file_whose_size_is_not_known_is_limited_too(monkeypatch, memory):
    memory.pipe("/t/a.json", GOOD.encode() + b" " * 2**20)
    monkeypatch.setattr("arcgym.data.files.MAX_FILE_MIB", 1)
    monkeypatch.setattr(type(memory), "size", lambda self, path: None)
    with pytest.raises(TaskError, match=r"a\.json: it is larger than 1 MiB"):
        TaskLoader().load("memory://t")


def test_addresses_of_folders_and_files(memory, tmp_path):
    for name, text in {"training/a.json": GOOD, "evaluation/b.json": GOOD, "evaluation/bad.json": "{"}.items():
        memory.pipe(f"/set/{name}", text.encode())
    memory.pipe("/set/.git/training/x.json", GOOD.encode())
    memory.pipe("/k/a_challenges.json", HIDDEN.encode())
    memory.pipe("/k/a_solutions.json", ANSWERS.encode())
    assert source_splits("memory://set") == ("train", "evaluation")
    (task,) = TaskLoader().load("memory://set")
    assert (task.task_id, task.source, task.file) == ("a", "memory://set", "training/a.json")
    with pytest.raises(TaskError, match=r"memory://set: 1 problem .*\n  - evaluation/bad.json: line 1, column 2"):
        TaskLoader().load("memory://set", "evaluation")
    (task,) = TaskLoader().load("memory://k/a_challenges.json")
    assert task.test[0].output.tolist() == [[4]]

    write(tmp_path, {"x.jsonl": LINES})
    assert ids(f"file://{tmp_path}") == ids(f"file://{tmp_path}/x.jsonl") == ["x", "y"]
    with zipfile.ZipFile(tmp_path / "re_arc.zip", "w") as archive:
        archive.writestr("re_arc/tasks/e.json", json.dumps([{"input": [[i]], "output": [[i]]} for i in range(9)]))
        archive.writestr("re_arc/metadata.json", "{}")
    (task,) = TaskLoader(num_train=5, num_test=2).load(f"zip://::file://{tmp_path}/re_arc.zip")
    assert [pair.input.item() for pair in (*task.train, *task.test)] == list(range(7))
    assert (len(task.train), task.task_id, task.file) == (5, "e", "re_arc/tasks/e.json")


def test_files_behind_a_web_address(server, tmp_path):
    write(
        tmp_path / "web",
        {"a.json": GOOD, "x.jsonl": LINES, "k_challenges.json": HIDDEN, "k_solutions.json": ANSWERS, "bad.json": "{"},
    )
    assert ids(f"{server}/a.json") == ["a"]
    assert ids(f"{server}/a.json?download=true") == ["a"]
    assert ids(f"{server}/x.jsonl") == ids(f"{server}/x.jsonl?download=true") == ["x", "y"]
    (task,) = TaskLoader().load(f"{server}/k_challenges.json")
    assert task.test[0].output.tolist() == [[4]]
    with pytest.raises(TaskError, match=r"bad\.json: line 1, column 2"):
        TaskLoader().load(f"{server}/bad.json")
    with pytest.raises(ConfigError, match="nor an existing folder or file"):
        TaskLoader().load(f"{server}/none.json")


def test_an_archive_behind_a_web_address(server, tmp_path):
    with zipfile.ZipFile(tmp_path / "web/repo.zip", "w") as archive:
        for name in ("repo-main/data/training/a.json", "repo-main/data/evaluation/b.json"):
            archive.writestr(name, GOOD)
    address = f"zip://repo-main::simplecache::{server}/repo.zip"
    assert source_splits(address) == ("train", "evaluation")
    assert ids(address) == ["a"]
    assert ids(address, "evaluation") == ["b"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nosuch://tasks", "cannot be opened: Protocol not known: nosuch"),
        ("http://127.0.0.1:1/a.json", "neither a set|cannot be reached"),
        ("memory://none", "nor an existing folder or file"),
    ],
)
def test_a_wrong_address_is_explained(address, message):
    with pytest.raises(ConfigError, match=message):
        TaskLoader().load(address)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "tasks", {"a.json": GOOD})
    assert ids("~/tasks") == ids(Path("~/tasks")) == ["a"]
