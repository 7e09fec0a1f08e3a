"""The main job, as its user starts it: end to end on a tiny random policy, and every mistake a newcomer can make."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("ppo", max_steps=2, num_ppo_epochs=1)


@pytest.mark.slow
def test_a_run_leaves_the_whole_run_directory(recipe, tmp_path):
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    assert "Tasks that were not trained on" in done.stdout

    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    for when in ("before", "after"):
        assert summary[when]["synthetic/evaluation"]["tasks"] == 3
        report = json.loads((run / "eval" / f"{when}-synthetic-evaluation.json").read_text())
        assert len(report["records"]) == 3
    assert summary["programs"] == 2 * 4
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "reward" in row]
    assert [row["step"] for row in logged] == [1, 2]
    assert all({"ppo/value_loss", "programs/valid_frac", "entropy", "grad_norm"} <= row.keys() for row in logged)
    completions = pd.concat(map(pd.read_parquet, sorted((run / "completions").glob("*.parquet"))))
    assert len(completions) == 8 and {"prompt", "completion", "program_status"} <= set(completions.columns)
    assert yaml.safe_load((run / "config.yaml").read_text())["num_generations"] == 2
    assert json.loads((run / "env.json").read_text())["libraries"]["trl"].startswith("1.16")
    assert list(run.glob("runs/*/events*")), "TensorBoard scalars"
    assert (run / "model.safetensors").exists() and (run / "value_head.safetensors").exists()


@pytest.mark.slow
def test_a_dry_run_shows_a_prompt_and_a_program_and_keeps_nothing(recipe, tmp_path):
    done = recipe.launch("--dry_run", "true")
    assert done.returncode == 0, done.stderr
    assert "A rollout" in done.stdout and "prompt of task" in done.stdout and "Input:" in done.stdout
    assert re.search(r"Peak memory +[\d,]+ MiB", done.stdout)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rat": 1.0}, "Did you mean `learning_rate`"),
        ({"max_steps": "many"}, "max_steps"),
        ({"num_generations": 3}, "num_generations"),
        ({"train_tasks": ["arc-agi-7/train"]}, "arc-agi-7"),
        ({"train_tasks": ["arc-agi-1/test"]}, "source/split"),
        ({"train_tasks": ["no/such/folder/train"]}, "no/such/folder"),
        ({"max_prompt_tokens": 4}, "max_prompt_tokens"),
        ({"max_prompt_tokens": 100_000}, "context"),
        ({"prompt_style": "chat"}, "chat template"),
        ({"model_name_or_path": "/no/such/model"}, "arcgym-tiny"),
        ({"eval_tasks": ["synthetic/train:3"], "holdout_share": 0.0}, "No task is left"),
        ({"solved_bonus": -1.0}, "solved_bonus"),
    ],
)
def test_every_mistake_ends_before_training_with_one_message(recipe, capsys, monkeypatch, changes, message):
    assert message in recipe.refusal(capsys, monkeypatch, **changes)


def test_an_unwritable_output_folder_is_refused(recipe, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    message = recipe.refusal(capsys, monkeypatch, output_dir=str(tmp_path / "file" / "run"))
    assert "output_dir" in message and "Choose another folder" in message


def test_an_empty_dataset_is_refused(recipe, capsys, monkeypatch, tmp_path):
    (tmp_path / "tasks").mkdir()
    message = recipe.refusal(capsys, monkeypatch, train_tasks=[f"{tmp_path / 'tasks'}/train"])
    assert "tasks" in message


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("ppo*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_accepted(path, monkeypatch, tmp_path):
    from arcgym.runs.settings import parse_settings
    from arcgym.training import PPOConfig

    monkeypatch.setattr("sys.argv", ["ppo.py", "--config", str(path), "--output_dir", str(tmp_path)])
    assert isinstance(parse_settings(PPOConfig, None).training, PPOConfig)
