"""`arcgym watch`, as its user calls it, on a run that is going on."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arcgym.cli import main

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "train_tasks": "synthetic/train:6",
    "eval_tasks": "synthetic/evaluation:3",
    "max_prompt_tokens": 256,
    "per_device_train_batch_size": 4,
    "num_mini_batches": 1,
    "max_completion_length": 24,
    "num_ppo_epochs": 1,
    "max_steps": 2,
    "logging_steps": 1,
}


@pytest.fixture(scope="module")
def environment():
    changed = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")} | changed


def use_one_core():
    """For a recipe, which takes every core: where others work too, its threads would wait for each other."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def heed_interrupts():
    """As in a terminal: a shell has what it starts in the background ignore SIGINT, and so would we."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory, environment):
    """A run of PPO's recipe from its beginning to its end, and what following it printed."""
    run = tmp_path_factory.mktemp("run")
    words = [word for name, value in (SETTINGS | {"output_dir": run}).items() for word in (f"--{name}", str(value))]
    config = ROOT / "recipes" / "configs" / "ppo_quickstart.yaml"
    command = [sys.executable, str(ROOT / "recipes" / "ppo.py"), "--config", str(config), *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    watching = [sys.executable, "-m", "arcgym.cli", "watch", str(run), "--refresh", "0.2"]
    with (
        subprocess.Popen(command, env=environment, preexec_fn=use_one_core, **quiet) as recipe,
        subprocess.Popen(watching, env=environment, stdout=subprocess.PIPE, text=True) as watcher,
    ):
        try:
            assert recipe.wait(timeout=400) == 0
            printed, _ = watcher.communicate(timeout=30)
        finally:
            recipe.kill()
            watcher.kill()
    assert watcher.returncode == 0
    return run, printed


def test_a_run_is_followed_to_its_end(followed):
    run, printed = followed
    lines = printed.splitlines()
    assert lines[0] == f"{run}: waiting for the run to begin: nothing is written yet"
    assert lines[-1].startswith(f"{run}: finished, ")
    assert [int(step) for step in re.findall(r"^step +(\d+)   reward", printed, re.MULTILINE)] == [1, 2]
    assert f"{run}: evaluating before training" in lines


def test_one_look_at_a_real_run_shows_every_part(followed, capsys, monkeypatch):
    run, _ = followed
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["watch", str(run), "--once"]) == 0
    printed = capsys.readouterr().out
    assert "step 2/2" in printed
    assert "synthetic/evaluation" in printed and re.search(r"\d/3 +\d/3", printed)
    assert re.search(r"^speed/programs_per_second +[\d.]+ +[\d.]+  [▁█]+", printed, re.MULTILINE)
    assert re.search(r"^[✓✗] \S+  \w+, \d/\d pairs", printed, re.MULTILINE), "programs with their verdict"
    assert re.search(r"^\d+.* → ", printed, re.MULTILINE), "and their grids"
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_chosen_metrics(followed, capsys):
    run, _ = followed
    assert main(["watch", str(run), "--once", "--metric", "grad_norm", "loss", "--metric", "rewrd"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^grad_norm +[\d.e-]+ ", printed, re.MULTILINE) and "did you mean reward?" in printed
    assert "tasks/solved_frac" not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-run"], "ConfigError: 'no-such-run' does not exist, but a run is a folder"),
        ([str(ROOT / "docs")], "is no run: it holds "),
        ([".", "--refresh", "0"], "ConfigError: `--refresh` is 0, but must be above 0 seconds."),
        ([".", "--refresh", "nan"], "ConfigError: `--refresh` is nan, but must be above 0 seconds."),
    ],
)
def test_an_error_is_one_message_without_traceback(capsys, words, message):
    assert main(["watch", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_look_needs_no_torch(environment, tmp_path):
    code = f"import sys; from arcgym.cli import main; main(['watch', {str(tmp_path)!r}, '--once'])"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_an_interrupt_ends_with_0_and_without_traceback(environment, tmp_path):
    command = [sys.executable, "-m", "arcgym.cli", "watch", str(tmp_path), "--refresh", "60"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, preexec_fn=heed_interrupts, **pipes) as process:
        try:
            assert "waiting for the run to begin" in process.stdout.readline()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert error == ""
