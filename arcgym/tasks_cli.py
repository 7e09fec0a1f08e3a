"""The commands `arcgym tasks …`: list, show, check, compare, measure and generate tasks."""

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from arcgym.data.contamination import overlap, overlap_lines
from arcgym.data.difficulty import DifficultyAnalyzer, difficulty_lines
from arcgym.data.drawing import describe_size, task_png, task_svg, task_text
from arcgym.data.encodings import ENCODINGS
from arcgym.data.formatting import STYLES, TaskFormatter
from arcgym.data.loader import NAMED_SETS, SPLITS, TaskLoader, source_splits
from arcgym.data.mixture import parse_spec, select
from arcgym.data.synthetic.writing import GeneratorSettings, write_tasks
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import MAX_SIDE, NUM_COLOURS, Grid


def add_tasks_commands(commands: Any) -> None:
    """Add `tasks` to the commands of `arcgym`.

    Args:
        commands: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    tasks = commands.add_parser("tasks", help="list, show, check, compare, measure and generate tasks")
    actions = tasks.add_subparsers(required=True, metavar="ACTION")
    source_help = f"{', '.join(NAMED_SETS)}, a file or folder of tasks, an address, or hub:owner/name"
    split_help = "only this split; by default all splits of the set"

    listing = actions.add_parser("list", help="list the tasks of sets, one per line")
    listing.add_argument("source", metavar="SET", nargs="+", help=source_help)
    listing.add_argument("--split", choices=SPLITS, help=split_help)
    listing.add_argument("--family", help="only tasks of this family or concept")
    for name, what, most in (
        ("side", "longest side of any grid", MAX_SIDE),
        ("colours", "number of colours in all grids together", NUM_COLOURS),
        ("train", "number of train pairs", None),
        ("test", "number of test pairs", None),
    ):
        limit = f", up to {most}" if most else ""
        listing.add_argument(f"--min-{name}", type=int, metavar="N", help=f"least {what}{limit}")
        listing.add_argument(f"--max-{name}", type=int, metavar="N", help=f"largest {what}{limit}")
    listing.add_argument(
        "--same-size",
        action=argparse.BooleanOptionalAction,
        help="only tasks whose known outputs all have the size of their input, or only the others",
    )
    listing.set_defaults(run=_list_tasks)

    show = actions.add_parser("show", help="draw a task in the terminal, or into a file")
    show.add_argument("task_id", metavar="ID", help="name of the task")
    show.add_argument("--source", metavar="SET", help=f"{source_help}; by default all sets are searched")
    show.add_argument("--answers", action="store_true", help="draw the outputs of the test pairs too")
    show.add_argument("--svg", metavar="FILE", type=Path, help="write the drawing there as SVG instead")
    show.add_argument("--png", metavar="FILE", type=Path, help="write the drawing there as PNG instead")
    show.set_defaults(run=_show_task)

    difficulty = actions.add_parser("difficulty", help="say how hard tasks are, and in which band")
    difficulty.add_argument("source", metavar="SET", help=source_help)
    difficulty.add_argument("--split", choices=SPLITS, help=split_help)
    difficulty.add_argument("--bands", type=int, default=4, metavar="N", help="number of bands, by default 4")
    difficulty.set_defaults(run=_show_difficulty)

    overlapping = actions.add_parser(
        "overlap", help="list the tasks of a set that another holds too, in disguise or not"
    )
    overlapping.add_argument("sets", nargs=2, metavar="SET/SPLIT", help="such as arc-agi-2/train arc-agi-1/evaluation")
    overlapping.set_defaults(run=_show_overlap)

    generate = actions.add_parser("generate", help="write synthetic tasks with their programs to a JSON Lines file")
    generate.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as data/tasks.jsonl")
    generate.add_argument("--n", type=int, default=1000, help="number of tasks, by default 1000")
    generate.add_argument("--seed", type=int, default=0, help="the same seed and settings give the same file")
    generate.add_argument("--families", nargs="+", default=[], metavar="FAMILY", help="by default all")
    generate.add_argument("--depth", type=int, choices=(1, 2, 3), default=2, help="most steps of a program")
    generate.add_argument("--composed-share", type=float, default=0.3, help="share of tasks with two steps")
    generate.add_argument("--max-side", type=int, default=10, metavar="N", help="largest side of an input, to 30")
    generate.add_argument("--pairs", type=int, nargs=2, default=(2, 4), metavar=("LEAST", "MOST"), help="train pairs")
    generate.set_defaults(run=_generate)

    tokens = actions.add_parser("tokens", help="count the tokens of a set's prompts, by encoding and tokenizer")
    tokens.add_argument("source", metavar="SET", help=source_help)
    tokens.add_argument("--split", choices=SPLITS, help=split_help)
    tokens.add_argument(
        "--tokenizer", nargs="+", default=["arcgym-tiny"], metavar="MODEL",
        help="arcgym-tiny, a folder, or a name on the Hub; several to compare them",
    )  # fmt: skip
    tokens.add_argument("--encoding", nargs="+", choices=ENCODINGS, default=list(ENCODINGS), help="by default all")
    tokens.add_argument("--style", choices=("auto", *STYLES), default="auto", help="auto: chat if the tokenizer can")
    tokens.add_argument("--size-headers", action="store_true", help="put a line with its size above each grid")
    tokens.add_argument("--budget", type=int, metavar="N", help="also print which share of the prompts N tokens hold")
    tokens.set_defaults(run=_count_tokens)

    check = actions.add_parser("check", help="check files of tasks and list every problem in them")
    check.add_argument("source", metavar="SET", help=source_help)
    check.add_argument("--split", choices=SPLITS, help=split_help)
    check.add_argument("--loose-cells", action="store_true", help='take "3", 3.0 and null for colours, as in Mini-ARC')
    check.set_defaults(run=_check_tasks)


def _list_tasks(arguments: argparse.Namespace) -> None:
    several = len(arguments.source) > 1
    lines = []
    for source in arguments.source:
        for split in _splits(source, arguments.split):
            for task in TaskLoader().load(source, split):
                if _is_wanted(task, arguments):
                    sizes = " ".join(
                        f"{describe_size(pair.input)}→{describe_size(pair.output)}" for pair in task.train
                    )
                    counts = f"{len(task.train)} train  {len(task.test)} test"
                    set_name = f"{source}  " if several else ""
                    lines.append(f"{set_name}{task.task_id}  {split:<10}  {counts}  {sizes}\n")
    sys.stdout.write("".join(lines))


def _is_wanted(task: Task, arguments: argparse.Namespace) -> bool:
    grids = [grid for pair in (*task.train, *task.test) for grid in (pair.input, pair.output) if grid is not None]
    figures = {
        "side": max(max(grid.shape) for grid in grids),
        "colours": len(np.unique(np.concatenate([grid.ravel() for grid in grids]))),
        "train": len(task.train),
        "test": len(task.test),
    }
    for name, value in figures.items():
        least, most = getattr(arguments, f"min_{name}"), getattr(arguments, f"max_{name}")
        if (least is not None and value < least) or (most is not None and value > most):
            return False
    if arguments.same_size is not None and _keeps_size(task) != arguments.same_size:
        return False
    return arguments.family in (None, task.family)


def _keeps_size(task: Task) -> bool:
    pairs: list[tuple[Grid, Grid | None]] = [(pair.input, pair.output) for pair in (*task.train, *task.test)]
    return all(output is None or output.shape == grid.shape for grid, output in pairs)


def _show_task(arguments: argparse.Namespace) -> None:
    task = _find_task(arguments.task_id, [arguments.source] if arguments.source else NAMED_SETS)
    if arguments.svg:
        _write(arguments.svg, task_svg(task, answers=arguments.answers).encode())
    if arguments.png:
        _write(arguments.png, task_png(task, answers=arguments.answers))
    if not arguments.svg and not arguments.png:
        columns = shutil.get_terminal_size().columns
        text = task_text(task, answers=arguments.answers, colour=_colour_wanted(), columns=columns)
        sys.stdout.write(f"{text}\n")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        raise ConfigError(f"{str(path)!r} cannot be written: {exc.strerror}. Name a file in a folder.") from exc
    sys.stdout.write(f"{path}\n")


def _check_tasks(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    summary = Table("split", "files", "tasks", "train pairs", "test pairs", "answers", "sides", "problems")
    findings = Table("file", "problem", show_lines=True)
    reports: dict[tuple[str, str], None] = {}  # a stray file is reported with each split
    for split in _splits(arguments.source, arguments.split):
        loader = TaskLoader(loose_cells=arguments.loose_cells)
        tasks = loader.load(arguments.source, split, on_error="report")
        pairs = [pair for task in tasks for pair in (*task.train, *task.test)]
        sides = [side for pair in pairs for g in (pair.input, pair.output) if g is not None for side in g.shape]
        figures = (
            len(loader.reports),
            len(tasks),
            sum(len(task.train) for task in tasks),
            sum(len(task.test) for task in tasks),
            sum(pair.output is not None for task in tasks for pair in task.test),
            f"{min(sides)} to {max(sides)}" if sides else "",
            len(loader.problems),
        )
        summary.add_row(split, *map(str, figures))
        reports |= {(report.name, problem): None for report in loader.reports for problem in report.problems}
    for name, problem in reports:
        findings.add_row(Text(name), Text(problem))
    # Into a file or a pipe nothing is folded: a problem stays on one line.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100_000)
    console.print(summary)
    if reports:
        console.print(findings)
        files = len({name for name, _ in reports})
        raise TaskError(
            f"{arguments.source}: {len(reports)} problem{'s'[: len(reports) != 1]} in {files} file{'s'[: files != 1]} "
            "(pairs, rows and columns count from 0)"
        )


def _splits(source: str, split: str | None) -> tuple[str, ...]:
    return (split,) if split else source_splits(source)


def _find_task(task_id: str, sources: Iterable[str]) -> Task:
    """The first task of that name; files with problems elsewhere in a folder do not keep it from being shown."""
    names: dict[str, None] = {}
    for source in sources:
        for split in source_splits(source):
            for task in TaskLoader().load(source, split, on_error="report"):
                if task.task_id == task_id:
                    return task
                names[task.task_id] = None
    close = difflib.get_close_matches(task_id, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`arcgym tasks list SET` prints the names."
    raise ConfigError(f"there is no task {task_id!r} among {len(names)} in {', '.join(sources)}. {hint}")


def _colour_wanted() -> bool:
    """Whether stdout is a terminal whose owner has not refused colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _show_difficulty(arguments: argparse.Namespace) -> None:
    splits = _splits(arguments.source, arguments.split)
    tasks = [task for split in splits for task in TaskLoader().load(arguments.source, split)]
    for line in difficulty_lines(DifficultyAnalyzer(num_bands=arguments.bands).analyze(tasks)):
        print(line)


def _show_overlap(arguments: argparse.Namespace) -> None:
    specs = [parse_spec(text) for text in arguments.sets]
    tasks = [select(TaskLoader().load(spec.source, spec.split), spec.limit, seed=0) for spec in specs]
    for line in overlap_lines(overlap(*tasks)):
        print(line)


def _generate(arguments: argparse.Namespace) -> None:
    settings = GeneratorSettings(
        seed=arguments.seed,
        families=tuple(arguments.families),
        max_depth=arguments.depth,
        composed_share=arguments.composed_share,
        max_side=arguments.max_side,
        pairs=tuple(arguments.pairs),
    )
    arc = [task for name in ("arc-agi-1", "arc-agi-2") for split in SPLITS for task in TaskLoader().load(name, split)]
    written = write_tasks(arguments.out, arguments.n, settings, leave_out=arc)
    print(
        f"{arguments.out}: {written.tasks} tasks, {written.resumed} of them from an earlier call; passed over "
        f"{written.repeated} that repeat others and {written.known} that are in ARC"
    )


def _count_tokens(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from arcgym.models import load_tokenizer

    columns = ["tokenizer", "split", "encoding", "tasks", "median", "p90"]
    table = Table(*columns, *([f"fit {arguments.budget}"] if arguments.budget is not None else []))
    for name in arguments.tokenizer:
        tokenizer = load_tokenizer(name)
        style = ("chat" if tokenizer.chat_template else "plain") if arguments.style == "auto" else arguments.style
        formatter = TaskFormatter(
            style=style, tokenizer=tokenizer, budget=arguments.budget, size_headers=arguments.size_headers
        )
        for split in _splits(arguments.source, arguments.split):
            for use in formatter.token_use(TaskLoader().load(arguments.source, split), arguments.encoding):
                fits = [] if use.fits is None else [f"{use.fits:.0%}"]
                table.add_row(name, split, use.encoding, str(use.tasks), f"{use.median:.0f}", f"{use.p90:.0f}", *fits)
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100_000).print(table)
