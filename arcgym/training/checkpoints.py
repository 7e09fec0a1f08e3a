"""Checkpoints that are whole or not at all, and hold what Trainer does not save.

Trainer writes a checkpoint file by file into its final folder, so a process that dies meanwhile leaves a folder that
looks like any other. Here a checkpoint counts only once it is sealed: a manifest with the size and the hash of every
file, written last and under a temporary name. What is not sealed, or has changed since, is skipped by name.

Trainer saves weights, optimizer, scheduler, its own state and the random generators. `CheckpointManager` adds whatever
else has a state: the trainer's loop (`arcgym.training.resume`), the replay buffer, reward functions, callbacks.
"""

import json
import logging
import os
import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from accelerate import PartialState
from torch.distributed.checkpoint.stateful import Stateful
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from arcgym.errors import CheckpointError

logger = logging.getLogger(__name__)

MANIFEST = "arcgym_manifest.json"
AUTO = "auto"
_CHUNK = 1 << 20
# What torch.load and a part raise for a file that is damaged or of another version
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, EOFError)
_CHECKPOINT = re.compile(rf"^{PREFIX_CHECKPOINT_DIR}-(\d+)$")


class CheckpointManager:
    """Saves and restores the state of a run that Trainer knows nothing of, one file per process.

    Args:
        rank: Number of this process.
        num_processes: How many there are.
    """

    def __init__(self, rank: int = 0, num_processes: int = 1) -> None:
        self.rank = rank
        self.num_processes = num_processes

    def save(self, folder: str | Path, parts: Mapping[str, Stateful]) -> None:
        """Write the state of every part to `arcgym_state_<rank>.pt`.

        Args:
            folder: The checkpoint.
            parts: By name; their states are tensors, numbers, texts, lists and dictionaries of such.
        """
        state = {
            "num_processes": self.num_processes,
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        Path(folder).mkdir(parents=True, exist_ok=True)
        torch.save(state, self._file(folder, self.rank))

    def load(self, folder: str | Path, parts: Mapping[str, Stateful], device: torch.device | str = "cpu") -> None:
        """Restore the parts from a checkpoint; what has no state in it stays as it is, and is named in a warning.

        A checkpoint of another number of processes gives each of them the state of the first: the run goes on, but
        not bit for bit.

        Args:
            folder: The checkpoint.
            parts: As in `save`.
            device: Where tensors go.

        Raises:
            CheckpointError: The file is damaged or is not of this version of arcgym.
        """
        file = self._file(folder, self.rank)
        if not file.is_file():
            file = self._file(folder, 0)
        if not file.is_file():
            logger.warning("%s was not written by PPOTrainer: %s start anew.", folder, ", ".join(parts))
            return
        try:
            # torch.load knows no "cpu:0", which is the device of a process of several on CPU
            where = "cpu" if torch.device(device).type == "cpu" else device
            state = torch.load(file, map_location=where, weights_only=True)
            saved = state["parts"]
            if state["num_processes"] != self.num_processes:
                logger.warning(
                    "%s was saved by %d processes, this run has %d: it goes on, but not bit for bit as it would have.",
                    folder,
                    state["num_processes"],
                    self.num_processes,
                )
            for name in parts.keys() & saved.keys():
                parts[name].load_state_dict(saved[name])
        except (
            pickle.UnpicklingError,
            RuntimeError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            EOFError,
        ) as exc:
            raise CheckpointError(
                f"{file} cannot be restored ({type(exc).__name__}: {exc}). Resume from another checkpoint."
            ) from exc
        for names, what in ((parts.keys() - saved.keys(), "has no state of"), (saved.keys() - parts.keys(), "holds")):
            if names:
                more = "start anew" if what == "has no state of" else "which this run does not use"
                logger.warning("%s %s %s; %s.", folder, what, ", ".join(sorted(names)), more)

    @staticmethod
    def _file(folder: str | Path, rank: int) -> Path:
        return Path(folder) / f"arcgym_state_{rank}.pt"


def seal(folder: str | Path) -> None:
    """Write the manifest of a complete checkpoint, after everything in it has reached the disk.

    Args:
        folder: A checkpoint that no process writes to any more.
    """
    folder = Path(folder)
    entries = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        entries[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "xxh3": _hash(path, flush=True)}
    temporary = folder / f".{MANIFEST}.tmp"
    with temporary.open("w") as file:
        json.dump({"files": entries}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / MANIFEST)
    _flush_folder(folder)


def unseal(folder: str | Path) -> None:
    """Take a checkpoint's manifest away, before it is written to or deleted."""
    (Path(folder) / MANIFEST).unlink(missing_ok=True)


def find_problems(folder: str | Path) -> list[str]:
    """Return what is wrong with a checkpoint, a phrase for each problem; empty if it is whole."""
    folder = Path(folder)
    try:
        entries = json.loads((folder / MANIFEST).read_text())["files"]
    except FileNotFoundError:
        return ["it was never completed"]
    except (OSError, ValueError, KeyError) as exc:
        return [f"its {MANIFEST} cannot be read ({exc})"]
    problems = []
    for name, entry in entries.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != entry["bytes"]:
            problems.append(f"{name} has {path.stat().st_size} bytes, not {entry['bytes']}")
        elif _hash(path) != entry["xxh3"]:
            problems.append(f"{name} has changed since it was saved")
    return problems


def newest_valid(output_dir: str | Path, before_step: int | None = None) -> Path | None:
    """Find the newest whole checkpoint of a run; those that are not whole are skipped with a warning.

    Args:
        output_dir: The run directory.
        before_step: Look only at checkpoints of earlier steps.

    Returns:
        Its folder, or None.
    """
    for step, folder in sorted(_checkpoints(output_dir), reverse=True):
        if before_step is not None and step >= before_step:
            continue
        problems = find_problems(folder)
        if not problems:
            return folder
        logger.warning("%s is skipped: %s.", folder, "; ".join(problems[:3]))
    return None


def resolve_resume(wanted: str | None, output_dir: str | Path) -> Path | None:
    """Find the checkpoint that `resume_from_checkpoint` means.

    Args:
        wanted: `auto` for the newest whole checkpoint of the run, if there is one; or a checkpoint; None for none.
        output_dir: The run directory.

    Returns:
        The checkpoint, or None to start from the beginning.

    Raises:
        CheckpointError: The checkpoint does not exist or is not whole.
    """
    if wanted is None:
        return None
    if wanted == AUTO:
        return newest_valid(output_dir)
    folder = Path(wanted)
    if not folder.is_dir():
        raise CheckpointError(
            f"`resume_from_checkpoint` is {wanted!r}, which is no folder. Name a checkpoint of this run, or `{AUTO}` "
            "for the newest one."
        )
    problems = find_problems(folder)
    if problems:
        raise CheckpointError(
            f"`resume_from_checkpoint` is {wanted!r}, but {'; '.join(problems[:3])}. `{AUTO}` finds the newest whole "
            f"checkpoint of the run; to start a new run from these weights, set `model_name_or_path` to this folder."
        )
    return folder


def rotate(output_dir: str | Path, keep: int | None, best: str | None) -> None:
    """Delete old checkpoints; the last `keep` and the best one stay, and broken ones go first.

    Args:
        output_dir: The run directory.
        keep: At least 1; None to delete nothing.
        best: The best checkpoint, if one is known.
    """
    if keep is None:
        return
    newest_first = sorted(_checkpoints(output_dir), reverse=True)
    whole = [folder for _, folder in newest_first if (folder / MANIFEST).is_file()]
    protected = {*whole[:keep], *([Path(best)] if best is not None else [])}
    for _, folder in newest_first:
        if folder not in protected:
            unseal(folder)
            shutil.rmtree(folder, ignore_errors=True)


def step_of(checkpoint: str | Path) -> int:
    """Return the optimizer step at which a checkpoint was saved."""
    match = _CHECKPOINT.match(Path(checkpoint).name)
    if match is None:
        raise ValueError(f"{checkpoint} is not named like a checkpoint, {PREFIX_CHECKPOINT_DIR}-<step>")
    return int(match.group(1))


def _checkpoints(output_dir: str | Path) -> list[tuple[int, Path]]:
    if not Path(output_dir).is_dir():
        return []
    folders = (path for path in Path(output_dir).iterdir() if path.is_dir() and _CHECKPOINT.match(path.name))
    return [(step_of(folder), folder) for folder in folders]


def _hash(path: Path, flush: bool = False) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        if flush:
            os.fsync(file.fileno())
    return digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SealCheckpoints(TrainerCallback):
    """Seals the checkpoints of a trainer that does not do so itself, as TRL's own."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the checkpoint of this step, when all processes have written to it."""
        PartialState().wait_for_everyone()
        if args.should_save:
            seal(Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")


def collect_parts(**named: Any) -> dict[str, Stateful]:
    """Choose, of named objects, those that have a state to save.

    Args:
        **named: Objects; a list gives one part for each of its elements, by the name of its class.
    """
    parts: dict[str, Stateful] = {}
    for name, value in named.items():
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, Stateful):
                key = f"{name}/{type(element).__name__}" if isinstance(value, list) else name
                while key in parts:
                    key += "'"
                parts[key] = element
    return parts
