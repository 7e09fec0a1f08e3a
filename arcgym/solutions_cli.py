"""The commands `arcgym solutions …`: list, show, rank, count, merge, export and import solutions."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcgym.data.loader import NAMED_SETS, SPLITS, TaskLoader, source_splits
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.grids import render_ansi

if TYPE_CHECKING:  # SQLAlchemy is loaded by those who use it, not by every `arcgym` command
    from arcgym.solutions import Solution, SolutionDatabase, SolutionFilter

EXPORTS = (".jsonl", ".parquet")


def add_solutions_commands(commands: Any) -> None:
    """Add `solutions` to the commands of `arcgym`.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    solutions = commands.add_parser("solutions", help="list, show, rank, merge, export and import solutions")
    actions = solutions.add_subparsers(required=True, metavar="ACTION")

    listing = _action(actions, "list", _list, "list solutions, one per line, best first")
    _add_filters(listing)

    show = _action(actions, "show", _show, "print all that is known about a solution")
    show.add_argument("hash", metavar="HASH", help="hash of the program, or how it begins, as `list` prints it")
    show.add_argument("--task", metavar="ID", help="name of the task, where several tasks have that program")

    ranking = _action(actions, "rank", _rank, "print each task's best solutions with the figures that rank them")
    ranking.add_argument("--top", type=_positive, default=3, metavar="N", help="solutions per task, by default 3")
    ranking.add_argument(
        "--measure-views", type=_positive, metavar="N",
        help="before that, run them on up to N augmented views of their tasks (needs --tasks), and record it",
    )  # fmt: skip
    _add_tasks(ranking, required=False)
    _add_filters(ranking, per_task=False)

    stats = _action(actions, "stats", _stats, "count programs, solved tasks and distinct outputs, per task and in all")
    _add_filters(stats)

    merge = _action(actions, "merge", _merge, "take over the solutions of other databases, which stay as they are")
    merge.add_argument("others", metavar="OTHER", nargs="+", help="file or address of a database")

    export = _action(actions, "export", _export, "write solutions for other programs, best first")
    export.add_argument(
        "out", metavar="FILE", type=Path, help="ends in .jsonl or .parquet; else a folder for datasets.load_from_disk"
    )
    _add_filters(export)

    importing = _action(actions, "import", _import, "verify programs in the sandbox and store those that are right")
    importing.add_argument("file", metavar="FILE", type=Path, help='JSON Lines: {"task_id": …, "source": …}')
    _add_tasks(importing, required=True)
    importing.add_argument("--policy", default="", metavar="NAME", help="who wrote them; by default the file's name")
    importing.add_argument("--revision", default="", metavar="TEXT", help="which state of it")
    importing.add_argument("--keep-failed", action="store_true", help="store wrong programs too")


def _action(actions: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what)
    parser.add_argument("database", metavar="DB", help="an SQLite file, or postgresql://user:password@host/name")
    parser.set_defaults(run=run)
    return parser


def _add_tasks(parser: argparse.ArgumentParser, *, required: bool) -> None:
    source_help = f"{', '.join(NAMED_SETS)}, a file or folder of tasks"
    parser.add_argument("--tasks", metavar="SET", nargs="+", required=required, default=[], help=source_help)
    parser.add_argument("--split", choices=SPLITS, help="only this split of the sets; by default all")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="programs at a time, by default 2")
    parser.add_argument("--timeout-s", type=float, default=2.0, metavar="S", help="seconds per program, by default 2")


def _add_filters(parser: argparse.ArgumentParser, *, per_task: bool = True) -> None:
    parser.add_argument("--task", metavar="ID", nargs="+", help="only of these tasks")
    parser.add_argument(
        "--solved", action=argparse.BooleanOptionalAction, help="only those right on every known pair, or the others"
    )
    parser.add_argument("--status", metavar="STATUS", nargs="+", help="only those that ended so, such as ok, timeout")
    parser.add_argument("--policy", metavar="NAME", nargs="+", help="only by these")
    parser.add_argument("--generation", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only of these rounds")
    parser.add_argument("--max-length", type=int, metavar="N", help="only up to N characters of normal form")
    parser.add_argument("--after", type=int, metavar="N", help="only those stored after position N")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the best N in all")
    if per_task:
        parser.add_argument("--per-task", type=_positive, metavar="N", help="only the best N of each task")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few; give 1 or more")
    return value


def _wanted(arguments: argparse.Namespace, per_task: int | None) -> "SolutionFilter":
    from arcgym.solutions import SolutionFilter

    return SolutionFilter(
        task_ids=arguments.task,
        solved=arguments.solved,
        statuses=arguments.status,
        policies=arguments.policy,
        generations=tuple(arguments.generation) if arguments.generation else None,
        max_length=arguments.max_length,
        after=arguments.after,
        per_task=per_task,
        limit=arguments.limit,
    )


def _open(location: str, *, create: bool = False) -> "SolutionDatabase":
    from arcgym.solutions import SolutionDatabase

    return SolutionDatabase(location, create=create)


def _list(arguments: argparse.Namespace) -> None:
    with _open(arguments.database) as database:
        for solution in database.iterate(_wanted(arguments, arguments.per_task)):
            sys.stdout.write(_line(solution) + "\n")


def _line(solution: "Solution") -> str:
    right = sum(verdict.is_right for verdict in solution.verdicts)
    passed = f"{right}/{len(solution.verdicts)}"
    origin = f"{solution.source_policy or '?'}  generation {solution.generation}"
    return (
        f"{solution.task_id}  {solution.program_hash[:12]}  {passed:>5}  {solution.status:<14}  "
        f"{solution.length:>5} characters  {origin}"
    )


def _show(arguments: argparse.Namespace) -> None:
    from arcgym.solutions import SolutionFilter

    wanted = SolutionFilter(task_ids=[arguments.task] if arguments.task else None, hash_prefix=arguments.hash)
    with _open(arguments.database) as database:
        found = database.best(wanted)
        if len(found) == 1:
            parent = database.parent(found[0])
    if not found:
        raise ConfigError(f"no solution has a hash that begins with {arguments.hash!r}. `list` prints the hashes.")
    if len(found) > 1:
        lines = "\n".join(_line(solution) for solution in found[:10])
        raise ConfigError(f"{len(found)} solutions fit. Give more of the hash, or --task ID:\n{lines}")
    _print_solution(found[0], parent)


def _print_solution(solution: "Solution", parent: "Solution | None") -> None:
    outputs = dict(enumerate(solution.outputs))
    facts = {
        "task": f"{solution.task_id}  {solution.task_hash}",
        "program": solution.program_hash,
        "status": str(solution.status),
        "pairs": "  ".join(f"{part} {i}: {'right' if right else 'wrong'}" for part, i, right in solution.verdicts),
        "length": f"{solution.length} characters",
        "log-prob": _figure(solution.log_prob),
        "views": _figure(solution.view_share),
        "fresh": _figure(solution.fresh_share),
        "policy": f"{solution.source_policy or '?'} {solution.source_revision}".rstrip(),
        "sampling": "  ".join(f"{name}={value}" for name, value in solution.sampling.items()) or "-",
        "parent": (solution.parent + ("" if parent else "  (not here)")) if solution.parent else "-",
        "generation": str(solution.generation),
        "position": str(solution.number),
    }
    for name, value in facts.items():
        sys.stdout.write(f"{name:<11} {value}\n")
    sys.stdout.write(f"\n{solution.program.rstrip()}\n")
    for index, grid in outputs.items():
        text = "no grid" if grid is None else _grid_text(grid)
        sys.stdout.write(f"\noutput {index}\n{text}\n")


def _grid_text(grid: Any) -> str:
    return render_ansi(grid) if sys.stdout.isatty() else "\n".join("".join(map(str, row)) for row in grid.tolist())


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _rank(arguments: argparse.Namespace) -> None:
    if arguments.measure_views and not arguments.tasks:
        raise ConfigError("--measure-views needs the tasks to look at. Add --tasks SET.")
    wanted = _wanted(arguments, arguments.top)
    with _open(arguments.database) as database:
        if arguments.measure_views:
            _measure(database, wanted, arguments)
        figures = f"{'pairs':>5} {'views':>6} {'fresh':>6} {'length':>6} {'log-prob':>9}"
        sys.stdout.write(f"{'task':<12} {'program':<12} {figures}  policy\n")
        for solution in sorted(database.iterate(wanted), key=lambda solution: solution.task_id):
            sys.stdout.write(
                f"{solution.task_id:<12} {solution.program_hash[:12]} {solution.pass_share:>5.0%} "
                f"{_figure(solution.view_share):>6} {_figure(solution.fresh_share):>6} {solution.length:>6} "
                f"{_figure(solution.log_prob):>9}  {solution.source_policy}\n"
            )


def _measure(database: "SolutionDatabase", wanted: "SolutionFilter", arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from arcgym.sandbox import CodeSandbox
    from arcgym.solutions import measure_generality

    # All of a task's solutions, not its best: the figures decide which ones these are.
    solutions = database.best(replace(wanted, per_task=None, limit=None))
    with CodeSandbox(timeout_s=arguments.timeout_s, workers=arguments.workers) as sandbox:
        tasks = _load(arguments)
        database.set_generality(measure_generality(solutions, tasks, sandbox, num_views=arguments.measure_views))


def _stats(arguments: argparse.Namespace) -> None:
    with _open(arguments.database) as database:
        counts = database.tasks(_wanted(arguments, arguments.per_task))
        position = database.position()
    sys.stdout.write(f"{'task':<12} {'programs':>8} {'solved':>8} {'outputs':>8} {'shortest':>8}\n")
    for count in counts:
        shortest = "-" if count.shortest is None else str(count.shortest)
        figures = f"{count.programs:>8} {count.solved:>8} {count.signatures:>8} {shortest:>8}"
        sys.stdout.write(f"{count.task_id:<12} {figures}\n")
    solved = sum(count.solved > 0 for count in counts)
    programs = sum(count.programs for count in counts)
    sys.stdout.write(f"{programs} programs for {len(counts)} tasks, {solved} of them solved; position {position}\n")


def _merge(arguments: argparse.Namespace) -> None:
    with _open(arguments.database, create=True) as database:
        for other in arguments.others:
            with _open(other) as source:
                sys.stdout.write(f"{other}: {database.merge(source)} new or better of {source.count()}\n")


def _export(arguments: argparse.Namespace) -> None:
    from arcgym.solutions import export_dataset, export_jsonl, export_parquet

    wanted = _wanted(arguments, arguments.per_task)
    with _open(arguments.database) as database:
        if arguments.out.suffix == ".jsonl":
            count = export_jsonl(database, arguments.out, wanted)
        elif arguments.out.suffix == ".parquet":
            count = export_parquet(database, arguments.out, wanted)
        elif arguments.out.suffix:
            raise ConfigError(f"{arguments.out} ends in neither {' nor '.join(EXPORTS)}. Use one, or name a folder.")
        else:
            dataset = export_dataset(database, wanted)
            dataset.save_to_disk(str(arguments.out))
            count = len(dataset)
    sys.stdout.write(f"{arguments.out}: {count} solutions\n")


def _import(arguments: argparse.Namespace) -> None:
    from arcgym.sandbox import CodeSandbox
    from arcgym.solutions import import_programs

    tasks = _load(arguments)
    with (
        CodeSandbox(timeout_s=arguments.timeout_s, workers=arguments.workers) as sandbox,
        _open(arguments.database, create=True) as database,
    ):
        report = import_programs(
            database,
            arguments.file,
            tasks,
            sandbox,
            source_policy=arguments.policy,
            source_revision=arguments.revision,
            keep_failed=arguments.keep_failed,
        )
    for problem in report.problems:
        sys.stderr.write(f"{arguments.file}: {problem}\n")
    sys.stdout.write(
        f"{arguments.file}: {report.read} programs, {report.solved} right, {report.failed} wrong, "
        f"{report.refused} lines refused, {report.unknown_tasks} of unknown tasks; {report.stored} new or better\n"
    )


def _load(arguments: argparse.Namespace) -> Sequence[Task]:
    tasks: list[Task] = []
    for source in arguments.tasks:
        for split in (arguments.split,) if arguments.split else source_splits(source):
            tasks += TaskLoader().load(source, split)
    return tasks
