"""What makes a resumed run equal to one that never stopped.

Trainer restores weights, optimizer, scheduler and random generators, and skips the batches that were trained on. TRL's
online trainers keep more than that between steps: how far they are in a rollout, the rollout itself, metrics that are
not logged yet, and an order of prompts that depends on how many epochs this process has gone through. `LoopState`
saves and restores the former, `EpochSampler` makes the latter a function of the epoch, and `ResumableTrainer` puts
them to use.
"""

import logging
import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, reduce
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from arcgym.errors import CheckpointError, ConfigError
from arcgym.training.checkpoints import MANIFEST, CheckpointManager, collect_parts, rotate, seal, unseal
from arcgym.training.curriculum import CurriculumSampler, CurriculumScheduler, read_override

logger = logging.getLogger(__name__)


class EpochSampler(RepeatSampler):
    """TRL's sampler, whose order in an epoch depends on seed and epoch alone, not on the epochs gone through before.

    Args:
        sampler: What TRL made; it has a seed.
        epoch: Tells the number of the epoch that begins.
    """

    def __init__(self, sampler: RepeatSampler, epoch: Callable[[], int]) -> None:
        super().__init__(
            sampler.data_source,
            sampler.mini_repeat_count,
            sampler.batch_size,
            sampler.repeat_count,
            sampler.shuffle,
            sampler.seed,
        )
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch."""
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + self.epoch())
        return super().__iter__()


class LoopState(TrainerCallback):
    """The state of TRL's training loop between two optimizer steps, beyond what Trainer saves.

    Args:
        trainer: Whose loop it is.

    `seconds` is the time that the run had spent in training when it was saved.
    """

    def __init__(self, trainer: GRPOTrainer) -> None:
        self.trainer = trainer
        self.seconds = 0.0
        self._started = time.monotonic()
        self._unlogged: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return plain data and tensors."""
        trainer = self.trainer
        logs: dict[str, Any] = trainer._logs
        return {
            "step": trainer._step,
            "rollout": trainer._buffered_inputs,
            "metrics": {name: list(values) for name, values in trainer._metrics["train"].items()},
            "completions": {
                name: {key: list(column) for key, column in value.items()} if isinstance(value, dict) else list(value)
                for name, value in logs.items()
                if name != "images"
            },
            "tr_loss": trainer._tr_loss,
            "last_logged": trainer._globalstep_last_logged,
            "seconds": self.seconds + time.monotonic() - self._started,
            "callbacks": {type(callback).__name__: callback.state()["attributes"] for callback in self._exportable()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; what Trainer sets itself when it starts is restored after that."""
        trainer = self.trainer
        trainer._step = state["step"]
        trainer._buffered_inputs = state["rollout"]
        metrics = trainer._metrics["train"]
        metrics.clear()  # a trainer that goes back to a checkpoint has some
        metrics.update(state["metrics"])
        logs: dict[str, Any] = trainer._logs
        for name, value in state["completions"].items():
            logs[name].clear()
            if isinstance(logs[name], deque):
                logs[name].extend(value)
            else:
                for key, column in value.items():
                    logs[name][key].extend(column)
        for callback in self._exportable():
            for name, value in state["callbacks"].get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
        self.seconds = state["seconds"]
        self._unlogged = {"tr_loss": state["tr_loss"], "last_logged": state["last_logged"]}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the loss that was summed up but not logged."""
        self._started = time.monotonic()
        if self._unlogged is not None:
            self.trainer._tr_loss = self._unlogged["tr_loss"].to(args.device)
            self.trainer._globalstep_last_logged = self._unlogged["last_logged"]
            self._unlogged = None

    def _exportable(self) -> list[ExportableState]:
        """Callbacks like EarlyStoppingCallback, which Trainer saves but does not restore in place."""
        return [cb for cb in self.trainer.callback_handler.callbacks if isinstance(cb, ExportableState)]


class StopOnSignal(TrainerCallback):
    """On SIGTERM, as schedulers send before they kill: finish the step, save a checkpoint, stop.

    All processes stop at the same step, whichever of them got the signal. `is_stopped` tells afterwards whether that
    happened.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self._is_asked = False
        self._before: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen."""
        self._before = signal.signal(signal.SIGTERM, self._ask)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save and stop if any process was asked to."""
        if self._any_asked():
            self.is_stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen no more."""
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        self._is_asked = True

    def _any_asked(self) -> bool:
        processes = PartialState()
        if processes.num_processes == 1:
            return self._is_asked
        flag = torch.tensor(float(self._is_asked), device=processes.device)
        return bool(reduce(flag, reduction="sum").item())


def refuse_second_listener(args: TrainingArguments) -> None:
    """Refuse Trainer's own listener to SIGTERM: `StopOnSignal` takes its place, and it saves in the middle of a step.

    Raises:
        ConfigError: `enable_jit_checkpoint` is set.
    """
    if args.enable_jit_checkpoint:
        raise ConfigError(
            "`enable_jit_checkpoint` is true, but SIGTERM already ends a run with a checkpoint, after the step under "
            "way. Leave it out."
        )


def scale_learning_rate(optimizer: Any, scheduler: Any, factor: float) -> None:
    """Multiply the rates that an optimizer and its scheduler were restored with, now and for the rest of the schedule.

    Args:
        optimizer: Restored from a checkpoint.
        scheduler: The same.
        factor: Above 0.
    """
    for group in optimizer.param_groups:
        group["lr"] *= factor
        if "initial_lr" in group:
            group["initial_lr"] *= factor
    scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]
    scheduler._last_lr = [rate * factor for rate in scheduler.get_last_lr()]  # what is logged


class ResumableTrainer(GRPOTrainer):
    """`trl.GRPOTrainer` that resumes exactly, from checkpoints that are sealed.

    With a `curriculum` that is set before `train`, the scheduler chooses the tasks of each rollout, by their position
    in the training set, which is a column `index` there; what was solved is the column `is_solved` that a reward
    function logs.
    `learning_rate_factor` scales the rates of a checkpoint that is resumed, unless it was saved with a lower one.
    `loop_state.seconds` is what the run had spent in training before it was resumed, and `stop_on_signal.is_stopped`
    tells whether SIGTERM ended the training.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.learning_rate_factor = 1.0
        self.curriculum: CurriculumScheduler | None = None
        super().__init__(*args, **kwargs)
        self.loop_state = LoopState(self)
        self.stop_on_signal = StopOnSignal()
        self.add_callback(self.loop_state)
        self.add_callback(self.stop_on_signal)
        self.checkpoints = CheckpointManager(self.args.process_index, self.args.world_size)

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        sampler = cast(RepeatSampler, super()._get_train_sampler(dataset))
        if self.curriculum is None:
            return EpochSampler(sampler, epoch=self._epoch)
        return CurriculumSampler(
            self.curriculum, sampler.batch_size, sampler.mini_repeat_count, sampler.repeat_count, self._epoch
        )

    def _epoch(self) -> int:
        return int(self.state.epoch or 0)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        rollout = super()._generate_and_score_completions(inputs)
        if self.curriculum is not None and cast(torch.nn.Module, self.model).training:
            self._tell_curriculum(self.curriculum, [row["index"] for row in inputs])
        return rollout

    def _tell_curriculum(self, curriculum: CurriculumScheduler, own_tasks: list[int]) -> None:
        """Tell how the programs of a rollout went, of all processes and to each of them the same."""
        tasks: list[int] = gather_object(own_tasks)
        table: dict[str, Any] = self._logs["extra"]  # type: ignore[assignment]
        if "is_solved" not in table:
            raise ConfigError(
                "a curriculum needs to know which programs solve their task, but no reward function logs the column "
                "`is_solved`. Use `RewardCalculator`, or call `log_extra('is_solved', [...])` in a reward function."
            )
        solved = list(table["is_solved"])[-len(tasks) :]
        # A verdict is None where the sandbox itself failed
        curriculum.record((task, one) for task, one in zip(tasks, solved, strict=True) if one is not None)
        self._override_curriculum(curriculum)
        for name, value in curriculum.metrics().items():
            self._metrics["train"][name].append(value)

    def _override_curriculum(self, curriculum: CurriculumScheduler) -> None:
        """Follow the file that may hold a level; a wrong one must not end a run."""
        level = None
        if self.accelerator.is_main_process:
            try:
                level = read_override(Path(self.args.output_dir or ".") / "curriculum_level", len(curriculum.bands))
            except ConfigError as exc:
                logger.warning("%s It is ignored.", exc)
        level = broadcast_object_list([level])[0]
        # The setting is in force where there is no file
        curriculum.override(curriculum.config.curriculum_level if level is None else level)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            # Trainer counts steps after they are made: a run that was killed when it was done would make one more
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        reward = metrics.get("eval_reward")
        if reward is None or math.isnan(reward):
            # The metric to choose by may be missing then, which would end the run
            logger.warning(
                "No completion of this evaluation has a reward; it takes no part in choosing the best model."
            )
            return False
        return super()._determine_best_metric(metrics, trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        run = Path(self._get_output_dir(trial=trial))
        folder = run / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        keep, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            if self.args.should_save:
                unseal(folder)
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = keep
        self.checkpoints.save(folder, self._parts_with_state())
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            seal(folder)
            if self.args.push_to_hub:
                self._push_from_checkpoint(str(folder))
            # After sealing, so that there is a whole checkpoint at any moment
            rotate(run, keep, self.state.best_model_checkpoint)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # Trainer calls it before everything is in the checkpoint, and the upload goes on beside the training
        if (Path(checkpoint_folder) / MANIFEST).is_file():
            super()._push_from_checkpoint(checkpoint_folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        if not self.is_deepspeed_enabled and not (Path(checkpoint) / SCHEDULER_NAME).is_file():
            # Trainer would go on with a new optimizer, without a word
            raise CheckpointError(
                f"{checkpoint} holds no optimizer (`save_only_model`), so training cannot be resumed from it. Resume "
                "from another, or start a new run with `model_name_or_path` set to it."
            )
        self.checkpoints.load(checkpoint, self._parts_with_state(), self.accelerator.device)

    def _parts_with_state(self) -> dict[str, Any]:
        """Everything of the run that has a state which Trainer does not save, by name."""
        return collect_parts(
            trainer=self,
            curriculum=self.curriculum,
            rewards=list(self.reward_funcs),
            callbacks=list(self.callback_handler.callbacks),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs of the trainer itself, as plain data."""
        return {"learning_rate_factor": self.learning_rate_factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`, after optimizer and scheduler have been restored."""
        saved = state["learning_rate_factor"]
        self.learning_rate_factor = min(self.learning_rate_factor, saved)
        scale_learning_rate(self.optimizer, self.lr_scheduler, self.learning_rate_factor / saved)
