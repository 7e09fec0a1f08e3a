"""Kill a run with SIGKILL at random moments, resume it each time, and compare its end with that of an unbroken run.

    python tests/recipes/kill_and_resume.py --folder /tmp/killed --max_steps 16 --save_steps 2

runs the quickstart as it ships, but for the number of steps, and checkpoints. Other words go to the recipe.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from arcgym.training.metric_table import find
from arcgym.training.metrics import read_rows

ROOT = Path(__file__).parents[2]


def start(words, folder):
    """Start the recipe without a launcher above it, so that the signal reaches it."""
    command = [sys.executable, str(ROOT / "recipes" / "ppo.py"), *words, "--output_dir", str(folder)]
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def steps_done(folder):
    """The last step that the run has logged, 0 if there is none."""
    file = folder / "metrics.jsonl"
    steps = [json.loads(line)["step"] for line in file.read_text().splitlines()] if file.is_file() else []
    return max(steps, default=0)


def kill_at(process, folder, step, delay_s):
    """Wait until a step has been logged, a little more, and kill."""
    while steps_done(folder) < step:
        if process.poll() is not None:
            raise RuntimeError(f"the run ended with status {process.returncode} before step {step}; see its log")
        time.sleep(0.01)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finish(process):
    if process.wait(timeout=3600):
        raise RuntimeError(f"the run ended with status {process.returncode}; see its log")


def metrics(folder):
    """What was logged and follows from the seed: one row for each step."""
    return [
        {name: value for name, value in row.items() if name == "step" or follows_seed(name)}
        for row in read_rows(folder / "metrics.jsonl")
        if "train_runtime" not in row
    ]


def follows_seed(name):
    metric = find(name)
    return metric is not None and metric.follows_seed


def kill_and_resume(words, folder, max_steps, kills=3, seed=None):
    """Run once unbroken and once with kills.

    Returns:
        The summaries of both runs, their metrics, and the steps at which the second was killed.
    """
    draw = random.Random(seed)
    words = [*words, "--max_steps", str(max_steps), "--save_strategy", "steps"]
    unbroken, killed = folder / "unbroken", folder / "killed"
    finish(start(words, unbroken))
    at = sorted(draw.sample(range(1, max_steps), kills))
    for step in at:
        process = start([*words, "--resume_from_checkpoint", "auto"], killed)
        kill_at(process, killed, step, draw.random() * 0.3)
    finish(start([*words, "--resume_from_checkpoint", "auto"], killed))
    summaries = [json.loads((run / "summary.json").read_text()) for run in (unbroken, killed)]
    return summaries, [metrics(unbroken), metrics(killed)], at


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where both runs go")
    parser.add_argument("--max_steps", type=int, default=16)
    parser.add_argument("--kill_seed", type=int, default=None)
    args, words = parser.parse_known_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    words = ["--config", str(ROOT / "recipes" / "configs" / "ppo_quickstart.yaml"), *words]
    summaries, logs, at = kill_and_resume(words, args.folder, args.max_steps, seed=args.kill_seed)
    hashes = [summary["weights_hashes"] for summary in summaries]
    print(f"killed after steps {at}")
    print(f"weights equal: {hashes[0] == hashes[1]} ({hashes[0][0][:12]}, {hashes[1][0][:12]})")
    print(f"metrics equal: {logs[0] == logs[1]} ({len(logs[0])} rows)")
    sys.exit(hashes[0] != hashes[1] or logs[0] != logs[1])


if __name__ == "__main__":
    main()
