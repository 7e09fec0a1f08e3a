"""What the training recipes share: tasks, evaluations, run directory and report around whichever trainer they build.

A recipe makes a `Job` from the command line, opens the sandbox, builds its trainer, and goes through `start`,
`evaluate`, `trainer.train`, `evaluate`, `finish`. The trainer is the recipe's own: the one thing in which recipes
differ. Every process of a run makes every call; one of them, the main process, prints and writes.
"""

import hashlib
import io
import logging
import os
import signal
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from datasets import Dataset
from rich.console import Console
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, set_seed
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.utils import get_quantization_config

from arcgym.data.difficulty import DifficultyAnalyzer
from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport, PerformanceEvaluator, dataset_hash
from arcgym.evaluation.report import end_with_report
from arcgym.inference import Solver
from arcgym.models import load_tokenizer
from arcgym.models.freezing import parameter_table
from arcgym.models.policy import PolicyNetwork
from arcgym.runs.console import print_evaluation, print_sample, print_start, print_summary, use_console_progress
from arcgym.runs.directory import RunDirectory, as_dry_run, programs_sampled, summarise
from arcgym.runs.hub import RunPush
from arcgym.runs.settings import parse_settings
from arcgym.runs.threads import use_all_cores
from arcgym.sandbox import CodeSandbox, describe_layers
from arcgym.training.checkpoints import AUTO, SealCheckpoints, resolve_resume
from arcgym.training.collapse import CollapseMonitor, train_with_rollback
from arcgym.training.curriculum import CurriculumScheduler
from arcgym.training.metrics import MetricsTracker, OnlineTrainer, peak_memory_mb
from arcgym.training.ppo_config import PPOConfig
from arcgym.training.ppo_trainer import PPOTrainer
from arcgym.training.resume import StopOnSignal, refuse_second_listener

logger = logging.getLogger(__name__)

# Of `model_init_kwargs`, what has a setting of its own, which counts, or is passed on by name
_OWN_MODEL_SETTINGS = ("revision", "dtype", "attn_implementation", "device_map", "trust_remote_code")

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
        self.settings = settings = parse_settings(config_type, description)
        self.training: OnlineConfig = settings.training
        check_processes(self.training.world_size)
        use_all_cores(self.training)
        self.directory = RunDirectory(cast(str, self.training.output_dir))
        if self.settings.tasks.dry_run:
            self.directory = as_dry_run(self.training)
        self.push = RunPush(self.training, settings.hub)
        self.resume_from = resolve_resume(self.training.resume_from_checkpoint, self.directory.path)
        settings.freezing.check(settings.model)
        settings.evaluation.check(self.training)
        self.rollout = Rollout.of(self.training)
        self.extra_rewards = settings.extra_rewards.load(self.training)
        self._check_settings()
        self.tokenizer = load_tokenizer(
            cast(str, self.settings.model.model_name_or_path),
            revision=self.settings.model.model_revision,
            trust_remote_code=self.training.trust_remote_code,
        )
        self.formatter = self.settings.tasks.formatter(self.tokenizer)
        self.tasks = settings.tasks.load(self.formatter)
        self.eval_dataset = None
        if self.training.eval_strategy != "no":
            validation, self.tasks = self.tasks.keep_apart(
                settings.evaluation.validation_tasks, settings.tasks.task_seed
            )
            self.eval_dataset = self.formatter.dataset(validation).dataset
        self.train_dataset = self._prepare_training_set()
        if len(self.train_dataset) < self.rollout.prompts_per_rollout:
            # TRL would drop what does not fill a rollout, and end at once
            raise ConfigError(
                f"There are {len(self.train_dataset)} tasks to train on, but one rollout needs "
                f"{self.rollout.prompts_per_rollout}: {self.rollout.completions_per_rollout} programs, "
                f"{self.rollout.num_generations} for each task. Name more tasks in `train_tasks`, raise "
                "`num_generations`, or lower `per_device_train_batch_size`."
            )

    def _prepare_training_set(self) -> Dataset:
        """Write the prompts, in the order of the tasks; a dry run's are the longest, which take the most memory."""
        chosen = self.tasks.train
        if self.settings.tasks.dry_run:
            chosen = sorted(chosen, key=lambda task: -(self.formatter.format(task).num_tokens or 0))
            chosen = chosen[: self.rollout.prompts_per_rollout]
        args = self.settings.tasks
        dataset = self.formatter.dataset(chosen, hidden_pairs=args.hidden_pairs, seed=args.task_seed).dataset
        return dataset.add_column("index", range(len(dataset)))  # by which a curriculum knows its tasks

    def _check_settings(self) -> None:
        """Refuse what the settings of different purposes say against each other."""
        refuse_second_listener(self.training)
        if self.settings.rewards.normalization == "group" and self.rollout.num_generations == 1:
            raise ConfigError(
                "`normalization` is `group`, but `num_generations` is 1, so every reward would be 0. Use `running`, "
                "or sample more programs of each task."
            )
        if self.settings.curriculum.curriculum != "none" and not isinstance(self.training, PPOConfig):
            raise ConfigError(
                f"`curriculum` is `{self.settings.curriculum.curriculum}`, but only PPOTrainer has one. Use "
                "`recipes/ppo.py`, with `advantage: group` for GRPO or `rloo` for RLOO."
            )

    def _make_curriculum(self) -> CurriculumScheduler:
        by_name = {task.task_id: task for task in self.tasks.train}
        analyzer = DifficultyAnalyzer(formatter=self.formatter)
        analyzed = analyzer.analyze([by_name[name] for name in self.train_dataset["task_id"]])
        return CurriculumScheduler([task.score for task in analyzed], self.settings.curriculum, self.training.seed)

    def callbacks(self) -> list[TrainerCallback]:
        """Make the callbacks that a run's trainer is to have."""
        callbacks: list[TrainerCallback] = []
        if not isinstance(self.training, PPOConfig):  # PPOTrainer does this by itself
            callbacks += [StopOnSignal(), SealCheckpoints()]
        patience = self.settings.evaluation.early_stopping_patience
        if patience is not None:
            callbacks.append(EarlyStoppingCallback(patience, self.settings.evaluation.early_stopping_threshold))
        return callbacks

    def load_policy(self) -> PolicyNetwork:
        """Load the policy as the settings say; an adapter is put on it by the trainer, given its `peft_config`.

        Raises:
            ArcGymError: The model cannot be loaded, or not with these settings.
        """
        set_seed(self.training.seed)  # as trainers do before they load a model by name
        args = self.settings.model
        further = cast(dict[str, Any], self.training.model_init_kwargs or {})
        state = self.training.distributed_state
        # As TRL places what it loads itself: over all accelerators of a single process, else where the launcher says
        is_alone = state.distributed_type == DistributedType.NO and state.device.type not in ("cpu", "mps")
        policy = PolicyNetwork.load(
            cast(str, args.model_name_or_path),
            revision=args.model_revision,
            dtype=args.dtype or "float32",
            attn_implementation=args.attn_implementation,
            device_map=further.get("device_map", "auto" if is_alone else None),
            quantization=get_quantization_config(args),
            tokenizer=self.tokenizer,
            trust_remote_code=self.training.trust_remote_code,
            model_kwargs={name: value for name, value in further.items() if name not in _OWN_MODEL_SETTINGS},
        )
        self.settings.freezing.freeze(policy)
        if args.model_revision != "main" and self.training.beta:
            # The reference of GRPO and RLOO is loaded by the policy's name
            self.training.model_init_kwargs = {**further, "revision": args.model_revision}
        return policy

    def start(self, trainer: Trainer, sandbox: CodeSandbox) -> None:
        """Take the recipe's trainer, write down what is about to happen, and print it.

        Args:
            trainer: Made from this job's settings.
            sandbox: Runs the programs of the evaluations.
        """
        self.trainer = trainer
        if isinstance(trainer, PPOTrainer) and self.settings.curriculum.curriculum != "none":
            trainer.curriculum = self._make_curriculum()
        self.is_main = trainer.is_world_process_zero()
        use_console_progress(trainer)
        trainer.add_callback(MetricsTracker(cast(OnlineTrainer, trainer)))
        policy = trainer.accelerator.unwrap_model(trainer.model)
        self.solver = Solver(
            policy,
            self.tokenizer,
            sandbox,
            self.formatter,
            num_samples=self.settings.evaluation.eval_samples,
            temperature=self.settings.evaluation.eval_temperature,
            max_new_tokens=cast(int, self.training.max_completion_length),
            batch_size=self.settings.evaluation.eval_batch_size,
            seed=self.settings.evaluation.eval_seed,
        )
        if self.is_main:
            self.directory.write_config(*self.settings)
            self.directory.write_environment([layer.name for layer in describe_layers() if layer.active])
        with self._main_prints():
            print_start(self.tasks, self.rollout, policy.num_parameters())
            Console().print(parameter_table(policy))
            print_processes(self.training.world_size)
            if self.training.resume_from_checkpoint is not None:
                print_resume(self.resume_from, self.directory.path)

    def try_out(self) -> None:
        """Print one prompt and what becomes of it, take a step on the longest prompts, and say what memory it took."""
        with self._main_prints():
            print_sample(self.solver, self.tasks.train[0])
        self.trainer.train()
        longest = max(self.formatter.format(task).num_tokens or 0 for task in self.tasks.train)
        with self._main_prints():
            print_peak(peak_memory_mb(self.trainer.accelerator.device), longest)

    def train(self) -> None:
        """Train, from the checkpoint that is to be resumed if there is one.

        Raises:
            SystemExit: SIGTERM arrived; a checkpoint was saved. The status is 143, as for any process that it ends.
        """
        start = str(self.resume_from) if self.resume_from is not None else None
        monitor = self._make_monitor()
        if isinstance(self.trainer, PPOTrainer) and monitor is not None:
            train_with_rollback(self.trainer, monitor, start)
        else:
            if monitor is not None:
                monitor.watch(self.trainer)
            self.trainer.train(resume_from_checkpoint=start)
        callbacks = self.trainer.callback_handler.callbacks
        if any(callback.is_stopped for callback in callbacks if isinstance(callback, StopOnSignal)):
            with self._main_prints():
                print_stop(self.trainer.state.global_step)
            raise SystemExit(128 + signal.SIGTERM)

    def _make_monitor(self) -> CollapseMonitor | None:
        if self.rollout.completions_per_rollout < 2:
            return None
        config = self.settings.collapse
        if config.on_collapse == "rollback" and not isinstance(self.trainer, PPOTrainer):
            config = replace(config, on_collapse="warn")  # TRL's own trainers do not go back exactly
        if self.settings.curriculum.curriculum != "none":
            # Harder tasks are solved less often, and that is no collapse
            ignored = sorted({*config.collapse_ignore, "hidden_accuracy", "reward_hacking"})
            config = replace(config, collapse_ignore=ignored)
        return CollapseMonitor(config, self.rollout.completions_per_rollout)

    def evaluate(self, when: str) -> dict[str, EvaluationReport]:
        """Evaluate on every set, and keep the reports in the run directory.

        Every process evaluates every task, with the same draws: a sharded policy needs them in step. A resumed run
        takes over what was evaluated before it was stopped.

        Args:
            when: `before` or `after`.
        """
        evaluator = PerformanceEvaluator(self.solver)
        reports = self._kept_reports() if when == "before" and self.resume_from is not None else {}
        for name, tasks in self.tasks.evaluation.items():
            if name in reports:
                continue
            with self._main_prints():
                print_evaluation(name, tasks, when)
            reports[name] = evaluator.evaluate(tasks, name)
        if self.is_main:
            for name, report in reports.items():
                report.save(self._report_file(when, name))
        return reports

    def _report_file(self, when: str, name: str) -> Path:
        return self.directory.path / "eval" / f"{when}-{name.replace('/', '-')}.json"

    def _kept_reports(self) -> dict[str, EvaluationReport]:
        """Read the reports from before training that are of the same tasks, sampled in the same way."""
        kept = {}
        for name, tasks in self.tasks.evaluation.items():
            file = self._report_file("before", name)
            if self.is_main and file.is_file():
                report = EvaluationReport.load(file)
                is_same_set = report.aggregates["dataset_hash"] == dataset_hash(tasks)
                if is_same_set and report.sampling == asdict(self.solver.sampling):
                    kept[name] = report
        shared = [kept]
        broadcast_object_list(shared)  # every process has to evaluate the same sets
        return shared[0]

    def finish(self, before: dict[str, EvaluationReport], after: dict[str, EvaluationReport]) -> None:
        """Save the policy, write and print the summary, write the report, and push the run to the Hub if it is to be.

        Args:
            before: What `evaluate` returned before training.
            after: And after it.
        """
        trainer = self.trainer
        trainer.save_model(_internal_call=True)  # else it pushes too, before there is a summary
        hashes = weights_hashes(trainer)
        if self.is_main:
            sampled = programs_sampled(self.rollout, trainer.state.global_step)
            seconds = training_seconds(trainer)
            summary = summarise(before, after, trainer.state.log_history, sampled, self.directory, seconds)
            summary |= {"processes": self.training.world_size, "weights_hashes": hashes}
            summary |= {"train_tasks": len(self.tasks.train), "train_hash": dataset_hash(self.tasks.train)}
            self.directory.write_json("summary.json", summary)
            print_summary(summary)
            end_with_report(self.directory.path, self.tasks.evaluation)
            self.push.finish(self.directory.path)
        trainer.accelerator.end_training()  # the processes take leave of each other before any of them ends

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


def print_resume(checkpoint: Path | None, output_dir: Path) -> None:
    """Say what a run that is to be resumed goes on from."""
    found = f"from {checkpoint}" if checkpoint is not None else f"from the beginning: {output_dir} has no checkpoint"
    Console().print(f"Going on       {found}", highlight=False, soft_wrap=True)


def print_peak(peak_mb: float, prompt_tokens: int) -> None:
    """Say how much memory a step on the longest prompts took."""
    Console().print(
        f"\nPeak memory    {peak_mb:,.0f} MiB in this process, with the longest prompts of {prompt_tokens} tokens; "
        "completions may become longer later",
        highlight=False,
        soft_wrap=True,
    )


def print_stop(step: int) -> None:
    """Say that a run was stopped from outside, and how it goes on."""
    Console().print(
        f"\nStopped by SIGTERM after step {step}; a checkpoint is saved. The same command with "
        f"`--resume_from_checkpoint {AUTO}` goes on from there.",
        highlight=False,
        soft_wrap=True,
    )


def training_seconds(trainer: Trainer) -> float:
    """Return the seconds that a run has spent in training, before and after it was resumed."""
    last: float = next(
        (row["train_runtime"] for row in reversed(trainer.state.log_history) if "train_runtime" in row), 0.0
    )
    return last + (trainer.loop_state.seconds if isinstance(trainer, PPOTrainer) else 0.0)


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
