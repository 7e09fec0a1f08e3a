# %% [markdown]
# # PPO in a minute
#
# One policy, eight tasks, a sandbox, a reward, a trainer: the parts of a training run, put together by hand. It needs
# no network and no GPU, and takes less than a minute on one core. What a real run adds (evaluation, checkpoints,
# curriculum, collapse monitor) is in `recipes/ppo.py`; [docs/training.md](../docs/training.md) explains it.

# %%
import logging
import os
import tempfile
import warnings

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that nothing here uses
warnings.filterwarnings("ignore", category=FutureWarning)

# %%
import torch
from transformers import PrinterCallback

from arcgym import CodeSandbox, PPOConfig, PPOTrainer, RewardCalculator, TaskFormatter, TaskLoader
from arcgym.models import CodeLLM

torch.set_num_threads(1)

# %% [markdown]
# ## The policy
#
# `arcgym-tiny` is a causal language model like any other. It was trained from scratch on programs for synthetic tasks.

# %%
policy = CodeLLM.load("arcgym-tiny")
print(f"{policy.causal_lm.num_parameters():,} parameters")

# %% [markdown]
# ## The tasks
#
# Small ones, whose prompts are short. A prompt shows the demonstrations and the test input, and ends where the program
# begins.

# %%
formatter = TaskFormatter(tokenizer=policy.tokenizer, budget=160)
known = {task.task_id: task for task in TaskLoader().load("arc-agi-1", "train")}
dataset = formatter.dataset(known.values()).dataset.select(range(8))  # what does not fit is left out
tasks = [known[name] for name in dataset["task_id"]]
print(dataset[0]["prompt"])

# %%
tasks[0]

# %% [markdown]
# ## The reward
#
# A completion is run in the sandbox on every input of its task. What it answers is compared here, outside: the program
# never sees an expected output. A right program earns the most, a wrong one about nothing, one that fails less.

# %%
sandbox = CodeSandbox(timeout_s=2.0, workers=1, allow_weak=True)
reward = RewardCalculator(sandbox)

programs = {
    "does not compile": "def transform(grid:\n",
    "raises": "def transform(grid):\n    return grid[99]\n",
    "wrong": "def transform(grid):\n    return grid\n",
}
row = dataset[0]
for name, program in programs.items():
    (value,) = reward([row["prompt"]], [program], train=[row["train"]], test=[row["test"]], task_id=[name])
    print(f"{name:18}{value:6.2f}")

# %% [markdown]
# ## Training
#
# A rollout is 8 prompts with 8 programs each; PPO takes one step on it. `PPOTrainer` has the constructor of TRL's
# `GRPOTrainer`, and adds a critic.

# %%
folder = tempfile.TemporaryDirectory()
config = PPOConfig(
    output_dir=folder.name,
    max_steps=6,
    num_generations=8,
    per_device_train_batch_size=64,
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
    seed=0,
)
trainer = PPOTrainer(
    model=policy.causal_lm,
    reward_funcs=[reward],
    args=config,
    train_dataset=dataset,
    processing_class=policy.tokenizer,
)
trainer.remove_callback(PrinterCallback)  # the cell below shows less
result = trainer.train()

# %%
for entry in trainer.state.log_history:
    if "reward" in entry:
        solved = entry["tasks/solved_frac"]
        print(f"step {entry['step']}  reward {entry['reward']:6.3f}  tasks with a right program {solved:4.0%}")

# %% [markdown]
# Six steps on eight tasks prove nothing: this is what learning looks like, not how well it works.
# [docs/results.md](../docs/results.md) has figures with intervals.
#
# ## What it wrote
#
# Every program is kept with its verdict. Here is the best one, with its task.

# %%
from pathlib import Path

import pandas as pd

files = sorted(Path(folder.name, "completions").glob("*.parquet"))
written = pd.concat([pd.read_parquet(file) for file in files])
best = written.sort_values("program_reward", ascending=False).iloc[0]
print(f"{best.task_id}: {best.program_status}, {best.pairs_passed} pairs, reward {best.program_reward:.2f}\n")
print(best.completion)

# %% [markdown]
# Its task, with the answer to the test that it never saw:

# %%
task = next(task for task in tasks if task.task_id == best.task_id)
task

# %% [markdown]
# And what the program answers, drawn beside what is right:

# %%
import matplotlib.pyplot as plt

from arcgym.grids import render_rgb

answer = sandbox.run([best.completion], [[pair.input for pair in task.test]])[0].outputs[0]
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5))
panels = {"test input": task.test[0].input, "answer": answer, "expected": task.test[0].output}
for axis, (name, grid) in zip(axes, panels.items(), strict=True):
    axis.set_title(name)
    axis.axis("off")
    if grid is not None:
        axis.imshow(render_rgb(grid))
plt.show()

# %%
sandbox.close()
folder.cleanup()
