"""The recipe that solves tasks, as its user starts it: a Kaggle file end to end, killed on its way, mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arcgym.data import TaskLoader
from arcgym.data.mixture import select
from arcgym.evaluation import validate_submission
from arcgym.inference import SamplingConfig, SearchConfig, SolveArguments, Stage
from arcgym.runs.arguments import SandboxArguments
from arcgym.runs.parsing import parse_config, run_recipe

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes" / "solve.py"
TYPES = [SolveArguments, SamplingConfig, SearchConfig, SandboxArguments]


@pytest.fixture
def challenges(tmp_path):
    """A file as Kaggle gives it: no test outputs; one task is too long for the policy."""
    tasks = select(TaskLoader().load("synthetic", "evaluation"), 4, 0)
    tasks.append(max(TaskLoader().load("arc-agi-1", "evaluation"), key=lambda task: task.train[0].input.size))
    content = {}
    for task in tasks:
        plain = task.to_dict()
        content[task.task_id] = {"train": plain["train"], "test": [{"input": pair["input"]} for pair in plain["test"]]}
    path = tmp_path / "arc-agi_test_challenges.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def words(challenges, policy, tmp_path):
    def make(run="run", **changes):
        settings = {
            "tasks": challenges,
            "output": tmp_path / run / "submission.json",
            "run_dir": tmp_path / run,
            "model_name_or_path": policy,
            "max_prompt_tokens": 384,
            "num_samples": 6,
            "max_new_tokens": 6,
            "batch_size": 4,
            "round_size": 2,
            "views": 2,
            "sandbox_workers": 1,
        } | changes
        return [str(SCRIPT), *(str(word) for name, value in settings.items() for word in (f"--{name}", value))]

    return make


def start(words):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *words], env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes)


def finish(words):
    with start(words) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
def test_a_kaggle_file_becomes_a_submission_and_a_killed_run_the_same_one(words, challenges, tmp_path):
    out = finish(words())
    tasks = TaskLoader().load(challenges, "evaluation")
    assert len(tasks) == 5
    assert "5 tasks of" in out and "of 5 tasks finished" in out and "1 of them could not be tried" in out
    run = tmp_path / "run"
    assert sorted(path.name for path in run.iterdir()) == [
        "config.yaml",
        "env.json",
        "programs.jsonl",
        "report.json",
        "submission.json",
    ]
    submission = json.loads((run / "submission.json").read_text())
    assert validate_submission(submission, tasks) == []
    report = json.loads((run / "report.json").read_text())
    assert [row["task_id"] for row in report["tasks"]] == [task.task_id for task in tasks]
    assert [row["programs"] for row in report["tasks"]].count(6) == 4
    assert "scores" not in report, "test outputs are not known"
    for task, row in zip(tasks, report["tasks"], strict=True):
        if row["unanswered"]:
            assert submission[task.task_id][0]["attempt_1"] == task.test[0].input.tolist()
    (reason,) = (row["reason"] for row in report["tasks"] if row["reason"])
    assert "budget is 384" in reason

    journal = tmp_path / "killed" / "programs.jsonl"
    with start(words("killed")) as process:
        deadline = time.monotonic() + 200
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert journal.read_bytes().count(b'"ended"') < 4, "it was killed on its way"
    finish(words("killed"))
    for name in ("submission.json", "report.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (run / name).read_bytes()
    before = journal.read_bytes()
    finish(words("killed"))
    assert journal.read_bytes() == before, "nothing is done twice"


def run_here(words, monkeypatch, make_recipe):
    recipe = make_recipe("ppo")
    recipe.script = SCRIPT
    monkeypatch.setattr(sys, "argv", words)
    run_recipe(recipe.module().main)


def test_a_dry_run_writes_nothing(words, tmp_path, capsys, monkeypatch, make_recipe):
    run_here(words(dry_run="true"), monkeypatch, make_recipe)
    shown = capsys.readouterr().out
    assert "5 tasks of" in shown and "prompt of task" in shown
    assert "program: " in shown or "no program: " in shown
    assert not (tmp_path / "run").exists()


def test_known_test_outputs_give_scores(words, tmp_path, capsys, monkeypatch, make_recipe):
    run_here(words(tasks="synthetic/evaluation:3", num_samples=2, views=1), monkeypatch, make_recipe)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["scores"]["tasks"] == 3 and len(report["records"]) == 3
    assert "by vote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": "no/such/file.json"}, "source/split"),
        ({"num_sample": 3}, "Did you mean `num_samples`"),
        ({"schedule": "sampel"}, "names no strategy"),
        ({"schedule": "greedy", "views": 9}, "one per view"),
        ({"stop_agreeing": 2, "round_size": 0}, "round_size"),
        ({"model_name_or_path": "/no/such/model"}, "arcgym-tiny"),
        ({"backend": "server", "server_url": "here"}, "http://"),
    ],
)
def test_mistakes_end_it_before_anything_is_written(
    words, changes, message, tmp_path, capsys, monkeypatch, make_recipe
):
    with pytest.raises(SystemExit) as caught:
        run_here(words(**changes), monkeypatch, make_recipe)
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("solve*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_accepted(path):
    args, sampling, search, _ = parse_config(TYPES, ["--config", str(path)])
    assert args.tasks and sampling.num_samples >= 1
    assert all(isinstance(stage, Stage) for stage in search.stages(sampling))
