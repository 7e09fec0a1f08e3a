"""Notices a run that is going wrong, and takes it back to where it was right.

Long reinforcement learning runs collapse: programs grow to the length limit, repeat themselves, stop compiling, become
all the same, or earn reward while they solve less. `CollapseMonitor` reads what the trainer logs of each rollout, has
it judged by `arcgym.training.collapse_rules`, and warns, stops the run, or sends it back.

It reads logged numbers only, so it works with every trainer of TRL that logs them. Going back needs checkpoints that
are known to be whole, which `PPOTrainer` writes; see `train_with_rollback`.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, TrainOutput

from arcgym.errors import ConfigError
from arcgym.training.checkpoints import find_problems, newest_valid, step_of
from arcgym.training.collapse_rules import SIGNALS, CollapseDetector, Judgement
from arcgym.training.logs import EVENTS_FILE, JsonLines, take_event

if TYPE_CHECKING:
    from arcgym.training.resume import ResumableTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollapseConfig:
    """When a run counts as collapsed, and what happens then."""

    on_collapse: Literal["warn", "rollback", "stop"] = field(
        default="rollback",
        metadata={
            "help": "What happens on collapse, after a warning. `rollback`: go on from the best checkpoint, or the "
            "last one before the first sign, with a smaller learning rate; without such a checkpoint only warn. "
            "`stop`: end the run. `warn`: nothing more."
        },
    )
    rollback_lr_factor: float = field(
        default=0.3,
        metadata={"help": "What each rollback multiplies the learning rate by, critic's included; in (0, 1]."},
    )
    max_rollbacks: int = field(
        default=3, metadata={"help": "Rollbacks after which the next collapse ends the run; 1 or more."}
    )
    collapse_patience: int = field(
        default=3,
        metadata={
            "help": "Logged rollouts in a row that a signal must be beyond its limit to count; 2 or more. Raise it "
            "for small, noisy rollouts; the warning comes one before."
        },
    )
    collapse_window: int = field(
        default=20,
        metadata={"help": "Logged rollouts that a baseline is the median of; at least `collapse_warmup`."},
    )
    collapse_warmup: int = field(
        default=4,
        metadata={"help": "Logged rollouts before a signal is judged at all; 2 or more. They must be healthy."},
    )
    collapse_ignore: list[str] = field(
        default_factory=list,
        metadata={"help": f"Signals that are not watched, of: {', '.join(SIGNALS)}."},
    )

    def __post_init__(self) -> None:
        if self.on_collapse not in ("warn", "rollback", "stop"):
            raise ConfigError(f"`on_collapse` is {self.on_collapse!r}, but must be `warn`, `rollback` or `stop`.")
        if not 0 < self.rollback_lr_factor <= 1:
            raise ConfigError(f"`rollback_lr_factor` is {self.rollback_lr_factor}, but must be in (0, 1].")
        for name, least in (("max_rollbacks", 1), ("collapse_patience", 2), ("collapse_warmup", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, but must be at least {least}.")
        if self.collapse_window < self.collapse_warmup:
            raise ConfigError(
                f"`collapse_window` is {self.collapse_window}, but must be at least `collapse_warmup`, which is "
                f"{self.collapse_warmup}."
            )
        if unknown := sorted(set(self.collapse_ignore) - set(SIGNALS)):
            raise ConfigError(f"`collapse_ignore` names {', '.join(unknown)}; the signals are {', '.join(SIGNALS)}.")


class CollapseMonitor(TrainerCallback):
    """Watches a run, and warns, rolls back or stops when it collapses.

    Every logged rollout gets `collapse/alarm` and `collapse/rollback`, 0 or 1, so `watch` has to be called for them to
    reach the other loggers. Every change is a line of `collapse.jsonl` in the run directory: `step`, `time`, `action`
    (`warning`, `warn`, `rollback`, `stop`), `signals`, and by signal their `values`, `baselines` and `limits`; `since`
    (the step of the first sign), `checkpoint`, `rollbacks` so far and the `learning_rate_factor` from then on.

    Args:
        config: Rules and reaction.
        completions_per_rollout: Completions that all processes together sample for one rollout.
    """

    def __init__(self, config: CollapseConfig, completions_per_rollout: int) -> None:
        if completions_per_rollout < 2:
            raise ValueError(f"completions_per_rollout is {completions_per_rollout}, but must be at least 2")
        self.config = config
        self.detector = CollapseDetector(
            config.collapse_patience,
            config.collapse_window,
            config.collapse_warmup,
            completions_per_rollout,
            config.collapse_ignore,
        )
        self.rollbacks = 0
        self.checkpoint: Path | None = None  # where the last collapse pointed back to
        self.has_stopped = False
        self._can_roll_back = False
        self._is_pending = False
        self._is_alarmed = False
        self._warned: frozenset[str] = frozenset()
        self._between: dict[str, list[float]] = {}

    def watch(self, trainer: Trainer) -> None:
        """Put this callback before all others, so that they see what it adds to the logs.

        Args:
            trainer: Gets the callback if it has it not yet.
        """
        callbacks = trainer.callback_handler.callbacks
        if self in callbacks:
            callbacks.remove(self)
        callbacks.insert(0, self)

    @property
    def learning_rate_factor(self) -> float:
        """What the rollbacks so far have multiplied the learning rate by."""
        return self.config.rollback_lr_factor**self.rollbacks

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Judge the rollout that was logged, if one was."""
        if logs is None or "train_runtime" in logs:
            return
        for name, value in logs.items():
            if isinstance(value, int | float):
                self._between.setdefault(name, []).append(float(value))
        if "reward" not in logs:
            return  # a further step on the same rollout
        metrics = {name: _combine(name, values) for name, values in self._between.items()}
        self._between.clear()
        judgement = self.detector.judge(metrics, state.global_step)
        action, checkpoint = self._agree(args, self._decide(judgement, args, state))
        marks = {
            "collapse/alarm": float(action is not None or self._is_alarmed),
            "collapse/rollback": float(action == "rollback"),
        }
        logs.update(marks)
        state.log_history[-1].update(marks)
        if action is not None:
            self._act(action, checkpoint, judgement, args, state, control)
        else:
            self._warn_early(judgement, args, state)

    def _decide(
        self, judgement: Judgement, args: TrainingArguments, state: TrainerState
    ) -> tuple[str | None, Path | None]:
        """Choose what to do; nothing more while an alarm goes on."""
        was_alarmed, self._is_alarmed = self._is_alarmed, judgement.is_collapsed
        if not judgement.is_collapsed or was_alarmed or not state.is_world_process_zero:
            return None, None
        checkpoint = good_checkpoint(str(args.output_dir), state.best_model_checkpoint, judgement.good_step)
        if self.config.on_collapse == "rollback" and self.rollbacks < self.config.max_rollbacks:
            can = self._can_roll_back and checkpoint is not None
            return ("rollback" if can else "warn"), checkpoint
        return ("warn" if self.config.on_collapse == "warn" else "stop"), checkpoint

    @staticmethod
    def _agree(args: TrainingArguments, decision: tuple[str | None, Path | None]) -> tuple[str | None, Path | None]:
        """Take the main process's decision everywhere: processes that stop at different steps wait for ever."""
        if args.world_size == 1:
            return decision
        agreed: tuple[str | None, Path | None] = broadcast_object_list([decision])[0]
        return agreed

    def _act(
        self,
        action: str,
        checkpoint: Path | None,
        judgement: Judgement,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
    ) -> None:
        self._is_alarmed = True
        self.checkpoint = checkpoint
        if action == "rollback":
            assert checkpoint is not None
            self.rollbacks += 1
            self._is_pending = True
            # Nothing of the collapsed weights is to be kept, nor the best model loaded before they are replaced
            control.should_evaluate = control.should_save = False
            state.best_model_checkpoint = None
            if state.is_world_process_zero:
                set_aside(str(args.output_dir), step_of(checkpoint), self.rollbacks)
        self.has_stopped = action == "stop"
        control.should_training_stop = control.should_training_stop or action in ("rollback", "stop")
        if not state.is_world_process_zero:
            return
        self._write(args, state, action, judgement.held, judgement)
        what = {
            "warn": "training goes on"
            + ("" if self.config.on_collapse == "warn" else ": no checkpoint to go back to"),
            "rollback": f"back to {checkpoint} with {self.learning_rate_factor:g} of the learning rate",
            "stop": "training stops",
        }[action]
        logger.warning("Collapse at step %d: %s; %s.", state.global_step, _explain(judgement, judgement.held), what)

    def _warn_early(self, judgement: Judgement, args: TrainingArguments, state: TrainerState) -> None:
        """Say once what may become a collapse."""
        new = [name for name in judgement.warned if name not in self._warned]
        self._warned = frozenset(judgement.warned)
        if new and state.is_world_process_zero:
            self._write(args, state, "warning", new, judgement)
            logger.warning("Step %d may be the start of a collapse: %s.", state.global_step, _explain(judgement, new))

    def _write(
        self, args: TrainingArguments, state: TrainerState, action: str, signals: Iterable[str], judgement: Judgement
    ) -> None:
        readings = {name: judgement.readings[name] for name in signals}
        row = {
            "step": state.global_step,
            "time": time.time(),
            "action": action,
            "signals": list(readings),
            "values": {name: _finite(reading.value) for name, reading in readings.items()},
            "baselines": {name: reading.baseline for name, reading in readings.items()},
            "limits": {name: reading.limit for name, reading in readings.items()},
            "since": min(self.detector.trackers[name].since for name in readings),
            "checkpoint": str(self.checkpoint) if action in ("rollback", "stop") and self.checkpoint else None,
            "rollbacks": self.rollbacks,
            "learning_rate_factor": self.learning_rate_factor,
        }
        append_event(str(args.output_dir), row)

    def begin(self, output_dir: str | Path, is_resumed: bool) -> None:
        """Take over the rollbacks of a run that is resumed: it may have been killed before its next checkpoint.

        Args:
            output_dir: The run directory.
            is_resumed: False for a new run, whose folder may hold the events of an older one.
        """
        self._can_roll_back = True
        events = read_events(output_dir)
        if is_resumed:
            self.rollbacks = max([self.rollbacks, *(event.get("rollbacks", 0) for event in events)])
        elif events:
            append_event(output_dir, {"step": 0, "time": time.time(), "action": "start"})

    def take_rollback(self) -> Path | None:
        """Return the checkpoint to go back to, once for each rollback; None where the run is not to go back."""
        if not self._is_pending:
            return None
        self._is_pending = self._is_alarmed = False
        self._warned = frozenset()
        self._between.clear()
        self.detector.restart()
        return self.checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return plain data; `CheckpointManager` keeps it."""
        return {
            "detector": self.detector.state_dict(),
            "rollbacks": self.rollbacks,
            "is_alarmed": self._is_alarmed,
            "warned": sorted(self._warned),
            "between": {name: list(values) for name, values in self._between.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; rollbacks that were made since stay counted."""
        self.detector.load_state_dict(state["detector"])
        self.rollbacks = max(self.rollbacks, state["rollbacks"])
        self._is_alarmed = state["is_alarmed"]
        self._warned = frozenset(state["warned"])
        self._between = {name: list(values) for name, values in state["between"].items()}


def train_with_rollback(
    trainer: "ResumableTrainer", monitor: CollapseMonitor, resume_from_checkpoint: str | None = None
) -> TrainOutput:
    """Train, and go back as often as the monitor says so.

    Going back is resuming: weights, critic, optimizer, order of the prompts and random state are those of the
    checkpoint, and only the learning rate is smaller. Later checkpoints are moved to `rolled_back-<n>/`. A run that is
    stopped for collapse ends with the weights of the checkpoint that it could have gone back to, if there is one.

    Args:
        trainer: Not yet trained.
        monitor: Becomes its first callback.
        resume_from_checkpoint: Where to start, a path; None for the beginning.

    Returns:
        What the last `trainer.train` returned.
    """
    monitor.watch(trainer)
    monitor.begin(str(trainer.args.output_dir), is_resumed=resume_from_checkpoint is not None)
    spent: float | None = None
    while True:
        trainer.learning_rate_factor = min(trainer.learning_rate_factor, monitor.learning_rate_factor)
        output = trainer.train(resume_from_checkpoint=resume_from_checkpoint)
        if spent is not None:
            # The checkpoint knows of the time until it was saved, not of what came to nothing after it
            trainer.loop_state.seconds = spent
        spent = trainer.loop_state.seconds + output.metrics["train_runtime"]
        checkpoint = monitor.take_rollback()
        if checkpoint is None or trainer.stop_on_signal.is_stopped:
            break
        # Other processes must not look for what the main one has not moved yet
        trainer.accelerator.wait_for_everyone()
        if trainer.use_vllm:
            trainer._last_loaded_step = -1  # the engine still has the collapsed weights
        resume_from_checkpoint = str(checkpoint)
    if monitor.has_stopped and monitor.checkpoint is not None and not trainer.args.load_best_model_at_end:
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            logger.warning("The weights are those of the collapse; good ones are in %s.", monitor.checkpoint)
        else:
            trainer._load_from_checkpoint(str(monitor.checkpoint))
    return output


def good_checkpoint(output_dir: str | Path, best: str | None, good_step: int) -> Path | None:
    """Choose the checkpoint to go back to: the best one, or else the newest whole one, of those before the collapse.

    Args:
        output_dir: The run directory.
        best: The best checkpoint by the trainer's own evaluations, if there is one.
        good_step: The latest step that may be chosen.
    """
    if best is not None and step_of(best) <= good_step and not find_problems(best):
        return Path(best)
    return newest_valid(output_dir, before_step=good_step + 1)


def set_aside(output_dir: str | Path, step: int, number: int) -> None:
    """Move the checkpoints after a step out of the way of a run that goes back to it.

    Args:
        output_dir: The run directory.
        step: Of the checkpoint that it goes back to.
        number: Of the rollback; they come to `rolled_back-<number>/`.
    """
    later = [
        folder
        for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if folder.is_dir() and folder.name.rpartition("-")[2].isdigit() and step_of(folder) > step
    ]
    if not later:
        return
    target = Path(output_dir) / f"rolled_back-{number}"
    target.mkdir(exist_ok=True)
    for folder in later:
        folder.rename(target / folder.name)


def append_event(output_dir: str | Path, row: Mapping[str, Any]) -> None:
    """Append one line to `collapse.jsonl`."""
    path = Path(output_dir) / EVENTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_events(output_dir: str | Path) -> list[dict[str, Any]]:
    """Read the events of the latest run in a run directory; empty if nothing happened.

    Args:
        output_dir: The run directory.

    Returns:
        The lines of `collapse.jsonl` since the last run that began there, in order.

    Raises:
        ConfigError: The file is damaged, but for lines that were cut off.
    """
    events: list[dict[str, Any]] = []
    for event in JsonLines(Path(output_dir) / EVENTS_FILE).new():
        take_event(events, event)
    return events


def _explain(judgement: Judgement, signals: Sequence[str]) -> str:
    parts = []
    for name in signals:
        value, baseline, limit, _ = judgement.readings[name]
        past = "" if baseline is None or limit is None else f" (limit {limit:.3g}, baseline {baseline:.3g})"
        parts.append(f"{name} {value:.3g}{past}")
    return ", ".join(parts)


def _combine(name: str, values: Sequence[float]) -> float:
    """Make one number of what was logged since the last rollout: the worst gradient norm, the mean of the rest."""
    if name == "grad_norm":
        return next((value for value in values if not math.isfinite(value)), max(values))
    return sum(values) / len(values)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
