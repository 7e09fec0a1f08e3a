"""Comparing runs: on the same tasks only, task by task, and with a p-value that knows how many runs are compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcgym.errors import ConfigError
from arcgym.evaluation.provenance import missing_provenance
from arcgym.evaluation.records import EvaluationReport, TaskRecord
from arcgym.evaluation.statistics import Difference, adjust_p_values, mcnemar_p, paired_difference

SCORES = ("solved_frac", "arc_prize", "kaggle", "pass@1")


@dataclass(frozen=True)
class Comparison:
    """How a run differs from the first one on one set of tasks.

    Args:
        set_name: The set of tasks.
        first: Name of the first run.
        second: Name of the other run.
        gained: Tasks that only the other run solves.
        lost: Tasks that only the first run solves.
        p_value: Of McNemar's exact test on solved tasks.
        adjusted_p: The same, corrected by Holm's method for all comparisons that were asked for.
        differences: Second less first with a 95 % paired bootstrap interval, by score: `solved_frac`, `arc_prize`,
            `kaggle` and `pass@1`.
        remarks: What else differs between the two, a sentence each.
    """

    set_name: str
    first: str
    second: str
    gained: int
    lost: int
    p_value: float
    adjusted_p: float
    differences: dict[str, Difference]
    remarks: tuple[str, ...]


def compare_reports(runs: Mapping[str, Mapping[str, EvaluationReport]]) -> list[Comparison]:
    """Compare every run with the first, on every set of tasks that all of them were evaluated on.

    Args:
        runs: Reports by name of the set, by name of the run; at least two runs.

    Returns:
        A comparison per set and further run, p-values corrected for all of them together.

    Raises:
        ConfigError: There are fewer than two runs, they have no set in common, a report does not say what it is of
            or does not follow from its records, or reports of one name are of different tasks.
    """
    if len(runs) < 2:
        raise ConfigError(f"{len(runs)} run cannot be compared; name at least two results.")
    shared = [name for name in next(iter(runs.values())) if all(name in reports for reports in runs.values())]
    if not shared:
        sets = "; ".join(f"{run}: {', '.join(reports) or 'none'}" for run, reports in runs.items())
        raise ConfigError(f"the runs were evaluated on no common set of tasks ({sets}). Evaluate them on the same.")
    first, *others = runs
    found = []
    for name in shared:
        for run in runs:
            check_report(run, runs[run][name])
        found += [_compare(name, first, runs[first][name], other, runs[other][name]) for other in others]
    adjusted = adjust_p_values([comparison.p_value for comparison in found])
    return [Comparison(**{**vars(comparison), "adjusted_p": p}) for comparison, p in zip(found, adjusted, strict=True)]


def check_report(run: str, report: EvaluationReport) -> None:
    """Refuse a report that cannot be believed.

    Args:
        run: What to call it.
        report: Any.

    Raises:
        ConfigError: It does not say what it is of, or its figures do not follow from its records.
    """
    missing = missing_provenance(report.provenance)
    if missing:
        raise ConfigError(
            f"the result {run!r} on {report.name} does not say its {', '.join(missing)}, so nobody knows what it is "
            "of. Evaluate anew with this version of arcgym."
        )
    counted = (len(report.records), sum(record.is_solved for record in report.records))
    stated = (report.aggregates.get("tasks"), report.aggregates.get("solved"))
    recounted = sum(bool(record.attempts) and all(map(any, record.attempts)) for record in report.records)
    if counted != stated or recounted != counted[1]:
        raise ConfigError(
            f"the result {run!r} on {report.name} says {stated[1]} of {stated[0]} tasks solved, but its records say "
            f"{recounted} of {counted[0]}. The file was changed; evaluate anew."
        )


def load_run(path: str | Path) -> dict[str, EvaluationReport]:
    """Read the reports of a run.

    Args:
        path: A report's file, or a run directory, of which the reports after training are taken, and all where there
            are none of before and after.

    Returns:
        By name of the set.

    Raises:
        ConfigError: There is nothing of the kind.
        TaskError: A file is no report.
    """
    path = Path(path)
    if path.is_file():
        report = EvaluationReport.load(path)
        return {report.name: report}
    files = sorted(path.glob("eval/after-*.json")) or sorted(path.glob("eval/*.json"))
    if not files:
        raise ConfigError(f"{path} is neither a report of an evaluation nor a run directory with reports in `eval`.")
    return {report.name: report for report in map(EvaluationReport.load, files)}


def _compare(name: str, first: str, before: EvaluationReport, second: str, after: EvaluationReport) -> Comparison:
    if before.provenance["dataset_hash"] != after.provenance["dataset_hash"]:
        raise ConfigError(
            f"{first!r} and {second!r} were evaluated on different tasks of {name} (hashes "
            f"{before.provenance['dataset_hash'][:12]} and {after.provenance['dataset_hash'][:12]}). Evaluate both on "
            "the same."
        )
    later = {record.task_id: record for record in after.records}
    if later.keys() != {record.task_id for record in before.records}:
        raise ConfigError(f"the records of {first!r} and {second!r} on {name} are of different tasks. Evaluate anew.")
    pairs = [(record, later[record.task_id]) for record in before.records]
    return Comparison(
        set_name=name,
        first=first,
        second=second,
        gained=sum(new.is_solved and not old.is_solved for old, new in pairs),
        lost=sum(old.is_solved and not new.is_solved for old, new in pairs),
        p_value=mcnemar_p([old.is_solved for old, _ in pairs], [new.is_solved for _, new in pairs]),
        adjusted_p=1.0,
        differences=_differences(pairs),
        remarks=tuple(_remarks(before, after)),
    )


def _differences(pairs: list[tuple[TaskRecord, TaskRecord]]) -> dict[str, Difference]:
    outputs = [len(old.attempts) for old, _ in pairs]

    def differ(figure: Callable[[TaskRecord], float], denominators: list[int] | None = None) -> Difference:
        return paired_difference([figure(old) for old, _ in pairs], [figure(new) for _, new in pairs], denominators)

    return {
        "solved_frac": differ(lambda record: record.is_solved),
        "arc_prize": differ(lambda record: _right(record) / len(record.attempts)),
        "kaggle": differ(_right, outputs),
        "pass@1": differ(lambda record: record.success_rate),
    }


def _right(record: TaskRecord) -> int:
    return sum(map(any, record.attempts))


def _remarks(before: EvaluationReport, after: EvaluationReport) -> list[str]:
    """What makes a comparison less than fair, as far as the files tell."""
    remarks = []
    for label, old, new in (
        ("sandbox layers", before.provenance["sandbox_layers"], after.provenance["sandbox_layers"]),
        ("programs per task", before.sampling.get("num_samples"), after.sampling.get("num_samples")),
        ("code versions", _version(before.provenance), _version(after.provenance)),
    ):
        if old != new:
            remarks.append(f"{label} differ: {_text(old)} and {_text(new)}")
    return remarks


def _version(provenance: Mapping[str, Any]) -> Any:
    version = provenance["code_version"]
    return f"{version['arcgym']} ({version['source'][:12]})"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
