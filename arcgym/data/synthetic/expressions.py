"""Expressions over the primitives: what synthetic programs are made of.

A program is a list of one-line expressions of the variable `grid`, applied one after the other. `evaluate` walks the
syntax tree and calls the primitives itself; `render` writes the Python source that a policy should learn. The two are
independent ways to the same outputs, so that the generator can check one against the other.
"""

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from arcgym import primitives

HEADER = "from arcgym.primitives import *\n\n\ndef transform(grid):\n"
_Bound = Callable[[np.ndarray], Any]  # an int, a bool or a grid

STEP = "    grid = "
FOOTER = "    return grid\n"


def render(steps: Sequence[str]) -> str:
    """Write the source of the program that applies `steps` in order."""
    return HEADER + "".join(f"{STEP}{step}\n" for step in steps) + FOOTER


def evaluate(step: str, grid: np.ndarray) -> np.ndarray:
    """Apply one expression to a grid by walking its syntax tree.

    Args:
        step: Calls of primitives over `grid`, integers and booleans, such as `hconcat(grid, flip_lr(grid))`.
        grid: The value of `grid`, of shape (height, width).

    Raises:
        ValueError: The expression uses anything else, or a primitive refuses its arguments.
    """
    return _bind_step(step)(grid)


@lru_cache(maxsize=65536)
def _bind_step(step: str) -> _Bound:
    return _bind(ast.parse(step, mode="eval").body)


def _bind(node: ast.expr) -> _Bound:
    """Turn a syntax tree into a function of the grid, so that a step is walked once and applied often."""
    match node:
        case ast.Name(id="grid"):
            return lambda grid: grid
        case ast.Constant(value=int() as constant):
            return lambda grid: constant
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            negated = _bind(operand)
            return lambda grid: -negated(grid)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in primitives.__all__:
            primitive, bound = getattr(primitives, name), [_bind(arg) for arg in args]
            return lambda grid: primitive(*[argument(grid) for argument in bound])
    raise ValueError(f"{ast.unparse(node)!r} is not a call of a primitive, `grid` or an integer")
