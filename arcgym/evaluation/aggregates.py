"""Figures that follow from the records alone, so that anyone can recompute them from a report's file."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from arcgym.evaluation.records import CONFIDENCE, TaskRecord
from arcgym.evaluation.scoring import official_scores, pass_at_k, wilson_interval
from arcgym.evaluation.statistics import bootstrap_interval

NO_PROGRAM = "no_program"
SIDE_CLASSES = (5, 10, 15, 20, 30)  # longest side of a task's grids, in cells


def aggregate(records: Sequence[TaskRecord], num_samples: int) -> dict[str, Any]:
    """Compute the figures over all tasks. A task that could not be tried counts 0 everywhere, in pass@k too.

    Args:
        records: At least one.
        num_samples: N, the samples per task that was tried.

    Returns:
        - `solved`, `tasks`: counts; `interval`: 95 % Wilson interval of their quotient.
        - `kaggle`, `arc_prize`, `solved_frac`: the official scores.
        - `pass@k`, `train_pass@k`: mean over tasks of the unbiased estimate for test-correct and for train-fit
          samples, for k = 1, 2, 4, … and N; those k are missing that some task has too few samples for.
        - `intervals`: 95 % bootstrap intervals over tasks of `kaggle`, `arc_prize`, `solved_frac` and `pass@1`.
        - `programs`: samples drawn; `valid_frac`: share of them that gave a grid for every input; `statuses`: share
          of each status, with `no_program` for completions that held none.
        - `distinct_frac`, `distinct_output_frac`: distinct programs and joint answers per sample.
        - `oracle_solved`: tasks with the right grid for every test input among all answers; `vote_share`: tasks
          solved per such task, 1 when the vote never misses, `None` when there is none.
        - `cost`: `tokens_in`, `tokens_out` and `executions`, each with `total`, `per_task` and `per_solved`; `None`
          where it is not known, or nothing was solved.
    """
    correct = [[any(tries) for tries in record.attempts] for record in records]
    scores = official_scores(correct)
    num_solved = sum(record.is_solved for record in records)
    num_programs = sum(record.num_samples for record in records)
    figures: dict[str, Any] = {
        "solved": num_solved,
        "tasks": len(records),
        "interval": list(wilson_interval(num_solved, len(records), CONFIDENCE)),
        "kaggle": scores.kaggle,
        "arc_prize": scores.arc_prize,
        "solved_frac": scores.solved,
        **_pass_rates(records, num_samples),
        "valid_frac": _share(sum(record.num_valid for record in records), num_programs),
        "programs": num_programs,
        "statuses": _statuses(records, num_programs),
        "distinct_frac": _share(sum(record.num_distinct for record in records), num_programs),
        "distinct_output_frac": _share(sum(record.num_distinct_outputs for record in records), num_programs),
        "oracle_solved": (oracle := sum(_is_in_reach(record) for record in records)),
        "vote_share": num_solved / oracle if oracle else None,
        "cost": {
            name: _cost([getattr(record, name) for record in records], num_solved)
            for name in ("tokens_in", "tokens_out", "executions")
        },
    }
    return figures | {"intervals": _intervals(records, correct)}


def break_down(records: Sequence[TaskRecord]) -> dict[str, dict[str, dict[str, Any]]]:
    """Divide the tasks by difficulty band, longest side, family and source, and compute figures of each part.

    Args:
        records: Any number.

    Returns:
        By criterion, by part: `tasks` and `solved` (counts), `interval` (95 % Wilson interval of their quotient),
        `arc_prize`, and `success_rate`, the mean over tasks. Tasks for which a criterion is not known are in no part.
    """
    criteria: dict[str, Callable[[TaskRecord], str]] = {
        "band": lambda record: "" if record.band is None else str(record.band),
        "side": _side_class,
        "family": lambda record: record.family,
        "source": lambda record: record.source,
    }
    return {name: _parts(records, key) for name, key in criteria.items()}


def _parts(records: Sequence[TaskRecord], key: Callable[[TaskRecord], str]) -> dict[str, dict[str, Any]]:
    parts = defaultdict(list)
    for record in records:
        if key(record):
            parts[key(record)].append(record)
    return {name: _part(parts[name]) for name in sorted(parts, key=lambda name: (len(name), name))}


def _part(records: Sequence[TaskRecord]) -> dict[str, Any]:
    num_solved = sum(record.is_solved for record in records)
    return {
        "tasks": len(records),
        "solved": num_solved,
        "interval": list(wilson_interval(num_solved, len(records), CONFIDENCE)),
        "arc_prize": official_scores([[any(tries) for tries in record.attempts] for record in records]).arc_prize,
        "success_rate": _mean(record.success_rate for record in records),
    }


def _side_class(record: TaskRecord) -> str:
    if record.side is None:
        return ""
    return f"≤{next(limit for limit in SIDE_CLASSES if record.side <= limit)}"


def _pass_rates(records: Sequence[TaskRecord], num_samples: int) -> dict[str, float]:
    powers = [2**i for i in range(num_samples.bit_length()) if 2**i < num_samples]
    rates: dict[str, float] = {}
    for prefix, count in (("", "num_test_correct"), ("train_", "num_train_fit")):
        for k in (*powers, num_samples):
            value = _mean(
                0.0 if record.reason else pass_at_k(record.num_samples, getattr(record, count), k)
                for record in records
            )
            if not math.isnan(value):  # some task has fewer samples, which estimate nothing
                rates[f"{prefix}pass@{k}"] = value
    return rates


def _intervals(records: Sequence[TaskRecord], correct: Sequence[Sequence[bool]]) -> dict[str, list[float]]:
    right, outputs = [sum(tries) for tries in correct], [len(tries) for tries in correct]
    return {
        "kaggle": list(bootstrap_interval(right, outputs)),
        "arc_prize": list(bootstrap_interval([n / m for n, m in zip(right, outputs, strict=True)])),
        "solved_frac": list(bootstrap_interval([record.is_solved for record in records])),
        "pass@1": list(bootstrap_interval([record.success_rate for record in records])),
    }


def _statuses(records: Sequence[TaskRecord], num_programs: int) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.statuses)
        counts[NO_PROGRAM] += record.num_without_program
    return {status: counts[status] / num_programs for status in sorted(counts) if counts[status]}


def _cost(values: Sequence[int | None], num_solved: int) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    total = sum(known) if known else None
    return {
        "total": total,
        "per_task": None if total is None else total / len(values),
        "per_solved": None if total is None or not num_solved else total / num_solved,
    }


def _is_in_reach(record: TaskRecord) -> bool:
    return all(record.oracle) if record.oracle else record.is_solved


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)
