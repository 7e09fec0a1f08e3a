import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from arcgym.data import TaskLoader
from arcgym.data.contamination import canonical_hash, overlap
from arcgym.data.synthetic import writing
from arcgym.data.synthetic.writing import GeneratorSettings, write_tasks
from arcgym.errors import ConfigError, TaskError

DATA = Path(__file__).parents[2] / "data"
SETTINGS = GeneratorSettings(seed=3, max_side=6)


def test_a_file_is_read_back_with_its_programs(tmp_path):
    written = write_tasks(tmp_path / "deep" / "tasks.jsonl", 20, SETTINGS)
    assert written == (20, 0, written.repeated, 0)
    tasks = TaskLoader().load(tmp_path / "deep" / "tasks.jsonl")
    assert len(tasks) == 20 == len({canonical_hash(task) for task in tasks})
    rows = [json.loads(line) for line in (tmp_path / "deep" / "tasks.jsonl").read_text().splitlines()]
    assert all(row["depth"] == row["family"].count("+") + 1 and 0 <= row["difficulty"] <= 1 for row in rows)
    assert all(task.program and task.family for task in tasks)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["tasks.jsonl"]


def test_the_same_settings_give_the_same_file_and_a_longer_one_goes_on(tmp_path):
    for name, n in (("a", 15), ("b", 15), ("c", 25)):
        write_tasks(tmp_path / name, n, SETTINGS)
    short = (tmp_path / "a").read_text()
    assert short == (tmp_path / "b").read_text()
    assert (tmp_path / "c").read_text().startswith(short)


@pytest.mark.parametrize("torn", ["", '{"task_id":"syn-3-0000'])
def test_a_call_that_was_cut_off_is_taken_up(tmp_path, monkeypatch, torn):
    whole = tmp_path / "whole.jsonl"
    write_tasks(whole, 40, SETTINGS)
    monkeypatch.setattr(writing, "_CHUNK", 8)
    append, calls = writing._Part.append, []

    def cut_off(self, rows):
        append(self, rows)
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(writing._Part, "append", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write_tasks(tmp_path / "cut.jsonl", 40, SETTINGS)
    assert not (tmp_path / "cut.jsonl").exists()
    with (tmp_path / "cut.jsonl.part").open("a") as file:
        file.write(torn)
    written = write_tasks(tmp_path / "cut.jsonl", 40, SETTINGS)
    assert written.resumed == 24
    assert (tmp_path / "cut.jsonl").read_text() == whole.read_text()


def test_a_part_of_other_settings_is_not_mixed_in(tmp_path):
    (tmp_path / "tasks.jsonl.part").write_text("{}\n")
    with pytest.raises(ConfigError, match="was begun with other settings"):
        write_tasks(tmp_path / "tasks.jsonl", 5, SETTINGS)


def test_repeated_and_known_tasks_are_passed_over(tmp_path):
    few = GeneratorSettings(seed=0, families=("flip_lr",), max_depth=1, max_side=3, pairs=(1, 1))
    write_tasks(tmp_path / "few.jsonl", 5, few)
    known = TaskLoader().load(tmp_path / "few.jsonl")
    written = write_tasks(tmp_path / "others.jsonl", 5, few, leave_out=known)
    assert written.known >= 5
    others = {canonical_hash(task) for task in TaskLoader().load(tmp_path / "others.jsonl")}
    assert len(others) == 5
    assert not others & {canonical_hash(task) for task in known}


def test_settings_that_give_too_few_tasks_end_with_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_MOST_REPEATED", 1)
    few = GeneratorSettings(families=("flip_lr",), max_depth=1, max_side=3, pairs=(1, 1))
    write_tasks(tmp_path / "known.jsonl", 40, few)
    with pytest.raises(TaskError, match="gave only 0 different tasks of 5"):
        write_tasks(tmp_path / "few.jsonl", 5, few, leave_out=TaskLoader().load(tmp_path / "known.jsonl"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_depth": 4}, "1, 2 or 3"),
        ({"composed_share": 1.5}, r"\[0, 1\]"),
        ({"max_side": 31}, r"\[3, 30\]"),
        ({"pairs": (3, 2)}, "has to rise"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        GeneratorSettings(**wrong)


def test_unknown_families_and_no_tasks_are_refused(tmp_path):
    with pytest.raises(TaskError, match="Unknown synthetic families"):
        write_tasks(tmp_path / "tasks.jsonl", 1, GeneratorSettings(families=("no_such",)))
    with pytest.raises(ConfigError, match="at least 1"):
        write_tasks(tmp_path / "tasks.jsonl", 0, SETTINGS)


def test_the_shipped_set_is_what_its_card_says(tmp_path):
    for name, n, seed in (("train", 200, 7), ("evaluation", 50, 8)):
        write_tasks(tmp_path / f"{name}.jsonl", n, GeneratorSettings(seed=seed))
        assert (tmp_path / f"{name}.jsonl").read_text() == (DATA / f"{name}.jsonl").read_text()
    train, evaluation = (TaskLoader().load(DATA / f"{name}.jsonl", name) for name in ("train", "evaluation"))
    assert not [found for found in overlap(train, evaluation) if found.kind != "part"]
    for split in ("train", "evaluation"):
        assert overlap(TaskLoader().load("arc-agi-1", split), train + evaluation) == []


def test_the_shipped_set_loads_without_arcgym(tmp_path):
    loaded = datasets.load_dataset(str(DATA), cache_dir=str(tmp_path))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 200, "evaluation": 50}
    assert loaded["train"][0]["train"][0]["input"][0] == [0, 0, 2, 0, 0, 2, 0, 0, 2, 1, 1]
    script = (
        f"import sys, datasets; d = datasets.load_dataset({str(DATA)!r}, cache_dir={str(tmp_path / 'other')!r}); "
        "print(d['train'].num_rows, 'arcgym' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["200", "False"]
