"""The page: what goes where, in words and figures; the template lays it out."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.evaluation.comparison import Comparison, compare_reports
from arcgym.evaluation.records import EvaluationReport
from arcgym.evaluation.report.charts import Chart, Table
from arcgym.evaluation.report.collect import RunData, task_history
from arcgym.evaluation.report.gallery import Entry, gallery_entries, grids_json
from arcgym.evaluation.report.outcomes import Column
from arcgym.evaluation.scoring import wilson_interval
from arcgym.grids import PALETTE

_LISTED = 12  # tasks in a list of the hardest, the nearest, …
# Settings that say where a run is, and not how it went
_PLACES = frozenset({"output_dir", "logging_dir", "run_name", "hub_model_id", "resume_from_checkpoint"})


class Card(NamedTuple):
    """A figure of the overview: a label, a value, and what explains it."""

    label: str
    value: str
    detail: str
    trend: str = ""  # `up`, `down` or empty


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        name: Its anchor.
        title: Its heading.
        charts: Its charts.
        notes: What is missing, or what else is to be said, a sentence each.
        tables: Titles and tables.
    """

    name: str
    title: str
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()
    tables: Sequence[tuple[str, Table]] = ()


@dataclass(frozen=True)
class TaskList:
    """A list of tasks with a remark each; links lead into the gallery."""

    title: str
    explanation: str
    items: list[tuple[str, int | None, str]] = field(default_factory=list)
    more: int = 0


def render_page(
    runs: Sequence[RunData],
    columns: Sequence[Column],
    tasks: Mapping[str, Mapping[str, Task]],
    sections: Sequence[Section],
    notes: Sequence[str],
    limit: int,
) -> str:
    """Write the page.

    Args:
        runs: At least one.
        columns: What is compared.
        tasks: By set name and task id, as far as they are known.
        sections: The parts with charts.
        notes: What is to be said of the gallery.
        limit: How many tasks the gallery shows.
    """
    import jinja2

    entries, left_out = gallery_entries(columns, tasks, limit)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("arcgym.evaluation.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    folder = files("arcgym.evaluation.report") / "templates"
    script = (folder / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html.jinja").render(
        title=" · ".join(run.name for run in runs),
        runs=runs,
        columns=columns,
        cards=overview_cards(runs, columns),
        side_by_side=side_by_side(runs) if len(runs) > 1 else None,
        comparison=comparison_table(columns),
        sections=sections,
        entries=entries,
        left_out=left_out,
        gallery_notes=notes,
        lists=task_lists(entries, runs, columns),
        sets=list(dict.fromkeys(entry.set_name for entry in entries)),
        bands=sorted({entry.record.band for entry in entries if entry.record.band is not None}),
        families=sorted({entry.record.family or entry.record.source for entry in entries}),
        grids=grids_json(entries),
        palette=PALETTE,
        origins=[_origin(run) for run in runs],
        missing=[(run.name, sentence) for run in runs for sentence in run.missing],
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=version("arcgym"),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def overview_cards(runs: Sequence[RunData], columns: Sequence[Column]) -> list[Card]:
    """Choose the figures of the overview: solved tasks per set of the last column, then how the run went.

    Args:
        runs: At least one.
        columns: What is compared.
    """
    if not columns:
        return _run_cards(runs[0]) if len(runs) == 1 else []
    first, last = columns[0], columns[-1]
    cards = []
    for name, report in last.reports.items():
        solved, total = report.aggregates["solved"], report.aggregates["tasks"]
        low, high = wilson_interval(solved, total)
        detail, trend = f"{solved / total:.1%}, 95 % interval {low:.1%} to {high:.1%}", ""
        if first is not last and name in first.reports:
            old = first.reports[name].aggregates["solved"]
            detail += f"; {first.label}: {old}"
            trend = "up" if solved > old else ("down" if solved < old else "")
        cards.append(Card(f"solved of {name}", f"{solved} / {total}", detail, trend))
    if len(runs) > 1:
        return cards
    return cards + _run_cards(runs[0])


def _run_cards(run: RunData) -> list[Card]:
    cards = []
    both = [reports for reports in (run.before, run.after) if reports]
    for label, figure in (("pass@1", "pass@1"), ("valid programs", "valid_frac")):
        shares = [share for reports in both if (share := _pooled(reports, figure)) is not None]
        if shares:
            detail = "mean over all evaluated tasks" if figure == "pass@1" else "of all programs in evaluations"
            if len(shares) == 2:
                detail += f"; before training {shares[0]:.1%}"
            cards.append(Card(label, f"{shares[-1]:.1%}", detail, _trend(shares)))
    _, rewards = run.series("reward")
    if len(rewards) > 1:
        tenth = max(1, len(rewards) // 10)
        ends = [sum(part) / tenth for part in (rewards[:tenth], rewards[-tenth:])]
        cards.append(
            Card("reward", f"{ends[1]:.3f}", f"last tenth of rollouts; first tenth {ends[0]:.3f}", _trend(ends))
        )
    if "programs" in run.summary and run.summary.get("seconds"):
        seconds, programs = run.summary["seconds"], run.summary["programs"]
        cards.append(Card("programs trained on", f"{programs:,}", f"{programs / seconds:.1f} per second"))
        cards.append(
            Card("training time", _duration(seconds), f"{int(run.rows[-1]['step']) if run.rows else 0} steps")
        )
    elif run.rows:
        cards.append(Card("steps so far", f"{run.rows[-1]['step']:.0f}", "no summary yet: still running, or stopped"))
    return cards


def _pooled(reports: Mapping[str, EvaluationReport], figure: str) -> float | None:
    """A share over all sets: pass@1 weighted by tasks, the valid programs by programs."""
    weight = "tasks" if figure == "pass@1" else "programs"
    parts = [report.aggregates for report in reports.values() if figure in report.aggregates]
    total = sum(part[weight] for part in parts)
    return sum(part[figure] * part[weight] for part in parts) / total if total else None


def _trend(values: Sequence[float]) -> str:
    if len(values) < 2 or values[0] == values[-1]:
        return ""
    return "up" if values[-1] > values[0] else "down"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def side_by_side(runs: Sequence[RunData]) -> Table:
    """Compare runs in a table: what came out, what it cost, and the settings in which they differ."""
    sets = list(dict.fromkeys(name for run in runs for name in (run.after or run.before)))
    rows: list[tuple[str, ...]] = []
    for name in sets:
        figures = [(run.after or run.before).get(name) for run in runs]
        rows.append(
            (
                f"solved of {name}",
                *(
                    f"{report.aggregates['solved']} / {report.aggregates['tasks']}  "
                    f"({report.aggregates['solved_frac']:.1%})"
                    if report
                    else "not evaluated"
                    for report in figures
                ),
            )
        )
        rows.append(
            (
                f"pass@1 on {name}",
                *(
                    f"{report.aggregates['pass@1']:.1%}" if report and "pass@1" in report.aggregates else ""
                    for report in figures
                ),
            )
        )
    for label, key, form in (
        ("training time", "seconds", _duration),
        ("programs trained on", "programs", "{:,}".format),
        ("programs per second", "programs_per_second", "{:.1f}".format),
        ("reward, first tenth", "reward_first", "{:.3f}".format),
        ("reward, last tenth", "reward_last", "{:.3f}".format),
    ):
        values = [run.summary.get(key) for run in runs]
        if any(value is not None for value in values):
            rows.append((label, *("" if value is None else form(value) for value in values)))
    settings = sorted(set().union(*(run.config for run in runs)) - _PLACES)
    for setting in settings:
        texts = [_plain(run.config[setting]) if setting in run.config else "" for run in runs]
        if len(set(texts)) > 1:
            rows.append((f"`{setting}`", *texts))
    return Table(("", *(run.name for run in runs)), rows)


def comparison_table(columns: Sequence[Column]) -> tuple[Table | None, str]:
    """Test whether the columns differ from the first by more than chance.

    Returns:
        The table, `None` where nothing can be compared; and a sentence that says why not.
    """
    if len(columns) < 2:
        return None, ""
    try:
        found = compare_reports({column.label: column.reports for column in columns})
    except ConfigError as exc:
        return None, f"Differences are not tested: {exc}"
    header = ("set", f"against {columns[0].label}", "gained", "lost", "solved", "pass@1", "p", "p, Holm")
    return Table(header, [_comparison_row(entry) for entry in found]), ""


def _comparison_row(entry: Comparison) -> tuple[str, ...]:
    differences = (entry.differences[name] for name in ("solved_frac", "pass@1"))
    texts = (f"{gap.value:+.1%} ({gap.low:+.1%} to {gap.high:+.1%})" for gap in differences)
    counts = (str(entry.gained), str(entry.lost))
    return (entry.set_name, entry.second, *counts, *texts, f"{entry.p_value:.2g}", f"{entry.adjusted_p:.2g}")


def task_lists(entries: Sequence[Entry], runs: Sequence[RunData], columns: Sequence[Column]) -> list[TaskList]:
    """List what a reader looks for first: tasks won and lost, the hardest solved, the nearest misses, the hopeless.

    Args:
        entries: Tasks of the gallery.
        runs: At least one; what was tried in vain in training is listed for each.
        columns: What is compared, the first with the last.
    """
    solved = [entry for entry in entries if entry.is_solved]
    hardest = sorted(solved, key=lambda entry: (-(entry.record.band or 0), entry.record.success_rate, entry.number))
    near = sorted((entry for entry in entries if entry.near), key=lambda entry: (_nearness(entry), entry.number))
    lists = []
    if len(columns) > 1:
        first, last = columns[0].label, columns[-1].label
        for change, title, what in (
            ("new", "Newly solved", f"Solved {last}, not {first}."),
            ("lost", "No longer solved", f"Solved {first}, not {last}."),
        ):
            lists.append(_task_list(title, what, [entry for entry in entries if entry.change == change], _rate))
    lists += [
        _task_list("Hardest solved", "Solved tasks of the hardest band, the least often right first.", hardest, _rate),
        _task_list("Nearly solved", "Unsolved, but close.", near, lambda entry: entry.near),
    ]
    return lists + [_tried_in_vain(run) for run in runs if not run.rollouts.empty]


def _tried_in_vain(run: RunData) -> TaskList:
    history = task_history(run.rollouts)
    never = history[history["solved"] == 0].sort_values("tries", ascending=False, kind="stable")
    items: list[tuple[str, int | None, str]] = [
        (str(task_id), None, f"{tries} programs") for task_id, tries in never["tries"].head(_LISTED).items()
    ]
    of_run = f" ({run.name})" if run.name else ""
    return TaskList(
        "Hardest in training",
        f"Tried most often in training without a solution: {len(never)} of {len(history)} tasks were never "
        f"solved{of_run}.",
        items,
        max(0, len(never) - len(items)),
    )


def _task_list(title: str, explanation: str, entries: Sequence[Entry], remark: Any) -> TaskList:
    items: list[tuple[str, int | None, str]] = [
        (entry.task_id, entry.number, remark(entry)) for entry in entries[:_LISTED]
    ]
    return TaskList(title, explanation, items, max(0, len(entries) - len(items)))


def _rate(entry: Entry) -> str:
    record = entry.record
    band = "" if record.band is None else f", band {record.band}"
    return f"{record.num_test_correct} of {record.num_samples} programs right{band}"


def _nearness(entry: Entry) -> tuple[bool, bool, float]:
    record, wrong = entry.record, entry.results[-1].wrong_cells
    return not (record.oracle and all(record.oracle)), not record.num_train_fit, 1.0 if wrong is None else wrong


def _origin(run: RunData) -> dict[str, Any]:
    """Where a run came from: the facts, and its whole settings as YAML."""
    reports = {**run.before, **run.after}
    provenance: Mapping[str, Any] = next((report.provenance for report in reports.values() if report.provenance), {})
    policy = provenance.get("config", {}).get("policy") or {}
    facts = {
        "policy": run.config.get("model_name_or_path") or policy.get("name"),
        "parameters": f"{policy['parameters']:,}" if "parameters" in policy else None,
        "training sets": _plain(run.config["train_tasks"]) if "train_tasks" in run.config else None,
        "seed": run.config.get("seed"),
        "checkpoints kept": ", ".join(map(str, run.checkpoints)) or None,
        "python": run.environment.get("python"),
        "platform": run.environment.get("platform"),
        "GPUs": ", ".join(run.environment.get("gpus", [])) or None,
        "libraries": ", ".join(f"{name} {number}" for name, number in run.environment.get("libraries", {}).items()),
        "sandbox layers": ", ".join(run.environment.get("sandbox_layers") or provenance.get("sandbox_layers", [])),
        "config hash": run.summary.get("config_hash"),
        **{f"hash of {name}": report.aggregates.get("dataset_hash") for name, report in reports.items()},
    }
    return {
        "name": run.name,
        "facts": {label: str(value) for label, value in facts.items() if value not in (None, "")},
        "config": yaml.safe_dump(run.config, sort_keys=True) if run.config else "",
    }


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


def event_table(runs: Sequence[RunData]) -> Table:
    """List the signs of collapse, and what was done."""
    rows = [
        (
            run.name,
            f"{event['step']}",
            str(event["action"]),
            "; ".join(_signal(event, name) for name in event.get("signals", [])),
            "" if event.get("since") is None else str(event["since"]),
            str(event.get("checkpoint") or ""),
        )
        for run in runs
        for event in run.events
    ]
    return Table(("run", "step", "what", "signals", "since step", "back to"), rows)


def _signal(event: Mapping[str, Any], name: str) -> str:
    value, limit = event.get("values", {}).get(name), event.get("limits", {}).get(name)
    if value is None or limit is None:
        return name
    return f"{name.replace('_', ' ')} {value:.3g} (limit {limit:.3g})"


def sentences(parts: Iterable[str]) -> list[str]:
    """Drop what is empty or said before."""
    return list(dict.fromkeys(part for part in parts if part))
