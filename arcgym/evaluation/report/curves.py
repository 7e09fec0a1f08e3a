"""Charts of training: curves with bands, reward components, outcomes of programs, the path of the curriculum."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from arcgym.evaluation.report.charts import (
    INK,
    Chart,
    Table,
    add_legend,
    as_percent,
    draw_band,
    draw_line,
    new_axes,
    thin,
)
from arcgym.evaluation.report.collect import RunData, solved_by_step
from arcgym.evaluation.scoring import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COMPONENTS = ("correctness", "solved_bonus", "shape", "cells", "brevity", "penalty")
_OUTCOMES = {
    "solved": "programs/solved_frac",
    "ran": "programs/valid_frac",
    "raised": "programs/runtime_error_frac",
    "does not compile": "programs/syntax_error_frac",
    "no program": "programs/no_program_frac",
    "no grid": "programs/invalid_output_frac",
    "out of time": "programs/timeout_frac",
    "out of memory": "programs/memory_frac",
    "violation": "programs/security_violation_frac",
    "too much output": "programs/output_limit_frac",
    "crashed": "programs/crashed_frac",
}
_NORMAL_95 = 1.96  # quantile of the normal distribution for an interval of 95 %


class _Series(NamedTuple):
    label: str
    steps: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def training_charts(runs: Sequence[RunData]) -> list[Chart]:
    """Draw how training went; runs share the axes, and a chart that no run has figures for is left out.

    Args:
        runs: At least one.
    """
    charts = [
        _curves(
            "reward",
            "Reward",
            "Mean reward of the programs of a rollout. Band: 95 % interval of that mean, each task counted as one "
            "observation. Dotted vertical lines: signs of collapse.",
            [series for run in runs for series in _reward(run)],
            runs,
        ),
        _curves(
            "tasks-solved",
            "Training tasks solved",
            "Share of a rollout's tasks that one program or more solved, hidden pairs included. Band: 95 % Wilson "
            "interval.",
            [series for run in runs for series in _solved(run)],
            runs,
            is_share=True,
        ),
        _metric("hidden-gap", "Gap between shown and hidden pairs", "rewards/hidden_gap", runs,
                "Pass rate on pairs that the prompt shows, less that on hidden ones. It grows when programs learn "
                "pairs by heart.", is_share=True),
        _metric("entropy", "Entropy", "entropy", runs,
                "Of the policy's next token, in nat. Near 0 all programs are the same."),
        _metric("kl", "KL divergence", "kl", runs, "From the initial policy, in nat, mean over tokens."),
        _metric("explained-variance", "Explained variance of the critic", "ppo/explained_variance", runs,
                "1 is perfect, 0 no better than a constant."),
        _curves("lengths-training", "Length of completions", "Tokens, mean of a rollout. Band: shortest to longest.",
                [series for run in runs for series in _lengths(run)], runs),
        _metric("speed", "Programs per second", "speed/programs_per_second", runs,
                "Sampled in training by all processes together."),
    ]  # fmt: skip
    return [chart for chart in charts if chart is not None]


def reward_charts(runs: Sequence[RunData]) -> list[Chart]:
    """Draw what rewards are made of and what becomes of programs, a chart each per run."""
    charts = []
    for number, run in enumerate(runs):
        suffix, of_run = _of_run(runs, number)
        parts = {name.replace("_", " "): f"rewards/{name}" for name in _COMPONENTS}
        charts += [
            _curves(
                f"reward-components{suffix}",
                f"Reward components{of_run}",
                "Means over the programs of a rollout, which add up to the reward; components that are 0 throughout "
                "are left out.",
                _nonzero(run, parts, 6),
                [run],
            ),
            _curves(
                f"outcomes{suffix}",
                f"Outcomes of programs{of_run}",
                "Shares of a rollout's programs. “Ran” holds all that returned grids, right or wrong; the others are "
                "the most frequent ends.",
                _nonzero(run, _OUTCOMES, 6),
                [run],
                is_share=True,
            ),
        ]
    return [chart for chart in charts if chart is not None]


def curriculum_charts(runs: Sequence[RunData]) -> list[Chart]:
    """Draw the path of each run that has a curriculum."""
    charts = []
    for number, run in enumerate(runs):
        suffix, of_run = _of_run(runs, number)
        steps, levels = run.series("curriculum/level")
        if not steps:
            continue
        figure, axes = new_axes()
        axes.step(steps, levels, where="post", color=INK, linewidth=1.6, label="highest open band")
        axes.set_ylabel("band")
        axes.set_yticks(range(int(max(levels)) + 2))
        other = axes.twinx()
        other.spines["top"].set_visible(False)
        rate_steps, rates = run.series("curriculum/success_rate")
        draw_line(other, 1, rate_steps, rates, "its success rate (right)")
        as_percent(other)
        other.set_ylim(bottom=0)
        axes.set_xlabel("step")
        handles = [axes.get_legend_handles_labels(), other.get_legend_handles_labels()]
        axes.legend(
            [*handles[0][0], *handles[1][0]], [*handles[0][1], *handles[1][1]],
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2,
        )  # fmt: skip
        rate_of = dict(zip(rate_steps, rates, strict=True))
        rows = [
            (f"{step:.0f}", f"{level:.0f}", _text(rate_of.get(step), True))
            for step, level in zip(steps, levels, strict=True)
        ]
        charts.append(
            Chart(
                f"curriculum{suffix}",
                f"Path of the curriculum{of_run}",
                "Bands of difficulty are counted from 0, the easiest. The next one opens when the moving success rate "
                "in the highest one passes its threshold, and that rate then begins anew.",
                figure,
                Table(("step", "band", "success rate"), thin(rows)),
            )
        )
    return charts


def _metric(
    name: str, title: str, metric: str, runs: Sequence[RunData], caption: str, *, is_share: bool = False
) -> Chart | None:
    series = [_Series(run.name, *run.series(metric)) for run in runs]
    return _curves(name, title, caption, series, runs, is_share=is_share)


def _curves(
    name: str,
    title: str,
    caption: str,
    series: Iterable[_Series],
    runs: Sequence[RunData],
    *,
    is_share: bool = False,
) -> Chart | None:
    """Draw series over steps; nothing where none has a value."""
    found = [entry for entry in series if len(entry.values)]
    if not found:
        return None
    figure, axes = new_axes()
    for number, entry in enumerate(found):
        if len(entry.low):
            draw_band(axes, number, entry.steps, entry.low, entry.high)
        draw_line(axes, number, entry.steps, entry.values, entry.label)
    _mark_events(axes, runs)
    axes.set_xlabel("step")
    if is_share:
        as_percent(axes)
    if all(value >= 0 for entry in found for value in (*entry.values, *entry.low)):
        axes.set_ylim(bottom=0)
    add_legend(axes, 3 if len(found) > 4 else 2)
    return Chart(name, title, caption, figure, _table(found, is_share))


def _mark_events(axes: "Axes", runs: Sequence[RunData]) -> None:
    for step in {event["step"] for run in runs for event in run.events}:
        axes.axvline(step, color=INK, linewidth=0.8, linestyle=":")


def _table(series: Sequence[_Series], is_share: bool) -> Table:
    """Steps down, series across; a band is written beside its value."""
    cells: list[dict[float, str]] = []
    for entry in series:
        texts = [_text(value, is_share) for value in entry.values]
        if len(entry.low):
            bounds = zip(entry.low, entry.high, strict=True)
            texts = [
                f"{text} ({_text(low, is_share)} to {_text(high, is_share)})"
                for text, (low, high) in zip(texts, bounds, strict=True)
            ]
        cells.append(dict(zip(entry.steps, texts, strict=True)))
    steps = sorted(set().union(*cells))
    rows = [(f"{step:g}", *(column.get(step, "") for column in cells)) for step in steps]
    return Table(("step", *(entry.label for entry in series)), thin(rows))


def _text(value: float | None, is_share: bool) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if is_share else f"{value:.3g}"


def _reward(run: RunData) -> list[_Series]:
    steps, values = run.series("reward")
    spread = dict(zip(*run.series("reward_std"), strict=True))
    tasks = _tasks_per_rollout(run)
    if not tasks or set(steps) - spread.keys():
        return [_Series(run.name, steps, values)]
    margin = _NORMAL_95 * np.array([spread[step] for step in steps]) / np.sqrt(tasks)
    return [_Series(run.name, steps, values, (values - margin).tolist(), (values + margin).tolist())]


def _tasks_per_rollout(run: RunData) -> float | None:
    size, group = run.config.get("generation_batch_size"), run.config.get("num_generations")
    if not isinstance(size, int) or not isinstance(group, int) or min(size, group) < 1:
        return None
    return size / group


def _solved(run: RunData) -> list[_Series]:
    counted = solved_by_step(run.rollouts)
    if counted.empty:
        return [_Series(run.name, *run.series("tasks/solved_frac"))]
    intervals = [wilson_interval(int(row.solved), int(row.tasks)) for row in counted.itertuples()]
    shares = (counted["solved"] / counted["tasks"]).tolist()
    low, high = [interval.low for interval in intervals], [interval.high for interval in intervals]
    return [_Series(run.name, counted.index.astype(float).tolist(), shares, low, high)]


def _lengths(run: RunData) -> list[_Series]:
    steps, values = run.series("completions/mean_length")
    low, high = (run.series(f"completions/{which}_length")[1] for which in ("min", "max"))
    if not len(low) == len(high) == len(steps):
        return [_Series(run.name, steps, values)]
    return [_Series(run.name, steps, values, low, high)]


def _nonzero(run: RunData, metrics: dict[str, str], most: int) -> list[_Series]:
    """The series of metrics that are not 0 throughout, the largest of them where there are many."""
    series = [_Series(label, *run.series(metric)) for label, metric in metrics.items()]
    largest: Callable[[_Series], float] = lambda entry: max(map(abs, entry.values), default=0.0)  # noqa: E731
    chosen = sorted((entry for entry in series if largest(entry) > 0), key=largest, reverse=True)[:most]
    return [entry for entry in series if entry in chosen]


def _of_run(runs: Sequence[RunData], number: int) -> tuple[str, str]:
    """What tells the charts of one run from those of another, in names of files and in titles."""
    return ("", "") if len(runs) == 1 else (f"-{number + 1}", f", {runs[number].name}")
