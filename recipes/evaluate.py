"""Evaluate a policy on whole sets of tasks: a result and a Kaggle submission per set, and a page about them.

    accelerate launch --quiet recipes/evaluate.py --config recipes/configs/evaluate_tiny.yaml
    accelerate launch --config_file accelerate_configs/ddp.yaml recipes/evaluate.py --output_dir runs/tiny_on_arc

Every task of a set counts: one whose prompt is too long is unsolved. Processes divide the tasks, and the result is
that of one process. A run that was stopped goes on where it was with the same command, and ends with the same files,
but for what they say of time. `arcgym compare` compares the results of several runs.
"""

import logging
import os
from dataclasses import asdict, dataclass, field
from typing import Literal

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which peft imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

import torch
from accelerate import PartialState
from rich.console import Console

from arcgym.data import Task, TaskLoader
from arcgym.data.contamination import refuse_overlap
from arcgym.data.formatting import EncodingName, PrimitivesLevel
from arcgym.data.mixture import parse_spec, select
from arcgym.evaluation import PerformanceEvaluator, build_submission, remove_journal, write_submission
from arcgym.evaluation.report import end_with_report
from arcgym.inference import SamplingConfig, Solver
from arcgym.models import CodeLLM
from arcgym.runs.arguments import SandboxArguments, TaskArguments
from arcgym.runs.directory import RunDirectory
from arcgym.runs.job import check_processes
from arcgym.runs.parsing import parse_config, run_recipe
from arcgym.runs.threads import use_all_cores
from arcgym.sandbox import describe_layers


@dataclass
class EvaluateArguments:
    """What is evaluated, and on what."""

    output_dir: str = field(
        metadata={"help": "Folder for the reports (`eval/*.json`) and submissions (`submission-*.json`)."}
    )
    model_name_or_path: str = field(
        default="arcgym-tiny", metadata={"help": "`arcgym-tiny`, the folder of a run or checkpoint, or a Hub name."}
    )
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="float32", metadata={"help": "Type of the weights; `auto` for that of the files."}
    )
    quantization: Literal["4bit", "4bit-double", "8bit"] | None = field(
        default=None, metadata={"help": "Load the weights quantized with bitsandbytes; unset for not."}
    )
    eval_tasks: list[str] = field(
        default_factory=lambda: ["arc-agi-1/evaluation"],
        metadata={"help": "Sets to evaluate on, as `source/split` or `source/split:n` for n tasks drawn from it."},
    )
    trained_on: list[str] = field(
        default_factory=list,
        metadata={"help": "Sets that the policy was trained on, in the same form: a task in both is refused."},
    )
    allow_contamination: bool = field(
        default=False, metadata={"help": "Go on when a task of `eval_tasks` is also in `trained_on`."}
    )
    max_prompt_tokens: int = field(default=768, metadata={"help": "Longest prompt, in tokens."})
    prompt_encoding: EncodingName = field(default="digits", metadata={"help": "How grids are written."})
    prompt_size_headers: bool = field(default=False, metadata={"help": "Put a line with its size above each grid."})
    prompt_template: str | None = field(default=None, metadata={"help": "Jinja file to write prompts with."})
    prompt_few_shot: int = field(default=0, metadata={"help": "Solved synthetic tasks shown before each task."})
    prompt_primitives: PrimitivesLevel = field(default="none", metadata={"help": "Primitives that prompts list."})
    prompt_style: Literal["auto", "plain", "chat"] = field(
        default="auto", metadata={"help": "`plain` text, `chat` messages, or `auto`: chat if the tokenizer can."}
    )
    use_cpu: bool = field(default=False, metadata={"help": "Leave accelerators alone; without one, it is so anyway."})
    chunk_size: int = field(default=16, metadata={"help": "Tasks per process between two saves; 1 or more."})


def load_tasks(args: EvaluateArguments) -> dict[str, list[Task]]:
    """Load the sets to evaluate on, none of whose tasks may have been trained on."""

    def load(texts: list[str]) -> dict[str, list[Task]]:
        loaded = {}
        for spec in map(parse_spec, texts):
            tasks = TaskLoader().load(spec.source, spec.split)
            loaded[spec.name] = tasks if spec.limit is None else select(tasks, spec.limit, 0)
        return loaded

    evaluated = load(args.eval_tasks)
    if not args.allow_contamination:
        known = [task for tasks in load(args.trained_on).values() for task in tasks]
        refuse_overlap(known, [task for tasks in evaluated.values() for task in tasks])
    return evaluated


def main() -> None:
    """Load, evaluate, save."""
    args, sampling, limits = parse_config(
        [EvaluateArguments, SamplingConfig, SandboxArguments], description=__doc__.split("\n")[0]
    )
    state = PartialState(cpu=args.use_cpu or not torch.accelerator.is_available())
    check_processes(state.num_processes)
    use_all_cores(state)
    sets = load_tasks(args)
    directory = RunDirectory(args.output_dir)
    policy = CodeLLM.load(
        args.model_name_or_path,
        revision=args.model_revision,
        dtype=args.dtype,
        quantization=args.quantization,
        device_map=None if args.quantization is None else {"": state.device},
    )
    if args.quantization is None:
        policy.model.to(state.device)
    policy.model.eval()
    prompts = {name: value for name, value in asdict(args).items() if name.startswith(("prompt_", "max_prompt"))}
    formatter = TaskArguments(**prompts).formatter(policy.tokenizer)
    config = asdict(args) | asdict(sampling) | asdict(limits)
    for name in ("output_dir", "chunk_size", "use_cpu"):  # which change no figure
        del config[name]
    console = Console(quiet=not state.is_main_process, highlight=False, soft_wrap=True)
    if state.is_main_process:
        directory.write_config(args, sampling, limits)
        directory.write_environment([layer.name for layer in describe_layers() if layer.active])
    with limits.open() as sandbox:
        evaluator = PerformanceEvaluator(
            Solver(policy.causal_lm, policy.tokenizer, sandbox, formatter, **asdict(sampling))
        )
        for name, tasks in sets.items():
            console.print(f"Evaluating on {len(tasks)} tasks of {name}, {state.num_processes} processes ...")
            file = directory.path / "eval" / f"{name.replace('/', '-')}.json"
            journal = file.with_suffix(".parts")
            report = evaluator.kept_report(file, tasks, config)
            state.wait_for_everyone()  # before the main process may write that file
            if report is None:
                report = evaluator.evaluate(
                    tasks, name, config=config, journal=journal, divide=True, chunk_size=args.chunk_size
                )
            if state.is_main_process:
                report.save(file)
                submission = directory.path / f"submission-{file.stem}.json"
                write_submission(submission, build_submission(report.records, tasks))
                remove_journal(journal)
            figures = report.aggregates
            low, high = figures["interval"]
            console.print(
                f"  solved {figures['solved']} of {figures['tasks']} ({low:.1%} to {high:.1%}), ARC Prize "
                f"{figures['arc_prize']:.2%}, Kaggle {figures['kaggle']:.2%}, in reach {figures['oracle_solved']}, "
                f"valid {figures['valid_frac']:.0%}, {figures['seconds']:.0f} s\n  {file}"
            )
        if state.is_main_process:
            end_with_report(directory.path, sets)
        state.wait_for_everyone()
    state.destroy_process_group()


if __name__ == "__main__":
    run_recipe(main)
