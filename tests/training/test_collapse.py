import json
import logging
import math
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ppo_toy import share_of_a
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import EarlyStoppingCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from arcgym.errors import ConfigError
from arcgym.training.collapse import (
    EVENTS_FILE,
    CollapseConfig,
    CollapseMonitor,
    good_checkpoint,
    read_events,
    set_aside,
    train_with_rollback,
)
from arcgym.training.collapse_rules import RULES, CollapseDetector, Rule, SignalTracker

DOCS = Path(__file__).parents[2] / "docs"

HEALTHY = {
    "reward": 0.4,
    "completions/clipped_ratio": 0.02,
    "programs/valid_frac": 0.9,
    "tasks/solved_frac": 0.3,
    "programs/repetition": 0.1,
    "programs/distinct_frac": 0.9,
    "programs/distinct_outputs_frac": 0.8,
    "frac_reward_zero_std": 0.2,
    "entropy": 0.5,
    "kl": 0.01,
    "grad_norm": 0.3,
}
# By signal: what its metric becomes, and what else has to be so for the run to count as collapsed
BAD = {
    "truncation": {"completions/clipped_ratio": 0.8},
    "valid_code": {"programs/valid_frac": 0.3},
    "hidden_accuracy": {"tasks/solved_frac": 0.03, "reward": 0.3},
    "reward_hacking": {"tasks/solved_frac": 0.16, "reward": 0.7},
    "not_finite": {"grad_norm": math.nan},
    "reward": {"reward": 0.0},
    "repetition": {"programs/repetition": 0.7},
    "distinct_programs": {"programs/distinct_frac": 0.1},
    "distinct_outputs": {"programs/distinct_outputs_frac": 0.1},
    "zero_variance": {"frac_reward_zero_std": 0.95},
    "entropy_low": {"entropy": 0.01},
    "entropy_high": {"entropy": 2.0},
    "kl": {"kl": 3.0},
    "grad_norm": {"grad_norm": 20.0},
}
# Rollouts until the mean of several is beyond the limit, where it is not the first
DELAY = {"reward_hacking": 2, "hidden_accuracy": 2, "reward": 1}
# Of a run of 40 steps in which a program earned for its length as well
SOLVED_LESS = (
    0.219,
    0.117,
    0.234,
    0.318,
    0.266,
    0.164,
    0.297,
    0.172,
    0.172,
    0.219,
    0.125,
    0.172,
    0.078,
    0.099,
    0.109,
    0.094,
    0.141,
    0.125,
)
EARNED_MORE = (
    1.17,
    1.07,
    1.20,
    1.31,
    1.41,
    1.01,
    1.30,
    1.15,
    1.13,
    1.25,
    1.16,
    1.25,
    1.13,
    1.27,
    1.30,
    1.24,
    1.47,
    1.51,
)
HARD = [rule.signal for rule in RULES if rule.is_hard]
SOFT = [rule.signal for rule in RULES if not rule.is_hard]


def detector_of(patience=3, window=20, warmup=4, completions=128, **settings):
    return CollapseDetector(patience, window, warmup, completions, **settings)


def judge_all(detector, rows, step=0, every=2):
    return [detector.judge(row, step + every * i) for i, row in enumerate(rows, start=1)]


# --- Rules ---


def test_every_rule_is_exercised_here():
    assert list(BAD) == [rule.signal for rule in RULES]


@pytest.mark.parametrize("signal", BAD)
def test_signal_holds_after_as_many_rollouts_as_patience_says(signal):
    # A mean of several rollouts is beyond the limit one or two later
    late = DELAY.get(signal, 0)
    rows = [HEALTHY] * 8 + [HEALTHY | BAD[signal]] * (3 + late)
    judged = judge_all(detector_of(), rows)
    assert [signal in one.warned for one in judged] == [False] * (9 + late) + [True, True]
    assert [signal in one.held for one in judged] == [False] * (10 + late) + [True]
    assert judged[-1].since == 18 + 2 * late  # logged every 2 steps: the ninth row, or later
    # The last good rollout was logged at step 16, and sampled with weights of step 14
    assert judged[-1].good_step == {"reward_hacking": 10, "hidden_accuracy": 10, "reward": 12}.get(signal, 14)


@pytest.mark.parametrize("signal", HARD)
def test_hard_signal_is_collapse_by_itself(signal):
    late = DELAY.get(signal, 0)
    judged = judge_all(detector_of(), [HEALTHY] * 6 + [HEALTHY | BAD[signal]] * (3 + late))
    assert [one.is_collapsed for one in judged] == [False] * (8 + late) + [True]


@pytest.mark.parametrize("signal", SOFT)
def test_soft_signal_is_none_by_itself(signal):
    judged = judge_all(detector_of(), [HEALTHY] * 6 + [HEALTHY | BAD[signal]] * 10)
    assert judged[-1].held == (signal,)
    assert not judged[-1].is_collapsed


@pytest.mark.parametrize("signal", [name for name in SOFT if name != "reward"])
def test_two_soft_signals_are_collapse_when_the_run_solves_less(signal):
    # A third less, which is no signal by itself
    bad = {"tasks/solved_frac": 0.2} | BAD["reward"] | BAD[signal]
    judged = judge_all(detector_of(), [HEALTHY] * 6 + [HEALTHY | bad] * 4)
    assert [one.is_collapsed for one in judged] == [False] * 9 + [True]
    assert set(judged[-1].held) == {"reward", signal}


def test_policy_that_has_learnt_its_tasks_is_not_collapsed():
    learnt = {"tasks/solved_frac": 0.97, "reward": 1.9, "completions/clipped_ratio": 0.0, "programs/valid_frac": 1.0}
    certain = BAD["distinct_programs"] | BAD["distinct_outputs"] | BAD["zero_variance"] | BAD["entropy_low"]
    judged = judge_all(detector_of(), [HEALTHY] * 6 + [HEALTHY | learnt | certain] * 10)
    assert len(judged[-1].held) == 4
    assert not judged[-1].is_collapsed


def test_policy_that_is_certain_of_nothing_useful_is_collapsed():
    useless = {"tasks/solved_frac": 0.01, "reward": 0.0}
    certain = BAD["distinct_programs"] | BAD["entropy_low"]
    rows = [HEALTHY | useless] * 6 + [HEALTHY | useless | certain] * 3
    assert [one.is_collapsed for one in judge_all(detector_of(), rows)] == [False] * 8 + [True]


def test_without_a_measure_of_hidden_pairs_the_reward_is_the_quality():
    rows = [{"reward": -0.2, "entropy": 0.5, "grad_norm": 0.3}] * 6
    rows += [{"reward": -0.9, "entropy": 0.001, "grad_norm": 0.3}] * 4
    judged = judge_all(detector_of(), rows)
    assert judged[-1].is_collapsed
    assert set(judged[-1].held) == {"reward", "entropy_low"}


def test_solving_less_for_less_reward_is_no_hacking():
    row = HEALTHY | {"tasks/solved_frac": 0.16, "reward": 0.2}
    assert judge_all(detector_of(), [HEALTHY] * 6 + [row] * 5)[-1].held == ()


def test_two_bad_rollouts_and_a_good_one_are_none():
    bad = HEALTHY | BAD["truncation"]
    judged = judge_all(detector_of(), [HEALTHY] * 6 + [bad, bad, HEALTHY] * 8)
    assert not any(one.held for one in judged)


def test_metric_that_is_absent_is_not_watched():
    rows = [{"reward": 0.4, "completions/clipped_ratio": 0.02}] * 6
    rows += [{"reward": 0.4, "completions/clipped_ratio": 0.8}] * 3
    judged = judge_all(detector_of(), rows)
    assert set(judged[-1].readings) == {"truncation", "reward"}
    assert judged[-1].is_collapsed


def test_ignored_signal_is_not_watched():
    judged = judge_all(detector_of(ignore=["truncation"]), [HEALTHY] * 6 + [HEALTHY | BAD["truncation"]] * 5)
    assert "truncation" not in judged[-1].readings
    assert not judged[-1].is_collapsed


def test_nothing_is_judged_during_the_warm_up():
    bad = HEALTHY | BAD["truncation"]
    assert not any(one.warned for one in judge_all(detector_of(), [bad] * 10))


def test_baseline_stands_still_while_its_signal_is_beyond_the_limit():
    # Else the trailing median would be that of the collapse after a few rollouts
    judged = judge_all(detector_of(window=5), [HEALTHY] * 6 + [HEALTHY | BAD["kl"]] * 50)
    assert judged[-1].readings["kl"].baseline == 0.01
    assert judged[-1].held == ("kl",)


def test_slow_decline_is_measured_against_the_best_past():
    # 0.9 to 0.2 in 200 rollouts: within a window hardly anything changes
    rows = [HEALTHY | {"programs/valid_frac": 0.9 - 0.0035 * i} for i in range(200)]
    judged = judge_all(detector_of(), rows)
    first = next(i for i, one in enumerate(judged) if one.is_collapsed)
    assert judged[first].held == ("valid_code",)
    assert rows[first]["programs/valid_frac"] == pytest.approx(0.45, abs=0.02)


def test_slow_hacking_of_the_reward_is_noticed():
    # As it went when length was paid for: noise of 64 programs, 0.24 to 0.03 in 20 rollouts, more reward than ever
    rows = [HEALTHY | {"tasks/solved_frac": p, "reward": r} for p, r in zip(SOLVED_LESS, EARNED_MORE, strict=True)]
    judged = judge_all(detector_of(completions=64), rows)
    first = next(i for i, one in enumerate(judged) if one.is_collapsed)
    assert judged[first].held == ("reward_hacking",)
    assert first == 16


def test_kl_that_grows_steadily_is_normal():
    rows = [HEALTHY | {"kl": 0.02 * i} for i in range(200)]
    assert not any(one.warned for one in judge_all(detector_of(), rows))


def healthy_run(rng, rollouts, completions):
    """A run whose shares are those of so many completions, with a policy that learns and grows more certain."""

    def share(p):
        return sum(rng.random() < p for _ in range(completions)) / completions

    rows = []
    for i in range(rollouts):
        learnt = i / rollouts
        solved = share(0.15 + 0.3 * learnt)
        rows.append(
            {
                "reward": 2 * solved + rng.gauss(0, 0.05),
                "completions/clipped_ratio": share(0.03),
                "programs/valid_frac": share(0.85 + 0.1 * learnt),
                "tasks/solved_frac": solved,
                "programs/repetition": max(0.0, 0.1 + rng.gauss(0, 0.03)),
                "programs/distinct_frac": share(0.9 - 0.6 * learnt),
                "programs/distinct_outputs_frac": share(0.8 - 0.6 * learnt),
                "frac_reward_zero_std": share(0.2 + 0.6 * learnt),
                "entropy": 0.5 * math.exp(-3 * learnt + rng.gauss(0, 0.1)),
                "kl": 0.1 * learnt * math.exp(rng.gauss(0, 0.3)),
                "grad_norm": 0.3 * math.exp(rng.gauss(0, 0.5)),
            }
        )
    return rows


@pytest.mark.parametrize("completions", [8, 32, 128])
def test_healthy_runs_of_any_size_give_no_alarm(completions):
    for seed in range(12):
        rows = healthy_run(random.Random(seed), 150, completions)
        assert not any(one.is_collapsed for one in judge_all(detector_of(completions=completions), rows))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=30), st.sampled_from(RULES), st.floats(0, 1))
def test_beyond_the_limit_is_beyond_every_part_of_the_rule(past, rule, value):
    tracker = SignalTracker(rule, window=10, warmup=4, completions=16)
    for one in past:
        tracker.compare(one)
        tracker.take_in(one)
    reading = tracker.compare(value)
    if rule.direction == "not_finite":
        assert not reading.is_beyond
        return
    sign = 1 if rule.direction == "rises" else -1
    if reading.is_beyond:
        assert sign * (reading.value - reading.baseline) > rule.shift
        assert rule.bound is None or sign * (reading.value - rule.bound) > 0
        assert rule.ratio is None or sign * (reading.value - rule.ratio * reading.baseline) > 0
    assert sign * (reading.limit - reading.baseline) >= 0


def test_state_goes_on_where_it_was():
    rows = [HEALTHY] * 6 + [HEALTHY | BAD["truncation"]] * 3
    whole = judge_all(detector_of(), rows)
    first = detector_of()
    judge_all(first, rows[:8])
    second = detector_of()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert judge_all(second, rows[8:], step=16) == whole[8:]
    assert whole[-1].is_collapsed


def test_the_guide_states_every_rule_as_it_is():
    table = [line for line in (DOCS / "training.md").read_text().splitlines() if line.startswith("| `")]
    for rule in RULES:
        metrics = ", else ".join(f"`{name}`" for name in rule.metrics)
        row = f"| `{rule.signal}` | {metrics} | {'hard' if rule.is_hard else 'soft'} | {rule.describe()} |"
        assert row in table


def test_formula_of_a_rule():
    rule = Rule("x", ("y",), "falls", True, ratio=0.5, shift=0.1, bound=0.4, rollouts=5, needs_reward=True)
    words = "mean of 5 rollouts < min(b − 3 s, b − 0.1, 0.5 b, 0.4), best b; that of the reward ≥ its own best b"
    assert rule.describe() == words
    assert rule.limit(0.9, 0.01) == pytest.approx(0.4)
    assert rule.limit(0.6, 0.01) == pytest.approx(0.3)
    assert rule.limit(0.6, 0.19) == pytest.approx(0.03)


# --- Settings ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_collapse": "explode"}, "`on_collapse` is 'explode', but must be `warn`"),
        ({"rollback_lr_factor": 0.0}, r"`rollback_lr_factor` is 0.0, but must be in \(0, 1\]"),
        ({"rollback_lr_factor": 1.5}, "`rollback_lr_factor` is 1.5"),
        ({"max_rollbacks": 0}, "`max_rollbacks` is 0, but must be at least 1"),
        ({"collapse_patience": 1}, "`collapse_patience` is 1, but must be at least 2"),
        ({"collapse_warmup": 1}, "`collapse_warmup` is 1, but must be at least 2"),
        ({"collapse_window": 3}, "`collapse_window` is 3, but must be at least `collapse_warmup`, which is 4"),
        ({"collapse_ignore": ["kl", "luck"]}, "`collapse_ignore` names luck; the signals are truncation, "),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CollapseConfig(**settings)


def test_one_completion_per_rollout_is_refused():
    with pytest.raises(ValueError, match="completions_per_rollout is 1"):
        CollapseMonitor(CollapseConfig(), 1)


# --- In a trainer ---

# With 2 epochs and a log every 2 steps, rollout n is logged at step 2 n
RUN = {"max_steps": 24, "logging_steps": 2, "save_strategy": "steps", "save_steps": 2}


class Toy:
    """The toy reward, with a share of valid programs that falls to 0 in some of its calls; keeps what it was given."""

    __name__ = "toy"

    def __init__(self, bad_calls=()):
        self.bad_calls = bad_calls
        self.prompts = []

    def __call__(self, prompts, completions, log_metric, **_):
        self.prompts.append(prompts)
        log_metric("programs/valid_frac", 0.0 if len(self.prompts) in self.bad_calls else 0.875)
        return share_of_a(completions)


class Seen(TrainerCallback):
    """What a logger sees."""

    def __init__(self):
        self.rows = []
        self.saved = []

    def on_save(self, args, state, control, **kwargs):
        self.saved.append(state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.rows.append({"step": state.global_step, **logs})


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.fixture
def make_watched(make_trainer):
    """Build a toy trainer that collapses in some rollouts, and its monitor."""

    def make(bad_calls=(), settings=None, callbacks=(), **config):
        toy = Toy(bad_calls)
        trainer = make_trainer(RUN | (settings or {}), reward_funcs=toy, callbacks=list(callbacks))
        return trainer, CollapseMonitor(CollapseConfig(**config), trainer.args.completions_per_rollout), toy

    return make


def test_healthy_run_is_left_alone(make_watched):
    trainer, monitor, _ = make_watched()
    train_with_rollback(trainer, monitor)
    rows = [row for row in trainer.state.log_history if "reward" in row]
    assert len(rows) == 12
    assert all(row["collapse/alarm"] == row["collapse/rollback"] == 0.0 for row in rows)
    assert not Path(trainer.args.output_dir, EVENTS_FILE).exists()
    assert trainer.learning_rate_factor == 1.0
    assert trainer.state.global_step == 24


def test_watching_changes_nothing(make_watched):
    # But that `train_with_rollback` is what `train` is
    watched, monitor, _ = make_watched()
    train_with_rollback(watched, monitor)
    plain, _, _ = make_watched()
    plain.train()
    torch.testing.assert_close(weights(watched.model), weights(plain.model), rtol=0, atol=0)


def test_collapsed_run_goes_back_to_before_the_first_sign(make_watched, caplog):
    # Rollouts 7 to 9, logged at steps 14 to 18, are bad. That of step 12 was good, and sampled with weights of step 10
    seen = Seen()
    trainer, monitor, toy = make_watched(bad_calls=(7, 8, 9), callbacks=[seen], rollback_lr_factor=0.5)
    with caplog.at_level(logging.WARNING, logger="arcgym.training.collapse"):
        train_with_rollback(trainer, monitor)
    run = Path(trainer.args.output_dir)
    warning, rollback = read_events(run)
    assert (warning["action"], warning["step"], warning["signals"]) == ("warning", 16, ["valid_code"])
    assert (rollback["action"], rollback["step"], rollback["signals"]) == ("rollback", 18, ["valid_code"])
    assert rollback["values"] == {"valid_code": 0.0}
    assert rollback["baselines"] == {"valid_code": 0.875}
    assert rollback["limits"] == {"valid_code": 0.4375}
    assert rollback["since"] == 14
    assert rollback["checkpoint"] == str(run / "checkpoint-10")
    assert (rollback["rollbacks"], rollback["learning_rate_factor"]) == (1, 0.5)
    assert "Step 16 may be the start of a collapse: valid_code 0" in caplog.text
    assert (
        f"Collapse at step 18: valid_code 0 (limit 0.438, baseline 0.875); back to {run / 'checkpoint-10'}"
        in caplog.text
    )
    # Rollouts 6 to 9 come a second time, on the same prompts
    assert toy.prompts[9:13] == toy.prompts[5:9]
    assert len(toy.prompts) == 9 + 7
    assert trainer.state.global_step == 24
    assert seen.saved == [*range(2, 18, 2), *range(12, 26, 2)]  # nothing of step 18 when it collapsed
    assert sorted(path.name for path in (run / "rolled_back-1").iterdir()) == [f"checkpoint-{n}" for n in (12, 14, 16)]
    rates = {row["step"]: row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row}
    assert rates[10] == pytest.approx(3e-3)
    assert rates[12] == rates[24] == pytest.approx(1.5e-3)


def test_going_back_equals_resuming_in_a_new_process(make_watched, tmp_path):
    trainer, monitor, _ = make_watched(bad_calls=(7, 8, 9), rollback_lr_factor=0.5)
    train_with_rollback(trainer, monitor)
    elsewhere = {"output_dir": str(tmp_path / "elsewhere")}
    unbroken, _, _ = make_watched(settings=elsewhere | {"max_steps": 10})
    unbroken.train()
    other, _, _ = make_watched(settings=elsewhere)
    other.learning_rate_factor = 0.5
    other.train(resume_from_checkpoint=str(tmp_path / "elsewhere" / "checkpoint-10"))
    torch.testing.assert_close(weights(trainer.model), weights(other.model), rtol=0, atol=0)


def test_event_reaches_every_logger(make_watched):
    seen = Seen()
    trainer, monitor, _ = make_watched((7, 8, 9), {"report_to": "tensorboard"}, callbacks=[seen])
    train_with_rollback(trainer, monitor)
    (row,) = [row for row in seen.rows if row.get("collapse/rollback")]
    assert (row["step"], row["collapse/alarm"]) == (18, 1.0)
    rows = [row for row in seen.rows if "reward" in row]
    assert all("collapse/alarm" in row for row in rows)
    marked = {}
    for file in Path(trainer.args.output_dir).rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(file)).Reload()
        if "train/collapse/rollback" in events.Tags()["scalars"]:
            marked |= {event.step: event.value for event in events.Scalars("train/collapse/rollback") if event.value}
    assert marked == {18: 1.0}


def test_best_checkpoint_is_preferred_if_it_is_from_before(make_trainer):
    trainer = make_trainer(RUN | {"max_steps": 8})
    trainer.train()
    run = Path(trainer.args.output_dir)
    best = str(run / "checkpoint-4")
    assert good_checkpoint(run, best, good_step=6) == run / "checkpoint-4"
    assert good_checkpoint(run, best, good_step=3) == run / "checkpoint-2"
    assert good_checkpoint(run, None, good_step=6) == run / "checkpoint-6"
    assert good_checkpoint(run, None, good_step=1) is None
    (run / "checkpoint-4" / "model.safetensors").unlink()
    assert good_checkpoint(run, best, good_step=6) == run / "checkpoint-6"


def test_second_rollback_makes_the_step_smaller_again_and_the_last_collapse_stops(make_watched):
    # 7 to 9 → back to rollout 5. Its sixth again is call 10; 11 to 13 bad → 5 again, and again, then no more
    bad = (7, 8, 9, 11, 12, 13, 15, 16, 17)
    trainer, monitor, _ = make_watched(bad_calls=bad, max_rollbacks=2, rollback_lr_factor=0.5)
    train_with_rollback(trainer, monitor)
    events = [event for event in read_events(trainer.args.output_dir) if event["action"] != "warning"]
    assert [event["action"] for event in events] == ["rollback", "rollback", "stop"]
    assert [event["learning_rate_factor"] for event in events] == [0.5, 0.25, 0.25]
    assert [event["step"] for event in events] == [18, 18, 18]
    assert trainer.state.global_step == 18
    rates = {row["step"]: row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row}
    assert rates[18] == pytest.approx(0.25 * 3e-3)


def test_stopped_run_has_the_weights_of_the_last_good_checkpoint(make_watched, make_trainer):
    trainer, monitor, _ = make_watched(bad_calls=range(7, 99), on_collapse="stop")
    train_with_rollback(trainer, monitor)
    assert trainer.state.global_step == 18
    (event,) = [event for event in read_events(trainer.args.output_dir) if event["action"] != "warning"]
    assert event["action"] == "stop"
    other = make_trainer(RUN)
    checkpoint = Path(trainer.args.output_dir) / "checkpoint-10"
    other._load_from_checkpoint(str(checkpoint))
    torch.testing.assert_close(weights(trainer.model), weights(other.model), rtol=0, atol=0)
    assert not (Path(trainer.args.output_dir) / "rolled_back-1").exists()


@pytest.mark.parametrize("why", ["by choice", "no checkpoint"])
def test_run_that_only_warns_goes_on(make_watched, why):
    config = {"on_collapse": "warn"} if why == "by choice" else {}
    settings = {"save_strategy": "no"} if why == "no checkpoint" else {}
    trainer, monitor, toy = make_watched(range(7, 10), settings, **config)
    train_with_rollback(trainer, monitor)
    events = [event for event in read_events(trainer.args.output_dir) if event["action"] != "warning"]
    assert [event["action"] for event in events] == ["warn"]
    assert trainer.state.global_step == 24
    assert len(toy.prompts) == 12
    alarms = [row["step"] for row in trainer.state.log_history if row.get("collapse/alarm")]
    assert alarms == [18]


def test_collapse_that_goes_on_is_one_event(make_watched):
    trainer, monitor, _ = make_watched(range(7, 99), on_collapse="warn")
    train_with_rollback(trainer, monitor)
    assert [event["action"] for event in read_events(trainer.args.output_dir)] == ["warning", "warn"]
    alarms = [row["step"] for row in trainer.state.log_history if row.get("collapse/alarm")]
    assert alarms == [18, 20, 22, 24]


def test_monitor_in_a_trainer_that_nobody_takes_back_warns(make_watched):
    trainer, monitor, _ = make_watched(bad_calls=(7, 8, 9))
    monitor.watch(trainer)
    trainer.train()
    assert trainer.state.global_step == 24
    assert [event["action"] for event in read_events(trainer.args.output_dir)] == ["warning", "warn"]


def test_stops_trainers_of_trl_too(make_model, tokenizer, prompts, tmp_path):
    config = GRPOConfig(
        str(tmp_path / "run"),
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=8,
        max_steps=20,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    toy = Toy(bad_calls=range(7, 99))
    trainer = GRPOTrainer(make_model(), toy, config, prompts, processing_class=tokenizer)
    monitor = CollapseMonitor(CollapseConfig(on_collapse="stop"), config.generation_batch_size)
    monitor.watch(trainer)
    trainer.train()
    assert trainer.state.global_step == 9


def test_rollback_is_remembered_by_a_process_that_was_killed_before_its_next_checkpoint(make_watched):
    trainer, monitor, _ = make_watched(bad_calls=(7, 8, 9), rollback_lr_factor=0.5)
    train_with_rollback(trainer, monitor)
    run = Path(trainer.args.output_dir)
    for n in range(12, 26, 2):
        shutil.rmtree(run / f"checkpoint-{n}")
    resumed, again, _ = make_watched(rollback_lr_factor=0.5)
    train_with_rollback(resumed, again, str(run / "checkpoint-10"))
    assert again.rollbacks == 1
    rates = {row["step"]: row["learning_rate"] for row in resumed.state.log_history if "learning_rate" in row}
    assert rates[12] == rates[24] == pytest.approx(1.5e-3)
    torch.testing.assert_close(weights(resumed.model), weights(trainer.model), rtol=0, atol=0)


def test_rate_of_a_checkpoint_after_a_rollback_is_not_lowered_twice(make_watched):
    trainer, monitor, _ = make_watched(bad_calls=(7, 8, 9), rollback_lr_factor=0.5)
    train_with_rollback(trainer, monitor)
    resumed, again, _ = make_watched(rollback_lr_factor=0.5)
    train_with_rollback(resumed, again, str(Path(trainer.args.output_dir) / "checkpoint-20"))
    rates = {row["step"]: row["learning_rate"] for row in resumed.state.log_history if "learning_rate" in row}
    assert rates[24] == pytest.approx(1.5e-3)


def test_signs_of_collapse_outlive_the_process(make_watched):
    # Killed after the second bad rollout, resumed: the third is the last that is needed
    trainer, monitor, _ = make_watched(bad_calls=(7, 8), settings={"max_steps": 16})
    train_with_rollback(trainer, monitor)
    resumed, again, _ = make_watched(bad_calls=(1,))
    train_with_rollback(resumed, again, str(Path(trainer.args.output_dir) / "checkpoint-16"))
    events = [event for event in read_events(trainer.args.output_dir) if event["action"] != "warning"]
    assert [(event["action"], event["step"]) for event in events] == [("rollback", 18)]


def test_new_run_in_a_used_folder_does_not_inherit_its_rollbacks(make_watched):
    first, monitor, _ = make_watched(bad_calls=(7, 8, 9), rollback_lr_factor=0.5)
    train_with_rollback(first, monitor)
    second, again, _ = make_watched(rollback_lr_factor=0.5, settings={"max_steps": 4})
    train_with_rollback(second, again)
    assert again.rollbacks == 0
    assert read_events(second.args.output_dir) == []
    rates = [row["learning_rate"] for row in second.state.log_history if "learning_rate" in row]
    assert rates == pytest.approx([3e-3, 3e-3])


def test_time_that_came_to_nothing_is_counted(make_watched):
    trainer, monitor, _ = make_watched(bad_calls=(7, 8, 9))
    output = train_with_rollback(trainer, monitor)
    # The time before the second `train` is that of all of the first, not of its first 10 steps
    before = trainer.loop_state.seconds
    (first_part,) = torch.load(
        Path(trainer.args.output_dir) / "rolled_back-1" / "checkpoint-16" / "arcgym_state_0.pt", weights_only=True
    )["parts"].keys() & {"callbacks/LoopState"}
    saved = torch.load(
        Path(trainer.args.output_dir) / "rolled_back-1" / "checkpoint-16" / "arcgym_state_0.pt", weights_only=True
    )["parts"][first_part]["seconds"]
    assert before > saved > 0
    assert output.metrics["train_runtime"] > 0


def test_set_aside_leaves_other_folders(tmp_path):
    for name in ("checkpoint-2", "checkpoint-4", "checkpoint-6", "checkpoint-old", "eval"):
        (tmp_path / name).mkdir()
    set_aside(tmp_path, 2, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "checkpoint-old", "eval", "rolled_back-1"}
    assert {path.name for path in (tmp_path / "rolled_back-1").iterdir()} == {"checkpoint-4", "checkpoint-6"}


def test_metrics_of_the_steps_between_two_rollouts_count_too(make_watched):
    # A log for each of the 2 steps: only the first of a rollout has its reward, a spike may be in the second
    trainer, monitor, _ = make_watched(settings={"logging_steps": 1, "max_steps": 4})
    monitor.watch(trainer)
    trainer.train()
    norms = [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]
    assert len(norms) == 4
    assert list(monitor.detector.trackers["grad_norm"].values) == [norms[0], max(norms[1:3])]


# --- Early stopping and the best model, by solved tasks ---


@pytest.fixture
def make_evaluated(make_trainer, prompts):
    """Build a toy trainer whose evaluations solve given shares of tasks, one after the other."""

    def make(solved, settings=None, min_delta=0.0):
        trainer = None
        shares = iter(solved)

        def reward(completions, log_metric, **_):
            if not trainer.model.training:
                log_metric("tasks/solved_frac", next(shares))
            return share_of_a(completions)

        best = {
            "eval_strategy": "steps",
            "eval_steps": 2,
            "metric_for_best_model": "tasks/solved_frac",
            "load_best_model_at_end": True,
        }
        trainer = make_trainer(
            RUN | best | (settings or {}),
            reward_funcs=reward,
            eval_dataset=prompts.select(range(8)),
            callbacks=[EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=min_delta)],
        )
        return trainer

    return make


def test_run_stops_when_it_solves_no_more_and_keeps_the_best_model(make_evaluated, make_trainer):
    trainer = make_evaluated([0.125, 0.25, 0.125, 0.25, 0.875])
    trainer.train()
    assert trainer.state.global_step == 8
    assert trainer.state.best_metric == 0.25
    assert trainer.state.best_model_checkpoint == str(Path(trainer.args.output_dir) / "checkpoint-4")
    other = make_trainer(RUN)
    other._load_from_checkpoint(trainer.state.best_model_checkpoint)
    torch.testing.assert_close(weights(trainer.model), weights(other.model), rtol=0, atol=0)


def test_gain_below_the_least_one_does_not_count(make_evaluated):
    trainer = make_evaluated([0.125, 0.1875, 0.25, 0.875], min_delta=0.1)
    trainer.train()
    assert trainer.state.global_step == 6
    assert trainer.state.best_metric == 0.25


def test_run_that_keeps_solving_more_is_not_stopped(make_evaluated):
    trainer = make_evaluated([0.1 * i for i in range(12)])
    trainer.train()
    assert trainer.state.global_step == 24


def test_patience_outlives_the_process(make_evaluated):
    trainer = make_evaluated([0.3, 0.2], {"max_steps": 4})
    trainer.train()
    resumed = make_evaluated([0.2, 0.9])
    resumed.train(resume_from_checkpoint=str(Path(trainer.args.output_dir) / "checkpoint-4"))
    assert resumed.state.global_step == 6
