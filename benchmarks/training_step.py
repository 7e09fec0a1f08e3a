"""Seconds and memory of one training step, forward and backward: arcgym's trainer against the one that it extends.

    python benchmarks/training_step.py            # a table with ratios
    python benchmarks/training_step.py --json     # one row per line: case, subject, value, unit

Every subject runs in a process of its own and takes the same steps (`training_step`, without the optimizer) on the
same rollout: one prompt of P tokens and G completions of C tokens, no padding, with the same weights of a 4-layer,
256-wide Llama with the vocabulary of arcgym-tiny.

- `trl`: `trl.GRPOTrainer`;
- `arcgym_unshared`: `arcgym.PPOTrainer` with a critic and without shared prompts;
- `arcgym`: the same with shared prompts.

Both arcgym losses have to agree, or nothing is reported. `s` is the wall clock, which depends on what else runs, and
`cpu_s` the CPU time, which does less so; of each the fastest step of a round counts. `MiB` is the most memory that the
process holds during the steps beyond what it held before. Each figure is the median of the rounds.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

CASES = ("P256-C32-G8", "P1024-C64-G8", "P1024-C64-G16", "P512-C16-G64")
SUBJECTS = ("trl", "arcgym_unshared", "arcgym")
LONGEST = 2048


def make_rollout(case: str, vocabulary: int) -> dict[str, Any]:
    """Tensors as the trainers keep them between sampling and learning; random, but the same for every subject."""
    import torch

    prompt, completion, group = (int(number) for number in re.findall(r"\d+", case))
    torch.manual_seed(0)
    shape = (group, completion)
    return {
        "prompt_ids": torch.randint(3, vocabulary, (1, prompt)).repeat(group, 1),
        "prompt_mask": torch.ones(group, prompt, dtype=torch.long),
        "completion_ids": torch.randint(3, vocabulary, shape),
        "completion_mask": torch.ones(shape, dtype=torch.long),
        "advantages": torch.randn(shape),
        "old_per_token_logps": torch.full(shape, -6.0) + 0.1 * torch.randn(shape),
        "old_values": torch.zeros(shape),
        "returns": torch.randn(shape),
        "value_mask": torch.ones(shape, dtype=torch.long),
    }


def make_trainer(subject: str, group: int, folder: str) -> Any:
    """Build the subject, which would sample `group` completions of one prompt and learn from them in one batch."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from arcgym.models.tiny import TINY_FOLDER, build_tiny
    from arcgym.training import PPOConfig, PPOTrainer

    settings: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": group,
        "gradient_accumulation_steps": 1,
        "num_generations": group,
        "max_completion_length": 64,
        "loss_type": "bnpo",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
    tokenizer = AutoTokenizer.from_pretrained(TINY_FOLDER)
    torch.manual_seed(0)
    model = build_tiny(tokenizer, hidden_size=256, num_layers=4, max_length=LONGEST)
    if subject == "trl":
        kind, config = GRPOTrainer, GRPOConfig(**settings, num_iterations=4)
    else:
        kind, config = PPOTrainer, PPOConfig(**settings, num_ppo_epochs=4, share_prompts=subject == "arcgym")
    return kind(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["0"] * group}),
        processing_class=tokenizer,
    )


def measure_here(subject: str, case: str, steps: int, threads: int) -> None:
    """Be the process of one subject: take the steps and print what they cost."""
    import torch

    torch.set_num_threads(threads)
    group = int(case.rpartition("G")[2])
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(subject, group, folder)
    rollout = make_rollout(case, trainer.model.config.vocab_size)
    if subject == "trl":
        rollout["advantages"] = rollout["advantages"][:, 0]
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    trainer._buffered_inputs = [rollout]
    seconds, cpu_seconds = [], []
    held = reset_peak_mib()
    for _ in range(steps + 1):
        trainer._step = 1  # in the middle of a rollout: TRL learns from the buffer and does not sample
        trainer.model.zero_grad()
        started, cpu_started = time.perf_counter(), time.process_time()
        loss = trainer.training_step(trainer.model, {}, None)
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    # The first step is slower
    figures = {"s": min(seconds[1:]), "cpu_s": min(cpu_seconds[1:]), "MiB": peak_mib() - held}
    print(json.dumps(figures | {"loss": loss.item()}))


def reset_peak_mib() -> float:
    """Forget the peak so far; what the process holds now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    """Give the most memory that this process has held since the last reset, in MiB."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) / 1024


def measure_apart(subject: str, case: str, steps: int, threads: int) -> dict[str, float]:
    """Start a process for one subject and one case; what it measured."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve())]
    ran = subprocess.run(
        [*command, "--subject", subject, "--case", case, "--steps", str(steps), "--threads", str(threads)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return measured


def measure_all(cases: list[str], steps: int, threads: int, rounds: int) -> list[dict[str, object]]:
    """Measure every subject in every round, in turn, so that all meet the same disturbances."""
    figures: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for case in cases:
            losses = {}
            for subject in SUBJECTS:
                print(f"round {number + 1} of {rounds}: {case}, {subject}", file=sys.stderr)
                measured = measure_apart(subject, case, steps, threads)
                losses[subject] = measured.pop("loss")
                for unit, value in measured.items():
                    figures[case, subject, unit].append(value)
            if abs(losses["arcgym"] - losses["arcgym_unshared"]) > 1e-5:
                raise RuntimeError(f"the losses differ, so the steps do not do the same: {losses}")
    return [
        {"case": case, "subject": subject, "value": round(statistics.median(values), 4), "unit": unit}
        for (case, subject, unit), values in figures.items()
    ]


def print_table(rows: list[dict[str, object]]) -> None:
    """Print the figures, and how many times arcgym's each is."""
    values = {(row["case"], row["subject"], row["unit"]): float(str(row["value"])) for row in rows}
    print(f"{'case':14} {'subject':16} {'value':>10} {'unit':5} subject / arcgym")
    for row in sorted(rows, key=lambda row: (CASES.index(str(row["case"])), str(row["unit"]))):
        ratio = float(str(row["value"])) / values[row["case"], "arcgym", row["unit"]]
        print(f"{row['case']:14} {row['subject']:16} {row['value']:>10} {row['unit']:5} {ratio:.2f}")


def main() -> None:
    """Measure all subjects and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--case", choices=CASES, help="measure one case only")
    parser.add_argument("--steps", type=int, default=3, help="how many steps a process takes after the first")
    parser.add_argument("--threads", type=int, default=1, help="how many threads torch uses")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.subject:
        measure_here(arguments.subject, arguments.case, arguments.steps, arguments.threads)
        return
    cases = [arguments.case] if arguments.case else list(CASES)
    rows = measure_all(cases, arguments.steps, arguments.threads, arguments.rounds)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
