"""The data and the card of the default policy: what `recipes/pretrain_tiny.py` needs beside TRL."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from arcgym.data.formatting import TaskFormatter
from arcgym.data.synthetic import FAMILIES, generate_tasks, load_split
from arcgym.data.synthetic.transplants import transplant_tasks
from arcgym.data.tasks import Task

_SHARD = 2000
_WINDOW = 64  # batches whose samples are sorted by length together
_IGNORED = -100
_MOST_STEPS = 3


class Curriculum(NamedTuple):
    """Tokenised samples in training order, and facts about them."""

    dataset: Dataset
    num_tokens: int
    data_hash: str


@dataclass(frozen=True)
class TaskMix:
    """What the tasks of a pretraining run are.

    Args:
        num_tasks: Tasks to generate.
        seed: Generator seed.
        warmup_share: Share of leading tasks with one step, on scenes up to half of `max_side`.
        composed_share: Chance of a second step after the warm-up, and again of a third.
        max_side: Largest side of a generated scene, in cells.
        transplant_share: Share of tasks after the warm-up that play on the inputs of real training tasks.
        donor_side: Largest side of such an input, in cells.
        max_tokens: Longer samples are left out.
    """

    num_tasks: int
    seed: int = 0
    warmup_share: float = 0.0
    composed_share: float = 0.35
    max_side: int = 11
    transplant_share: float = 0.0
    donor_side: int = 20
    max_tokens: int = 640

    def draw(self, start: int, end: int) -> Iterator[Task]:
        """Yield tasks number `start` to `end`; what number i is depends on the settings alone."""
        warm = start < int(self.num_tasks * self.warmup_share)
        size = end - start
        scenes = generate_tasks(
            size,
            seed=self.seed,
            start=start,
            max_depth=_MOST_STEPS,
            composed_share=0.0 if warm else self.composed_share,
            max_side=max(4, self.max_side // 2) if warm else self.max_side,
        )
        once, twice = 1 - self.composed_share, self.composed_share * (1 - self.composed_share)
        depths = (once, twice, 1 - once - twice)
        real = transplant_tasks(size, seed=self.seed, start=start, depths=depths, max_side=self.donor_side)
        chance = 0.0 if warm else self.transplant_share
        for is_real in np.random.default_rng((self.seed, start)).random(size) < chance:
            yield next(real if is_real else scenes)


def build_curriculum(
    tokenizer: PreTrainedTokenizerBase, mix: TaskMix, *, batch_size: int, grid_loss: bool, num_proc: int = 2
) -> Curriculum:
    """Generate synthetic tasks and tokenise them, easy ones first.

    Args:
        tokenizer: The policy's tokenizer.
        mix: What to generate.
        batch_size: Samples per batch; batches hold samples of similar length.
        grid_loss: Put labels on the output grids of all pairs but the first too.
        num_proc: Processes that generate.

    Returns:
        Columns `input_ids` and `labels`, in training order.
    """
    warmup = int(mix.num_tasks * mix.warmup_share)
    shards = [
        (start, min(start + _SHARD, end))
        for begin, end in ((0, warmup), (warmup, mix.num_tasks))
        for start in range(begin, end, _SHARD)
    ]
    dataset = Dataset.from_generator(
        _samples,
        gen_kwargs={"shards": shards, "mix": mix, "tokenizer": tokenizer, "grid_loss": grid_loss},
        num_proc=min(num_proc, len(shards)),
    )
    lengths = np.array(dataset["length"])
    order = bucketed_order(lengths, batch_size, mix.seed)
    digest = hashlib.sha256("".join(dataset["task_hash"]).encode()).hexdigest()[:16]
    kept = dataset.select(order).select_columns(["input_ids", "labels"])
    return Curriculum(kept, int(lengths.sum()), digest)


def _samples(
    shards: Sequence[tuple[int, int]], mix: TaskMix, tokenizer: PreTrainedTokenizerBase, grid_loss: bool
) -> Iterator[dict[str, Any]]:
    held_out = {task.content_hash for task in load_split("evaluation")}
    formatter = TaskFormatter()
    for start, end in shards:
        for task in mix.draw(start, end):
            sample = tokenise(task, formatter, tokenizer, grid_loss=grid_loss)
            if task.content_hash not in held_out and len(sample["input_ids"]) <= mix.max_tokens:
                yield sample | {"length": len(sample["input_ids"]), "task_hash": task.content_hash}


def tokenise(
    task: Task, formatter: TaskFormatter, tokenizer: PreTrainedTokenizerBase, *, grid_loss: bool
) -> dict[str, list[int]]:
    """Turn a task with a known program into `input_ids` and `labels`.

    The end-of-sequence token keeps its label: a model never trained on it does not stop.
    """
    prompt = tokenizer(formatter.format(task).prompt)["input_ids"]
    program = [*tokenizer(task.program)["input_ids"], tokenizer.eos_token_id]
    hints = _grid_labels(prompt, tokenizer) if grid_loss else [_IGNORED] * len(prompt)
    return {"input_ids": prompt + program, "labels": hints + program}


def _grid_labels(prompt: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Labels on the cells and row ends of every output grid but the first, and on the header that ends it."""
    header, *ends = (tokenizer.convert_tokens_to_ids(text) for text in ("Output:\n", "Input:\n", "Test:\n"))
    labels, outputs_seen, inside = [], 0, False
    for token in prompt:
        labels.append(token if inside and outputs_seen > 1 else _IGNORED)
        if token == header:
            outputs_seen, inside = outputs_seen + 1, True
        elif token in ends:
            inside = False
    return labels


def bucketed_order(lengths: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """Order samples so that batches hold similar lengths, without moving a sample far from its place.

    Samples are shuffled and sorted by length inside windows of 64 batches; the batches of a window are shuffled.

    Args:
        lengths: Tokens per sample, of shape (samples,).
        batch_size: Samples per batch.
        seed: Seed of the shuffling.

    Returns:
        A permutation of the sample indices, of shape (samples,).
    """
    rng = np.random.default_rng(seed)
    order = []
    for start in range(0, len(lengths), _WINDOW * batch_size):
        window = rng.permutation(np.arange(start, min(start + _WINDOW * batch_size, len(lengths))))
        window = window[np.argsort(lengths[window], kind="stable")]
        whole = len(window) // batch_size * batch_size
        batches = window[:whole].reshape(-1, batch_size)
        order += [*batches[rng.permutation(len(batches))].ravel(), *window[whole:]]
    return np.array(order)


_CARD = """\
---
library_name: transformers
license: apache-2.0
pipeline_tag: text-generation
tags: [arcgym, arc-agi, program-synthesis]
---

# arcgym-tiny

A causal language model of {parameters:,} parameters that reads the pairs of an ARC-AGI task, one token per cell, and
writes a Python program over `arcgym.primitives`. It was trained from scratch on synthetic tasks only. Some of them
play on input grids of ARC-AGI-2 training tasks, turned and recoloured, with other rules than theirs; nothing of
ARC-AGI-1 or of an evaluation set, and no task of the `evaluation` split of arcgym's synthetic set, is in its training
data.

| | |
|---|---|
| samples, tokens per epoch | {samples:,}, {tokens:,} |
| families | {families} |
| data hash | `{data_hash}` |
| last training loss | {loss} |
| settings | `config.yaml` beside this card |

The settings of the run of `recipes/pretrain_tiny.py` that made it are in `config.yaml`. Load it with
`AutoModelForCausalLM.from_pretrained`, or as `model_name_or_path: arcgym-tiny` in any recipe of arcgym.
"""


def write_card(folder: Path, curriculum: Curriculum, history: list[dict[str, float]], *, parameters: int) -> None:
    """Write the model card `README.md` beside the weights."""
    losses = [entry["loss"] for entry in history if "loss" in entry]
    text = _CARD.format(
        parameters=parameters,
        samples=len(curriculum.dataset),
        tokens=curriculum.num_tokens,
        families=len(FAMILIES),
        data_hash=curriculum.data_hash,
        loss=f"{losses[-1]:.3f}" if losses else "not logged",
    )
    (folder / "README.md").write_text(text)
