import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from arcgym.cli import main
from arcgym.data import TaskLoader
from arcgym.data.drawing import task_png, task_svg

ROOT = Path(__file__).parents[1]
GOOD = {"train": [{"input": [[1, 2]], "output": [[3]]}], "test": [{"input": [[4]], "output": [[5]]}, {"input": [[6]]}]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "abc.json").write_text(json.dumps(GOOD))
    return tmp_path


def test_list_prints_one_line_per_task(capsys, folder):
    assert main(["tasks", "list", str(folder)]) == 0
    assert capsys.readouterr().out == "abc  train       1 train  2 test  1x2→1x1\n"
    assert main(["tasks", "list", "arc-agi-1", "--split", "evaluation"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 400


def test_show_prints_digits_where_stdout_is_no_terminal(capsys, folder):
    assert main(["tasks", "show", "abc", "--source", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "train 0, input 1x2    train 0, output 1x1\n12                    3\n" in printed
    assert "test 0, input 1x1    test 0, output ?\n4                    ?\n" in printed
    assert main(["tasks", "show", "abc", "--source", str(folder), "--answers"]) == 0
    printed = capsys.readouterr().out
    assert "test 0, input 1x1    test 0, output 1x1\n4                    5\n" in printed
    assert "test 1, input 1x1    test 1, output ?\n6                    ?\n" in printed


def test_show_searches_the_named_sets(capsys):
    assert main(["tasks", "show", "007bbfb7"]) == 0
    assert capsys.readouterr().out.startswith("007bbfb7  (arc-agi-1)\n\ntrain 0, input 3x3 ")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_show_uses_colour_in_a_terminal_unless_refused(folder, no_color, coloured):
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "arcgym.cli", "tasks", "show", "abc", "--source", str(folder)]
    env = {**os.environ, "NO_COLOR": no_color, "PYTHONPATH": str(ROOT)}
    with open(controller, "rb", buffering=0) as screen:
        subprocess.run(command, stdout=terminal, env=env, check=True)
        os.close(terminal)
        printed = screen.read(4096)
    assert (b"\x1b[48;2;0;116;217m  " in printed) == coloured
    assert (b"\r\n12   " in printed) != coloured


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {"a", "b", "c"}),
        (["--max-side", "2"], {"a"}),
        (["--min-side", "3"], {"b", "c"}),
        (["--min-side", "3", "--max-side", "3"], {"b"}),
        (["--max-colours", "2"], {"a"}),
        (["--min-colours", "4"], {"c"}),
        (["--min-train", "2"], {"b"}),
        (["--max-train", "1"], {"a", "c"}),
        (["--min-test", "2"], {"a"}),
        (["--max-test", "1"], {"b", "c"}),
        (["--same-size"], {"a"}),
        (["--no-same-size"], {"b", "c"}),
        (["--family", "Copy"], {"b"}),
        (["--split", "train"], {"a", "b", "c"}),
        (["--same-size", "--min-side", "3"], set()),
    ],
)
def test_list_filters(capsys, tmp_path, filters, expected):
    tasks = {
        "a": ([([[1, 2]], [[2, 1]])], [([[1], [2]], [[2], [1]]), ([[1]], None)]),
        "Copy/b": ([([[1]], [[1]]), ([[1, 2, 3]], [[1]])], [([[1]], None)]),
        "c": ([([[1, 2], [3, 4]], [[0] * 5])], [([[1]], [[1]])]),
    }
    for name, (train, test) in tasks.items():
        pairs = [[{"input": i, "output": o} for i, o in part] for part in (train, test)]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(zip(("train", "test"), pairs, strict=True))))
    assert main(["tasks", "list", str(tmp_path), *filters]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == expected


def test_list_names_the_set_where_there_are_several(capsys, folder):
    assert main(["tasks", "list", str(folder), "arc-agi-1@2019", "--max-side", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{folder}  abc  train       1 train  2 test  1x2→1x1"]


def test_show_draws_into_files(capsys, folder, tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    assert main(["tasks", "show", "abc", "--source", str(folder), "--svg", str(svg), "--png", str(png)]) == 0
    assert capsys.readouterr().out == f"{svg}\n{png}\n"
    (task,) = TaskLoader().load(folder)
    assert svg.read_text() == task_svg(task, answers=False)
    assert png.read_bytes() == task_png(task, answers=False)
    assert main(["tasks", "show", "abc", "--source", str(folder), "--svg", str(svg), "--answers"]) == 0
    assert svg.read_text() == task_svg(task, answers=True) != task_svg(task, answers=False)
    assert main(["tasks", "show", "abc", "--source", str(folder), "--png", str(tmp_path / "no/a.png")]) == 2
    assert "no/a.png' cannot be written: No such file or directory" in capsys.readouterr().err


def cells(table):
    """The rows of a table, as lists of texts."""
    return [[cell.strip() for cell in line.strip("│┃").split("│")] for line in table.splitlines() if line[0] in "│┃"]


def test_check_counts_what_it_found(capsys, folder):
    assert main(["tasks", "check", str(folder)]) == 0
    assert cells(capsys.readouterr().out)[1:] == [["train", "1", "1", "1", "2", "1", "1 to 2", "0"]]
    assert main(["tasks", "check", "arc-agi-2"]) == 0
    assert cells(capsys.readouterr().out)[1:] == [
        ["train", "1", "1000", "3232", "1076", "1076", "1 to 30", "0"],
        ["evaluation", "1", "120", "359", "167", "167", "1 to 30", "0"],
    ]


def test_check_lists_every_problem_of_every_file_once(capsys, tmp_path):
    for name in ("training/abc", "evaluation/def"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.json").write_text(json.dumps(GOOD))
    (tmp_path / "training/bad.json").write_text('{"train": [{"input": [[1, 2.5], [3]], "output": 4}]}')
    (tmp_path / "stray.json").write_text("{}")
    problems = {}
    for split in ("train", "evaluation"):
        loader = TaskLoader()
        loader.load(tmp_path, split, on_error="report")
        problems |= dict.fromkeys(loader.problems)
    assert main(["tasks", "check", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert [": ".join(row) for row in cells(printed.out)[4:]] == list(problems)
    assert len(problems) == 5
    assert printed.err.startswith(f"TaskError: {tmp_path}: 5 problems in 2 files ")
    assert main(["tasks", "check", str(tmp_path), "--split", "evaluation"]) == 2
    assert "1 problem in 1 file " in capsys.readouterr().err


def test_check_reads_loose_cells_where_that_is_wanted(capsys, folder):
    (folder / "mini.json").write_text(json.dumps(GOOD).replace("[1, 2]", '["1", null]'))
    assert main(["tasks", "check", str(folder)]) == 2
    assert "1 without quotes" in capsys.readouterr().out
    assert main(["tasks", "check", str(folder), "--loose-cells"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tasks", "check", "arcagi1"], "ConfigError: 'arcagi1' is neither .* Did you mean 'arc-agi-1'"),
        (["tasks", "show", "abd", "--source", "{folder}"], "ConfigError: there is no task 'abd' .* Did you mean abc"),
        (["tasks", "show", "zzzz", "--source", "{folder}"], "`arcgym tasks list SET` prints the names"),
        (["tasks", "list", "{folder}", "--split", "evaluation"], "ConfigError: .* has no split 'evaluation'"),
    ],
)
def test_an_error_is_one_message_without_traceback(capsys, folder, arguments, message):
    assert main([argument.format(folder=folder) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert re.search(message, printed.err)
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_show_still_works_beside_bad_files(capsys, folder):
    (folder / "bad.json").write_text("{")
    assert main(["tasks", "show", "abc", "--source", str(folder)]) == 0


def test_overlap_lists_shared_tasks(capsys):
    assert main(["tasks", "overlap", "arc-agi-2/evaluation", "arc-agi-1/evaluation"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "7 tasks overlap: 6 identical, 0 copy, 1 part"
    assert len(lines) >= 8


def test_difficulty_sorts_tasks_into_bands(capsys):
    assert main(["tasks", "difficulty", "arc-agi-1", "--split", "train", "--bands", "3"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:401]]
    scores = [float(row[2]) for row in rows]
    assert {row[1] for row in rows} == {"0", "1", "2"}
    assert all(0 <= score <= 1 for score in scores)


def test_tokens_are_counted_by_encoding(capsys, folder):
    assert main(["tasks", "tokens", str(folder), "--encoding", "digits", "spaced", "--budget", "500"]) == 0
    printed = capsys.readouterr().out
    digits, spaced = (next(line for line in printed.splitlines() if name in line) for name in ("digits", "spaced"))
    assert "100%" in digits and int(digits.split("│")[5]) < int(spaced.split("│")[5])


def test_generate_writes_tasks_and_says_how_many(capsys, tmp_path):
    words = ["tasks", "generate", "--out", str(tmp_path / "new.jsonl"), "--n", "5", "--seed", "1", "--depth", "1"]
    assert main(words) == 0
    assert "new.jsonl: 5 tasks, 0 of them from an earlier call" in capsys.readouterr().out
    assert len(TaskLoader().load(tmp_path / "new.jsonl")) == 5
