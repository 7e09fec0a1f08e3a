import copy
import os
import random
import signal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ppo_toy import toy_prompts
from transformers import EarlyStoppingCallback, TrainerCallback

from arcgym.errors import CheckpointError, ConfigError
from arcgym.training import PPOTrainer
from arcgym.training.checkpoints import find_problems, newest_valid
from arcgym.training.resume import EpochSampler, scale_learning_rate

TIMES = ("step_time", "generation_s", "runtime", "per_second", "total_flos", "train_loss")
# Without shrinking: a failing example takes seconds, and says enough
FEW = settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def setups():
    """Ways to train in which a stop can fall anywhere: between rollouts or in one, in any epoch, between logs."""
    return st.fixed_dictionaries(
        {
            "per_device_train_batch_size": st.just(4),
            "num_ppo_epochs": st.sampled_from([1, 2]),
            "num_mini_batches": st.sampled_from([1, 2]),
            "gradient_accumulation_steps": st.sampled_from([1, 2]),
            "logging_steps": st.sampled_from([1, 2]),
            "num_generations": st.sampled_from([1, 2]),
            "advantage": st.sampled_from(["gae", "reinforce"]),
            "replay_share": st.sampled_from([0.0, 0.5]),
            "lr_scheduler_type": st.sampled_from(["constant", "linear"]),
            "seed": st.integers(0, 3),
        }
    )


def metrics_of(trainer):
    return [
        {name: value for name, value in row.items() if not any(time in name for time in TIMES)}
        for row in trainer.state.log_history
        if "train_runtime" not in row
    ]


def weights_of(trainer):
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def assert_equal_runs(resumed, unbroken):
    for name, weight in weights_of(unbroken).items():
        assert torch.equal(weights_of(resumed)[name], weight), name
    assert metrics_of(resumed) == metrics_of(unbroken)


@pytest.fixture
def train(make_trainer, tmp_path):
    """Train in a folder of its own for six steps, with a checkpoint after each; resume where told."""
    folders = iter(range(1000))

    def run(setup, resume=None, folder=None, callbacks=(), **arguments):
        folder = folder or tmp_path / f"run{next(folders)}"
        common = {"output_dir": str(folder), "max_steps": 6, "save_strategy": "steps", "save_steps": 1}
        # Small data: an epoch ends every few steps
        trainer = make_trainer(
            common | setup, train_dataset=toy_prompts().select(range(20)), callbacks=list(callbacks), **arguments
        )
        for callback in callbacks:
            callback.trainer = trainer
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return trainer, folder

    return run


@pytest.mark.property(24)
@FEW
@given(setup=setups(), stop=st.integers(1, 5))
def test_stopped_at_any_step_and_resumed_equals_never_stopped(train, setup, stop):
    unbroken, folder = train(setup)
    resumed, _ = train(setup, resume=folder / f"checkpoint-{stop}")
    assert_equal_runs(resumed, unbroken)


class StopBeforeFirstStep(Exception):
    pass


class Look(TrainerCallback):
    """Looks at a resumed trainer when its first step begins: by then everything has been restored."""

    def on_step_begin(self, args, state, control, **kwargs):
        self.random_state = random_state()
        raise StopBeforeFirstStep


class Remember(TrainerCallback):
    """Notes the state of a trainer that goes on after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.found = (random_state(), everything(self.trainer))


def differences(one, other, path="state"):
    """Where two nested states differ, exactly."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) and one.dtype == other.dtype else [path]
    if isinstance(one, dict):
        keys = [path] if one.keys() != other.keys() else []
        return keys + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{path}/{key}")
        ]
    if isinstance(one, list | tuple):
        length = [path] if len(one) != len(other) else []
        return length + [
            d for i, (a, b) in enumerate(zip(one, other, strict=False)) for d in differences(a, b, f"{path}/{i}")
        ]
    return [] if one == other or (one != one and other != other) else [path]


def random_state():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()


def everything(trainer):
    loop = trainer.loop_state.state_dict()
    loop.pop("seconds")
    return copy.deepcopy(
        {
            "policy": trainer.model.state_dict(),
            "critic": trainer.value_head.state_dict() if trainer.value_head is not None else None,
            "optimizer": trainer.optimizer.state_dict(),
            "scheduler": trainer.lr_scheduler.state_dict(),
            "trainer": trainer.state.global_step,
            "adapted": trainer.state_dict(),
            "replay": trainer.replay.state_dict() if trainer.replay is not None else None,
            "loop": loop,
        }
    )


@pytest.mark.property(23)
@FEW
@given(setup=setups(), stop=st.integers(1, 5))
def test_a_checkpoint_holds_every_state_of_the_run(make_model, make_trainer, train, setup, stop):
    remember = Remember(stop)

    _, folder = train(setup, callbacks=[remember])
    assert find_problems(folder / f"checkpoint-{stop}") == []
    look = Look()
    # Other weights, and other random numbers, than the run began with
    resumed = make_trainer(
        {"output_dir": str(folder), "max_steps": 6, "save_strategy": "steps", "save_steps": 1} | setup,
        model=make_model(seed=9),
        train_dataset=toy_prompts().select(range(20)),
        callbacks=[look],
    )
    torch.manual_seed(99)
    with pytest.raises(StopBeforeFirstStep):
        resumed.train(resume_from_checkpoint=str(folder / f"checkpoint-{stop}"))
    random_then, states_then = remember.found
    assert look.random_state == random_then
    assert differences(everything(resumed), states_then) == []


def test_a_run_that_was_done_makes_no_further_step(train):
    unbroken, folder = train({})
    resumed, _ = train({}, resume=folder / "checkpoint-6")
    assert resumed.state.global_step == 6
    assert_equal_runs(resumed, unbroken)


def test_sigterm_saves_and_stops_and_the_resumed_run_equals_an_unbroken_one(train):
    setup = {"gradient_accumulation_steps": 2, "save_steps": 100, "num_mini_batches": 1}

    class Terminate(TrainerCallback):
        def on_substep_end(self, args, state, control, **kwargs):
            if state.global_step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    stopped, folder = train(setup, callbacks=[Terminate()])
    assert signal.getsignal(signal.SIGTERM) is before
    assert stopped.stop_on_signal.is_stopped
    assert stopped.state.global_step == 3
    unbroken, _ = train(setup)
    assert not unbroken.stop_on_signal.is_stopped
    resumed, _ = train(setup, resume=newest_valid(folder))
    assert_equal_runs(resumed, unbroken)


def test_evaluations_in_between_change_nothing(train, prompts):
    setup = {"eval_strategy": "steps", "eval_steps": 2, "num_generations": 2}
    unbroken, folder = train(setup, eval_dataset=prompts.select(range(4)))
    for stop in (1, 2, 3):
        resumed, _ = train(setup, resume=folder / f"checkpoint-{stop}", eval_dataset=prompts.select(range(4)))
        assert_equal_runs(resumed, unbroken)


def test_adapter_is_resumed_exactly(train):
    from peft import LoraConfig

    setup = {"num_mini_batches": 2}
    lora = {"peft_config": LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)}
    unbroken, folder = train(setup, **lora)
    resumed, _ = train(setup, resume=folder / "checkpoint-3", **lora)
    assert_equal_runs(resumed, unbroken)


def test_kl_penalty_and_reference_are_resumed_exactly(train, policy_folder):
    setup = {"kl_coef": 0.05, "kl_target": 0.1}
    unbroken, folder = train(setup, model=policy_folder)
    resumed, _ = train(setup, resume=folder / "checkpoint-3", model=policy_folder)
    assert_equal_runs(resumed, unbroken)


def test_patience_of_early_stopping_is_resumed(train, prompts):
    setup = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "reward",
        "load_best_model_at_end": True,
        "learning_rate": 0.0,
    }
    same = {
        "eval_dataset": prompts.select(range(4)),
        "reward_funcs": lambda completions, **_: [0.5] * len(completions),
    }
    _, folder = train(setup | {"max_steps": 3}, callbacks=[EarlyStoppingCallback(early_stopping_patience=4)], **same)
    patience = EarlyStoppingCallback(early_stopping_patience=4)
    resumed, _ = train(setup, resume=folder / "checkpoint-3", callbacks=[patience], **same)
    assert patience.early_stopping_patience_counter == 4
    assert resumed.state.global_step == 5


def test_old_checkpoints_go_and_the_best_stays(train, prompts):
    def falling(completions, trainer_state, **_):
        return [1.0 - trainer_state.global_step / 10] * len(completions)

    setup = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "reward",
        "save_total_limit": 2,
    }
    trainer, folder = train(setup, eval_dataset=prompts.select(range(4)), reward_funcs=falling)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-1",
        "checkpoint-5",
        "checkpoint-6",
    ]
    assert trainer.args.save_total_limit == 2


def test_an_evaluation_that_nobody_could_score_does_not_end_the_run(train, prompts, caplog):
    def unscored(completions, trainer_state, **_):
        return [None if trainer_state.global_step == 2 else 0.5] * len(completions)

    setup = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "reward", "max_steps": 3}
    trainer, _ = train(setup, eval_dataset=prompts.select(range(4)), reward_funcs=unscored)
    assert trainer.state.best_global_step == 1
    assert "takes no part in choosing the best model" in caplog.text


def test_a_checkpoint_without_an_optimizer_is_not_resumed(train):
    _, folder = train({"max_steps": 1, "save_only_model": True})
    with pytest.raises(CheckpointError, match="holds no optimizer"):
        train({}, resume=folder / "checkpoint-1")


def test_trainers_own_listener_to_sigterm_is_refused(make_trainer):
    with pytest.raises(ConfigError, match="Leave it out"):
        make_trainer({"enable_jit_checkpoint": True})


def test_order_of_an_epoch_depends_on_nothing_that_came_before(make_trainer):
    sampler = make_trainer()._get_train_sampler()
    epoch = 0
    sampler.epoch = lambda: epoch
    first = list(sampler)
    epoch = 1
    second = list(sampler)
    assert isinstance(sampler, EpochSampler)
    assert sorted(first) == sorted(second)
    assert first != second
    assert list(sampler) == second
    epoch = 0
    assert list(sampler) == first


def test_first_epoch_is_in_trls_order(make_trainer):
    from trl import GRPOTrainer

    trainer = make_trainer()
    assert list(trainer._get_train_sampler()) == list(GRPOTrainer._get_train_sampler(trainer))


def test_a_lowered_learning_rate_survives_the_restored_schedule(train):
    setup = {"lr_scheduler_type": "linear", "learning_rate": 0.01}
    unbroken, folder = train(setup)

    def rates(trainer):
        return [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]

    class Halved(PPOTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.learning_rate_factor = 0.5

    resumed, lower = train(setup, resume=folder / "checkpoint-2", trainer_type=Halved)
    again, _ = train(setup, resume=lower / "checkpoint-4", trainer_type=Halved)
    expected = rates(unbroken)[:2] + [rate / 2 for rate in rates(unbroken)[2:]]
    assert rates(resumed) == pytest.approx(expected)
    # What is restored was lowered before: not once more
    assert rates(again) == pytest.approx(expected)


def test_scaling_reaches_the_rest_of_the_schedule():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 10)
    scale_learning_rate(optimizer, scheduler, 0.1)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.09)
