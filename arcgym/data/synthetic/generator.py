"""Generate synthetic tasks whose program is known.

A task draws one family, or composes two, fills the holes, and applies the program to random scenes. It is kept only if

- every output is a valid ARC grid,
- neither the identity nor a constant answers it,
- no step of a composed program is superfluous on the pairs shown, and no single reflection or rotation does the same,
- the program's source, run by the Python interpreter, reproduces what the expression evaluator gave.

Tasks are reproducible: the same seed gives the same tasks, and task number `i` does not depend on how many are drawn.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from arcgym.data.synthetic.expressions import evaluate, render
from arcgym.data.synthetic.families import FAMILIES, Family
from arcgym.data.synthetic.scenes import SCENES
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import MAX_SIDE

_SHORTCUTS = (
    *("flip_lr(grid)", "flip_ud(grid)", "rotate_cw(grid)", "rotate_ccw(grid)", "rotate_180(grid)", "transpose(grid)"),
    "anti_transpose(grid)",
)
_FOLLOWERS = [family for family in FAMILIES.values() if family.follows]
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
        max_depth: Most steps of a program, 1 or 2.
        composed_share: Share of tasks with two steps, where `max_depth` allows it.
        max_side: Largest height and width of an input, in cells.
        pairs: Lowest and highest number of train pairs. One test pair is added.

    Raises:
        TaskError: A family is unknown, or gives no acceptable task within many attempts.
    """
    chosen = _choose(families)
    for index in range(start, start + n):
        yield _one_task(index, seed, chosen, composed_share if max_depth > 1 else 0.0, max_side, pairs)


def _choose(names: Sequence[str] | None) -> list[Family]:
    if names is None:
        return list(FAMILIES.values())
    unknown = sorted(set(names) - FAMILIES.keys())
    if unknown:
        raise TaskError(f"Unknown synthetic families {unknown}. Known are: {', '.join(sorted(FAMILIES))}.")
    return [FAMILIES[name] for name in names]


def _one_task(
    index: int, seed: int, families: list[Family], composed_share: float, max_side: int, pairs: tuple[int, int]
) -> Task:
    rng = np.random.default_rng((seed, index))
    for _ in range(_ATTEMPTS_PER_TASK):
        draft = _draft(rng, families, composed_share, max_side)
        train_pairs = int(rng.integers(pairs[0], pairs[1] + 1))
        made = _pairs(rng, draft, train_pairs + 1)
        if made is None or _is_degenerate(made) or _is_superfluous(draft, made):
            continue
        source = render(draft.steps)
        if _explains(source, made):
            task_id = f"syn-{seed}-{index:06d}"
            return Task(task_id, tuple(made[:-1]), (made[-1],), source="synthetic", family=draft.name, program=source)
    names = ", ".join(family.name for family in families[:8])
    raise TaskError(
        f"No acceptable synthetic task in {_ATTEMPTS_PER_TASK} attempts from families {names} with max_side="
        f"{max_side}. Allow larger grids or more families."
    )


def _draft(rng: np.random.Generator, families: list[Family], composed_share: float, max_side: int) -> Draft:
    first = families[int(rng.integers(len(families)))]
    palette = tuple(rng.permutation(_INKS)[: int(rng.integers(2, 5))].tolist())
    names, growth = [first.name], first.growth
    steps = [_fill(rng, first, palette)]
    if rng.random() < composed_share:
        followers = [family for family in _FOLLOWERS if family.name != first.name]
        second = followers[int(rng.integers(len(followers)))]
        names.append(second.name)
        steps.append(_fill(rng, second, palette))
        growth *= second.growth
    scene = first.scenes[int(rng.integers(len(first.scenes)))]
    # Small grids dominate: they are cheap to train on, and a rule is the same on a large one.
    wanted = 2 + round((max_side - 2) * rng.beta(1.6, 2.2))
    return Draft("+".join(names), tuple(steps), scene, palette, max(2, min(wanted, max(3, MAX_SIDE // (2 * growth)))))


def _fill(rng: np.random.Generator, family: Family, palette: tuple[int, ...]) -> str:
    others = rng.permutation([colour for colour in range(1, 10) if colour not in palette]).tolist()
    # `{c}` is mostly new; now and then it is a colour of the inputs, as in real tasks.
    third = palette[-1] if len(palette) > 2 and rng.random() < 0.15 else others[0]
    holes = {"a": palette[0], "b": palette[1], "c": third, "d": others[1]}
    holes |= {hole: int(rng.integers(low, high + 1)) for hole, (low, high) in family.ranges.items()}
    return family.template.format(**holes)


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
        output = _run(draft.steps, grid)
        if output is not None and not _equal(output, grid) and np.count_nonzero(output):
            return Pair(grid, output)  # which validates both
    return None


def _run(steps: Sequence[str], grid: np.ndarray) -> np.ndarray | None:
    for step in steps:
        try:
            grid = evaluate(step, grid)
        except (ValueError, IndexError):
            return None  # a primitive that refuses this scene: the generator draws another
        if grid.ndim != 2 or not all(1 <= length <= MAX_SIDE for length in grid.shape):
            return None
    return grid


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    """`np.array_equal`, several times as fast on small grids."""
    return first.shape == second.shape and not np.count_nonzero(first != second)


def _is_degenerate(pairs: list[Pair]) -> bool:
    """Whether a constant program would pass, or two inputs are the same; `_pair` rules the identity out."""
    outputs = {(pair.output.shape, pair.output.tobytes()) for pair in pairs if pair.output is not None}
    inputs = {(pair.input.shape, pair.input.tobytes()) for pair in pairs}
    return len(outputs) == 1 or len(inputs) < len(pairs)


def _is_superfluous(draft: Draft, pairs: list[Pair]) -> bool:
    if len(draft.steps) == 1:
        return False
    simpler = [(step,) for step in (*draft.steps, *_SHORTCUTS)]
    return any(all(_gives(steps, pair) for pair in pairs) for steps in simpler)


def _gives(steps: Sequence[str], pair: Pair) -> bool:
    output = _run(steps, pair.input)
    return output is not None and pair.output is not None and _equal(output, pair.output)


@lru_cache(maxsize=16384)
def _compiled(source: str):  # type: ignore[no-untyped-def]  # the program's `transform`
    namespace: dict[str, object] = {}
    exec(source, namespace)  # our own templates, never a policy's program
    return namespace["transform"]


def _explains(source: str, pairs: list[Pair]) -> bool:
    transform = _compiled(source)
    return all(_equal(transform(pair.input.copy()), pair.output) for pair in pairs if pair.output is not None)


def primitives_used(program: str) -> set[str]:
    """Names of the primitives that a program calls, as a set."""
    return set(re.findall(r"(\w+)\(", program)) - {"transform"}
