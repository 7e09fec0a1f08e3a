"""The command `arcgym report`: a page about a run, or about several side by side, and its figures as files."""

import argparse
import sys
from pathlib import Path
from typing import Any

from arcgym.errors import ConfigError


def add_report_commands(commands: Any) -> None:
    """Add `report` to the commands of `arcgym`.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    report = commands.add_parser("report", help="write a page about a run, or about several side by side")
    report.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run directory, or the file of one evaluation"
    )
    report.add_argument(
        "--output", type=Path, metavar="FILE", help="the page; by default report.html in the run directory"
    )
    report.add_argument(
        "--max-tasks", "--max_tasks", type=int, default=1000, metavar="N", help="tasks in its gallery, by default 1000"
    )
    report.add_argument("--figures", type=Path, metavar="FOLDER", help="write every chart to a file of its own, too")
    report.add_argument("--format", choices=("svg", "png"), default="svg", help="of these files, by default svg")
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    if arguments.max_tasks < 0:
        raise ConfigError(f"`--max-tasks` is {arguments.max_tasks}, but must be 0 or more.")
    from arcgym.evaluation.report import export_figures, write_report  # imports torch

    page = write_report(arguments.runs, arguments.output, max_tasks=arguments.max_tasks)
    sys.stdout.write(f"{page}\n")
    if arguments.figures:
        for file in export_figures(arguments.runs, arguments.figures, arguments.format):
            sys.stdout.write(f"{file}\n")
