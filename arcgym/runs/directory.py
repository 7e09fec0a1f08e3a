"""The run directory: the contract between training, evaluation, experiments and reports.

    config.yaml     every setting, resolved         metrics.jsonl   one line per logged step, append-only
    env.json        versions and hardware           completions/    sampled programs with rewards, parquet
    checkpoint-*/   as in any Trainer               eval/*.json     one report per evaluation and set
    summary.json    before and after, cost, hashes  report.html     all of it on one page

Files are appended to, or written under a temporary name and renamed, so that a reader never sees half of one.
"""

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import TrainingArguments

from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.runs.parsing import save_config

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


class BatchArithmetic(Protocol):
    """What a run's batch arithmetic is read from: a `Rollout`, or a `PPOConfig`."""

    @property
    def num_generations(self) -> int:
        """Completions of each prompt."""

    @property
    def completions_per_rollout(self) -> int:
        """Completions that all processes together sample before they learn from them."""

    @property
    def prompts_per_rollout(self) -> int:
        """Distinct prompts of one rollout."""

    @property
    def num_ppo_epochs(self) -> int:
        """Passes over a rollout."""

    @property
    def num_mini_batches(self) -> int | Fraction:
        """Optimizer steps per pass."""

    @property
    def optimizer_steps_per_rollout(self) -> int | Fraction:
        """Optimizer steps between two rollouts."""


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
    seconds: float,
) -> dict[str, Any]:
    """Compute `summary.json`.

    Args:
        before: Reports by set name, before training.
        after: The same sets, after it.
        history: The trainer's log history.
        programs: Number of programs sampled in training.
        directory: The run directory, whose `config.yaml` is hashed.
        seconds: Seconds of training, without the evaluations.

    Returns:
        Plain data: `before` and `after` by set; `seconds` of training without the evaluations; `programs` sampled in
        it, and `programs_per_second`; `reward_first` and `reward_last`, the mean reward over the first and the last
        tenth of logged rollouts; `config_hash`; `dataset_hashes` by set.
    """
    rewards = [row["reward"] for row in history if row.get("reward") is not None]
    tenth = max(1, len(rewards) // 10)
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


def programs_sampled(rollout: BatchArithmetic, optimizer_steps: int) -> int:
    """Number of programs that all processes sampled for training in a number of optimizer steps."""
    return math.ceil(optimizer_steps / rollout.optimizer_steps_per_rollout) * rollout.completions_per_rollout


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
