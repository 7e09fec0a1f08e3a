import os
from types import SimpleNamespace

import pytest
import torch

from arcgym.runs.threads import use_all_cores


@pytest.fixture(autouse=True)
def restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def training(device):
    return SimpleNamespace(device=torch.device(device))


def test_all_cores_are_used_on_cpu_whatever_the_launcher_set(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    torch.set_num_threads(1)
    use_all_cores(training("cpu"))
    assert torch.get_num_threads() == 6


def test_processes_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    use_all_cores(training("cpu"))
    assert torch.get_num_threads() == 1


def test_an_accelerator_leaves_the_cores_to_the_sandbox():
    torch.set_num_threads(1)
    use_all_cores(training("meta"))
    assert torch.get_num_threads() == 1
