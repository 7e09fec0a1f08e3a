"""The GRPO baseline as its user starts it: the same run as `recipes/ppo.py`, with groups in the critic's place."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("grpo", max_steps=4, num_iterations=2)


@pytest.mark.slow
def test_a_run_leaves_the_run_directory_of_the_ppo_recipe(recipe, tmp_path):
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    assert "2 prompts × 2 = 4 programs, then 2 epochs × 1 minibatches" in done.stdout
    assert "Tasks that were not trained on" in done.stdout
    assert "Warning" not in done.stderr

    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    for when in ("before", "after"):
        assert summary[when]["synthetic/evaluation"]["tasks"] == 3
        assert len(json.loads((run / "eval" / f"{when}-synthetic-evaluation.json").read_text())["records"]) == 3
    assert summary["programs"] == 2 * 4, "two rollouts, each used twice"
    assert summary["processes"] == 1 and len(summary["weights_hashes"]) == 1
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "grad_norm" in row] == [1, 2, 3, 4]
    rollouts = [row for row in rows if "reward" in row]
    assert [row["step"] for row in rollouts] == [1, 3]
    assert all({"programs/valid_frac", "frac_reward_zero_std", "entropy"} <= row.keys() for row in rollouts)
    completions = pd.concat(map(pd.read_parquet, sorted((run / "completions").glob("*.parquet"))))
    assert {"prompt", "completion", "program_status"} <= set(completions.columns)
    assert yaml.safe_load((run / "config.yaml").read_text())["num_iterations"] == 2
    assert (run / "env.json").exists() and (run / "model.safetensors").exists()
    assert not (run / "value_head.safetensors").exists()


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
        ({"num_generations": 1}, "at least 2 generations"),
        ({"num_ppo_epochs": 2}, "num_ppo_epochs"),
        ({"enable_jit_checkpoint": True}, "Leave it out"),
        ({"scale_reward": "none"}, "Did you mean `scale_rewards`"),
        ({"per_device_train_batch_size": 32}, "8 tasks to train on, but one rollout needs 16"),
    ],
)
def test_every_mistake_ends_before_training_with_one_message(recipe, capsys, monkeypatch, changes, message):
    assert message in recipe.refusal(capsys, monkeypatch, **changes)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("grpo*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_accepted_and_has_the_tasks_of_the_ppo_recipe(path, monkeypatch, tmp_path):
    from trl import GRPOConfig

    from arcgym.runs.job import Job

    small = ["--train_tasks", "synthetic/train:130", "--eval_tasks", "synthetic/evaluation:3"]
    monkeypatch.setattr(sys, "argv", ["grpo.py", "--config", str(path), "--output_dir", str(tmp_path), *small])
    job = Job(GRPOConfig, description=None)
    assert isinstance(job.training, GRPOConfig) and job.rollout.num_generations > 1

    ours, ppo = (yaml.safe_load(p.read_text()) for p in (path, path.with_name(path.name.replace("grpo", "ppo"))))
    for key in ("train_tasks", "eval_tasks", "holdout_share", "max_prompt_tokens", "eval_samples", "eval_temperature"):
        assert ours[key] == ppo[key]
