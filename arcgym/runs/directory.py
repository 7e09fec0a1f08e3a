"""The run directory: the contract between training, evaluation, experiments and reports.

    config.yaml     every setting, resolved         metrics.jsonl   one line per logged step, append-only
    env.json        versions and hardware           completions/    sampled programs with rewards, parquet
    checkpoint-*/   as in any Trainer               eval/*.json     one report per evaluation and set
    summary.json    before and after, cost, hashes

Files are appended to, or written under a temporary name and renamed, so that a reader never sees half of one.
"""

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.runs.parsing import save_config
from arcgym.training.ppo_config import PPOConfig

_LIBRARIES = ("arcgym", "torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy")


class RunDirectory:
    """A run's folder. Made if missing.

    Args:
        path: The folder, the trainer's `output_dir`.

    Raises:
        ConfigError: It cannot be made or written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".write-test-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as exc:
            raise ConfigError(
                f"`output_dir` {str(path)!r} cannot be written to ({exc.strerror}). Choose another folder, or change "
                "its permissions."
            ) from exc

    @classmethod
    def temporary(cls) -> "RunDirectory":
        """Make a run directory that is removed with the object, at the latest when the process ends."""
        directory = cls(tempfile.mkdtemp(prefix="arcgym-run-"))
        weakref.finalize(directory, shutil.rmtree, directory.path)
        return directory

    def write_config(self, *configs: object) -> None:
        """Write the resolved settings of dataclasses to `config.yaml`."""
        temporary = self.path / ".config.yaml.tmp"
        save_config(temporary, *configs)
        temporary.rename(self.path / "config.yaml")

    def write_environment(self, sandbox_layers: list[str]) -> None:
        """Write versions, hardware and the active layers of the sandbox to `env.json`."""
        self.write_json(
            "env.json",
            {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "cpus": os.cpu_count(),
                "torch_threads": torch.get_num_threads(),
                "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
                "libraries": {name: metadata.version(name) for name in _LIBRARIES},
                "sandbox_layers": sandbox_layers,
            },
        )

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all.

        Args:
            name: Path below the run directory.
            value: Plain data.
        """
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_text(json.dumps(value, indent=1) + "\n")
        temporary.rename(target)


class MetricsLog(TrainerCallback):
    """Append every logged step to `metrics.jsonl`, from the main process.

    Args:
        directory: The run directory.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.path = directory.path / "metrics.jsonl"

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line: step, time (Unix seconds) and every metric; not-a-number is written as null."""
        if not state.is_world_process_zero or not logs:
            return
        row = {
            "step": state.global_step,
            "time": time.time(),
            **{name: _finite(value) for name, value in logs.items()},
        }
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_dry_run(training: TrainingArguments) -> RunDirectory:
    """Change a run's settings into those of a dry run: one step, nothing kept.

    Returns:
        A temporary run directory.
    """
    directory = RunDirectory.temporary()
    training.output_dir = str(directory.path)
    training.max_steps = 1
    training.save_strategy = "no"
    training.eval_strategy = "no"
    training.report_to = []
    training.push_to_hub = False
    return directory


def summarise(
    before: Mapping[str, EvaluationReport],
    after: Mapping[str, EvaluationReport],
    history: Sequence[Mapping[str, float]],
    programs: int,
    directory: RunDirectory,
) -> dict[str, Any]:
    """Compute `summary.json`.

    Args:
        before: Reports by set name, before training.
        after: The same sets, after it.
        history: The trainer's log history.
        programs: Number of programs sampled in training.
        directory: The run directory, whose `config.yaml` is hashed.

    Returns:
        Plain data: `before` and `after` by set; `seconds` of training without the evaluations; `programs` sampled in
        it, and `programs_per_second`; `reward_first` and `reward_last`, the mean reward over the first and the last
        tenth of logged rollouts; `config_hash`; `dataset_hashes` by set.
    """
    rewards = [row["reward"] for row in history if row.get("reward") is not None]
    tenth = max(1, len(rewards) // 10)
    seconds = next((row["train_runtime"] for row in reversed(history) if "train_runtime" in row), 0.0)
    config = (directory.path / "config.yaml").read_bytes()
    return {
        "before": {name: report.aggregates for name, report in before.items()},
        "after": {name: report.aggregates for name, report in after.items()},
        "seconds": seconds,
        "programs": programs,
        "programs_per_second": programs / seconds if seconds else 0.0,
        "reward_first": _mean(rewards[:tenth]),
        "reward_last": _mean(rewards[-tenth:]),
        "config_hash": hashlib.sha256(config).hexdigest(),
        "dataset_hashes": {name: report.aggregates["dataset_hash"] for name, report in after.items()},
    }


def programs_sampled(training: PPOConfig, optimizer_steps: int) -> int:
    """Number of programs that all processes sampled for training in a number of optimizer steps."""
    return math.ceil(optimizer_steps / training.optimizer_steps_per_rollout) * training.completions_per_rollout


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
