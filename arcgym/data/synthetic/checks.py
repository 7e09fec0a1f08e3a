"""What makes pairs and a program a task: valid outputs, a rule that shows, and no simpler program for it."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from arcgym.data.synthetic.expressions import evaluate
from arcgym.data.tasks import Pair
from arcgym.grids import MAX_SIDE

_SHORTCUTS = (
    ("flip_lr(grid)",),
    ("flip_ud(grid)",),
    ("rotate_cw(grid)",),
    ("rotate_ccw(grid)",),
    ("rotate_180(grid)",),
    ("transpose(grid)",),
    ("anti_transpose(grid)",),
)


def run_steps(steps: Sequence[str], grid: np.ndarray) -> np.ndarray | None:
    """Apply steps one after the other; `None` where one refuses, or gives what is no ARC grid."""
    for step in steps:
        try:
            grid = evaluate(step, grid)
        except (ValueError, IndexError):
            return None  # a primitive that refuses this scene: the generator draws another
        if grid.ndim != 2 or not all(1 <= length <= MAX_SIDE for length in grid.shape):
            return None
    return grid


def same_grid(first: np.ndarray, second: np.ndarray) -> bool:
    """`np.array_equal`, several times as fast on small grids."""
    return first.shape == second.shape and not np.count_nonzero(first != second)


def is_degenerate(pairs: list[Pair]) -> bool:
    """Whether a constant program would pass, or two inputs are the same; the identity is the caller's to rule out."""
    outputs = {(pair.output.shape, pair.output.tobytes()) for pair in pairs if pair.output is not None}
    inputs = {(pair.input.shape, pair.input.tobytes()) for pair in pairs}
    return len(outputs) == 1 or len(inputs) < len(pairs)


def is_superfluous(steps: Sequence[str], pairs: list[Pair]) -> bool:
    """Whether the pairs can be had with a step less, or by one reflection or rotation."""
    if len(steps) == 1:
        return False
    shorter = [(*steps[:place], *steps[place + 1 :]) for place in range(len(steps))]
    simpler = [*shorter, *((step,) for step in steps), *_SHORTCUTS]
    return any(all(gives(fewer, pair) for pair in pairs) for fewer in simpler)


def gives(steps: Sequence[str], pair: Pair) -> bool:
    """Whether the steps turn the pair's input into its output."""
    output = run_steps(steps, pair.input)
    return output is not None and pair.output is not None and same_grid(output, pair.output)


@lru_cache(maxsize=16384)
def _compiled(source: str):  # type: ignore[no-untyped-def]  # the program's `transform`
    namespace: dict[str, object] = {}
    exec(source, namespace)  # our own templates, never a policy's program
    return namespace["transform"]


def explains(source: str, pairs: list[Pair]) -> bool:
    """Whether the program, run by Python itself, reproduces every output."""
    transform = _compiled(source)
    return all(same_grid(transform(pair.input.copy()), pair.output) for pair in pairs if pair.output is not None)
