"""Threads of a run on CPU: `accelerate launch` starts scripts with one, whatever the machine has."""

import os

import torch
from transformers import TrainingArguments


def use_all_cores(training: TrainingArguments) -> None:
    """Let torch compute on every core that this process may use, divided among the processes of this machine.

    Does nothing where the model is on an accelerator: there the cores belong to the sandbox.
    """
    if training.device.type != "cpu":
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, cores // processes))
