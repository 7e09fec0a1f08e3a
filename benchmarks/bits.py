"""Bits per token that a policy needs for programs that solve real tasks: what a budget of samples reaches, in advance.

    python benchmarks/bits.py --policy arcgym-tiny --programs runs/scores/enumeration-seed0.jsonl          # a table
    python benchmarks/bits.py --policy arcgym-tiny --programs runs/scores/enumeration-seed0.jsonl --json   # rows

The programs are those that `benchmarks/scores.py` found by enumeration, one per solved task; the policy has not seen
them. A program of b bits comes up once in 2^b samples at temperature 1, so that its task is solved by one of n samples
with probability 1 − (1 − 2^−b)^n, and more often where other programs solve it too. `expected` is the sum of these
probabilities: the tasks that one would expect to be solved through these very programs.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the number of threads is set
import torch  # noqa: E402

from arcgym.data import TaskFormatter, TaskLoader  # noqa: E402
from arcgym.errors import TaskError  # noqa: E402
from arcgym.models import CodeLLM  # noqa: E402

BUDGETS = (1, 8, 64, 256, 1024)
LONGEST = 2048


def measure(policy: str, rows: list[dict[str, Any]], max_prompt: int) -> list[dict[str, Any]]:
    """Score the program of each row: bits, and tokens with the one that ends it."""
    llm = CodeLLM.load(policy)
    llm.model.eval()
    formatter = TaskFormatter(tokenizer=llm.tokenizer, budget=max_prompt)
    sets = dict.fromkeys(row["set"] for row in rows)
    tasks = {(full, task.task_id): task for full in sets for task in TaskLoader().load(*full.rsplit("/", 1))}
    measured = []
    for row in rows:
        try:
            prompt = llm.tokenizer(formatter.format(tasks[row["set"], row["task_id"]]).prompt)["input_ids"]
        except TaskError:  # the prompt is too long
            continue
        program = llm.tokenizer(row["program"], add_special_tokens=False)["input_ids"]
        program.append(llm.tokenizer.eos_token_id)
        ids = torch.tensor([prompt + program])
        with torch.no_grad():
            logits = llm.model(ids).logits[0, len(prompt) - 1 : -1].float()
        log_probs = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])
        measured.append({"set": row["set"], "bits": -log_probs.sum().item() / math.log(2), "tokens": len(program)})
    return measured


def figures(measured: list[dict[str, Any]], policy: str) -> list[dict[str, Any]]:
    """Aggregate by set of tasks."""
    rows: list[dict[str, Any]] = []
    for full in dict.fromkeys(row["set"] for row in measured):
        bits = np.array([row["bits"] for row in measured if row["set"] == full])
        tokens = sum(row["tokens"] for row in measured if row["set"] == full)
        values = {"programs": len(bits), "bits_per_token": bits.sum() / tokens}
        values |= {f"bits_p{share}": float(np.percentile(bits, share)) for share in (25, 50, 75)}
        for n in BUDGETS:
            values[f"expected N={n}"] = float((1 - (1 - 2.0**-bits) ** n).sum())
        rows += [
            {"case": full, "subject": policy, "value": round(float(value), 3), "unit": unit}
            for unit, value in values.items()
        ]
    return rows


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="arcgym-tiny", help="name or folder")
    parser.add_argument("--programs", type=Path, required=True, help="records of benchmarks/scores.py")
    parser.add_argument("--max-prompt", type=int, default=LONGEST - 48, help="longest prompt, in tokens")
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.programs.read_text().splitlines()]
    rows = [row for row in rows if row.get("program")]  # a task with a prompt too long for the policy has none
    if not rows:
        raise SystemExit(f"{arguments.programs} has no program that solves its task.")
    for row in figures(measure(arguments.policy, rows, arguments.max_prompt), arguments.policy):
        if arguments.json:
            print(json.dumps(row))
        else:
            print(f"{row['case']:24} {row['subject']:24} {row['value']:>9} {row['unit']}")


if __name__ == "__main__":
    main()
