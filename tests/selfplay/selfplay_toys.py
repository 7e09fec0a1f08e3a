"""A policy that knows five programs, tasks that some of them solve, and small self-play settings for both."""

import importlib.util
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import tiny_policies
import yaml

from arcgym.data import Pair, Task
from arcgym.solutions import SolutionDatabase
from arcgym.solutions.models import to_row


def flip_task(seed, rule=lambda grid: grid[:, ::-1], num_train=3):
    """A task on small random grids, short enough for a context of 256 bytes."""
    rng = np.random.default_rng(seed)
    grids = [rng.integers(0, 10, (3, 3)).astype(np.int8) for _ in range(num_train + 1)]
    pairs = [Pair(grid, rule(grid)) for grid in grids]
    return Task(f"task{seed}", tuple(pairs[:num_train]), tuple(pairs[num_train:]))


def shifted(grid):
    """What none of the policy's programs does."""
    return (grid + 1) % 10


def write_tasks(folder):
    """Tasks to train on, of which the policy solves half, and others to evaluate on."""
    sets = {
        "training": [flip_task(seed) for seed in range(3)] + [flip_task(seed, shifted) for seed in range(3, 6)],
        "evaluation": [flip_task(seed) for seed in range(10, 12)],
    }
    for name, tasks in sets.items():
        (folder / name).mkdir(parents=True)
        for task in tasks:
            (folder / name / f"{task.task_id}.json").write_text(json.dumps(task.to_dict()))
    return folder


def write_policy(folder):
    """Write the policy as a folder that any recipe loads."""
    tokenizer = tiny_policies.byte_tokenizer()
    tokenizer.model_max_length = 256
    tiny_policies.taught_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Toy:
    """Runs self-play on the tasks and the policy, in this process.

    Args:
        folder: Of the tasks, the policy and the runs.
    """

    SETTINGS: ClassVar = {
        "max_prompt_tokens": 200,
        "max_completion_length": 8,
        "eval_samples": 2,
        "eval_temperature": 1.0,
        "num_rounds": 2,
        "samples_per_task": 8,
        "chunk_size": 3,
        "sampling_batch_size": 64,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "num_train_epochs": 1,
        "activation_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "seed": 0,
        "report_to": "none",
        "disable_tqdm": True,
        "sandbox_workers": 1,
        "sandbox_allow_weak": True,
        "diversity_floor": 0.0,
    }

    def __init__(self, folder):
        self.folder = folder
        tasks = write_tasks(folder / "tasks")
        write_policy(folder / "policy")
        self.settings = self.SETTINGS | {
            "model_name_or_path": str(folder / "policy"),
            "train_tasks": [f"{tasks}/train"],
            "eval_tasks": [f"{tasks}/evaluation"],
        }

    def words(self, name, **changes):
        """Command-line words of a run in a folder of that name."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(self.settings | {"output_dir": str(self.folder / name)} | changes))
        return ["--config", str(path)]

    def run(self, recipe, name, **changes):
        """Run a recipe's `main`; return its folder."""
        argv, sys.argv = sys.argv, [f"{recipe}.py", *self.words(name, **changes)]
        try:
            with one_core():
                load_recipe(recipe).main()
        finally:
            sys.argv = argv
        return self.folder / name


@contextmanager
def one_core():
    """Recipes compute on all cores that they may use: on so small a model the threads mostly wait for each other."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def load_recipe(name):
    """Import a recipe."""
    path = Path(__file__).parents[2] / "recipes" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_recipe", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the parser looks up the annotations of a recipe's own dataclasses
    spec.loader.exec_module(module)
    return module


def contents(folder):
    """What a run's database holds, but for times and row numbers."""
    with SolutionDatabase(folder / "solutions.sqlite", create=False) as database:
        rows = [to_row(solution) for solution in database.after(0)]
    for row in rows:
        del row["created_at"]
    return sorted(rows, key=lambda row: (row["task_hash"], row["program_hash"]))


def figures(folder):
    """A run's figures by round, but for times."""
    rows = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]
