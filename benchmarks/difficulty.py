"""How well difficulty predicts what `arcgym-tiny` solves, and the fit of the weights in `arcgym/data/difficulty.py`.

    python benchmarks/difficulty.py            # a table of Spearman correlations, and the weights
    python benchmarks/difficulty.py --json     # one row per line: case, subject, value, unit

The policy's pass rates are in `arcgym_tiny_rates.json`, beside this file. Where `--rates` names another file, what is
not in it is measured first: 16 programs for each of the 2 400 synthetic tasks, and for the ARC-AGI-1 tasks whose
prompt has at most 1 024 tokens. This takes ten minutes on one core; an interrupted measurement goes on where it was.

The families of synthetic tasks are divided into two halves. The weights are fitted to the tasks of one half and to
ARC-AGI-1 training, which count equally; all figures are of the tasks of the other half (composed tasks with a family
of each are in neither) and of ARC-AGI-1 evaluation. `shipped` are the weights of the package, `fitted` those that this
run fitted, `synthetic_only` those fitted without ARC-AGI-1, `mean_cells` the number of cells alone. `held_out` is the
division that the shipped weights were fitted with; `divisions` is the mean over 20 others, with weights fitted anew
for each, and `divisions_min` the one of them that is least favourable to the weights. `gain_low` and `gain_high` are
the 95 % bootstrap interval of `shipped` less `mean_cells`, drawn by families where tasks have one.
"""

import argparse
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(_name, _value)

import numpy as np  # noqa: E402  # after the number of threads is set

from arcgym.data import Task, TaskFormatter, TaskLoader  # noqa: E402
from arcgym.data.difficulty import (  # noqa: E402
    DifficultyAnalyzer,
    DifficultyFeatures,
    expected_pass_rate,
    predictors,
)
from arcgym.data.synthetic.families import FAMILIES_FIRST  # noqa: E402
from arcgym.data.synthetic.generator import generate_tasks  # noqa: E402
from arcgym.data.synthetic.splits import split_seed  # noqa: E402

SYNTHETIC = ("synthetic/evaluation", "synthetic/train")
REAL = ("arc-agi-1/train", "arc-agi-1/evaluation")
FIRST_SIZES = {"train": 2000, "evaluation": 400}
RATES = Path(__file__).with_name("arcgym_tiny_rates.json")
SAMPLES = 16
PROMPT_TOKENS = 1024
CHUNK = 50
RIDGE = 100.0  # in attempts; the figures hardly change between 30 and 3000
DIVISION_SEED = 0
BOOTSTRAPS = 1000

# By set, for each task in order: programs that were right, `None` where the prompt is too long
Rates = dict[str, list[int | None]]


def measure(file: Path) -> Rates:
    """Read what was measured, and measure what was not."""
    rates: Rates = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    left = {name: load(name)[len(rates.setdefault(name, [])) :] for name in (*SYNTHETIC, *REAL)}
    if not any(left.values()):
        return rates
    from arcgym.evaluation import PerformanceEvaluator
    from arcgym.inference import Solver
    from arcgym.models import load_tokenizer
    from arcgym.models.policy import PolicyNetwork
    from arcgym.sandbox import CodeSandbox

    tokenizer = load_tokenizer("arcgym-tiny")
    formatter = TaskFormatter(tokenizer=tokenizer, budget=PROMPT_TOKENS)
    policy = PolicyNetwork.load("arcgym-tiny", tokenizer=tokenizer)
    with CodeSandbox(timeout_s=2.0, memory_mb=512, workers=1) as sandbox:
        solver = Solver(
            policy.model, tokenizer, sandbox, formatter, num_samples=SAMPLES, temperature=1.0, max_new_tokens=48
        )
        for name, tasks in left.items():
            for start in range(0, len(tasks), CHUNK):
                print(f"measuring {name}: {start} of {len(tasks)}", file=sys.stderr)
                report = PerformanceEvaluator(solver).evaluate(tasks[start : start + CHUNK], name)
                rates[name] += [None if record.reason else record.num_test_correct for record in report.records]
                file.write_text(json.dumps(rates, separators=(",", ":")) + "\n", encoding="utf-8")
    return rates


def load(name: str) -> list[Task]:
    """Load a set by its name in summaries; the synthetic ones are of the 141 families that there were at first."""
    source, split = name.split("/")
    if source != "synthetic":
        return TaskLoader().load(source, split)
    names = [family.name for family in FAMILIES_FIRST]
    return list(generate_tasks(FIRST_SIZES[split], seed=split_seed(split), families=names))


class Sample(NamedTuple):
    """Tasks and how the policy did at them, an entry per task.

    Attributes:
        families: The one or two families of each task.
        features: What each looks like.
        successes: Programs that were right, of `SAMPLES`.
    """

    families: list[set[str]]
    features: list[DifficultyFeatures]
    successes: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], rates: Rates) -> "Sample":
        """Collect the tasks that were measured."""
        analyzer = DifficultyAnalyzer()
        measured = [pair for name in names for pair in zip(load(name), rates[name], strict=True)]
        rows = [(task, successes) for task, successes in measured if successes is not None]
        return cls(
            [set(task.family.split("+")) for task, _ in rows],
            [analyzer.features(task) for task, _ in rows],
            np.array([successes for _, successes in rows]),
        )

    def only(self, families: set[str]) -> "Sample":
        """The tasks that have no other families."""
        chosen = np.array([its <= families for its in self.families])
        kept = [index for index, is_chosen in enumerate(chosen) if is_chosen]
        return Sample(
            [self.families[index] for index in kept],
            [self.features[index] for index in kept],
            self.successes[chosen],
        )

    @property
    def failure_rates(self) -> np.ndarray:
        """What difficulty is to predict."""
        return 1 - self.successes / SAMPLES


class Model(NamedTuple):
    """A logistic regression of the pass rate on `predictors`."""

    intercept: float
    weights: np.ndarray

    def difficulty(self, features: Sequence[DifficultyFeatures]) -> np.ndarray:
        """Expected failure rates."""
        return 1 / (1 + np.exp(self.intercept + np.array([predictors(its) for its in features]) @ self.weights))


def fit(samples: Sequence[Sample]) -> Model:
    """Maximise the binomial likelihood less a ridge on the standardised weights, by Newton's method.

    Args:
        samples: Each counts as much as the first, however many tasks it has.
    """
    raw = np.array([predictors(its) for sample in samples for its in sample.features])
    shares = np.concatenate([[len(samples[0].features) / len(s.features)] * len(s.features) for s in samples])
    attempts, successes = shares * SAMPLES, shares * np.concatenate([sample.successes for sample in samples])
    mean = np.average(raw, axis=0, weights=attempts)
    scale = np.maximum(np.sqrt(np.average((raw - mean) ** 2, axis=0, weights=attempts)), 1e-9)
    inputs = np.column_stack([np.ones(len(raw)), (raw - mean) / scale])
    ridge = RIDGE * np.diag([0.0] + [1.0] * raw.shape[1])
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        expected = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (successes - attempts * expected) - ridge @ weights
        curvature = (inputs.T * (attempts * expected * (1 - expected))) @ inputs + ridge
        weights = weights + np.linalg.solve(curvature, gradient)
    return Model(float(weights[0] - (weights[1:] / scale) @ mean), weights[1:] / scale)


def fit_prior_strength(sample: Sample, expected: np.ndarray) -> float:
    """Choose the attempts that the features are worth: the most likely number, were pass rates drawn from Beta."""

    def log_likelihood(strength: float) -> float:
        return sum(
            _log_beta(strength * p + k, strength * (1 - p) + SAMPLES - k) - _log_beta(strength * p, strength * (1 - p))
            for k, p in zip(sample.successes, expected, strict=True)
        )

    return max(np.arange(0.5, 20.01, 0.1).tolist(), key=log_likelihood)


def _log_beta(alpha: float, beta: float) -> float:
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)


def spearman(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank."""
    ranks = []
    for values in (first, second):
        _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    return float(np.corrcoef(*ranks)[0, 1])


def halves(sample: Sample, seed: int) -> tuple[Sample, Sample]:
    """Divide the families at random, and the tasks with them."""
    families = sorted(set().union(*sample.families))
    shuffled = np.random.default_rng(seed).permutation(families).tolist()
    middle = len(families) // 2
    return sample.only(set(shuffled[:middle])), sample.only(set(shuffled[middle:]))


def correlations(sample: Sample, subjects: dict[str, Sequence[float]]) -> dict[str, float]:
    """What each subject's difficulties correlate with the failure rates."""
    return {name: spearman(values, sample.failure_rates.tolist()) for name, values in subjects.items()}


def gain_interval(sample: Sample, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Bootstrap how much better one difficulty correlates with the failure rates than another."""
    groups: dict[object, list[int]] = defaultdict(list)
    for index, families in enumerate(sample.families):
        groups[frozenset(families) if any(families) else index].append(index)
    members, measured = list(groups.values()), sample.failure_rates
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(BOOTSTRAPS):
        drawn = np.concatenate([members[group] for group in rng.integers(len(members), size=len(members))])
        gains.append(
            spearman(np.asarray(ours)[drawn], measured[drawn]) - spearman(np.asarray(theirs)[drawn], measured[drawn])
        )
    low, high = np.quantile(gains, [0.025, 0.975])
    return {"gain_low": float(low), "gain_high": float(high)}


def shipped(sample: Sample) -> list[float]:
    """The package's own difficulties, before any attempt."""
    return [1 - expected_pass_rate(its) for its in sample.features]


def cells(sample: Sample) -> list[float]:
    """Mean cells, the best single proxy known."""
    return [its.cells for its in sample.features]


def compare(rates: Rates) -> tuple[list[dict[str, object]], Model, float]:
    """Fit, and correlate everything with the measured failure rates."""
    synthetic, training, evaluation = (Sample.of(names, rates) for names in (SYNTHETIC, REAL[:1], REAL[1:]))
    one, other = halves(synthetic, DIVISION_SEED)
    model, alone = fit([one, training]), fit([one])
    strength = fit_prior_strength(one, 1 - model.difficulty(one.features))
    cases = {}
    for name, sample in (("held_out", other), (REAL[1], evaluation)):
        fitted, synthetic_only = (kind.difficulty(sample.features).tolist() for kind in (model, alone))
        subjects = {"shipped": shipped(sample), "fitted": fitted, "synthetic_only": synthetic_only}
        cases[name] = correlations(sample, subjects | {"mean_cells": cells(sample)})
        cases[name] |= gain_interval(sample, subjects["shipped"], cells(sample))
    divided = []
    for seed in range(1, 21):
        to_fit, to_test = halves(synthetic, seed)
        fitted = fit([to_fit, training]).difficulty(to_test.features).tolist()
        divided.append(correlations(to_test, {"fitted": fitted, "mean_cells": cells(to_test)}))
    cases["divisions"] = {name: float(np.mean([row[name] for row in divided])) for name in divided[0]}
    cases["divisions_min"] = min(divided, key=lambda row: row["fitted"] - row["mean_cells"])
    rows: list[dict[str, object]] = [
        {"case": case, "subject": subject, "value": round(value, 3), "unit": "spearman"}
        for case, values in cases.items()
        for subject, value in values.items()
    ]
    sizes = {"fitted_on": one, REAL[0]: training, "held_out": other, REAL[1]: evaluation}
    rows += [
        {"case": "tasks", "subject": name, "value": len(s.families), "unit": "tasks"} for name, s in sizes.items()
    ]
    return rows, model, strength


def main() -> None:
    """Measure, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=Path, default=RATES, help="measured pass rates; completed where they are not")
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    arguments = parser.parse_args()
    rows, model, strength = compare(measure(arguments.rates))
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return
    for row in rows:
        print(f"{row['case']:20} {row['subject']:12} {row['value']:>8} {row['unit']}")
    print(f"\nintercept {model.intercept:.3f}, prior strength {strength:.1f}")
    for name, weight in zip(DifficultyFeatures._fields, model.weights.tolist(), strict=True):
        print(f"    {name}={weight:.4f},")


if __name__ == "__main__":
    main()
