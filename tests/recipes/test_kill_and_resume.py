"""Runs that end before their time: killed, or asked to stop."""

import signal
import time

import pytest
from kill_and_resume import kill_and_resume, steps_done

from arcgym.training.checkpoints import newest_valid
from arcgym.training.metrics import read_rows


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("ppo", num_ppo_epochs=2, num_mini_batches=2, save_steps=1, save_total_limit=3, max_steps=30)


@pytest.mark.slow
def test_a_run_killed_three_times_ends_like_an_unbroken_one(recipe, tmp_path):
    summaries, logs, _ = kill_and_resume(recipe.words(), tmp_path, max_steps=30)
    assert summaries[0]["weights_hashes"] == summaries[1]["weights_hashes"]
    assert (
        summaries[0]["after"]["synthetic/evaluation"]["solved"]
        == summaries[1]["after"]["synthetic/evaluation"]["solved"]
    )
    assert logs[0] == logs[1]
    assert [row["step"] for row in logs[1] if "loss" in row] == list(range(1, 31))


@pytest.mark.slow
def test_sigterm_ends_a_run_with_a_checkpoint_and_says_how_to_go_on(recipe, tmp_path):
    process = recipe.start(save_strategy="no", max_steps=5000)
    while steps_done(tmp_path / "run") < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    step = steps_done(tmp_path / "run")
    assert f"Stopped by SIGTERM after step {step}" in out and "--resume_from_checkpoint auto" in out
    assert newest_valid(tmp_path / "run").name == f"checkpoint-{step}"
    assert not (tmp_path / "run" / "summary.json").exists()

    resumed = recipe.launch("--resume_from_checkpoint", "auto", max_steps=step + 2)
    assert resumed.returncode == 0, resumed.stderr
    assert f"checkpoint-{step}" in resumed.stdout
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, step + 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_the_baselines_resume_their_newest_checkpoint(make_recipe, name):
    recipe = make_recipe(name, save_strategy="steps", save_steps=1)
    assert recipe.launch(max_steps=2).returncode == 0
    resumed = recipe.launch("--resume_from_checkpoint", "auto", max_steps=3)
    assert resumed.returncode == 0, resumed.stderr
    assert "checkpoint-2" in resumed.stdout
