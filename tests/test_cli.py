import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import arcgym.sandbox
from arcgym.cli import main
from arcgym.data import TaskLoader

ROOT = Path(__file__).parents[1]
GOOD = {"train": [{"input": [[1, 2]], "output": [[3]]}], "test": [{"input": [[4]], "output": [[5]]}, {"input": [[6]]}]}


class FakeLayer(NamedTuple):
    name: str
    active: bool
    guarantee: str
    remedy: str


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "abc.json").write_text(json.dumps(GOOD))
    return tmp_path


def test_env_prints_versions_and_what_the_sandbox_reports(capsys):
    assert main(["env"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^python +3\.\d+\.\d+", printed, re.MULTILINE)
    for library in ("arcgym", "torch", "trl", "datasets"):
        assert re.search(rf"^{library} +\d+\.\d+", printed, re.MULTILINE)
    for layer in arcgym.sandbox.describe_layers():
        assert re.search(
            rf"^  {'active' if layer.active else 'absent'} [* ] {re.escape(layer.name)} ", printed, re.MULTILINE
        )
    assert printed.endswith("Every required layer is active: CodeSandbox starts here.\n")


def test_env_says_how_to_get_an_absent_layer(capsys, monkeypatch):
    layers = [
        FakeLayer("seccomp", True, "no sockets", "unused"),
        FakeLayer("landlock", False, "no files", "Linux 5.13"),
    ]
    monkeypatch.setattr(arcgym.sandbox, "describe_layers", lambda: layers)
    assert main(["env"]) == 0
    printed = capsys.readouterr().out
    assert "active * seccomp     no sockets" in printed
    assert "absent * landlock    no files" in printed
    assert "  to have it: Linux 5.13" in printed
    assert "unused" not in printed
    assert "lacks required layers here: landlock (no files). To have it: Linux 5.13" in printed


def test_env_names_the_command_for_a_missing_library(capsys, monkeypatch):
    monkeypatch.setattr("arcgym.cli._LIBRARIES", ("arcgym", "no-such-library"))
    assert main(["env"]) == 0
    assert 'no-such-library missing; pip install "no-such-library"' in " ".join(capsys.readouterr().out.split())


def test_list_prints_one_line_per_task(capsys, folder):
    assert main(["tasks", "list", str(folder)]) == 0
    assert capsys.readouterr().out == "abc  train       1 train  2 test  1x2→1x1\n"
    assert main(["tasks", "list", "arc-agi-1", "--split", "evaluation"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 400


def test_show_prints_digits_where_stdout_is_no_terminal(capsys, folder):
    assert main(["tasks", "show", "abc", "--source", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "train 0, input 1x2\n12\ntrain 0, output 1x1\n3\n" in printed
    assert "test 0, input 1x1\n4\n\ntest 1, input 1x1\n6\n" in printed
    assert "test 0, output" not in printed
    assert main(["tasks", "show", "abc", "--source", str(folder), "--answers"]) == 0
    assert "test 0, output 1x1\n5\n" in capsys.readouterr().out


def test_show_searches_the_named_sets(capsys):
    assert main(["tasks", "show", "007bbfb7"]) == 0
    assert capsys.readouterr().out.startswith("007bbfb7  (arc-agi-1)\n\ntrain 0, input 3x3\n077\n777\n077\n")


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
    assert (b"\r\n12\r\n" in printed) != coloured


def test_check_passes_good_files(capsys, folder):
    assert main(["tasks", "check", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}, train: 1 tasks, no problem\n"


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


def test_check_lists_every_problem(capsys, folder):
    (folder / "bad.json").write_text('{"train": [{"input": [[1, 2.5], [3]], "output": 4}]}')
    with pytest.raises(Exception) as caught:
        TaskLoader().load(folder)
    assert main(["tasks", "check", str(folder)]) == 2
    assert capsys.readouterr().err == f"TaskError: {caught.value}\n"
    assert str(caught.value).count("bad.json: ") == 4


def test_show_still_works_beside_bad_files(capsys, folder):
    (folder / "bad.json").write_text("{")
    assert main(["tasks", "show", "abc", "--source", str(folder)]) == 0


def test_the_command_is_installed_and_survives_a_closed_pipe():
    command = f"{sys.executable} -m arcgym.cli tasks list arc-agi-1 | head -n 1"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("007bbfb7  train")
    assert result.stderr == ""
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="console_scripts", name="arcgym")
    assert entry.load() is main


@pytest.mark.parametrize(
    "arguments", [[], ["tasks"], ["tasks", "check"], ["task"], ["tasks", "list", "x", "--split", "y"]]
)
def test_a_wrong_command_line_is_explained(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: arcgym" in capsys.readouterr().err
