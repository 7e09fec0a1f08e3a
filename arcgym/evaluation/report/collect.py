"""Reading a run directory for its report: what is there, and in words what is not.

A run may be young, stopped, or an evaluation without training, so nothing is required to be there: what is missing is
a sentence in the report. What is there and cannot be read is an error, since a report that leaves it out in silence
would be taken for the whole run.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from arcgym.data.loader import TaskLoader
from arcgym.data.mixture import parse_spec
from arcgym.data.tasks import Task
from arcgym.errors import ArcGymError, ConfigError
from arcgym.evaluation.records import EvaluationReport, dataset_hash

_ROLLOUT_COLUMNS = ("step", "task_id", "is_solved", "program_status", "completion")


@dataclass(frozen=True)
class RunData:
    """Everything that a report needs of one run.

    Args:
        name: What the report calls it.
        path: The run directory, or the file of one evaluation.
        config: `config.yaml`.
        environment: `env.json`.
        summary: `summary.json`.
        rows: Rows of `metrics.jsonl` that count.
        events: Lines of `collapse.jsonl`.
        rollouts: One row per program that was sampled in training, of the columns `step`, `task_id`, `is_solved`,
            `program_status` and `completion`; empty without completions.
        before: Evaluations before training, by set name.
        after: Evaluations after it, and those that no training belongs to.
        checkpoints: Steps that a checkpoint is kept of.
        missing: A sentence for each part that is not there.
    """

    name: str
    path: Path
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    rollouts: pd.DataFrame = field(default_factory=pd.DataFrame)
    before: dict[str, EvaluationReport] = field(default_factory=dict)
    after: dict[str, EvaluationReport] = field(default_factory=dict)
    checkpoints: list[int] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def series(self, metric: str) -> tuple[list[float], list[float]]:
        """Return the steps and values of a metric, without the rows that lack it."""
        found = [(row["step"], row[metric]) for row in self.rows if isinstance(row.get(metric), int | float)]
        return [float(step) for step, _ in found], [float(value) for _, value in found]


def read_runs(paths: Sequence[str | Path]) -> list[RunData]:
    """Read runs, under names that tell them apart.

    Args:
        paths: Run directories, or files of single evaluations; at least one, each once.

    Raises:
        ConfigError: There is nothing of the kind, a file of it is damaged, or a run is named twice.
        TaskError: A file of `eval` is not an evaluation's.
    """
    resolved = [Path(path).resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise ConfigError("a run is named twice; name each once.")
    return [read_run(path, name) for path, name in zip(paths, _names(resolved), strict=True)]


def read_run(path: str | Path, name: str) -> RunData:
    """Read one run.

    Args:
        path: A run directory, or the file of one evaluation.
        name: What to call it.

    Raises:
        ConfigError: There is nothing of the kind, or a file of it is damaged.
        TaskError: A file of `eval` is not an evaluation's.
    """
    path = Path(path)
    if path.is_file():
        report = EvaluationReport.load(path)
        return RunData(name, path, after={report.name: report}, missing=["Only one evaluation was given, not a run."])
    evaluations = [file for file in sorted(path.glob("eval/*.json")) if not file.name.startswith(".")]
    if not evaluations and not any((path / part).exists() for part in ("metrics.jsonl", "config.yaml")):
        raise ConfigError(
            f"{path} is not a run: it holds neither `eval/*.json` nor `metrics.jsonl` nor `config.yaml`. Name the "
            "`output_dir` of a recipe, or the file of an evaluation."
        )
    before = _by_set(file for file in evaluations if file.name.startswith("before-"))
    after = _by_set(file for file in evaluations if not file.name.startswith("before-"))
    run = RunData(
        name=name,
        path=path,
        config=_read_mapping(path / "config.yaml"),
        environment=_read_mapping(path / "env.json"),
        summary=_read_mapping(path / "summary.json"),
        rows=_read_rows(path / "metrics.jsonl"),
        events=_read_events(path / "collapse.jsonl"),
        rollouts=_read_rollouts(path / "completions"),
        before=before,
        after=after,
        checkpoints=sorted(
            int(found[1]) for entry in path.glob("checkpoint-*") if (found := re.search(r"-(\d+)$", entry.name))
        ),
    )
    run.missing.extend(_missing(run))
    return run


def find_tasks(
    reports: Iterable[EvaluationReport], known: Mapping[str, Sequence[Task]] | None = None
) -> tuple[dict[str, dict[str, Task]], list[str]]:
    """Find the tasks that evaluations were made on; their grids are in no report.

    Args:
        reports: Any number.
        known: Tasks by set name, where the caller has them at hand.

    Returns:
        By set name and task id, of the sets whose tasks are here and have the hash that the evaluation states; and
        a sentence for each of the other sets.
    """
    found: dict[str, dict[str, Task]] = {}
    problems: dict[str, str] = {}
    for report in reports:
        if report.name in found or report.name in problems:
            continue
        try:
            tasks = (known or {}).get(report.name) or _load_set(report.name)
        except ArcGymError as exc:
            problems[report.name] = (
                f"The tasks of {report.name} are not found here, so their grids are not shown: {exc}"
            )
            continue
        wanted = {record.task_id for record in report.records}
        chosen = {task.task_id: task for task in tasks if task.task_id in wanted}
        if dataset_hash(list(chosen.values())) == report.aggregates.get("dataset_hash"):
            found[report.name] = chosen
        else:
            problems[report.name] = (
                f"The tasks of {report.name} here are not those that were evaluated (their hash differs), so their "
                "grids are not shown."
            )
    return found, list(problems.values())


def _load_set(name: str) -> list[Task]:
    spec = parse_spec(name)
    return TaskLoader().load(spec.source, spec.split)


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that differ from each other."""
    depth = 1
    while True:
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names) or depth > max(len(path.parts) for path in paths):
            return names
        depth += 1


def _by_set(files: Iterable[Path]) -> dict[str, EvaluationReport]:
    return {report.name: report for report in map(EvaluationReport.load, files)}


def _read_mapping(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise ConfigError(_damaged(path, exc)) from exc
    if not isinstance(plain, dict):
        raise ConfigError(_damaged(path, f"it holds a {type(plain).__name__}, not names and values"))
    return plain


def _read_rows(path: Path) -> list[dict[str, Any]]:
    from arcgym.training.metrics import read_rows  # imports TRL, which an evaluation does without

    if not path.exists():
        return []
    try:
        rows = read_rows(path)
        return [row for row in rows if isinstance(row["step"], int | float)]
    except (OSError, UnicodeDecodeError, KeyError, AttributeError, TypeError) as exc:
        raise ConfigError(_damaged(path, exc)) from exc


def _read_events(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # a killed process may leave half a line at the end
        events = [json.loads(line) for line in lines if line.strip()]
        return [{"step": event["step"], "action": event["action"], **event} for event in events]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigError(_damaged(path, exc)) from exc


def _read_rollouts(folder: Path) -> pd.DataFrame:
    """Read the programs of all rollouts; a file that repeats the one before it, as TRL writes some, counts once."""
    import pyarrow.parquet as parquet

    frames: list[pd.DataFrame] = []
    for file in sorted(folder.glob("*.parquet")):
        try:
            stored = parquet.ParquetFile(file)
            columns = [name for name in _ROLLOUT_COLUMNS if name in stored.schema_arrow.names]
            frame = stored.read(columns=columns).to_pandas()
        except (OSError, ValueError) as exc:  # Arrow's errors are of these two kinds
            raise ConfigError(_damaged(file, exc)) from exc
        programs = frame.drop(columns="step", errors="ignore")
        if len(columns) == len(_ROLLOUT_COLUMNS) and not (frames and programs.equals(frames[-1].drop(columns="step"))):
            frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=list(_ROLLOUT_COLUMNS))
    rollouts = pd.concat(frames, ignore_index=True)
    rollouts["is_solved"] = rollouts["is_solved"].fillna(False).astype(bool)
    return rollouts


def _damaged(path: Path, why: object) -> str:
    return f"{path} is damaged ({why}). Restore the file, or move it away: the report then says that it is missing."


def _missing(run: RunData) -> list[str]:
    """What a finished run has and this one has not."""
    parts = {
        "config.yaml, the settings": run.config,
        "env.json, the versions and the hardware": run.environment,
        "eval/, evaluations": run.before or run.after,
        "summary.json, which a run writes at its end": run.summary or not run.rows,
        "metrics.jsonl, which training writes": run.rows,
        "completions/, the programs of rollouts (`log_completions: true`)": len(run.rollouts) or not run.rows,
    }
    return [f"No {part}." for part, value in parts.items() if not value]


def task_history(rollouts: pd.DataFrame) -> pd.DataFrame:
    """Count, per task that was trained on, `tries`, `solved` programs, and the step `first_solved` (NaN for never)."""
    if rollouts.empty:
        return pd.DataFrame(columns=["tries", "solved", "first_solved"])
    steps = rollouts["step"].where(rollouts["is_solved"])
    grouped = rollouts.assign(solved_at=steps.astype(float)).groupby("task_id", sort=True)
    return grouped.agg(tries=("is_solved", "size"), solved=("is_solved", "sum"), first_solved=("solved_at", "min"))


def solved_by_step(rollouts: pd.DataFrame) -> pd.DataFrame:
    """Count, per logged step, the `tasks` of its rollouts, and of how many one program or more `solved` every pair."""
    if rollouts.empty:
        return pd.DataFrame({"tasks": np.array([], int), "solved": np.array([], int)})
    solved = rollouts.groupby(["step", "task_id"])["is_solved"].any()
    return solved.groupby(level="step").agg(tasks="size", solved="sum")
