"""What a person sees of a run in the terminal: a progress bar with one line per logged step, and a final table."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from transformers import ProgressCallback, Trainer, TrainerControl, TrainerState, TrainingArguments

from arcgym.data.mixture import Mixture
from arcgym.data.tasks import Task
from arcgym.inference import Solver
from arcgym.runs.directory import BatchArithmetic

# Metric, label and format of what one line shows; the rest is in metrics.jsonl and TensorBoard.
_SHOWN = (
    ("reward", "reward", "{:6.3f}"),
    ("tasks/solved_frac", "solved", "{:4.0%}"),
    ("programs/valid_frac", "valid", "{:4.0%}"),
    ("ppo/explained_variance", "explained var", "{:5.2f}"),
    ("entropy", "entropy", "{:5.3f}"),
    ("step_time", "s/step", "{:4.1f}"),
)


class ConsoleProgress(ProgressCallback):
    """Trainer's progress bar, with a short line instead of the dictionary of all metrics."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one line above the bar."""
        if not state.is_world_process_zero or self.training_bar is None or not logs:
            return
        parts = [f"{label} {form.format(logs[name])}" for name, label, form in _SHOWN if name in logs]
        if parts:
            self.training_bar.write(f"step {state.global_step:4d}   " + "   ".join(parts))


def use_console_progress(trainer: Trainer) -> None:
    """Put `ConsoleProgress` in the place of the trainer's own progress bar, unless `disable_tqdm` is set.

    A warning that TRL 1.16 sets off in transformers on every rollout, and that no user can act on, is silenced too.
    """
    warnings.filterwarnings("ignore", message=r".*gradient_checkpointing.* is deprecated", category=FutureWarning)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(ConsoleProgress)


def print_start(tasks: Mixture, rollout: BatchArithmetic, num_parameters: int) -> None:
    """Print what is about to happen: tasks, batch arithmetic, threads."""
    evaluated = ", ".join(f"{len(chosen)} of {name}" for name, chosen in tasks.evaluation.items())
    too_long = ", ".join(f"{count} of {name}" for name, count in tasks.dropped.items())
    lines = [
        f"Policy         {num_parameters / 1e6:.2f} M parameters, {torch.get_num_threads()} threads per process",
        f"Training on    {len(tasks.train)} tasks",
        f"Evaluating on  {evaluated}",
        *([f"Too long       {too_long}"] if too_long else []),
        f"A rollout      {rollout.prompts_per_rollout} prompts × {rollout.num_generations} = "
        f"{rollout.completions_per_rollout} programs, "
        f"then {rollout.num_ppo_epochs} epochs × {rollout.num_mini_batches} minibatches of updates",
    ]
    Console().print("\n".join(lines), highlight=False, soft_wrap=True)


def print_evaluation(name: str, tasks: Sequence[Task], when: str) -> None:
    """Say which evaluation begins; it takes a while."""
    Console().print(f"Evaluating {when} training on {len(tasks)} tasks of {name} ...", highlight=False)


def print_sample(solver: Solver, task: Task) -> None:
    """Print one prompt, the best of a few programs for it, and what became of it in the sandbox."""
    console = Console()
    solution = solver.solve([task])[0]
    console.rule(f"prompt of task {task.task_id}")
    console.print(solver.formatter.format(task).prompt, markup=False, highlight=False)
    if not solution.candidates:
        console.rule("no program: " + (solution.reason or "no completion held one"))
        return
    best = solution.candidates[0]
    console.rule(f"program: {best.status.value}, {best.train_passed} of {best.train_total} train pairs")
    console.print(best.program, markup=False, highlight=False)


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print the final table of a run.

    Args:
        summary: As in `summary.json`: `before` and `after` by set, `seconds`, `programs_per_second`.
    """
    table = Table(
        title="Tasks that were not trained on",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for heading in ("tasks", "solved before", "solved after", "pass@1, %", "valid, %"):
        table.add_column(heading, justify="left" if heading == "tasks" else "right", no_wrap=True)
    for name, after in summary["after"].items():
        before = summary["before"][name]
        table.add_row(
            name,
            _solved(before),
            _solved(after),
            f"{100 * before['pass@1']:.1f} → {100 * after['pass@1']:.1f}",
            f"{100 * before['valid_frac']:.0f} → {100 * after['valid_frac']:.0f}",
        )
    console = Console()
    console.print()
    console.print(table)
    first, last = summary["reward_first"], summary["reward_last"]
    if first is not None:
        console.print(
            f"Mean reward of the first and last tenth of rollouts: {first:.3f} → {last:.3f}. "
            f"{summary['programs']} programs trained on in {summary['seconds']:.0f} s, "
            f"{summary['programs_per_second']:.1f} per second.",
            highlight=False,
            soft_wrap=True,
        )


def _solved(figures: Mapping[str, Any]) -> str:
    return f"{figures['solved']}/{figures['tasks']} {figures['solved'] / figures['tasks']:6.1%}"
