"""Supervised fine-tuning around `trl.SFTTrainer`: what `recipes/sft.py` and `recipes/selfplay.py` share.

A `FinetuningJob` holds the tasks, the prompts and the run directory; it loads a policy, trains it on samples,
evaluates it and saves it. Each training begins with a policy from a folder and ends with one in a folder, and nothing
else passes from one to the next, so that a run that was stopped is the same as one that was not.
"""

import copy
import logging
import signal
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from accelerate import PartialState
from rich.console import Console
from transformers import PrinterCallback, TrainerCallback, set_seed
from transformers.utils.logging import disable_progress_bar
from trl.trainer.model_config import ModelConfig
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import get_peft_config, get_quantization_config

from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport, PerformanceEvaluator, dataset_hash, remove_journal
from arcgym.evaluation.report import end_with_report
from arcgym.inference import Solver
from arcgym.models import CodeLLM, load_tokenizer
from arcgym.runs.arguments import ModelArguments, SandboxArguments, TaskArguments
from arcgym.runs.console import print_evaluation, print_summary, use_console_progress
from arcgym.runs.directory import RunDirectory, as_dry_run, summarise
from arcgym.runs.hub import HubArguments, RunPush
from arcgym.runs.job import check_processes, print_resume, print_stop, weights_hashes
from arcgym.runs.threads import use_all_cores
from arcgym.sandbox import CodeSandbox, describe_layers
from arcgym.training.checkpoints import SealCheckpoints, resolve_resume
from arcgym.training.resume import StopOnSignal
from arcgym.training.sft import Sample, build_dataset

logger = logging.getLogger(__name__)


@dataclass
class GlanceArguments:
    """How solved tasks are counted before and after training."""

    eval_samples: int = field(default=8, metadata={"help": "Programs sampled per task; two attempts are chosen."})
    eval_temperature: float = field(default=0.7, metadata={"help": "Sampling temperature, above 0."})
    eval_batch_size: int = field(default=128, metadata={"help": "Programs generated at once."})
    eval_seed: int = field(default=0, metadata={"help": "Seed of the sampling, the same before and after."})
    max_completion_length: int = field(
        default=512, metadata={"help": "Longest program that is sampled, in tokens; arcgym-tiny needs 48."}
    )


class CommonSettings(NamedTuple):
    """The settings that every fine-tuning has, by what they are for."""

    tasks: TaskArguments
    evaluation: GlanceArguments
    sandbox: SandboxArguments
    model: ModelConfig
    freezing: ModelArguments
    hub: HubArguments
    training: SFTConfig


class Trained(NamedTuple):
    """What came of one training.

    Attributes:
        samples: Samples that were learned from.
        too_long: Samples that were left out, since they have more tokens than `max_length`.
        loss: Mean loss over the training, in nats per token.
        steps: Optimizer steps.
        seconds: Of the training, before and after it was resumed.
        hashes: SHA-256 (hex) of the weights in each process; None where they are sharded.
    """

    samples: int
    too_long: int
    loss: float
    steps: int
    seconds: float
    hashes: list[str] | None


class FinetuningJob:
    """One run of a fine-tuning recipe, from its settings to `summary.json`.

    Args:
        settings: All of them but the recipe's own.
        *own: The recipe's own settings, dataclasses, to be kept with the others.

    Raises:
        ArcGymError: A setting is wrong, there is no such model or task, or the output folder cannot be written to;
            always before a model is loaded.
    """

    def __init__(self, settings: CommonSettings, *own: object) -> None:
        self.settings = settings
        self.training = training = settings.training
        check_processes(training.world_size)
        use_all_cores(training)
        disable_progress_bar()  # of loading and saving; each round does both
        _check(settings)
        self.is_main = training.process_index == 0
        self.directory = RunDirectory(cast(str, training.output_dir))
        if settings.tasks.dry_run:
            self.directory = as_dry_run(training)
        self.push = RunPush(training, settings.hub)
        self.resume_from = resolve_resume(training.resume_from_checkpoint, self.directory.path)
        self.model_name = cast(str, settings.model.model_name_or_path)
        self.tokenizer = load_tokenizer(
            self.model_name,
            revision=settings.model.model_revision,
            trust_remote_code=training.trust_remote_code,
        )
        self.formatter = settings.tasks.formatter(self.tokenizer)
        self.tasks = settings.tasks.load(self.formatter)
        self.console = Console(quiet=not self.is_main, highlight=False, soft_wrap=True)
        if self.is_main:
            self.directory.write_config(*own, *settings)
            self.directory.write_environment([layer.name for layer in describe_layers() if layer.active])
            if training.resume_from_checkpoint is not None:
                print_resume(self.resume_from, self.directory.path)

    def load_policy(self, source: str | Path | None = None) -> CodeLLM:
        """Load a policy, ready to sample or to learn.

        Args:
            source: Folder of a policy that this run has trained; by default the one that the settings name.

        Raises:
            ArcGymError: It cannot be loaded, or not with these settings.
        """
        set_seed(self.training.seed)
        args = self.settings.model
        quantization = get_quantization_config(args)
        policy = CodeLLM.load(
            self.model_name if source is None else str(source),
            revision=args.model_revision if source is None else "main",
            dtype=args.dtype or "float32",
            attn_implementation=args.attn_implementation,
            quantization=quantization,
            device_map=None if quantization is None else {"": self.training.device},
            tokenizer=self.tokenizer,
            trust_remote_code=self.training.trust_remote_code,
        )
        self.settings.freezing.freeze(policy)
        if quantization is None:
            policy.model.to(self.training.device)  # type: ignore[arg-type]
        policy.model.eval()
        return policy

    def prompts(self, tasks: Iterable[Task]) -> dict[str, Sample]:
        """Write the prompts that rollouts and self-play sample with.

        Args:
            tasks: Training tasks, whose prompts fit.

        Returns:
            Per content hash a sample that has no program yet.
        """
        by_id = {task.task_id: task.content_hash for task in tasks}
        args = self.settings.tasks
        rows = self.formatter.dataset(tasks, hidden_pairs=args.hidden_pairs, seed=args.task_seed).dataset
        return {by_id[row["task_id"]]: Sample(row["task_id"], row["prompt"], "") for row in rows}

    def train(
        self, policy: CodeLLM, samples: Sequence[Sample], *, folder: Path | None = None, seed: int | None = None
    ) -> Trained:
        """Train a policy on samples and save it.

        Args:
            policy: Changed in place; its `model` gets an adapter if the settings ask for one and it has none.
            samples: What to learn.
            folder: Where the policy goes, without checkpoints on the way; by default the run's folder, with
                checkpoints as the settings say.
            seed: Of the order of the samples, instead of the settings'.

        Raises:
            ConfigError: No sample is left.
            SystemExit: SIGTERM arrived; the status is 143, as for any process that it ends.
        """
        training = self._training(folder, seed)
        learned = build_dataset(
            samples,
            self.tokenizer,
            max_length=training.max_length,
            learn_prompts=training.completion_only_loss is False,
        )
        if not len(learned.dataset):
            raise ConfigError(
                f"There is nothing to learn from: {len(samples)} programs, {learned.too_long} of them with a prompt "
                f"longer than `max_length`, which is {training.max_length}. Raise it, or sample more programs."
            )
        trainer = SFTTrainer(
            model=policy.model,
            args=training,
            train_dataset=learned.dataset,
            processing_class=self.tokenizer,
            peft_config=None if _has_adapter(policy) else get_peft_config(self.settings.model),
            callbacks=[] if folder is not None else [StopOnSignal(), SealCheckpoints()],
        )
        use_console_progress(trainer)
        trainer.remove_callback(PrinterCallback)  # a dictionary per log, where there is no bar
        start = str(self.resume_from) if folder is None and self.resume_from is not None else None
        trainer.train(resume_from_checkpoint=start)
        _leave_if_stopped(trainer, self.console)
        policy.model = trainer.accelerator.unwrap_model(trainer.model)
        hashes = weights_hashes(trainer)
        self._save(trainer, policy, folder)
        last = next((row for row in reversed(trainer.state.log_history) if "train_loss" in row), {})
        return Trained(
            len(learned.dataset),
            learned.too_long,
            float(last.get("train_loss", 0.0)),
            trainer.state.global_step,
            float(last.get("train_runtime", 0.0)),
            hashes,
        )

    def _training(self, folder: Path | None, seed: int | None) -> SFTConfig:
        """The trainer's settings for one training."""
        training = copy.copy(self.training)
        # Samples come with labels, and none is too long: there is nothing left for the trainer to prepare
        training.dataset_kwargs = {"skip_prepare_dataset": True}
        if seed is not None:
            training.seed = seed
        if folder is not None:
            training.output_dir = str(folder)
            training.save_strategy = "no"  # a training that was stopped begins anew
            training.push_to_hub = False
            training.disable_tqdm = True
        return training

    def _save(self, trainer: SFTTrainer, policy: CodeLLM, folder: Path | None) -> None:
        """Save the policy, whole or not at all; a sharded one is gathered by its trainer."""
        policy.causal_lm.config.use_cache = True  # switched off for training; a saved policy is for sampling
        if folder is None:
            trainer.save_model(_internal_call=True)  # else it pushes too, before there is a summary
            return
        temporary = folder.with_name(f".{folder.name}.tmp")
        policy.save(temporary)
        temporary.rename(folder)

    def evaluate(self, policy: CodeLLM, sandbox: CodeSandbox, when: str) -> dict[str, EvaluationReport]:
        """Evaluate on every set, and keep the reports in the run directory; what is there already is taken over.

        Args:
            policy: Evaluated; every process evaluates every task, with the same draws.
            sandbox: Runs the programs.
            when: Begins the names of the files: `before`, `after`, `round-0`, ….
        """
        args = self.settings.evaluation
        solver = Solver(
            policy.causal_lm,
            self.tokenizer,
            sandbox,
            self.formatter,
            num_samples=args.eval_samples,
            temperature=args.eval_temperature,
            max_new_tokens=args.max_completion_length,
            batch_size=args.eval_batch_size,
            seed=args.eval_seed,
        )
        evaluator = PerformanceEvaluator(solver)
        return {name: self._evaluate_on(evaluator, name, when) for name in self.tasks.evaluation}

    def read_reports(self, when: str) -> dict[str, EvaluationReport]:
        """Read the reports of an evaluation that is finished, for which its policy need not be there any more.

        Args:
            when: As for `evaluate`.

        Raises:
            TaskError: A report is missing or torn.
        """
        return {name: EvaluationReport.load(self._report_file(name, when)) for name in self.tasks.evaluation}

    def _report_file(self, name: str, when: str) -> Path:
        return self.directory.path / "eval" / f"{when}-{name.replace('/', '-')}.json"

    def _evaluate_on(self, evaluator: PerformanceEvaluator, name: str, when: str) -> EvaluationReport:
        tasks = self.tasks.evaluation[name][: 1 if self.settings.tasks.dry_run else None]
        file = self._report_file(name, when)
        is_alone = self.training.world_size == 1
        report = evaluator.kept_report(file, tasks)
        PartialState().wait_for_everyone()  # before the main process may write that file
        if report is None:
            if self.is_main:
                print_evaluation(name, tasks, when)
            report = evaluator.evaluate(tasks, name, journal=file.with_suffix(".parts") if is_alone else None)
            if self.is_main:
                report.save(file)
                remove_journal(file.with_suffix(".parts"))
        return report

    def finish(
        self,
        before: dict[str, EvaluationReport],
        after: dict[str, EvaluationReport],
        *,
        programs: int,
        seconds: float,
        further: dict[str, Any],
    ) -> None:
        """Write and print the summary, write the report, and push the run to the Hub if it is to be.

        Args:
            before: What `evaluate` returned before training.
            after: And after it.
            programs: Programs that were sampled to train on.
            seconds: Of sampling and training, without the evaluations.
            further: More entries of `summary.json`.
        """
        if not self.is_main:
            return
        summary = summarise(before, after, [], programs, self.directory, seconds)
        summary |= {"train_tasks": len(self.tasks.train), "train_hash": dataset_hash(self.tasks.train)} | further
        self.directory.write_json("summary.json", summary)
        print_summary(summary)
        end_with_report(self.directory.path, self.tasks.evaluation)
        self.push.finish(self.directory.path)

    def sandbox(self) -> AbstractContextManager[CodeSandbox]:
        """Start the sandbox."""
        return self.settings.sandbox.open()


def _check(settings: CommonSettings) -> None:
    """Refuse what these recipes cannot do, before anything is loaded."""
    settings.freezing.check(settings.model)
    training, glance = settings.training, settings.evaluation
    if training.eval_strategy != "no":
        raise ConfigError(
            f"`eval_strategy` is `{training.eval_strategy}`, but this recipe evaluates before and after training. "
            "Leave it out."
        )
    if training.assistant_only_loss or training.packing:
        name = "packing" if training.packing else "assistant_only_loss"
        raise ConfigError(
            f"`{name}` is true, but the loss of this recipe is on programs, each behind its own prompt. Leave it out; "
            "`train_sampling_strategy: group_by_length` saves padding."
        )
    if not glance.eval_temperature > 0 or glance.eval_samples < 1:
        raise ConfigError(
            f"`eval_temperature` is {glance.eval_temperature} and `eval_samples` {glance.eval_samples}; the one must "
            "be above 0, the other 1 or more."
        )


def _has_adapter(policy: CodeLLM) -> bool:
    return policy.model is not policy.causal_lm


def _leave_if_stopped(trainer: SFTTrainer, console: Console) -> None:
    callbacks: list[TrainerCallback] = trainer.callback_handler.callbacks
    if any(callback.is_stopped for callback in callbacks if isinstance(callback, StopOnSignal)):
        if not console.quiet:
            print_stop(trainer.state.global_step)
        raise SystemExit(128 + signal.SIGTERM)
