"""What a run logs: `metrics.jsonl`, the metrics that TRL does not measure, and completions that a person can read.

TRL averages what its trainers measure and hands it to TensorBoard, trackio or wandb (`report_to`). `MetricsTracker`
stands beside that: it puts its own measurements where TRL's are, so that they reach every logger and the trainer's
history alike, appends each row to `metrics.jsonl`, shows a few programs of each rollout as TensorBoard text, and says
when a metric is logged that `arcgym.training.metric_table` does not declare, or one is missing that has to be there.
All programs, with their verdicts, are in TRL's `completions/*.parquet` (`log_completions`).
"""

import json
import logging
import math
import re
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from arcgym.programs import extract_program
from arcgym.rewards import RewardCalculator
from arcgym.training.logs import METRICS_FILE, JsonLines, take_row
from arcgym.training.metric_table import METRICS, Metric, Run, When, find, required

logger = logging.getLogger(__name__)

OnlineTrainer: TypeAlias = GRPOTrainer | RLOOTrainer  # PPOTrainer is a GRPOTrainer


class MetricsTracker(TrainerCallback):
    """Logs to `metrics.jsonl`, completes what is logged everywhere, and checks it against the declarations.

    It is added to a trainer that is there already: `trainer.add_callback(MetricsTracker(trainer))`. What it measures
    itself: `grad_norm_clipped`, `memory/peak_mb`, `speed/tokens_per_second`, `speed/programs_per_second`.

    Args:
        trainer: Whose run it is. The file goes to its `output_dir`.
        declared: What may be logged; for reward functions that log metrics of their own, `(*METRICS, Metric(…))`.
        num_completions: Programs of each rollout to show in TensorBoard, from the best to the worst; 0 shows none.
    """

    def __init__(self, trainer: OnlineTrainer, declared: Sequence[Metric] = METRICS, num_completions: int = 4) -> None:
        self.trainer = trainer
        self.declared = declared
        self.num_completions = num_completions
        self.path = Path(str(trainer.args.output_dir)) / METRICS_FILE
        self.run = Run(
            args=cast(GRPOConfig | RLOOConfig, trainer.args),
            reward_names=tuple(trainer.reward_func_names),
            scores_programs=any(isinstance(function, RewardCalculator) for function in trainer.reward_funcs),
            is_sharded=trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled,
        )
        self._warned: set[str] = set()
        self._shown = ""  # text of the last rollout, until it is logged
        # Since the last row with a rollout
        self._seconds = 0.0
        self._programs = 0.0
        self._tokens_before = 0
        # At the beginning of the step
        self._began = 0.0
        self._rollouts_before = 0

    # --- Measuring ---

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Mark in the file where training begins, or goes on."""
        self._seconds = self._programs = 0.0
        self._tokens_before = int(state.num_input_tokens_seen)
        if state.is_world_process_zero:
            append_row(self.path, {"step": state.global_step, "time": time.time(), "event": "begin"})

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock of the step."""
        self._began = time.perf_counter()
        self._rollouts_before = len(self._measured("reward"))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the gradient that the optimizer is about to use; the trainer has clipped it."""
        if not self.run.is_sharded:
            self._metrics["grad_norm_clipped"] = [gradient_norm(cast(nn.Module, self.trainer.model))]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure memory and speed, and choose what to show of a new rollout."""
        self._metrics["memory/peak_mb"] = [peak_memory_mb(self.trainer.accelerator.device)]
        self._seconds += time.perf_counter() - self._began
        rollouts = len(self._measured("reward")) - self._rollouts_before
        if rollouts > 0:
            replayed = self._measured("ppo/replay_frac")[-rollouts:] or [0.0] * rollouts
            size = self.run.args.generation_batch_size or 0
            programs = round(sum(size * (1 - share) for share in replayed))
            self._programs += programs
            if state.is_world_process_zero and self.num_completions and self._tensorboard is not None:
                self._shown = self._describe_rollout(round(programs / rollouts))
        if self._programs:
            # One value and not one more: TRL averages what was measured since the last row
            tokens = int(state.num_input_tokens_seen) - self._tokens_before
            self._metrics["speed/programs_per_second"] = [self._programs / self._seconds]
            self._metrics["speed/tokens_per_second"] = [tokens / self._seconds]

    @property
    def _metrics(self) -> dict[str, list[float]]:
        """What the trainer has measured in training since the last row."""
        metrics: dict[str, list[float]] = self.trainer._metrics["train"]
        return metrics

    def _measured(self, name: str) -> list[float]:
        # `get`: TRL's dictionary would keep an empty list, and log it
        return self._metrics.get(name, [])

    # --- Logging ---

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append a row; show programs of a new rollout; check the names."""
        if not logs:
            return
        if "speed/programs_per_second" in logs:
            self._seconds = self._programs = 0.0
            self._tokens_before = int(state.num_input_tokens_seen)
        if not state.is_world_process_zero:
            return
        append_row(self.path, {"step": state.global_step, "time": time.time(), **logs})
        writer = self._tensorboard
        if self._shown and writer is not None:
            writer.add_text("completions", self._shown, state.global_step)
            writer.flush()
            self._shown = ""
        self._check(logs)

    def _check(self, logs: Mapping[str, Any]) -> None:
        for name in logs:
            if find(name, self.declared) is None:
                self._warn(name, "is logged, but not declared. Give `MetricsTracker` a `Metric` that says what it is.")
        for name in sorted(required(self.run, row_kinds(logs), self.declared) - logs.keys()):
            self._warn(name, "should be in every row of its kind, but was not logged.")

    def _warn(self, name: str, what: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("The metric `%s` %s", name, what)

    # --- Completions ---

    @property
    def _tensorboard(self) -> Any:
        """TensorBoard's writer; None without TensorBoard."""
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback):
                return callback.tb_writer
        return None

    def _describe_rollout(self, size: int) -> str:
        """Describe some of the last `size` completions, which are those of the rollout just made."""
        table: dict[str, Any] = self.trainer._logs
        completions = list(table["completion"])[-size:]
        columns = {name: list(values)[-size:] for name, values in [*table["rewards"].items(), *table["extra"].items()]}
        rows = [
            {name: values[i] for name, values in columns.items() if len(values) == len(completions)}
            for i in range(len(completions))
        ]
        weights = dict(zip(self.run.reward_names, self.trainer.reward_weights.tolist(), strict=True))
        scores = [sum(weight * _or_zero(row.get(name)) for name, weight in weights.items()) for row in rows]
        chosen = spread_out(scores, self.num_completions)
        return "\n\n".join(describe_completion(completions[i], rows[i]) for i in chosen)


def row_kinds(logs: Mapping[str, Any]) -> set[When]:
    """Say what a row of the log reports, from the names in it."""
    if any(name.startswith("eval_") for name in logs):
        return {"evaluation"}
    if "train_runtime" in logs:
        return {"end"}
    if "loss" not in logs:
        return set()
    return {"step", "update", "rollout"} if {"num_tokens", "reward"} & logs.keys() else {"step", "update"}


# --- The file ---


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line of JSON; what is not a finite number is written as null.

    A line that a killed process left unfinished is ended first, so that it spoils nothing but itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({name: _finite(value) for name, value in row.items()}, allow_nan=False) + "\n"
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode())


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows of a run in order, without those that are out of date.

    A run that was cut off goes on from its last checkpoint and logs the steps after it once more; a run that is rolled
    back does too. The file keeps all of it; here a row counts only until training begins anew before its step.

    Args:
        path: `metrics.jsonl`; a file that is not there has no rows.

    Raises:
        ConfigError: The file is damaged, but for lines that were cut off.
    """
    rows: list[dict[str, Any]] = []
    for row in JsonLines(path).new():
        take_row(rows, row)
    return rows


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- Measurements ---


def gradient_norm(model: nn.Module) -> float:
    """Return the Euclidean norm of all gradients that a module has; 0 without any."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).item() if gradients else 0.0


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory (MiB) that this process has held so far.

    Args:
        device: With a CUDA device, what PyTorch's allocator gave out on it; else the resident memory of the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / (1 << 20)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, KiB elsewhere


# --- Completions as text ---


def spread_out(scores: Sequence[float], count: int) -> list[int]:
    """Choose `count` indices, from the best score to the worst in even steps of rank; all, if there are fewer."""
    ranked = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    if count >= len(ranked):
        return ranked
    last = len(ranked) - 1
    return [ranked[round(step * last / (count - 1))] for step in range(count)] if count > 1 else ranked[:count]


def describe_completion(completion: str | list[dict[str, Any]], columns: Mapping[str, Any]) -> str:
    """Write a completion as Markdown: what is known of it in one line, then its program, or its text if it has none.

    Args:
        completion: Text, or chat messages.
        columns: Rewards and verdicts by name; empty ones are left out.
    """
    names = sorted(columns, key=lambda name: name != "task_id")  # the task first, the others in their order
    facts = [f"{name} `{_plain(columns[name])}`" for name in names if columns[name] not in (None, "")]
    code = extract_program(completion)
    if code is None:
        code = completion if isinstance(completion, str) else "\n".join(str(m["content"]) for m in completion)
    # A fence that no line of the program can end
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 0)
    return f"{' · '.join(facts)}\n\n{fence}python\n{code.strip()}\n{fence}"


def _plain(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("`", "'").split())


def _or_zero(value: float | None) -> float:
    return 0.0 if value is None or math.isnan(value) else value
