"""Charts of evaluations: solved tasks, success rates, lengths, difficulty, pass@k; before and after, or run by run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from arcgym.data.difficulty import DifficultyAnalyzer
from arcgym.data.tasks import Task
from arcgym.evaluation.records import EvaluationReport, TaskRecord
from arcgym.evaluation.report.charts import (
    COLOURS,
    HATCHES,
    INK,
    MARKERS,
    Chart,
    Table,
    add_legend,
    as_percent,
    draw_line,
    new_axes,
    shorten,
)
from arcgym.evaluation.report.collect import RunData
from arcgym.evaluation.scoring import wilson_interval
from arcgym.evaluation.statistics import bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATE_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_NUM_GROUPS = 5  # of tasks, by predicted difficulty
_LENGTH_BINS = 12


class Column(NamedTuple):
    """One column of a comparison: an evaluation before or after training, or that of a run.

    Args:
        label: What it is called.
        reports: By set name.
    """

    label: str
    reports: Mapping[str, EvaluationReport]

    @property
    def records(self) -> list[TaskRecord]:
        """Those of all sets."""
        return [record for report in self.reports.values() for record in report.records]


def columns_of(runs: Sequence[RunData]) -> list[Column]:
    """Say what is compared: for one run before and after training, for several the runs as they ended."""
    if len(runs) > 1:
        return [Column(run.name, run.after or run.before) for run in runs]
    (run,) = runs
    if run.before and run.after:
        return [Column("before training", run.before), Column("after training", run.after)]
    label = "before training" if run.before else ("after training" if run.rows else "evaluation")
    return [Column(label, run.after or run.before)] if run.after or run.before else []


def evaluation_charts(columns: Sequence[Column], tasks: Mapping[str, Mapping[str, Task]]) -> list[Chart]:
    """Draw evaluations; a chart without figures is left out.

    Args:
        columns: As of `columns_of`.
        tasks: By set name and task id, as far as they are known.
    """
    filled = [column for column in columns if column.records]
    if not filled:
        return []
    charts = [
        _solved_by_set(filled),
        _success_rates(filled),
        _lengths(filled),
        _calibration(filled, tasks),
        _bands(filled),
        _pass_at_k(filled),
    ]
    return [chart for chart in charts if chart is not None]


def _solved_by_set(columns: Sequence[Column]) -> Chart:
    names = list(dict.fromkeys(name for column in columns for name in column.reports))
    figure, axes = new_axes(height=max(1.6, 0.7 + 0.3 * len(names) * (1 + len(columns) / 2)))
    rows = []
    for number, column in enumerate(columns):
        shift = (number - (len(columns) - 1) / 2) * 0.6 / len(columns)
        places, shares, bounds = [], [], []
        for place, name in enumerate(names):
            if name not in column.reports:
                continue
            solved, total, low, high = _solved(column.reports[name].records)
            places.append(place + shift)
            shares.append(solved / total)
            bounds.append((solved / total - low, high - solved / total))
            rows.append(
                (name, column.label, f"{solved} of {total}", f"{solved / total:.1%}", f"{low:.1%} to {high:.1%}")
            )
        _draw_intervals(axes, number, column.label, shares, places, xerr=bounds)
    axes.set_yticks(range(len(names)), [shorten(name, 24) for name in names])
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", linewidth=0.6, color="#d7dbe0")
    axes.set_xlim(left=0)
    as_percent(axes, "x")
    add_legend(axes)
    return Chart(
        "solved-by-set",
        "Tasks solved",
        "Share of tasks with every test output right in two attempts. Bars: 95 % Wilson interval.",
        figure,
        Table(("set", "", "solved", "share", "95 % interval"), sorted(rows, key=lambda row: names.index(row[0]))),
    )


def _success_rates(columns: Sequence[Column]) -> Chart:
    labels = ["0", *(f"to {edge:.0%}" for edge in _RATE_EDGES[1:])]
    counts = [
        np.bincount(
            np.searchsorted(_RATE_EDGES, [record.success_rate for record in column.records], side="left"),
            minlength=len(labels),
        )
        for column in columns
    ]
    return _histogram(
        "success-rates",
        "Success rates of tasks",
        "Tasks by the share of their programs that are right on every test pair.",
        columns,
        labels,
        counts,
        "success rate",
    )


def _lengths(columns: Sequence[Column]) -> Chart | None:
    lengths = [
        [
            record.tokens_out / record.num_samples
            for record in column.records
            if record.tokens_out and record.num_samples
        ]
        for column in columns
    ]
    if not all(lengths):
        return None
    edges = np.histogram_bin_edges(np.concatenate(lengths), bins=_LENGTH_BINS)
    labels = [f"{edge:.0f}" for edge in edges[:-1]]
    counts = [np.histogram(values, bins=edges)[0] for values in lengths]
    return _histogram(
        "lengths",
        "Length of programs",
        "Tasks by the mean length of the completions for them, in tokens; each bar from its label on.",
        columns,
        labels,
        counts,
        "tokens",
    )


def _histogram(
    name: str,
    title: str,
    caption: str,
    columns: Sequence[Column],
    labels: Sequence[str],
    counts: Sequence[np.ndarray],
    quantity: str,
) -> Chart:
    figure, axes = new_axes()
    width = 0.8 / len(columns)
    for number, (column, heights) in enumerate(zip(columns, counts, strict=True)):
        places = np.arange(len(labels)) + (number - (len(columns) - 1) / 2) * width
        bars = axes.bar(
            places,
            heights,
            width * 0.92,
            color=COLOURS[number % len(COLOURS)],
            alpha=0.75,
            hatch=HATCHES[number % len(HATCHES)],
            edgecolor=INK,
            linewidth=0.6,
            label=shorten(column.label),
        )
        if len(labels) * len(columns) <= 18:
            axes.bar_label(bars, fontsize=7.5)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel(quantity)
    axes.set_ylabel("tasks")
    add_legend(axes)
    rows = [(label, *(str(heights[i]) for heights in counts)) for i, label in enumerate(labels)]
    return Chart(name, title, caption, figure, Table((quantity, *(column.label for column in columns)), rows))


def _calibration(columns: Sequence[Column], tasks: Mapping[str, Mapping[str, Task]]) -> Chart | None:
    """Draw observed over predicted success rates, for groups of tasks of equal size."""
    known = {(name, task_id): task for name, members in tasks.items() for task_id, task in members.items()}
    if len(known) < 2 * _NUM_GROUPS:
        return None
    scored = DifficultyAnalyzer(num_bands=1).analyze(list(known.values()))
    predicted = {key: 1 - entry.score for key, entry in zip(known, scored, strict=True)}
    figure, axes = new_axes()
    rows, top = [], 0.0
    for number, column in enumerate(columns):
        rates = {
            (name, record.task_id): record.success_rate
            for name, report in column.reports.items()
            for record in report.records
            if (name, record.task_id) in predicted
        }
        order = sorted(rates, key=lambda key: predicted[key])
        if len(order) < 2 * _NUM_GROUPS:
            continue
        for group in np.array_split(np.arange(len(order)), _NUM_GROUPS):
            keys = [order[i] for i in group]
            x, y = (float(np.mean([of[key] for key in keys])) for of in (predicted, rates))
            low, high = bootstrap_interval([rates[key] for key in keys])
            axes.errorbar(
                [x],
                [y],
                yerr=np.clip([[y - low], [high - y]], 0, None),
                fmt=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                capsize=3,
                markersize=5,
                label=shorten(column.label) if group[0] == 0 else None,
            )
            top = max(top, x, high)
            rows.append((column.label, str(len(keys)), f"{x:.1%}", f"{y:.1%}", f"{low:.1%} to {high:.1%}"))
    axes.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle=":", label="as predicted")
    axes.set_xlabel("predicted success rate")
    axes.set_ylabel("observed")
    as_percent(axes, "x")
    as_percent(axes)
    add_legend(axes)
    return Chart(
        "calibration",
        "Calibration of difficulty",
        "Fifths of the tasks, by the success rate that DifficultyAnalyzer predicts from their grids alone. Bars: 95 % "
        "bootstrap interval over tasks. Points above the dotted line were easier than predicted.",
        figure,
        Table(("", "tasks", "predicted", "observed", "95 % interval"), rows),
    )


def _bands(columns: Sequence[Column]) -> Chart | None:
    bands = sorted({record.band for column in columns for record in column.records if record.band is not None})
    if not bands:
        return None
    figure, axes = new_axes()
    rows = []
    for number, column in enumerate(columns):
        places, shares, bounds = [], [], []
        for place, band in enumerate(bands):
            members = [record for record in column.records if record.band == band]
            if members:
                solved, total, low, high = _solved(members)
                places.append(place + (number - (len(columns) - 1) / 2) * 0.5 / len(columns))
                shares.append(solved / total)
                bounds.append((solved / total - low, high - solved / total))
                rows.append((str(band), column.label, f"{solved} of {total}", f"{low:.1%} to {high:.1%}"))
        _draw_intervals(axes, number, column.label, places, shares, yerr=bounds)
    axes.set_xticks(range(len(bands)), [str(band) for band in bands])
    axes.set_xlabel("band of difficulty within its set, 0 is the easiest")
    axes.set_ylabel("tasks solved")
    axes.set_ylim(bottom=0)
    as_percent(axes)
    add_legend(axes)
    return Chart(
        "bands",
        "Solved by difficulty",
        "Tasks of all sets together. Bars: 95 % Wilson interval.",
        figure,
        Table(("band", "", "solved", "95 % interval"), sorted(rows)),
    )


def _pass_at_k(columns: Sequence[Column]) -> Chart | None:
    """Draw pass@k of the largest set, where there are at least four samples per task."""
    name = max(
        (name for column in columns for name in column.reports),
        key=lambda name: max(len(column.reports[name].records) for column in columns if name in column.reports),
    )
    figure, axes = new_axes()
    rows, number = [], 0
    for column in columns:
        figures = column.reports[name].aggregates if name in column.reports else {}
        for key, what in (("pass@", "right"), ("train_pass@", "fit the demonstrations")):
            points = {
                int(entry.removeprefix(key)): value
                for entry, value in figures.items()
                if entry.startswith(key) and entry.removeprefix(key).isdecimal()
            }
            if max(points, default=0) < 4:
                continue
            ks = sorted(points)
            label = what if len(columns) == 1 else f"{shorten(column.label, 16)}, {what}"
            draw_line(axes, number, ks, [points[k] for k in ks], label)
            rows += [(label, str(k), f"{points[k]:.1%}") for k in ks]
            number += 1
    if not rows:
        return None
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("k, programs per task")
    axes.set_ylim(bottom=0)
    as_percent(axes)
    add_legend(axes)
    return Chart(
        "pass-at-k",
        f"pass@k on {name}",
        "Chance that one of k programs is right on every test pair, or fits every demonstration.",
        figure,
        Table(("", "k", "pass@k"), rows),
    )


def _draw_intervals(
    axes: "Axes",
    number: int,
    label: str,
    x: Sequence[float],
    y: Sequence[float],
    **bounds: Sequence[tuple[float, float]],
) -> None:
    """Draw the points of a column with their intervals, `xerr` or `yerr`: what they reach below and above."""
    axes.errorbar(
        x,
        y,
        **{axis: np.clip(np.array(pairs).T, 0, None) for axis, pairs in bounds.items()},
        fmt=MARKERS[number % len(MARKERS)],
        color=COLOURS[number % len(COLOURS)],
        capsize=3,
        markersize=5,
        linewidth=1.3,
        label=shorten(label),
    )


def _solved(records: Sequence[TaskRecord]) -> tuple[int, int, float, float]:
    solved = sum(record.is_solved for record in records)
    return solved, len(records), *wilson_interval(solved, len(records))
