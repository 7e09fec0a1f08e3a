"""The grammar of the synthetic families as a search space: depth-ordered enumeration and random programs.

A step is a family's template with its holes filled: `{a}` and `{b}` by colours of the task's inputs, other colours by
colours of its outputs, and integers by their range. Both searches are floors for learned policies, and measure what
the primitives can express.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from arcgym.data.synthetic.checks import run_steps, same_grid
from arcgym.data.synthetic.expressions import render
from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.family import Family
from arcgym.data.tasks import Task

_HOLE = re.compile(r"\{(\w)\}")
_State = tuple[np.ndarray | None, ...]  # one grid per input of the task


class Fit(NamedTuple):
    """A program that reproduces every train pair of a task.

    Attributes:
        steps: Its expressions.
        outputs: Its answer to each test input; `None` where it gives none.
        executions: Programs tried until then, this one included.
    """

    steps: tuple[str, ...]
    outputs: tuple[np.ndarray | None, ...]
    executions: int

    @property
    def program(self) -> str:
        """Its Python source."""
        return render(self.steps)


def steps_for(task: Task, families: Iterable[Family] | None = None) -> list[str]:
    """List the distinct steps of the grammar for a task, fewest holes first.

    Args:
        task: Its colours fill the holes.
        families: All families by default.
    """
    inputs = {int(colour) for pair in (*task.train, *task.test) for colour in np.unique(pair.input)}
    outputs = {int(colour) for pair in task.train if pair.output is not None for colour in np.unique(pair.output)}
    seen, given = sorted(inputs - {0}), sorted((inputs | outputs) - {0})
    families = sorted(families or FAMILIES.values(), key=lambda family: len(_HOLE.findall(family.template)))
    steps: dict[str, None] = {}
    for family in families:
        for filling in _fillings(family, seen, given):
            steps[family.template.format(**filling)] = None
    return list(steps)


def _fillings(family: Family, seen: Sequence[int], given: Sequence[int]) -> Iterator[Mapping[str, int]]:
    holes = sorted(set(_HOLE.findall(family.template)))
    choices = [
        range(family.ranges[hole][0], family.ranges[hole][1] + 1)
        if hole in family.ranges
        else (seen if hole in "ab" else given)
        for hole in holes
    ]
    for values in itertools.product(*choices):
        colours = [value for hole, value in zip(holes, values, strict=True) if hole not in family.ranges]
        if len(set(colours)) == len(colours):
            yield dict(zip(holes, values, strict=True))


def enumerate_fits(task: Task, *, max_depth: int = 2, max_executions: int = 100_000) -> Iterator[Fit]:
    """Yield the programs that fit a task's train pairs, shallow ones first; equal states are expanded once.

    Args:
        task: The test outputs are not read.
        max_depth: Most steps of a program.
        max_executions: Programs tried at most; one that fails on the first train pair counts too.
    """
    steps = steps_for(task)
    inputs: _State = tuple(pair.input for pair in (*task.train, *task.test))
    targets = [pair.output for pair in task.train]
    executions = 0
    level: list[tuple[tuple[str, ...], _State]] = [((), inputs)]
    known = {_key(inputs)}
    for depth in range(1, max_depth + 1):
        deeper = []
        for path, state in level:
            for step in steps:
                if executions >= max_executions:
                    return
                executions += 1
                first = apply_step(step, state[0])
                if first is None or (depth == max_depth and not _equal(first, targets[0])):
                    continue
                after = (first, *(apply_step(step, grid) for grid in state[1:]))
                if any(grid is None for grid in after[: len(targets)]):
                    continue
                if all(_equal(grid, target) for grid, target in zip(after, targets, strict=False)):
                    yield Fit((*path, step), after[len(targets) :], executions)
                if depth < max_depth and (key := _key(after)) not in known:
                    known.add(key)
                    deeper.append(((*path, step), after))
        level = deeper


def random_fits(task: Task, count: int, rng: np.random.Generator, *, max_depth: int = 2) -> Iterator[Fit]:
    """Yield those of `count` random programs that fit a task's train pairs.

    Args:
        task: The test outputs are not read.
        count: Programs drawn: a depth, then each step, all uniformly. Doubles are possible and count.
        rng: Source of randomness.
        max_depth: Most steps of a program.
    """
    steps = steps_for(task)
    for drawn in range(1, count + 1):
        path = tuple(steps[int(rng.integers(len(steps)))] for _ in range(int(rng.integers(1, max_depth + 1))))
        if all(_equal(run_steps(path, pair.input), pair.output) for pair in task.train):
            yield Fit(path, tuple(run_steps(path, pair.input) for pair in task.test), drawn)


def apply_step(step: str, grid: np.ndarray | None) -> np.ndarray | None:
    """Apply a step; `None` where there is no grid, the primitive refuses or the result is no ARC grid."""
    return None if grid is None else run_steps((step,), grid)


def _equal(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    return first is not None and second is not None and same_grid(first, second)


def _key(state: _State) -> bytes:
    return b"".join(b"|" if grid is None else bytes(grid.shape) + grid.tobytes() for grid in state)
