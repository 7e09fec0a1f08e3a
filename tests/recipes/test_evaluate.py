"""The evaluation recipe as its user starts it: one process, two processes, and killed on its way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from arcgym.data import TaskLoader
from arcgym.evaluation import EvaluationReport, validate_submission
from arcgym.runs.parsing import parse_config

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes" / "evaluate.py"
SMALL = {
    "eval_tasks": ["arc-agi-1/evaluation:2", "synthetic/evaluation:6"],
    "trained_on": ["synthetic/train"],
    "max_prompt_tokens": 256,
    "num_samples": 3,
    "max_new_tokens": 6,
    "chunk_size": 1,
    "sandbox_workers": 1,
}
SETS = ("synthetic-evaluation", "arc-agi-1-evaluation")


def command(folder, policy, **changes):
    path = folder.with_suffix(".yaml")
    settings = SMALL | {"model_name_or_path": str(policy), "output_dir": str(folder)} | changes
    path.write_text(yaml.safe_dump(settings))
    return [str(SCRIPT), "--config", str(path)]


def start(words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *words], env=environment, **pipes)


def finish(words):
    with start(words) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def compared(folder):
    """What the reports of a run say, but for the clock."""
    reports = {name: json.loads((folder / "eval" / f"{name}.json").read_text()) for name in SETS}
    for report in reports.values():
        assert report.pop("timing")["seconds"] > 0
    return reports


@pytest.fixture(scope="module")
def whole(policy, tmp_path_factory):
    """A run of one process, never interrupted."""
    folder = tmp_path_factory.mktemp("evaluate") / "whole"
    out = finish(["-m", "accelerate.commands.launch", "--quiet", *command(folder, policy)])
    return folder, out


@pytest.mark.slow
def test_a_run_leaves_reports_and_submissions(whole):
    folder, out = whole
    assert "Evaluating on 6 tasks of synthetic/evaluation, 1 processes" in out
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "env.json",
        "eval",
        "report.html",
        "submission-arc-agi-1-evaluation.json",
        "submission-synthetic-evaluation.json",
    ]
    assert sorted(path.name for path in (folder / "eval").iterdir()) == sorted(f"{name}.json" for name in SETS)
    report = EvaluationReport.load(folder / "eval" / "synthetic-evaluation.json")
    assert report.aggregates["tasks"] == 6 and report.aggregates["programs"] <= 18
    assert report.provenance["config"]["trained_on"] == ["synthetic/train"]
    assert "output_dir" not in report.provenance["config"]
    solved = {record.task_id for record in report.records}
    tasks = [task for task in TaskLoader().load("synthetic", "evaluation") if task.task_id in solved]
    submission = json.loads((folder / "submission-synthetic-evaluation.json").read_text())
    assert validate_submission(submission, tasks) == []


@pytest.mark.slow
def test_two_processes_give_the_files_of_one(whole, policy, tmp_path):
    words = ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "accelerate_configs" / "cpu_ddp.yaml")]
    out = finish([*words, *command(tmp_path / "two", policy)])
    assert "2 processes" in out
    assert compared(tmp_path / "two") == compared(whole[0])
    for name in SETS:
        submissions = [(folder / f"submission-{name}.json").read_bytes() for folder in (whole[0], tmp_path / "two")]
        assert submissions[0] == submissions[1]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_gives_the_same_files(whole, policy, tmp_path):
    folder = tmp_path / "killed"
    part = folder / "eval" / "synthetic-evaluation.parts" / "part-0.jsonl"
    with start(command(folder, policy)) as process:
        deadline = time.monotonic() + 200
        while not (part.exists() and part.read_bytes().count(b"\n") >= 2):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    first = folder / "eval" / "arc-agi-1-evaluation.json"
    finished = first.read_bytes()
    rows = [line for line in part.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert 2 <= len(rows) < 1 + 6, "it was killed on its way"
    finish(command(folder, policy))
    assert compared(folder) == compared(whole[0])
    assert first.read_bytes() == finished, "a set that was finished is not evaluated again: the clock is the same too"
    assert not part.parent.exists()


def test_an_evaluation_on_tasks_that_were_trained_on_is_refused(policy, tmp_path, capsys, monkeypatch, make_recipe):
    recipe = make_recipe("ppo")
    recipe.script = SCRIPT
    shared = {"trained_on": ["arc-agi-2/train"], "eval_tasks": ["arc-agi-1/evaluation:40"]}
    monkeypatch.setattr(sys, "argv", command(tmp_path / "run", policy, **shared))
    from arcgym.runs.parsing import run_recipe

    with pytest.raises(SystemExit) as caught:
        run_recipe(recipe.module().main)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "ConfigError" in message and "Traceback" not in message
    assert not (tmp_path / "run" / "eval").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("evaluate*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_accepted(path, make_recipe):
    recipe = make_recipe("ppo")
    recipe.script = SCRIPT
    module = recipe.module()
    types = [module.EvaluateArguments, module.SamplingConfig, module.SandboxArguments]
    args, sampling, _ = parse_config(types, ["--config", str(path)])
    assert args.eval_tasks and sampling.num_samples >= 1
