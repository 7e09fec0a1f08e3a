"""Generate synthetic tasks whose program is known.

A task draws one family, or composes several, fills the holes, and applies the program to random scenes. It is kept
only if

- every output is a valid ARC grid,
- neither the identity nor a constant answers it,
- no step of a composed program is superfluous on the pairs shown, and no single reflection or rotation does the same,
- the program's source, run by the Python interpreter, reproduces what the expression evaluator gave.

Tasks are reproducible: the same seed gives the same tasks, and task number `i` does not depend on how many are drawn.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from arcgym.data.synthetic.checks import explains, is_degenerate, is_superfluous, run_steps, same_grid
from arcgym.data.synthetic.expressions import render
from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.family import Family
from arcgym.data.synthetic.scenes import SCENES
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import MAX_SIDE

_INKS = np.arange(1, 10)
_ATTEMPTS_PER_TASK = 200


class Draft(NamedTuple):
    """A program and what its inputs must look like."""

    name: str
    steps: tuple[str, ...]
    scene: str
    palette: tuple[int, ...]
    side: int


def generate_tasks(
    n: int,
    *,
    seed: int,
    start: int = 0,
    families: Sequence[str] | None = None,
    max_depth: int = 2,
    composed_share: float = 0.3,
    max_side: int = 10,
    pairs: tuple[int, int] = (2, 4),
) -> Iterator[Task]:
    """Yield `n` tasks, each with its program.

    Args:
        n: Number of tasks.
        seed: Seed of the whole sequence.
        start: Number of the first task in the sequence of that seed.
        families: Names of the families to draw from; all of them by default.
        max_depth: Most steps of a program.
        composed_share: Chance of a further step after each, where `max_depth` allows it.
        max_side: Largest height and width of an input, in cells; scenes that need more room for their rule take it.
        pairs: Lowest and highest number of train pairs. One test pair is added.

    Raises:
        TaskError: A family is unknown, or gives no acceptable task within many attempts.
    """
    chosen = _choose(families)
    for index in range(start, start + n):
        yield _one_task(index, seed, chosen, max_depth, composed_share, max_side, pairs)


def _choose(names: Sequence[str] | None) -> list[Family]:
    if names is None:
        return list(FAMILIES.values())
    unknown = sorted(set(names) - FAMILIES.keys())
    if unknown:
        raise TaskError(f"Unknown synthetic families {unknown}. Known are: {', '.join(sorted(FAMILIES))}.")
    return [FAMILIES[name] for name in names]


def _one_task(
    index: int,
    seed: int,
    families: list[Family],
    max_depth: int,
    composed_share: float,
    max_side: int,
    pairs: tuple[int, int],
) -> Task:
    rng = np.random.default_rng((seed, index))
    for _ in range(_ATTEMPTS_PER_TASK):
        draft = _draft(rng, families, max_depth, composed_share, max_side)
        train_pairs = int(rng.integers(pairs[0], pairs[1] + 1))
        made = _pairs(rng, draft, train_pairs + 1)
        if made is None or is_degenerate(made) or is_superfluous(draft.steps, made):
            continue
        source = render(draft.steps)
        if explains(source, made):
            task_id = f"syn-{seed}-{index:06d}"
            return Task(task_id, tuple(made[:-1]), (made[-1],), source="synthetic", family=draft.name, program=source)
    names = ", ".join(family.name for family in families[:8])
    raise TaskError(
        f"No acceptable synthetic task in {_ATTEMPTS_PER_TASK} attempts from families {names} with max_side="
        f"{max_side}. Allow larger grids or more families."
    )


def _draft(
    rng: np.random.Generator, families: list[Family], max_depth: int, composed_share: float, max_side: int
) -> Draft:
    first = families[int(rng.integers(len(families)))]
    palette = tuple(rng.permutation(_INKS)[: int(rng.integers(2, 5))].tolist())
    names, growth = [first.name], first.growth
    steps = [first.fill(rng, palette)]
    while len(steps) < max_depth and rng.random() < composed_share:
        followers = [family for family in families if family.follows and family.name != names[-1]]
        if not followers:
            break
        following = followers[int(rng.integers(len(followers)))]
        names.append(following.name)
        steps.append(following.fill(rng, palette))
        growth *= following.growth
    scene = first.scenes[int(rng.integers(len(first.scenes)))]
    # Small grids dominate: they are cheap to train on, and a rule is the same on a large one.
    wanted = 2 + round((max_side - 2) * rng.beta(1.6, 2.2))
    return Draft("+".join(names), tuple(steps), scene, palette, max(2, min(wanted, max(3, MAX_SIDE // (2 * growth)))))


def _pairs(rng: np.random.Generator, draft: Draft, count: int) -> list[Pair] | None:
    made = []
    for _ in range(count):
        pair = _pair(rng, draft)
        if pair is None:
            return None
        made.append(pair)
    return made


def _pair(rng: np.random.Generator, draft: Draft) -> Pair | None:
    """One pair that the program changes and whose output is a grid; None where some tries give none."""
    for _ in range(4):
        grid = SCENES[draft.scene](rng, draft.palette, draft.side)
        output = run_steps(draft.steps, grid)
        if output is not None and not same_grid(output, grid) and np.count_nonzero(output):
            return Pair(grid, output)  # which validates both
    return None


def primitives_used(program: str) -> set[str]:
    """Names of the primitives that a program calls, as a set."""
    return set(re.findall(r"(\w+)\(", program)) - {"transform"}
