from types import SimpleNamespace

import pytest
from transformers import ProgressCallback

from arcgym.data.mixture import Mixture
from arcgym.data.synthetic import generate_tasks
from arcgym.runs.console import ConsoleProgress, print_start, print_summary, use_console_progress


def figures(solved, tasks, pass_at_1, valid):
    return {"solved": solved, "tasks": tasks, "pass@1": pass_at_1, "valid_frac": valid}


def test_the_final_table_fits_eighty_columns_and_shows_before_and_after(capsys):
    print_summary(
        {
            "before": {"arc-agi-1/evaluation": figures(10, 173, 0.0512, 0.958)},
            "after": {"arc-agi-1/evaluation": figures(112, 173, 0.0683, 1.0)},
            "reward_first": 0.35,
            "reward_last": 0.463,
            "programs": 3200,
            "seconds": 261.4,
            "programs_per_second": 12.25,
        }
    )
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "arc-agi-1/evaluation" in line)
    assert row.split() == [
        "arc-agi-1/evaluation",
        "10/173",
        "5.8%",
        "112/173",
        "64.7%",
        "5.1",
        "→",
        "6.8",
        "96",
        "→",
        "100",
    ]
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("Mean reward"))
    assert "0.350 → 0.463" in out and "3200 programs trained on in 261 s, 12.2 per second" in out


def test_a_run_without_rollouts_prints_no_reward(capsys):
    empty = {"reward_first": None, "reward_last": None, "programs": 0, "seconds": 0.0, "programs_per_second": 0.0}
    print_summary({"before": {}, "after": {}} | empty)
    assert "Mean reward" not in capsys.readouterr().out


def test_the_start_shows_tasks_and_batch_arithmetic(capsys):
    tasks = list(generate_tasks(3, seed=1))
    training = SimpleNamespace(
        prompts_per_rollout=16, num_generations=4, completions_per_rollout=64, num_ppo_epochs=2, num_mini_batches=3
    )
    print_start(Mixture(tasks[:2], {"synthetic/evaluation": tasks[2:]}, {"arc-agi-1/train": 7}), training, 1_280_000)
    out = capsys.readouterr().out
    for text in (
        "1.28 M parameters",
        "2 tasks",
        "1 of synthetic/evaluation",
        "7 of arc-agi-1/train",
        "16 prompts × 4 = 64",
    ):
        assert text in out


class Bar:
    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)


@pytest.mark.parametrize(("is_main", "expected"), [(True, 1), (False, 0)])
def test_a_logged_step_is_one_short_line_on_the_main_process(is_main, expected):
    callback = ConsoleProgress()
    callback.training_bar = Bar()
    state = SimpleNamespace(is_world_process_zero=is_main, global_step=12)
    callback.on_log(None, state, None, logs={"reward": 0.25, "tasks/solved_frac": 0.5, "epoch": 1.0})
    assert len(callback.training_bar.lines) == expected
    if is_main:
        assert callback.training_bar.lines == ["step   12   reward  0.250   solved  50%"]


@pytest.mark.parametrize("disabled", [True, False])
def test_the_bar_of_the_trainer_is_replaced_unless_switched_off(disabled):
    calls = []
    trainer = SimpleNamespace(
        args=SimpleNamespace(disable_tqdm=disabled),
        remove_callback=lambda callback: calls.append(("remove", callback)),
        add_callback=lambda callback: calls.append(("add", callback)),
    )
    use_console_progress(trainer)
    assert calls == ([] if disabled else [("remove", ProgressCallback), ("add", ConsoleProgress)])
