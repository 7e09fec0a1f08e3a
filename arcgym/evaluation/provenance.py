"""What a result is of: without it a number can be neither repeated nor compared, and the comparison refuses it."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Protocol

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.statistics import BOOTSTRAP_SEED
from arcgym.inference import Solver, TaskSolution
from arcgym.sandbox import describe_layers

REQUIRED = ("dataset_hash", "config", "seeds", "code_version", "sandbox_layers")
_LIBRARIES = ("torch", "transformers", "numpy", "scipy")
_SAMPLED_WEIGHTS = 256


class TaskSolver(Protocol):
    """What can be evaluated: a `Solver`, a baseline, or programs from a file."""

    @property
    def sampling(self) -> Any:
        """A dataclass with at least `num_samples` and `seed`."""

    def solve(self, tasks: Sequence[Task]) -> list[TaskSolution]:
        """Solve tasks; one solution per task, in order."""


def describe_solver(solver: TaskSolver, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return what is evaluated as plain data, the same for the same policy, settings and prompts.

    Args:
        solver: A policy is told from others by its weights.
        tasks: Whose prompts are hashed, since they depend on many settings.
    """
    described: dict[str, Any] = {"solver": type(solver).__name__, "sampling": asdict(solver.sampling)}
    if isinstance(solver, Solver):
        formatter = solver.formatter
        described["policy"] = {
            "name": solver.model.name_or_path,
            "parameters": sum(parameter.numel() for parameter in solver.model.parameters()),
            "fingerprint": weights_fingerprint(solver.model),
        }
        described["prompt"] = {
            "encoding": formatter.encoding,
            "style": formatter.style,
            "budget": formatter.budget,
            "hash": hashlib.sha256("\n".join(_prompt(formatter, task) for task in tasks).encode()).hexdigest(),
        }
    return described


def provenance(
    solver: TaskSolver, dataset_hash: str, config: Mapping[str, Any] | None, described: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what every result file holds beside its figures.

    Args:
        solver: What was evaluated.
        dataset_hash: Of the tasks.
        config: Settings of whoever evaluates, plain data.
        described: What `describe_solver` returned.

    Returns:
        `dataset_hash`; `config`, with the solver's description; `seeds`; `code_version`: arcgym's version, a SHA-256
        of its source and the versions of libraries; `sandbox_layers`: those active on this machine.
    """
    return {
        "dataset_hash": dataset_hash,
        "config": {**(config or {}), **described},
        "seeds": {"sampling": solver.sampling.seed, "bootstrap": BOOTSTRAP_SEED},
        "code_version": {
            "arcgym": metadata.version("arcgym"),
            "source": source_hash(),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
        "sandbox_layers": list(_active_layers()),
    }


def missing_provenance(found: Mapping[str, Any]) -> list[str]:
    """List what a result lacks to be comparable; empty when it lacks nothing."""
    return [name for name in REQUIRED if not found.get(name)]


def weights_fingerprint(model: nn.Module) -> str:
    """Return a SHA-256 (hex) of up to 256 evenly spaced values of each weight, by which any training shows.

    Reading all weights of a large model would take as long as a part of its evaluation. Sharded weights are those of
    this process.
    """
    digest = hashlib.sha256()
    # Not the state dict: quantized layers change their weights to make one
    for name, tensor in sorted({**dict(model.named_parameters()), **dict(model.named_buffers())}.items()):
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        flat = local.detach().flatten()
        sampled = flat[:: max(1, flat.numel() // _SAMPLED_WEIGHTS)].cpu().contiguous()
        digest.update(f"{name} {tuple(local.shape)} {local.dtype}".encode())
        digest.update(sampled.view(torch.uint8).numpy().data if sampled.numel() else b"")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def source_hash() -> str:
    """Return a SHA-256 (hex) of arcgym's Python files: a version number does not change with every edit."""
    digest = hashlib.sha256()
    for name, content in sorted(_sources(files("arcgym"), "")):
        digest.update(f"{name}\n".encode() + content)
    return digest.hexdigest()


def _prompt(formatter: TaskFormatter, task: Task) -> str:
    try:
        return repr(formatter.format(task).prompt)
    except TaskError as exc:
        return str(exc)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


@lru_cache(maxsize=1)
def _active_layers() -> tuple[str, ...]:
    return tuple(layer.name for layer in describe_layers() if layer.active)
