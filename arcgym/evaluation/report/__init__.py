"""One page about a run, or about several side by side: `report.html`, which needs nothing but a browser.

`collect` reads the run directory, `curves` and `outcomes` draw, `gallery` lists the tasks, `page` puts it together.
Nothing here changes a run, and nothing is fetched when the page is open.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.evaluation.files import write_whole
from arcgym.evaluation.report.charts import Chart, chart_style
from arcgym.evaluation.report.collect import RunData, find_tasks, read_runs
from arcgym.evaluation.report.curves import curriculum_charts, reward_charts, training_charts
from arcgym.evaluation.report.outcomes import columns_of, evaluation_charts
from arcgym.evaluation.report.page import Section, event_table, render_page, sentences

__all__ = ["REPORT_FILE", "end_with_report", "export_figures", "write_report"]

logger = logging.getLogger(__name__)

REPORT_FILE = "report.html"
MAX_TASKS = 1000


def write_report(
    runs: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    tasks: Mapping[str, Sequence[Task]] | None = None,
    max_tasks: int = MAX_TASKS,
) -> Path:
    """Write the report of a run, or of several side by side.

    Args:
        runs: Run directories, or files of single evaluations; at least one.
        output: The file; by default `report.html` in the run directory, if there is one run.
        tasks: Tasks by set name, where the caller has them at hand; else they are loaded by the name of the set.
        max_tasks: How many tasks the gallery shows at most.

    Returns:
        The file.

    Raises:
        ConfigError: There is no such run, a file of it is damaged, or `output` is needed.
        TaskError: A file of `eval` is not an evaluation's.
    """
    read = read_runs(runs)
    target = _target(read, output)
    columns = columns_of(read)
    known, problems = find_tasks((report for column in columns for report in column.reports.values()), tasks)
    with chart_style():
        page = render_page(read, columns, known, _sections(read, known), problems, max_tasks)
    try:
        write_whole(target, page)
    except OSError as exc:
        raise ConfigError(f"{target} cannot be written ({exc.strerror}). Choose another `--output`.") from exc
    return target


def end_with_report(run: str | Path, tasks: Mapping[str, Sequence[Task]]) -> Path | None:
    """Write the report of a run that ends here; the run does not fail for it.

    Args:
        run: The run directory.
        tasks: Tasks that were evaluated, by set name.

    Returns:
        The file; `None` if it could not be written, which is logged.
    """
    try:
        return write_report([run], tasks=tasks)
    except Exception:  # hours of training are worth more than a page, which `arcgym report` can still write
        logger.exception("The report of %s could not be written; try `arcgym report %s`.", run, run)
        return None


def export_figures(runs: Sequence[str | Path], folder: str | Path, format: Literal["svg", "png"]) -> list[Path]:
    """Write every chart of the report to a file of its own.

    Args:
        runs: Run directories, or files of single evaluations; at least one.
        folder: Made if missing.
        format: `svg` or `png`.

    Raises:
        ConfigError: There is no such run, a file of it is damaged, or the folder cannot be written to.
        TaskError: A file of `eval` is not an evaluation's.
    """
    read = read_runs(runs)
    columns = columns_of(read)
    known, _ = find_tasks(report for column in columns for report in column.reports.values())
    with chart_style():
        charts = [chart for section in _sections(read, known) for chart in section.charts]
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            return [chart.save(folder, format) for chart in charts]
        except OSError as exc:
            raise ConfigError(f"{folder} cannot be written to ({exc.strerror}). Choose another folder.") from exc


def _target(runs: Sequence[RunData], output: str | Path | None) -> Path:
    if output is not None:
        return Path(output)
    if len(runs) > 1 or not runs[0].path.is_dir():
        raise ConfigError(
            "a report of several runs, or of a single file, belongs to no run; say where with `--output`."
        )
    return runs[0].path / REPORT_FILE


def _sections(runs: Sequence[RunData], tasks: Mapping[str, Mapping[str, Task]]) -> list[Section]:
    evaluation = evaluation_charts(columns_of(runs), tasks)
    training = training_charts(runs)
    rewards = reward_charts(runs)
    curriculum = curriculum_charts(runs)
    return [
        Section("evaluation", "Evaluation", evaluation, _absent(evaluation, "No evaluation is there.")),
        Section("training", "Learning", training, _absent(training, "No training is there: no row of metrics.jsonl.")),
        Section("rewards", "Rewards and programs", rewards, _absent(rewards, "No reward was logged in training.")),
        Section("curriculum", "Curriculum", curriculum, sentences(_curriculum_notes(runs))),
        _collapse(runs),
    ]


def _absent(charts: Sequence[Chart], sentence: str) -> list[str]:
    return [] if charts else [sentence]


def _curriculum_notes(runs: Sequence[RunData]) -> list[str]:
    return [
        f"{run.name} has no curriculum (`curriculum: {run.config.get('curriculum', 'none')}`)."
        for run in runs
        if not run.series("curriculum/level")[0]
    ]


def _collapse(runs: Sequence[RunData]) -> Section:
    notes = []
    for run in runs:
        if run.events:
            continue
        watched = bool(run.series("collapse/alarm")[0])
        notes.append(
            f"{run.name}: no sign of collapse; every logged rollout was watched."
            if watched
            else f"{run.name}: no rollout was watched for collapse."
        )
    table = event_table(runs)
    return Section("collapse", "Collapse events", (), notes, [("Events", table)] if table.rows else ())
