"""What the training recipes share: tasks, evaluations, run directory and report around whichever trainer they build.

A recipe makes a `Job` from the command line, opens the sandbox, builds its trainer, and goes through `start`,
`evaluate`, `trainer.train`, `evaluate`, `finish`. The trainer is the recipe's own: the one thing in which recipes
differ. Every process of a run makes every call; one of them, the main process, prints and writes.
"""

import hashlib
import io
import logging
import os
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias, cast

import torch
from accelerate.utils import gather_object
from rich.console import Console
from torch import nn
from transformers import Trainer
from transformers.hf_argparser import DataClassType
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.model_config import ModelConfig
from trl.trainer.rloo_config import RLOOConfig

from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport, PerformanceEvaluator
from arcgym.inference import Solver
from arcgym.models import load_tokenizer
from arcgym.rewards import RewardConfig
from arcgym.runs.arguments import EvaluationArguments, SandboxArguments, TaskArguments
from arcgym.runs.console import print_evaluation, print_sample, print_start, print_summary, use_console_progress
from arcgym.runs.directory import RunDirectory, as_dry_run, programs_sampled, summarise
from arcgym.runs.parsing import parse_config
from arcgym.runs.threads import use_all_cores
from arcgym.sandbox import CodeSandbox, describe_layers
from arcgym.training.ppo_config import PPOConfig

logger = logging.getLogger(__name__)

OnlineConfig: TypeAlias = GRPOConfig | RLOOConfig  # PPOConfig is a GRPOConfig


@dataclass(frozen=True)
class Rollout:
    """The batch arithmetic of a trainer, under the names of `PPOConfig`, from the fields that TRL's trainers share.

    Args:
        completions_per_rollout: Completions that all processes together sample before they learn from them.
        num_generations: Completions of each prompt.
        num_ppo_epochs: Passes over a rollout.
        num_mini_batches: Optimizer steps per pass; below 1 when one step learns from several rollouts.
    """

    completions_per_rollout: int
    num_generations: int
    num_ppo_epochs: int
    num_mini_batches: Fraction

    @classmethod
    def of(cls, training: OnlineConfig) -> "Rollout":
        """Read a config whose own checks have filled in every size."""
        completions, steps = cast(int, training.generation_batch_size), cast(int, training.steps_per_generation)
        mini_batches = Fraction(steps, training.gradient_accumulation_steps)
        return cls(completions, cast(int, training.num_generations), training.num_iterations, mini_batches)

    @property
    def prompts_per_rollout(self) -> int:
        """Distinct prompts of one rollout."""
        return self.completions_per_rollout // self.num_generations

    @property
    def optimizer_steps_per_rollout(self) -> Fraction:
        """Optimizer steps between two rollouts."""
        return self.num_ppo_epochs * self.num_mini_batches


class Job:
    """One training run, from the command line to `summary.json`.

    Args:
        config_type: The trainer's config.
        description: First paragraph of `--help`.

    Raises:
        ArcGymError: A setting is wrong, the output folder cannot be written to, there is no such model, no task is
            left, or the processes do not know of each other; always before a model is loaded.
    """

    def __init__(self, config_type: type[OnlineConfig], description: str | None) -> None:
        types = (TaskArguments, EvaluationArguments, SandboxArguments, RewardConfig, ModelConfig, config_type)
        settings = parse_config([cast(DataClassType, kind) for kind in types], description=description)
        self.settings = settings
        self.task_args: TaskArguments = settings[0]
        self.eval_args: EvaluationArguments = settings[1]
        self.sandbox_args: SandboxArguments = settings[2]
        self.reward_config: RewardConfig = settings[3]
        self.model_args: ModelConfig = settings[4]
        self.training: OnlineConfig = settings[5]
        check_processes(self.training.world_size)
        use_all_cores(self.training)
        self.directory = RunDirectory(self.training.output_dir)
        if self.task_args.dry_run:
            self.directory = as_dry_run(self.training)
        self.training.model_init_kwargs = {
            **cast(dict[str, Any], self.training.model_init_kwargs or {}),
            "revision": self.model_args.model_revision,
            "dtype": self.model_args.dtype or "float32",
            "attn_implementation": self.model_args.attn_implementation,
        }
        self.rollout = Rollout.of(self.training)
        self.tokenizer = load_tokenizer(cast(str, self.model_args.model_name_or_path))
        self.formatter = self.task_args.formatter(self.tokenizer)
        self.tasks = self.task_args.load(self.formatter)
        self.train_dataset = self.formatter.dataset(self.tasks.train).dataset
        if len(self.train_dataset) < self.rollout.prompts_per_rollout:
            # TRL would drop what does not fill a rollout, and end at once
            raise ConfigError(
                f"There are {len(self.train_dataset)} tasks to train on, but one rollout needs "
                f"{self.rollout.prompts_per_rollout}: {self.rollout.completions_per_rollout} programs, "
                f"{self.rollout.num_generations} for each task. Name more tasks in `train_tasks`, raise "
                "`num_generations`, or lower `per_device_train_batch_size`."
            )

    def start(self, trainer: Trainer, sandbox: CodeSandbox) -> None:
        """Take the recipe's trainer, write down what is about to happen, and print it.

        Args:
            trainer: Made from this job's settings.
            sandbox: Runs the programs of the evaluations.
        """
        self.trainer = trainer
        self.is_main = trainer.is_world_process_zero()
        use_console_progress(trainer)
        policy = trainer.accelerator.unwrap_model(trainer.model)
        self.solver = Solver(
            policy,
            self.tokenizer,
            sandbox,
            self.formatter,
            num_samples=self.eval_args.eval_samples,
            temperature=self.eval_args.eval_temperature,
            max_new_tokens=cast(int, self.training.max_completion_length),
            batch_size=self.eval_args.eval_batch_size,
            seed=self.eval_args.eval_seed,
        )
        if self.is_main:
            self.directory.write_config(*self.settings)
            self.directory.write_environment([layer.name for layer in describe_layers() if layer.active])
        with self._main_prints():
            # It reads the batch arithmetic alone
            print_start(self.tasks, cast(PPOConfig, self.rollout), policy.num_parameters())
            print_processes(self.training.world_size)

    def show_sample(self) -> None:
        """Print one prompt and what the policy makes of it."""
        with self._main_prints():
            print_sample(self.solver, self.tasks.train[0])

    def evaluate(self, when: str) -> dict[str, EvaluationReport]:
        """Evaluate on every set, and keep the reports in the run directory.

        Every process evaluates every task, with the same draws: a sharded policy needs them in step.

        Args:
            when: `before` or `after`.
        """
        evaluator = PerformanceEvaluator(self.solver)
        reports = {}
        for name, tasks in self.tasks.evaluation.items():
            with self._main_prints():
                print_evaluation(name, tasks, when)
            reports[name] = evaluator.evaluate(tasks, name)
        if self.is_main:
            for name, report in reports.items():
                report.save(self.directory.path / "eval" / f"{when}-{name.replace('/', '-')}.json")
        return reports

    def finish(self, before: dict[str, EvaluationReport], after: dict[str, EvaluationReport]) -> None:
        """Save the policy, write and print the summary, and push the run to the Hub if it is to be.

        Args:
            before: What `evaluate` returned before training.
            after: And after it.
        """
        trainer = self.trainer
        trainer.save_model()
        hashes = weights_hashes(trainer)
        if self.is_main:
            # It reads the batch arithmetic alone
            sampled = programs_sampled(cast(PPOConfig, self.rollout), trainer.state.global_step)
            summary = summarise(before, after, trainer.state.log_history, sampled, self.directory)
            summary |= {"processes": self.training.world_size, "weights_hashes": hashes}
            self.directory.write_json("summary.json", summary)
            print_summary(summary)
        if self.training.push_to_hub:
            trainer.push_to_hub(dataset_name="arcgym")

    def _main_prints(self) -> AbstractContextManager[Any]:
        """Silence the other processes, which have to compute what the main one prints."""
        return nullcontext() if self.is_main else redirect_stdout(io.StringIO())


def check_processes(world_size: int) -> None:
    """Check that the processes of a launch know of each other: else each trains alone, on the same data.

    Args:
        world_size: Number of processes that the trainer's config found.

    Raises:
        ConfigError: The launcher started more than those.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != world_size:
        raise ConfigError(
            f"The launcher started {launched} processes, but this one knows of {world_size}: they would train alone, "
            "each on everything, and write to the same folder. Without an accelerator, set `use_cpu: true`."
        )
    if world_size == 1 and "WORLD_SIZE" not in os.environ and "MASTER_PORT" in os.environ:
        # `accelerate launch` leaves this trace where it was told of several processes and started one
        logger.warning(
            "Several processes may have been asked for, but this one trains alone. Several on CPU need "
            "`accelerate launch --config_file accelerate_configs/cpu_ddp.yaml`."
        )


def print_processes(world_size: int) -> None:
    """Say how many processes train together; nothing for one."""
    if world_size > 1:
        backend = torch.distributed.get_backend()
        Console().print(f"Processes      {world_size} ({backend}), which share each rollout", highlight=False)


def weights_hashes(trainer: Trainer) -> list[str] | None:
    """Hash the trained weights of every process, which have to be the same in all of them.

    Returns:
        A SHA-256 (hex) of each process, in order of rank; `None` where the weights are sharded.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return None
    hashes: list[str] = gather_object([hash_weights(cast(nn.Module, trainer.model))])
    if len(set(hashes)) > 1:
        logger.error("The processes ended with different weights; what was saved is that of the main one: %s", hashes)
    return hashes


def hash_weights(model: nn.Module) -> str:
    """Return a SHA-256 (hex) of a model's trainable parameters, in order of name."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
