"""Solve tasks with a policy and write a Kaggle submission.

    python recipes/solve.py --tasks arc-agi_test_challenges.json --output submission.json
    python recipes/solve.py --config recipes/configs/solve_tiny.yaml --tasks arc-agi-1/evaluation:20

Every program goes to `programs.jsonl` in the run's folder as soon as it has run, and the same command goes on from
there. A test input without any answer is answered with itself. Where the test outputs are known, `report.json` says
how many answers are right; solving never looks at them. `--dry_run true` shows the plan, one prompt and one program.
"""

import logging
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which peft imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

import torch
from accelerate import PartialState
from rich.console import Console

from arcgym.data import Task, TaskLoader
from arcgym.data.loader import source_splits
from arcgym.data.mixture import parse_spec, select
from arcgym.errors import TaskError
from arcgym.evaluation import aggregate, build_submission, dataset_hash, score_solution, validate_submission
from arcgym.evaluation.provenance import weights_fingerprint
from arcgym.evaluation.submission import write_submission
from arcgym.inference import (
    ContinuousBackend,
    ProgramJournal,
    Progress,
    SamplingConfig,
    SearchConfig,
    ServerBackend,
    SolveArguments,
    Solver,
    TaskSolution,
    with_fallback,
)
from arcgym.models import CodeLLM, load_tokenizer
from arcgym.runs.arguments import SandboxArguments, TaskArguments
from arcgym.runs.console import print_sample
from arcgym.runs.directory import RunDirectory
from arcgym.runs.parsing import parse_config, run_recipe
from arcgym.sandbox import describe_layers


def load_tasks(name: str) -> list[Task]:
    """Load a file or folder, all of its splits, or a set by `source/split`."""
    if Path(name).exists():
        return [task for split in source_splits(Path(name)) for task in TaskLoader().load(Path(name), split)]
    spec = parse_spec(name)
    tasks = TaskLoader().load(spec.source, spec.split)
    return tasks if spec.limit is None else select(tasks, spec.limit, 0)


def make_report(tasks: list[Task], solutions: list[TaskSolution]) -> dict:
    """Say what was found for each task, and how much of it is right where that is known."""
    rows = [
        {
            "task_id": solution.task_id,
            "ended": solution.ended,
            "reason": solution.reason,
            "programs": solution.num_samples,
            "distinct": len(solution.candidates),
            "fitting": sum(candidate.is_train_fit for candidate in solution.candidates),
            "repairs": solution.num_repairs,
            "tokens": solution.num_tokens,
            "unanswered": sum(not grids for grids in solution.attempts),
            "best_program": solution.candidates[0].program if solution.candidates else "",
            "best_view": solution.candidates[0].view if solution.candidates else "",
        }
        for solution in solutions
    ]
    report = {"dataset_hash": dataset_hash(tasks), "tasks": rows}
    if all(pair.output is not None for task in tasks for pair in task.test):
        records = [score_solution(task, solution) for task, solution in zip(tasks, solutions, strict=True)]
        report["scores"] = aggregate(records, max(1, *(record.num_samples for record in records)))
        report["records"] = [record.to_dict() for record in records]
    return report


def main() -> None:
    """Load, solve, report, write the submission."""
    args, sampling, search, limits = parse_config(
        [SolveArguments, SamplingConfig, SearchConfig, SandboxArguments], description=__doc__.split("\n")[0]
    )
    console = Console(highlight=False, soft_wrap=True)
    tasks = load_tasks(args.tasks)
    if not tasks:
        raise TaskError(f"there are no tasks in {args.tasks!r}.")
    model, fingerprint, backend = None, args.server_url, None
    if args.backend == "server":
        tokenizer = load_tokenizer(args.model_name_or_path, revision=args.model_revision)
        backend = ServerBackend(args.server_url, tokenizer, sampling, timeout_s=args.server_timeout_s)
    else:
        device = PartialState().device
        policy = CodeLLM.load(
            args.model_name_or_path,
            revision=args.model_revision,
            dtype=args.dtype,
            quantization=args.quantization,
            device_map=None if args.quantization is None else {"": device},
        )
        if args.quantization is None:
            policy.model.to(device)
        if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
        tokenizer, model = policy.tokenizer, policy.causal_lm
        model.eval()
        fingerprint = weights_fingerprint(model)
        if args.backend == "continuous":
            backend = ContinuousBackend(model, tokenizer, sampling)
    prompts = {name: value for name, value in asdict(args).items() if name.startswith(("prompt_", "max_prompt"))}
    formatter = TaskArguments(**prompts).formatter(tokenizer)
    with limits.open() as sandbox:
        solver = Solver(model, tokenizer, sandbox, formatter, **asdict(sampling), search=search, backend=backend)
        console.print(
            f"{len(tasks)} tasks of {args.tasks}, {sampling.num_samples} programs each"
            f"{f' and at most {search.repair_rounds * search.repair_size} repairs' if search.repair_rounds else ''}, "
            f"{search.views} views, stages: {', '.join(stage.strategy for stage in solver.stages)}"
        )
        if args.dry_run:
            print_sample(solver, tasks[0])
            return
        directory = RunDirectory(args.run_dir)
        directory.write_config(args, sampling, search, limits)
        directory.write_environment([layer.name for layer in describe_layers() if layer.active])
        identity = {"tasks": dataset_hash(tasks), "policy": fingerprint, "prompts": prompts, "backend": args.backend}

        def show(progress: Progress) -> None:
            console.print(
                f"  {progress.finished} of {progress.tasks} tasks finished, {progress.fitting} with a program that "
                f"fits all demonstrations, {progress.programs} programs, {progress.seconds:.0f} s"
            )

        solutions = solver.solve(
            tasks, journal=ProgramJournal(directory.path / "programs.jsonl", identity), report=show
        )
    report = make_report(tasks, solutions)
    directory.write_json("report.json", report)
    submission = build_submission(list(map(with_fallback, solutions, tasks)), tasks)
    if faults := validate_submission(submission, tasks):
        raise TaskError(f"the submission would be refused: {'; '.join(faults[:5])}.")
    write_submission(args.output, submission)
    unanswered = sum(row["unanswered"] > 0 for row in report["tasks"])
    untried = sum(bool(row["reason"]) for row in report["tasks"])
    fitting = sum(row["fitting"] > 0 for row in report["tasks"])
    console.print(
        f"{fitting} of {len(tasks)} tasks have a program that fits all demonstrations. {unanswered} have a test input "
        f"without any answer, which is answered with itself; {untried} of them could not be tried."
    )
    if scores := report.get("scores"):
        console.print(
            f"solved {scores['solved']} of {scores['tasks']} by vote, {scores['oracle_solved']} in reach, ARC Prize "
            f"{scores['arc_prize']:.2%}, Kaggle {scores['kaggle']:.2%}"
        )
    console.print(f"{args.output}\n{directory.path}")


if __name__ == "__main__":
    run_recipe(main)
