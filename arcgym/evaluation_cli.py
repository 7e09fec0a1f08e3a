"""The commands `arcgym evaluate`, `arcgym compare` and `arcgym submission …`.

Policies are evaluated by `recipes/evaluate.py`, on any number of processes; here it is programs from a file, and the
floors that policies have to beat. What needs torch is imported when a command runs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcgym.data.loader import NAMED_SETS, SPLITS, TaskLoader, source_splits
from arcgym.data.mixture import parse_spec, select
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError

if TYPE_CHECKING:
    from arcgym.evaluation import EvaluationReport
    from arcgym.evaluation.baselines import ProgramSolver
    from arcgym.evaluation.comparison import Comparison
    from arcgym.sandbox import CodeSandbox

BASELINES = ("identity", "most-common", "random", "enumeration", "nearest")
_SPEC = "SET/SPLIT or SET/SPLIT:N, such as arc-agi-1/evaluation"


def add_evaluation_commands(commands: Any) -> None:
    """Add `evaluate`, `compare` and `submission` to the commands of `arcgym`.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    evaluate = commands.add_parser("evaluate", help="evaluate programs of a file, or a baseline, on a set of tasks")
    evaluate.add_argument("tasks", metavar="TASKS", help=_SPEC)
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--programs", type=Path, metavar="FILE", help="JSON Lines of `task_id` and `source`")
    which.add_argument("--baseline", choices=BASELINES, help="what a policy has to beat")
    evaluate.add_argument(
        "--samples", type=int, default=64, metavar="N", help="programs per task of random and nearest, by default 64"
    )
    evaluate.add_argument(
        "--executions", type=int, default=2000, metavar="N", help="programs tried by enumeration, by default 2000"
    )
    evaluate.add_argument("--depth", type=int, default=2, help="most steps for random and enumeration, by default 2")
    evaluate.add_argument("--seed", type=int, default=0, help="of the random programs, and of fresh examples")
    evaluate.add_argument("--library", type=Path, metavar="FILE", help="for nearest: JSON Lines of known programs")
    evaluate.add_argument("--library-tasks", metavar="TASKS", help=f"for nearest: the tasks they are of, {_SPEC}")
    evaluate.add_argument("--out", type=Path, metavar="FILE", help="keep the report there, for `arcgym compare`")
    evaluate.add_argument("--submission", type=Path, metavar="FILE", help="write the attempts there, as for Kaggle")
    evaluate.add_argument(
        "--generalise", action="store_true", help="run each solution on examples that its task does not show"
    )
    evaluate.add_argument("--timeout", type=float, default=2.0, metavar="S", help="seconds per program, by default 2")
    evaluate.add_argument("--workers", type=int, default=2, help="programs that run at the same time, by default 2")
    evaluate.add_argument("--allow-weak", action="store_true", help="run also where the sandbox lacks a guarantee")
    evaluate.set_defaults(run=_evaluate)

    compare = commands.add_parser("compare", help="compare results on the same tasks, with intervals and p-values")
    compare.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a report, or a run directory; the others against the first"
    )
    compare.add_argument("--json", action="store_true", help="print JSON instead of tables")
    compare.set_defaults(run=_compare)

    submission = commands.add_parser("submission", help="check and score files for the Kaggle competitions")
    actions = submission.add_subparsers(required=True, metavar="ACTION")
    for name, what, run in (
        ("check", "say everything that is wrong with a submission", _check),
        ("score", "score a submission by the three official conventions", _score),
    ):
        action = actions.add_parser(name, help=what)
        action.add_argument("file", type=Path, metavar="FILE", help="such as submission.json")
        action.add_argument("source", metavar="SET", help=f"{', '.join(NAMED_SETS)}, or files of tasks")
        action.add_argument("--split", choices=SPLITS, help="by default the set's evaluation tasks, if it has any")
        action.set_defaults(run=run)


def _evaluate(arguments: argparse.Namespace) -> None:
    from arcgym.evaluation import PerformanceEvaluator, build_submission, write_submission
    from arcgym.sandbox import CodeSandbox

    spec = parse_spec(arguments.tasks)
    tasks = _load(arguments.tasks)
    settings = {name: _plain(value) for name, value in vars(arguments).items() if name != "run"}
    with CodeSandbox(arguments.timeout, workers=arguments.workers, allow_weak=arguments.allow_weak) as sandbox:
        solver = _solver(arguments, sandbox)
        report = PerformanceEvaluator(solver).evaluate(tasks, spec.name, config=settings)
        _print_report(report, solver.sampling.origin)
        if arguments.generalise:
            _print_generalisation(report, tasks, sandbox, arguments.seed)
    if arguments.out:
        report.save(arguments.out)
        sys.stdout.write(f"{arguments.out}\n")
    if arguments.submission:
        write_submission(arguments.submission, build_submission(report.records, tasks))
        sys.stdout.write(f"{arguments.submission}\n")


def _solver(arguments: argparse.Namespace, sandbox: "CodeSandbox") -> "ProgramSolver":
    from arcgym.evaluation import baselines

    for name in ("samples", "executions", "depth"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"`--{name}` is {getattr(arguments, name)}, but must be 1 or more.")
    if arguments.programs:
        return baselines.from_programs(
            baselines.load_programs(arguments.programs), sandbox, f"programs of {arguments.programs.name}"
        )
    makers: dict[str, Callable[[], ProgramSolver]] = {
        "identity": lambda: baselines.identity(sandbox),
        "most-common": lambda: baselines.most_common_output(sandbox),
        "random": lambda: baselines.random_programs(
            sandbox, arguments.samples, seed=arguments.seed, max_depth=arguments.depth
        ),
        "enumeration": lambda: baselines.enumeration(sandbox, arguments.executions, max_depth=arguments.depth),
        "nearest": lambda: _nearest(arguments, sandbox),
    }
    return makers[arguments.baseline]()


def _nearest(arguments: argparse.Namespace, sandbox: "CodeSandbox") -> "ProgramSolver":
    from arcgym.evaluation import baselines

    if not arguments.library or not arguments.library_tasks:
        raise ConfigError("the nearest neighbour needs `--library`, a file of programs, and `--library-tasks`.")
    programs = baselines.load_programs(arguments.library)
    return baselines.nearest_neighbour(sandbox, programs, _load(arguments.library_tasks), arguments.samples)


def _compare(arguments: argparse.Namespace) -> None:
    from arcgym.evaluation.comparison import compare_reports, load_run

    runs = {str(path): load_run(path) for path in arguments.runs}
    if len(runs) < len(arguments.runs):
        raise ConfigError("a result is named twice; name each once.")
    comparisons = compare_reports(runs)
    if arguments.json:
        plain = [vars(entry) | {"differences": _plain_differences(entry)} for entry in comparisons]
        sys.stdout.write(json.dumps(plain, indent=1) + "\n")
        return
    _print_scores(runs, dict.fromkeys(entry.set_name for entry in comparisons))
    _print_comparisons(comparisons)


def _check(arguments: argparse.Namespace) -> None:
    from arcgym.evaluation.submission import read_submission, validate_submission

    tasks = _load_split(arguments)
    faults = validate_submission(read_submission(arguments.file), tasks)
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    if faults:
        raise TaskError(f"{arguments.file} has {len(faults)} fault{'s' if len(faults) > 1 else ''}; see above.")
    inputs = sum(len(task.test) for task in tasks)
    sys.stdout.write(f"{arguments.file}: good, {len(tasks)} tasks with {inputs} test inputs\n")


def _score(arguments: argparse.Namespace) -> None:
    from arcgym.evaluation.submission import read_submission, score_submission, validate_submission

    tasks = _load_split(arguments)
    submission = read_submission(arguments.file)
    if not isinstance(submission, dict):
        raise TaskError(f"{arguments.file} is no submission; `arcgym submission check` says why.")
    faults = validate_submission(submission, tasks)
    scores = score_submission(submission, tasks)
    sys.stdout.write(
        f"Kaggle, of test outputs        {scores.kaggle:7.2%}\n"
        f"ARC Prize, mean over tasks     {scores.arc_prize:7.2%}\n"
        f"solved, with all test outputs  {scores.solved:7.2%}\n"
    )
    if faults:
        sys.stderr.write(
            f"{len(faults)} faults, which count as wrong; Kaggle refuses such a file. `arcgym submission check` lists "
            "them.\n"
        )


def _load(text: str) -> list[Task]:
    spec = parse_spec(text)
    tasks = TaskLoader().load(spec.source, spec.split)
    return tasks if spec.limit is None else select(tasks, spec.limit, 0)


def _load_split(arguments: argparse.Namespace) -> list[Task]:
    split = arguments.split or ("evaluation" if "evaluation" in source_splits(arguments.source) else "train")
    return TaskLoader().load(arguments.source, split)


def _print_report(report: "EvaluationReport", origin: str) -> None:
    figures = report.aggregates
    low, high = figures["interval"]
    lines = [
        f"{origin} on {report.name}",
        f"solved      {figures['solved']} of {figures['tasks']}  ({low:.1%} to {high:.1%})",
        *(
            f"{name:<11} {figures[name]:.2%}  ({figures['intervals'][name][0]:.1%} to "
            f"{figures['intervals'][name][1]:.1%})"
            for name in ("arc_prize", "kaggle", "pass@1")
            if name in figures
        ),
        f"in reach    {figures['oracle_solved']} with the best choice of attempts",
        f"programs    {figures['programs']}, valid {figures['valid_frac']:.1%}, "
        f"distinct outputs {figures['distinct_output_frac']:.1%}",
        f"seconds     {figures['seconds']:.1f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _print_generalisation(
    report: "EvaluationReport", tasks: Sequence[Task], sandbox: "CodeSandbox", seed: int
) -> None:
    from arcgym.evaluation.generalisation import general_share, generalise

    solutions = {record.task_id: record.solving_program for record in report.records if record.solving_program}
    found = generalise(solutions, tasks, sandbox, seed=seed)
    share = general_share(found)
    if share is None:
        sys.stdout.write(f"general     unknown: no task of {len(solutions)} solved ones says what its rule is\n")
        return
    for entry in found:
        if not entry.is_general:
            sys.stdout.write(
                f"  {entry.task_id}: {entry.augmented.passed} of {entry.augmented.total} augmented, "
                f"{entry.fresh.passed} of {entry.fresh.total} fresh examples\n"
            )
    sys.stdout.write(f"general     {share:.1%} of {len(found)} solutions whose task has a program of its own\n")


def _print_scores(runs: dict[str, dict[str, "EvaluationReport"]], sets: dict[str, None]) -> None:
    from rich.table import Table

    for name in sets:
        table = Table("run", "solved", "95 % interval", "ARC Prize", "Kaggle", "pass@1", title=name)
        for run, reports in runs.items():
            figures = reports[name].aggregates
            low, high = figures["interval"]
            table.add_row(
                run,
                f"{figures['solved']}/{figures['tasks']} {figures['solved_frac']:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{figures['arc_prize']:.2%}",
                f"{figures['kaggle']:.2%}",
                f"{figures['pass@1']:.2%}" if "pass@1" in figures else "",
            )
        _console().print(table)


def _print_comparisons(comparisons: Sequence["Comparison"]) -> None:
    from rich.table import Table

    first = comparisons[0].first
    table = Table("set", "run", "gained", "lost", "solved", "ARC Prize", "pass@1", "p", "p, Holm")
    table.title = f"difference to {first}, with 95 % interval over tasks"
    for entry in comparisons:
        table.add_row(
            entry.set_name,
            entry.second,
            str(entry.gained),
            str(entry.lost),
            *(
                f"{difference.value:+.2%}\n{difference.low:+.2%} to {difference.high:+.2%}"
                for difference in (entry.differences[name] for name in ("solved_frac", "arc_prize", "pass@1"))
            ),
            f"{entry.p_value:.3g}",
            f"{entry.adjusted_p:.3g}",
        )
    _console().print(table)
    for entry in comparisons:
        for remark in entry.remarks:
            sys.stdout.write(f"{entry.set_name}, {entry.second}: {remark}\n")


def _console() -> Any:
    from rich.console import Console

    # Into a file, no line is broken
    return Console() if sys.stdout.isatty() else Console(width=200)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _plain_differences(entry: "Comparison") -> dict[str, dict[str, float]]:
    return {name: difference._asdict() for name, difference in entry.differences.items()}
