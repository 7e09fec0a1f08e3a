"""Recompute every figure of an evaluation from the raw records in its file, without any code of arcgym.

    python benchmarks/recompute_scores.py runs/quickstart/eval/after-arc-agi-1-evaluation.json
    python benchmarks/recompute_scores.py report.json --solutions arc-agi_evaluation_solutions.json

Only the standard library is used. Each record is checked against itself, the figures over all tasks and of each part
against the records: pass@k by exact fractions, Wilson's interval by its formula, the bootstrap intervals by other
random numbers, within a tenth of their width. `--solutions`, a file from task names to test outputs as on Kaggle, also
compares every predicted grid with the right one. Prints a line per figure, and ends with 1 if one disagrees.
"""

import argparse
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

Z_95 = 1.959963984540054  # the normal quantile at 0.975
SIDES = (5, 10, 15, 20, 30)
RESAMPLES = 4000
Record = dict[str, Any]


class Check(NamedTuple):
    """One figure: its name, what the file says, what follows from the records, and how far they may be apart."""

    name: str
    stated: Any
    found: Any
    tolerance: float = 1e-9

    @property
    def agrees(self) -> bool:
        """Whether both are the same: equal in kind, and numbers within the tolerance."""
        return _close(self.stated, self.found, self.tolerance)


def _close(stated: Any, found: Any, tolerance: float) -> bool:
    if isinstance(stated, list | tuple) and isinstance(found, list | tuple):
        return len(stated) == len(found) and all(_close(a, b, tolerance) for a, b in zip(stated, found, strict=True))
    if isinstance(stated, dict) and isinstance(found, dict):
        return stated.keys() == found.keys() and all(_close(stated[key], found[key], tolerance) for key in stated)
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (stated, found)]
    return abs(stated - found) <= tolerance if all(numbers) else stated == found


def recompute(report: dict[str, Any]) -> Iterator[Check]:
    """Recompute the figures of a report.

    Args:
        report: Content of an evaluation's file.
    """
    records: list[Record] = report["records"]
    stated: dict[str, Any] = report["aggregates"]
    for record in records:
        yield from check_record(record)
    found = scores(records) | rates(records, report["sampling"]["num_samples"]) | counts(records)
    for name, value in found.items():
        yield Check(name, stated.get(name, "missing"), value)
    known = {*found, "intervals", "dataset_hash"}
    for name in stated.keys() - known:
        yield Check(name, stated[name], "no such figure")
    for name, (value, tolerance) in intervals(records).items():
        yield Check(f"intervals {name}", stated["intervals"].get(name, "missing"), value, tolerance)
    for criterion, key in CRITERIA.items():
        parts: dict[str, list[Record]] = {}
        for record in records:
            if label := key(record):
                parts.setdefault(label, []).append(record)
        found_parts = {label: part_figures(part) for label, part in parts.items()}
        yield Check(f"breakdown {criterion}", report["breakdown"].get(criterion, "missing"), found_parts)


def check_record(record: Record) -> Iterator[Check]:
    """Hold a record against itself: its counts add up, and what is derived follows."""
    name, n = f"task {record['task_id']}", record["num_samples"]
    correct, statuses = right(record), record["statuses"]
    yield Check(f"{name} is_solved", record["is_solved"], all(correct))
    yield Check(f"{name} samples", n, sum(statuses.values()) + record["num_without_program"])
    yield Check(f"{name} num_valid", record["num_valid"], statuses.get("ok", 0))
    yield Check(f"{name} success_rate", record["success_rate"], success_rate(record))
    yield Check(f"{name} success_interval", record["success_interval"], wilson(record["num_test_correct"], n))
    counted = all(0 <= record[count] <= n for count in ("num_test_correct", "num_train_fit", "num_distinct"))
    yield Check(f"{name} counts in range", True, counted)
    within = all(found for is_right, found in zip(correct, record["oracle"], strict=True) if is_right)
    yield Check(f"{name} attempts within oracle", True, within)


def check_predictions(records: Sequence[Record], solutions: dict[str, list[Any]]) -> Iterator[Check]:
    """Compare every predicted grid with the right one."""
    for record in records:
        outputs = solutions[record["task_id"]]
        found = [
            [prediction == output for prediction in tries]
            for tries, output in zip(record["predictions"], outputs, strict=True)
        ]
        yield Check(f"task {record['task_id']} attempts", record["attempts"], found)


# --- Figures ---


def right(record: Record) -> list[bool]:
    """Per test input, whether one of the two attempts is right."""
    return [any(tries) for tries in record["attempts"]]


def success_rate(record: Record) -> float:
    """Share of samples that are right."""
    return record["num_test_correct"] / record["num_samples"] if record["num_samples"] else 0.0


def wilson(successes: int, trials: int) -> list[float]:
    """Wilson (1927): (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)."""
    if not trials:
        return [0.0, 1.0]
    p, z2 = successes / trials, Z_95**2
    centre, scale = p + z2 / (2 * trials), 1 + z2 / trials
    half = Z_95 * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return [max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)]


def pass_at_k(n: int, c: int, k: int) -> Fraction:
    """Chen et al. (2021), equation 1: of all choices of k samples, the share with a right one."""
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


def scores(records: Sequence[Record]) -> dict[str, Any]:
    """The three official scores, and the interval of solved tasks."""
    correct = [right(record) for record in records]
    solved = sum(all(outputs) for outputs in correct)
    return {
        "tasks": len(records),
        "solved": solved,
        "solved_frac": solved / len(records),
        "interval": wilson(solved, len(records)),
        "kaggle": sum(map(sum, correct)) / sum(map(len, correct)),
        "arc_prize": sum(sum(outputs) / len(outputs) for outputs in correct) / len(correct),
    }


def rates(records: Sequence[Record], num_samples: int) -> dict[str, float]:
    """pass@k of test-correct and of train-fit samples, for the k that every task which was tried has samples for."""
    found = {}
    ks = {num_samples} | {2**i for i in range(num_samples.bit_length()) if 2**i < num_samples}
    for prefix, count in (("pass", "num_test_correct"), ("train_pass", "num_train_fit")):
        for k in ks:
            tried = [record for record in records if not record["reason"]]
            if all(record["num_samples"] >= k for record in tried):
                total = sum((pass_at_k(record["num_samples"], record[count], k) for record in tried), Fraction(0))
                found[f"{prefix}@{k}"] = float(total / len(records))
    return found


def counts(records: Sequence[Record]) -> dict[str, Any]:
    """Shares of all samples, what the vote misses, and cost."""
    programs = sum(record["num_samples"] for record in records)
    statuses: Counter[str] = Counter()
    for record in records:
        statuses.update(record["statuses"])
        statuses["no_program"] += record["num_without_program"]
    solved = sum(all(right(record)) for record in records)
    oracle = sum(all(record["oracle"]) if record["oracle"] else record["is_solved"] for record in records)
    cost = {}
    for name in ("tokens_in", "tokens_out", "executions"):
        known = [record[name] for record in records if record[name] is not None]
        cost[name] = {
            "total": sum(known) if known else None,
            "per_task": sum(known) / len(records) if known else None,
            "per_solved": sum(known) / solved if known and solved else None,
        }
    return {
        "programs": programs,
        "valid_frac": statuses["ok"] / programs if programs else 0.0,
        "statuses": {name: number / programs for name, number in statuses.items() if number},
        "distinct_frac": sum(record["num_distinct"] for record in records) / programs if programs else 0.0,
        "distinct_output_frac": (
            sum(record["num_distinct_outputs"] for record in records) / programs if programs else 0.0
        ),
        "oracle_solved": oracle,
        "vote_share": solved / oracle if oracle else None,
        "cost": cost,
    }


def intervals(records: Sequence[Record]) -> dict[str, tuple[list[float], float]]:
    """Percentile bootstrap over tasks, with the tolerance that other random numbers need."""
    correct = [right(record) for record in records]
    ratios = {
        "kaggle": [(sum(outputs), len(outputs)) for outputs in correct],
        "arc_prize": [(sum(outputs) / len(outputs), 1) for outputs in correct],
        "solved_frac": [(float(all(outputs)), 1) for outputs in correct],
        "pass@1": [(success_rate(record), 1) for record in records],
    }
    return {name: bootstrap(parts) for name, parts in ratios.items()}


def bootstrap(parts: Sequence[tuple[float, float]]) -> tuple[list[float], float]:
    """Interval of the quotient of two sums over tasks, and how far another drawing of it may be."""
    n = len(parts)
    if n == 1:
        return [0.0, 1.0], 1e-9
    tops, bottoms = zip(*parts, strict=True)
    if not any(tops) or tops == bottoms:  # resampling gives nothing else
        return wilson(n if any(tops) else 0, n), 1e-9
    drawing = random.Random(12345)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = drawing.choices(parts, k=n)
        drawn.append(sum(top for top, _ in chosen) / sum(bottom for _, bottom in chosen))
    drawn.sort()
    value = sum(tops) / sum(bottoms)
    low, high = drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]
    return [min(low, value), max(high, value)], 0.1 * (high - low) + 1 / n


CRITERIA: dict[str, Callable[[Record], str]] = {
    "band": lambda record: "" if record["band"] is None else str(record["band"]),
    "side": lambda record: "" if record["side"] is None else f"≤{min(s for s in SIDES if record['side'] <= s)}",
    "family": lambda record: record["family"],
    "source": lambda record: record["source"],
}


def part_figures(records: Sequence[Record]) -> dict[str, Any]:
    """The figures of a part of the tasks."""
    found = scores(records)
    chosen = {name: found[name] for name in ("tasks", "solved", "interval", "arc_prize")}
    return chosen | {"success_rate": sum(map(success_rate, records)) / len(records)}


def main() -> None:
    """Recompute and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="file of an evaluation")
    parser.add_argument("--solutions", type=Path, help="JSON file from task names to test outputs")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    checks = list(recompute(report))
    if arguments.solutions:
        solutions = json.loads(arguments.solutions.read_text(encoding="utf-8"))
        checks += check_predictions(report["records"], solutions)
    wrong = [check for check in checks if not check.agrees]
    for check in checks:
        if not check.name.startswith(("task ", "breakdown")) and check.agrees:
            print(f"{check.name:<24} {_text(check.found)}")
    for check in wrong:
        print(f"DISAGREES  {check.name}: the file says {_text(check.stated)}, its records {_text(check.found)}")
    print(f"{len(checks) - len(wrong)} of {len(checks)} figures agree with the {len(report['records'])} records")
    sys.exit(1 if wrong else 0)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return str(value)


if __name__ == "__main__":
    main()
