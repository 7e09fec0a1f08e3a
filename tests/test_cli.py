import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import arcgym.sandbox
from arcgym.cli import main

ROOT = Path(__file__).parents[1]


class FakeLayer(NamedTuple):
    name: str
    active: bool
    guarantee: str
    remedy: str


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


def test_push_refuses_what_is_no_run(capsys, tmp_path):
    assert main(["push", str(tmp_path), "user/name"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"HubError: {tmp_path} is not the directory of a finished run: it lacks config.yaml")
    assert "Traceback" not in message
