"""Runs that are made to collapse, and healthy ones: what `CollapseMonitor` does with them.

    python benchmarks/collapse.py            # a table; about twelve minutes on one core
    python benchmarks/collapse.py --json     # one row per line: case, subject, value, unit

Every run is PPO from `arcgym-tiny` on the tasks and with the settings of `recipes/configs/ppo_quickstart.yaml`, but 64
programs per rollout, one for each task, one mini-batch, no entropy bonus and fewer steps, each in a process of its
own. Every 4 steps it is saved, and evaluated on 64 tasks held out from training; the best checkpoint by solved tasks
is where it goes back to, and what it ends with.

- `rate`: the learning rate rises, all the time, towards 30 times the quickstart's;
- `length`: a program also earns a quarter for each of its tokens, where a solution earns about 2;
- `healthy-0`, `healthy-1`, `healthy-2`: nothing is wrong; three seeds.

Figures of the monitor: `warnings`, `alarms`, `rollbacks`; of the first alarm its `alarm_step`, and how many steps
before it the first sign was (`detection_steps`) and the checkpoint that the run went back to (`lost_steps`). Figures
of the policy, all with the same draws: tasks solved, of a fixed set of the synthetic evaluation tasks, which no run
trains on: `before` training, at the `worst` alarm, by the `checkpoint` that the run went back to last, and `after`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(_name, _value)

QUICKSTART = Path(__file__).parents[1] / "recipes" / "configs" / "ppo_quickstart.yaml"
CASES = ("rate", "length", "healthy-0", "healthy-1", "healthy-2")
POLICY = ("before", "worst", "checkpoint", "after")
MONITOR = ("warnings", "alarms", "rollbacks", "alarm_step", "detection_steps", "lost_steps")
EVALUATED = 128
VALIDATED = 64
# Of the quickstart, those settings of the trainer that are not chosen here
TAKEN = (
    "max_completion_length",
    "temperature",
    "num_ppo_epochs",
    "learning_rate",
    "value_learning_rate",
    "vf_coef",
    "gradient_checkpointing",
    "use_cpu",
)


def pays_for_length(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Pay for tokens, whatever they do."""
    return [len(ids) / 4 for ids in completion_ids]


def run_here(case: str, folder: str, steps: int, threads: int) -> dict[str, Any]:
    """Train once in this process, and evaluate."""
    import warnings

    import torch
    import yaml
    from transformers import TrainerCallback

    from arcgym.evaluation import PerformanceEvaluator
    from arcgym.inference import Solver
    from arcgym.models import load_tokenizer, resolve_policy
    from arcgym.rewards import RewardCalculator
    from arcgym.runs.arguments import TaskArguments
    from arcgym.sandbox import CodeSandbox
    from arcgym.training import PPOConfig, PPOTrainer
    from arcgym.training.checkpoints import step_of
    from arcgym.training.collapse import CollapseConfig, CollapseMonitor, read_events, train_with_rollback

    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    quickstart = yaml.safe_load(QUICKSTART.read_text())
    settings = {name: quickstart[name] for name in TAKEN} | {"warmup_steps": 5, "seed": 0}
    if case == "rate":
        settings |= {"learning_rate": 30 * quickstart["learning_rate"], "warmup_steps": steps}
    if case.startswith("healthy"):
        settings["seed"] = int(case.rpartition("-")[2])
    arguments = TaskArguments(
        train_tasks=quickstart["train_tasks"],
        eval_tasks=quickstart["eval_tasks"],
        holdout_share=quickstart["holdout_share"],
        max_prompt_tokens=quickstart["max_prompt_tokens"],
    )
    tokenizer = load_tokenizer(quickstart["model_name_or_path"])
    formatter = arguments.formatter(tokenizer)
    held_out, tasks = arguments.load(formatter).keep_apart(VALIDATED, seed=0)
    evaluated = tasks.evaluation["synthetic/evaluation"][:EVALUATED]
    args = PPOConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=64,
        num_generations=1,
        num_mini_batches=1,
        logging_steps=2,
        lr_scheduler_type="constant_with_warmup",
        save_steps=4,
        eval_strategy="steps",
        eval_steps=4,
        per_device_eval_batch_size=VALIDATED,
        metric_for_best_model="tasks/solved_frac",
        load_best_model_at_end=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    with CodeSandbox(timeout_s=2.0, memory_mb=512, workers=1) as sandbox:
        trainer = PPOTrainer(
            resolve_policy(quickstart["model_name_or_path"]),
            [RewardCalculator(sandbox), *([pays_for_length] if case == "length" else [])],
            args,
            train_dataset=formatter.dataset(tasks.train).dataset,
            eval_dataset=formatter.dataset(held_out).dataset,
            processing_class=tokenizer,
        )

        def count_solved() -> int:
            solver = Solver(
                trainer.model,
                tokenizer,
                sandbox,
                formatter,
                num_samples=quickstart["eval_samples"],
                temperature=quickstart["eval_temperature"],
                max_new_tokens=quickstart["max_completion_length"],
                batch_size=128,
            )
            return int(PerformanceEvaluator(solver).evaluate(evaluated, "fixed").aggregates["solved"])

        class AtAlarm(TrainerCallback):
            """Evaluates the collapsed policy, where the trainer leaves it."""

            solved: list[int] = []  # noqa: RUF012

            def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.log_history[-2].get("collapse/alarm"):
                    self.solved.append(count_solved())

        figures: dict[str, Any] = {"before": count_solved()}
        monitor = CollapseMonitor(CollapseConfig(), args.completions_per_rollout)
        at_alarm = AtAlarm()
        trainer.add_callback(at_alarm)
        train_with_rollback(trainer, monitor)
        figures["after"] = count_solved()
        events = read_events(folder)
        alarms = [event for event in events if event["action"] != "warning"]
        figures |= {"warnings": len(events) - len(alarms), "alarms": len(alarms), "rollbacks": monitor.rollbacks}
        if alarms:
            figures["alarm_step"] = alarms[0]["step"]
            figures["detection_steps"] = alarms[0]["step"] - alarms[0]["since"]
            print(f"{case}: {json.dumps(alarms)}", file=sys.stderr)
        if monitor.checkpoint is not None:
            figures["worst"] = min(at_alarm.solved)
            figures["lost_steps"] = alarms[0]["step"] - step_of(alarms[0]["checkpoint"])
            trainer._load_from_checkpoint(str(monitor.checkpoint))
            figures["checkpoint"] = count_solved()
    return figures


def run_apart(case: str, steps: int, threads: int) -> dict[str, Any]:
    """Start a process for a run; its figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--folder", folder]
        ran = subprocess.run(
            [*command, "--cases", case, "--steps", str(steps), "--threads", str(threads)],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def print_table(measured: dict[str, dict[str, Any]]) -> None:
    """Print one line per run."""
    names = (*MONITOR, *POLICY)
    print(f"{'case':10} " + " ".join(f"{name:>{max(6, len(name))}}" for name in names))
    for case, figures in measured.items():
        cells = (str(figures.get(name, "-")) for name in names)
        print(f"{case:10} " + " ".join(f"{cell:>{max(6, len(n))}}" for n, cell in zip(names, cells, strict=True)))
    print(f"The last four: tasks solved of {EVALUATED}.")


def main() -> None:
    """Make all runs and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="what is run")
    parser.add_argument("--steps", type=int, default=32, help="optimizer steps of a run; a rollout takes two")
    parser.add_argument("--threads", type=int, default=1, help="how many threads torch uses")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(run_here(arguments.cases[0], arguments.folder, arguments.steps, arguments.threads)))
        return
    measured = {}
    for case in arguments.cases:
        print(f"{case} ...", file=sys.stderr)
        measured[case] = run_apart(case, arguments.steps, arguments.threads)
    if not arguments.json:
        print_table(measured)
        return
    for case, figures in measured.items():
        for name, value in figures.items():
            subject, unit = ("policy", "solved") if name in POLICY else ("monitor", name)
            row = {"case": f"{case}/{name}" if name in POLICY else case, "subject": subject}
            print(json.dumps(row | {"value": value, "unit": unit}))


if __name__ == "__main__":
    main()
