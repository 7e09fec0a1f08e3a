"""The command `arcgym report`, from the command line to the files."""

import json
import sys

import pytest

from arcgym.cli import main
from arcgym.evaluation import EvaluationReport, TaskRecord, aggregate

PROGRAM = "def transform(grid):\n    return grid\n"


@pytest.fixture
def run(tmp_path):
    """A run directory with one evaluation, of tasks that are nowhere."""
    records = tuple(
        TaskRecord(f"task-{i}", i == 0, ((i == 0,),), 4, 0, 4, i, 2 * (i == 0), 1, {"ok": 4}, PROGRAM, "", (i == 0,))
        for i in range(3)
    )
    figures = aggregate(records, 4) | {"dataset_hash": "d" * 64}
    EvaluationReport("nowhere/train", figures, {"num_samples": 4}, records).save(
        tmp_path / "run" / "eval" / "set.json"
    )
    return tmp_path / "run"


def test_the_page_goes_into_the_run(run, capsys):
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert "task-2" in (run / "report.html").read_text()


def test_the_page_and_its_figures_go_where_they_are_told(run, tmp_path, capsys):
    page, folder = tmp_path / "there" / "page.html", tmp_path / "figures"
    words = [
        "report",
        str(run),
        "--output",
        str(page),
        "--figures",
        str(folder),
        "--format",
        "png",
        "--max-tasks",
        "1",
    ]
    assert main(words) == 0
    assert not (run / "report.html").exists()
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".png"] * len(files)
    assert "solved-by-set.png" in [file.name for file in files]
    assert sorted(capsys.readouterr().out.splitlines()) == sorted([str(page), *map(str, files)])
    assert page.read_text().count("<article") == 1


def test_runs_are_compared(run, tmp_path, capsys):
    other = tmp_path / "other"
    (other / "eval").mkdir(parents=True)
    (other / "eval" / "set.json").write_text((run / "eval" / "set.json").read_text())
    assert main(["report", str(run), str(other)]) == 2
    assert "ConfigError: a report of several runs" in capsys.readouterr().err
    assert main(["report", str(run), str(other), "--output", str(tmp_path / "both.html")]) == 0
    assert "Runs side by side" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (lambda run: None, ["--max-tasks", "-1"], "`--max-tasks` is -1"),
        (lambda run: (run / "summary.json").write_text(json.dumps([1])), [], "summary.json is damaged"),
        (lambda run: (run / "eval" / "set.json").unlink(), [], "is not a run"),
        (lambda run: (run / "file").touch(), ["--output", "FILE/page.html"], "cannot be written"),
        (lambda run: (run / "file").touch(), ["--figures", "FILE/figures"], "cannot be written to"),
    ],
)
def test_what_a_user_can_fix_is_one_message(run, capsys, change, words, message):
    change(run)
    assert main(["report", str(run), *(word.replace("FILE", str(run / "file")) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_the_command_line_knows_nothing_heavy():
    """Reading the arguments needs no Matplotlib; `arcgym --help` stays quick."""
    import subprocess

    code = "import sys, arcgym.cli; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
