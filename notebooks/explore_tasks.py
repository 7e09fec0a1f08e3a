# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Explore tasks
#
# Where tasks come from, what they look like, and what happens to files that are none. It needs no network and no
# GPU, and takes seconds. The formats and rules are in [docs/tasks.md](../docs/tasks.md).

# %%
from collections import Counter

from arcgym import TaskFormatter, TaskLoader
from arcgym.data.loader import NAMED_SETS

# %% [markdown]
# ## The sets that come with arcgym

# %%
for name, known in NAMED_SETS.items():
    print(f"{name:15} {known.version:8} {known.description}")

# %%
loader = TaskLoader()
tasks = loader.load("arc-agi-1", "train")
len(tasks)

# %% [markdown]
# A task is drawn where it is the value of a cell: each pair is a column, its input above its output.

# %%
small = {task.task_id: task for task in tasks if all(max(pair.input.shape) <= 3 for pair in task.train)}
small["0d3d703e"]

# %% [markdown]
# It knows where it was found, and its content hash is the same under any name.

# %%
task = small["0d3d703e"]
print(task.source, task.version, task.file, task.licence)
print(task.content_hash)


# %% [markdown]
# ## What the tasks are like

# %%
def largest_side(task):
    return max(side for pair in (*task.train, *task.test) for side in pair.input.shape)


sides = Counter((largest_side(task) - 1) // 5 for task in tasks)
for band in range(6):
    print(f"{5 * band + 1:2} to {5 * band + 5:2}  {'█' * (sides[band] // 2)} {sides[band]}")

# %%
kept = sum(all(pair.input.shape == pair.output.shape for pair in task.train) for task in tasks)
print(f"{kept} of {len(tasks)} tasks keep the size of the grid")

# %% [markdown]
# What a policy is shown is the demonstrations and the inputs of the test, never their outputs:

# %%
print(TaskFormatter().format(task).prompt)

# %% [markdown]
# ## Your own files
#
# Any folder in a known layout is a set: here one folder per concept, as in ConceptARC.

# %%
import json
import os
import tempfile
from pathlib import Path

workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # so that messages name a short path
pair = {"input": [[1, 2], [3, 4]], "output": [[3, 4], [1, 2]]}
for name in ("flip/flip1", "flip/flip2", "copy/copy1"):
    path = Path("mine", f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"train": [pair, pair], "test": [pair]}))

[(task.task_id, task.family, task.file) for task in loader.load("mine")]

# %% [markdown]
# A file that holds no task is refused, with everything that is wrong with it in one message:

# %%
from arcgym.errors import TaskError

bad = {"train": [{"input": [[1, 2.0], [3]], "output": [[True]]}], "tests": [{"input": [[12]]}]}
Path("mine/copy/copy2.json").write_text(json.dumps(bad))
try:
    loader.load("mine")
except TaskError as error:
    print(error)

# %%
good = loader.load("mine", on_error="report")
print(f"{len(good)} good tasks, {len(loader.problems)} problems")

# %% [markdown]
# ## As a dataset
#
# The same sources are datasets of the library `datasets`, with splits, slices, streaming and its cache.

# %%
import datasets

datasets.disable_progress_bars()
rows = datasets.load_dataset("arcgym", "arc-agi-2", split="evaluation", streaming=True)
row = next(iter(rows))
{name: row[name] for name in ("task_id", "source", "version", "licence")}

# %%
workplace.cleanup()
