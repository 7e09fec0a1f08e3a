"""A curriculum from the command line, and what it may not be combined with."""

import pytest

from arcgym.training.metrics import read_rows


@pytest.mark.slow
def test_a_run_with_a_curriculum_logs_its_level(make_recipe, tmp_path):
    recipe = make_recipe("ppo", max_steps=2, num_ppo_epochs=1, curriculum="bands", curriculum_bands=2)
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    assert "not declared" not in done.stderr
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["curriculum/level"] for row in rows if "reward" in row] == [0.0, 0.0]


def test_only_ppo_has_a_curriculum(make_recipe, capsys, monkeypatch):
    message = make_recipe("grpo", curriculum="bands").refusal(capsys, monkeypatch)
    assert "only PPOTrainer has one" in message


def test_a_level_needs_a_curriculum(make_recipe, capsys, monkeypatch):
    message = make_recipe("ppo", curriculum_level=1).refusal(capsys, monkeypatch)
    assert "only `curriculum: bands`" in message


@pytest.mark.slow
def test_the_best_model_is_chosen_by_solved_validation_tasks(make_recipe, tmp_path):
    recipe = make_recipe(
        "ppo",
        max_steps=4,
        num_ppo_epochs=1,
        validation_tasks=2,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        per_device_eval_batch_size=4,
        load_best_model_at_end=True,
        early_stopping_patience=2,
    )
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    # An untrained policy solves nothing, and so nothing gets better
    assert [row["eval_tasks/solved_frac"] for row in rows if "eval_tasks/solved_frac" in row] == [0.0, 0.0, 0.0]


def test_early_stopping_needs_evaluations(make_recipe, capsys, monkeypatch):
    message = make_recipe("ppo", early_stopping_patience=2).refusal(capsys, monkeypatch)
    assert "Set `eval_strategy: steps`" in message
