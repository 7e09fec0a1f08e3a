import re
from dataclasses import fields

import pytest
import torch
from trl import ModelConfig

from arcgym.models.sampling import is_out_of_memory
from arcgym.runs.arguments import TaskArguments
from arcgym.runs.memory import explain_out_of_memory
from arcgym.runs.parsing import run_recipe
from arcgym.training import PPOConfig


def test_every_setting_that_is_named_is_one_of_the_recipe():
    known = {field.name for config in (TaskArguments, ModelConfig, PPOConfig) for field in fields(config)}
    knobs = re.findall(r"^  \d\. ([^:]+):", explain_out_of_memory(MemoryError("no")), flags=re.M)
    names = {name for knob in knobs for name in knob.split(", ")} - {"accelerate_configs/fsdp2.yaml"}
    assert len(names) > 6
    assert names <= known


def test_a_real_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_other_errors_are_not_taken_for_it():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_a_recipe_that_runs_out_ends_with_the_settings_to_change(capsys):
    with pytest.raises(SystemExit) as caught:
        run_recipe(lambda: torch.empty(1 << 60, dtype=torch.uint8))
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "Memory ran out" in message and "1. per_device_train_batch_size" in message


def test_other_failures_of_a_recipe_keep_their_traceback():
    def fail():
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_recipe(fail)
