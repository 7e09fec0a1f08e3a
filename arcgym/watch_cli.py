"""The command `arcgym watch`: follow a run in the terminal."""

import argparse
from typing import Any

from arcgym.errors import ConfigError


def add_watch_command(commands: Any) -> None:
    """Add `watch` to the commands of `arcgym`.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    watch = commands.add_parser("watch", help="follow a run in the terminal: curves, warnings, last programs")
    watch.add_argument("directory", metavar="RUN", help="the run's `output_dir`")
    watch.add_argument("--once", action="store_true", help="print what there is now, and end")
    watch.add_argument(
        "--refresh", type=float, default=2.0, metavar="SECONDS", help="time between two looks, by default 2"
    )
    watch.add_argument(
        "--metric", nargs="+", action="extend", metavar="NAME", help="show these, of docs/metrics.md, and no others"
    )
    watch.set_defaults(run=_watch)


def _watch(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from arcgym.runs.following import RunReader
    from arcgym.runs.watch import watch

    if not 0 < arguments.refresh < float("inf"):
        raise ConfigError(f"`--refresh` is {arguments.refresh:g}, but must be above 0 seconds.")
    reader = RunReader(arguments.directory)
    watch(reader, Console(), once=arguments.once, refresh_s=arguments.refresh, metrics=arguments.metric)
