# %% [markdown]
# # Read a run
#
# A run is a folder: settings, one line per logged step, every program with its verdict, and one report per evaluation.
# Everything can be read without arcgym; with it, it takes a few lines. The folder read here is made first: a very small
# run, in less than a minute on one core, without network.

# %%
import logging
import os
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that nothing here uses
warnings.filterwarnings("ignore", category=FutureWarning)

# %%
import torch
from transformers import PrinterCallback

from arcgym import CodeSandbox, PPOConfig, PPOTrainer, RewardCalculator, TaskFormatter, TaskLoader
from arcgym.evaluation import PerformanceEvaluator
from arcgym.inference import Solver
from arcgym.models import CodeLLM
from arcgym.training import MetricsTracker

torch.set_num_threads(1)

# %% [markdown]
# ## A small run
#
# In place of this cell, name the folder of a run of yours: `run = Path("runs/quickstart")`.

# %%
folder = tempfile.TemporaryDirectory()
run = Path(folder.name)
policy = CodeLLM.load("arcgym-tiny")
formatter = TaskFormatter(tokenizer=policy.tokenizer, budget=160)
known = {task.task_id: task for task in TaskLoader().load("arc-agi-1", "train")}
dataset = formatter.dataset(known.values()).dataset.select(range(28))  # what does not fit is left out
held_out = [known[name] for name in dataset["task_id"][8:]]

with CodeSandbox(timeout_s=2.0, workers=1, allow_weak=True) as sandbox:
    solver = Solver(policy.causal_lm, policy.tokenizer, sandbox, formatter, num_samples=8, max_new_tokens=32)
    evaluator = PerformanceEvaluator(solver)
    evaluator.evaluate(held_out, "arc-agi-1/train").save(run / "eval" / "before-arc-agi-1-train.json")
    config = PPOConfig(
        output_dir=str(run),
        max_steps=8,
        num_generations=4,
        per_device_train_batch_size=32,
        gradient_accumulation_steps=1,
        max_completion_length=32,
        num_ppo_epochs=1,
        num_mini_batches=1,
        learning_rate=3e-4,
        gradient_checkpointing=False,
        logging_steps=1,
        log_completions=True,
        num_completions_to_print=0,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = PPOTrainer(
        model=policy.causal_lm,
        reward_funcs=[RewardCalculator(sandbox)],
        args=config,
        train_dataset=dataset.select(range(8)),
        processing_class=policy.tokenizer,
    )
    trainer.add_callback(MetricsTracker(trainer))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    evaluator.evaluate(held_out, "arc-agi-1/train").save(run / "eval" / "after-arc-agi-1-train.json")

sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())[:6]

# %% [markdown]
# ## Metrics
#
# `metrics.jsonl` has a row per logged step. `read_rows` leaves out what a rollback or a restart made out of date.
# [docs/metrics.md](../docs/metrics.md) explains each column.

# %%
import pandas as pd

from arcgym.training.metrics import read_rows

rows = pd.DataFrame(read_rows(run / "metrics.jsonl")).set_index("step")
rows = rows[rows["loss"].notna()]
rows[["reward", "tasks/solved_frac", "programs/valid_frac", "entropy", "ppo/explained_variance"]].round(3)

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 3, figsize=(10, 2.6), layout="constrained")
for axis, name in zip(axes, ("reward", "programs/valid_frac", "entropy"), strict=True):
    rows[name].plot(ax=axis, title=name, marker="o")
    axis.grid(alpha=0.3)
plt.show()

# %% [markdown]
# Look first at `reward` and `tasks/solved_frac` (does it learn?), then at `rewards/hidden_gap` (does it learn the shown
# pairs by heart?), then at `entropy` and `completions/clipped_ratio` (does it come apart?). `arcgym watch RUN` shows
# the same in the terminal while a run goes on.
#
# ## Two evaluations
#
# A report has one record per task, and figures that follow from them. The interval says how sure the figure is: it is
# wide, because there are few tasks.

# %%
from arcgym.evaluation import EvaluationReport

before = EvaluationReport.load(run / "eval" / "before-arc-agi-1-train.json")
after = EvaluationReport.load(run / "eval" / "after-arc-agi-1-train.json")
for name, report in (("before", before), ("after", after)):
    low, high = report.aggregates["interval"]
    solved, number = report.aggregates["solved"], report.aggregates["tasks"]
    print(f"{name:7} {solved} of {number} solved, between {low:.0%} and {high:.0%} with 95 % confidence")

# %% [markdown]
# Both are of the same tasks, so they are compared task by task: that says more than two intervals side by side. A
# difference whose interval holds 0 may be chance.

# %%
from arcgym.evaluation.comparison import compare_reports

(comparison,) = compare_reports({"before": {before.name: before}, "after": {after.name: after}})
print(f"gained {comparison.gained} tasks, lost {comparison.lost}; McNemar's p = {comparison.p_value:.2f}")
for name, difference in comparison.differences.items():
    print(f"{name:12} {difference.value:+.3f}  [{difference.low:+.3f}, {difference.high:+.3f}]")

# %% [markdown]
# ## A program and its grids
#
# A record also holds programs and the grids that were voted for. Here is a task that was solved, else the first one.

# %%
record = next((record for record in after.records if record.solving_program), after.records[0])
print(record.task_id, "solved" if record.is_solved else "not solved", dict(record.statuses))
print(record.solving_program or record.best_program)

# %%
import numpy as np

from arcgym.grids import render_rgb

task = next(task for task in held_out if task.task_id == record.task_id)
expected = task.test[0].output
panels = [("test input", task.test[0].input), ("expected", expected)]
panels += [(f"attempt {i}", np.array(grid, np.int8)) for i, grid in enumerate(record.predictions[0], 1)]
figure, axes = plt.subplots(1, len(panels), figsize=(2.2 * len(panels), 2.4), squeeze=False)
for axis, (name, grid) in zip(axes[0], panels, strict=True):
    axis.imshow(render_rgb(grid))
    mark = "" if not name.startswith("attempt") else " ✓" if np.array_equal(grid, expected) else " ✗"
    axis.set_title(name + mark)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## All programs
#
# What training sampled is in `completions/*.parquet`: a table with the verdict of each. Which ends are common?

# %%
written = pd.concat([pd.read_parquet(path) for path in sorted(run.glob("completions/*.parquet"))])
written.groupby("program_status")["program_reward"].agg(["count", "mean"]).round(2)

# %%
folder.cleanup()
