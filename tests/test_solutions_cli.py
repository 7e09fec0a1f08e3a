import json

import pytest
from datasets import load_from_disk

from arcgym.cli import main
from arcgym.solutions import SolutionDatabase

FLIP = "import numpy as np\ndef transform(grid):\n    return np.fliplr(grid)\n"
LONG = FLIP.replace("return", "grid = grid + 0\n    return")
TASK = {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]], "output": [[4, 3]]}]}


@pytest.fixture
def place(tmp_path, capsys):
    """A folder with two tasks in `tasks` and the solutions of `theirs.jsonl` in `a.db`."""
    (tmp_path / "tasks").mkdir()
    for name, test in (("flip", [[3, 4]]), ("same", [[5, 5]])):
        task = TASK | {"test": [{"input": test, "output": [test[0][::-1]]}]}
        (tmp_path / "tasks" / f"{name}.json").write_text(json.dumps(task))
    entries = [("flip", LONG), ("flip", FLIP), ("same", FLIP), ("flip", "def transform(grid):\n    return grid\n")]
    lines = [json.dumps({"task_id": name, "source": source}) for name, source in entries]
    (tmp_path / "theirs.jsonl").write_text("\n".join([*lines, "{"]))
    command = ["solutions", "import", f"{tmp_path}/a.db", f"{tmp_path}/theirs.jsonl", "--tasks", f"{tmp_path}/tasks"]
    assert main([*command, "--policy", "them", "--keep-failed", "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "4 programs, 3 right, 1 wrong, 1 lines refused, 0 of unknown tasks; 4 new or better\n" in printed.out
    assert "theirs.jsonl: line 5: no JSON" in printed.err
    return tmp_path


def run(capsys, *words):
    assert main(["solutions", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def test_list_prints_the_best_first_and_filters(capsys, place):
    lines = [line.split() for line in run(capsys, "list", place / "a.db")]
    assert sorted((line[0], line[2]) for line in lines[:2]) == [("flip", "2/2"), ("same", "2/2")]  # the short ones
    assert [(line[0], line[2]) for line in lines[2:]] == [("flip", "2/2"), ("flip", "0/2")]
    assert all("them" in line for line in lines)
    assert len(run(capsys, "list", place / "a.db", "--task", "flip", "--solved")) == 2
    assert len(run(capsys, "list", place / "a.db", "--no-solved", "--policy", "them", "--status", "ok")) == 1
    assert len(run(capsys, "list", place / "a.db", "--per-task", "1")) == 2
    assert len(run(capsys, "list", place / "a.db", "--limit", "3", "--generation", "0", "0")) == 3
    assert len(run(capsys, "list", place / "a.db", "--max-length", "70", "--solved")) == 2
    assert run(capsys, "list", place / "a.db", "--after", "4") == []


def test_show_prints_everything(capsys, place):
    line = next(line.split() for line in run(capsys, "list", place / "a.db", "--task", "same"))
    printed = "\n".join(run(capsys, "show", place / "a.db", line[1], "--task", "same"))
    assert "train 0: right  test 0: right" in printed
    assert f"\n\n{FLIP}\noutput 0\n21\n\noutput 1\n55" in printed
    assert main(["solutions", "show", f"{place}/a.db", line[1]]) == 2
    assert "2 solutions fit. Give more of the hash, or --task ID:\n" in capsys.readouterr().err
    assert main(["solutions", "show", f"{place}/a.db", "zz"]) == 2
    assert "no solution has a hash that begins with 'zz'" in capsys.readouterr().err


def test_rank_shows_each_tasks_best_and_measures(capsys, place):
    rows = [line.split() for line in run(capsys, "rank", place / "a.db", "--top", "1")[1:]]
    assert [(row[0], row[2], row[3]) for row in rows] == [("flip", "100%", "-"), ("same", "100%", "-")]
    measure = ("--measure-views", "4", "--tasks", place / "tasks", "--workers", "1")
    rows = [line.split() for line in run(capsys, "rank", place / "a.db", "--top", "5", *measure)[1:]]
    assert len(rows) == 4 and 0 < float(rows[0][3]) <= 1 and float(rows[2][3]) < 1
    assert main(["solutions", "rank", f"{place}/a.db", "--measure-views", "4"]) == 2
    assert "Add --tasks SET" in capsys.readouterr().err


def test_stats_count(capsys, place):
    lines = run(capsys, "stats", place / "a.db")
    assert lines[1].split()[:4] == ["flip", "3", "2", "2"]
    assert lines[-1] == "4 programs for 2 tasks, 2 of them solved; position 4"


def test_merge_takes_over(capsys, place):
    assert run(capsys, "merge", place / "b.db", place / "a.db", place / "a.db") == [
        f"{place}/a.db: 4 new or better of 4",
        f"{place}/a.db: 0 new or better of 4",
    ]
    with SolutionDatabase(place / "b.db") as merged:
        assert merged.count() == 4


def test_export_by_the_name_of_the_file(capsys, place):
    for name in ("out.jsonl", "out.parquet", "out"):
        assert run(capsys, "export", place / "a.db", place / name, "--solved") == [f"{place}/{name}: 3 solutions"]
    lines = [json.loads(line) for line in (place / "out.jsonl").read_text().splitlines()]
    assert load_from_disk(str(place / "out")).to_list() == lines
    assert main(["solutions", "export", f"{place}/a.db", f"{place}/out.csv"]) == 2
    assert "ends in neither .jsonl nor .parquet" in capsys.readouterr().err


def test_only_what_writes_makes_a_database(capsys, tmp_path):
    for words in (["list"], ["stats"], ["rank"], ["show", "ab"], ["export", "x.jsonl"]):
        assert main(["solutions", words[0], f"{tmp_path}/none.db", *words[1:]]) == 2
        assert "DatabaseError: there is no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main(["solutions", "list", "a.db", "--limit", "0"])
    assert "0 is too few" in capsys.readouterr().err
