"""Expressions over the primitives: what synthetic programs are made of.

A program is a list of one-line expressions of the variable `grid`, applied one after the other. `evaluate` walks the
syntax tree and calls the primitives itself; `render` writes the Python source that a policy should learn. The two are
independent ways to the same outputs, so that the generator can check one against the other.
"""

import ast
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from arcgym import primitives

HEADER = "from arcgym.primitives import *\n\n\ndef transform(grid):\n"
STEP = "    grid = "
FOOTER = "    return grid\n"


def render(steps: Sequence[str]) -> str:
    """Write the source of the program that applies `steps` in order."""
    return HEADER + "".join(f"{STEP}{step}\n" for step in steps) + FOOTER


@lru_cache(maxsize=65536)
def _parse(step: str) -> ast.expr:
    return ast.parse(step, mode="eval").body


def evaluate(step: str, grid: np.ndarray) -> np.ndarray:
    """Apply one expression to a grid by walking its syntax tree.

    Args:
        step: Calls of primitives over `grid`, integers and booleans, such as `hconcat(grid, flip_lr(grid))`.
        grid: The value of `grid`, of shape (height, width).

    Raises:
        ValueError: The expression uses anything else, or a primitive refuses its arguments.
    """
    return _value(_parse(step), grid)


def _value(node: ast.expr, grid: np.ndarray):  # type: ignore[no-untyped-def]  # an int, a bool or a grid
    match node:
        case ast.Name(id="grid"):
            return grid
        case ast.Constant(value=int() as constant):
            return constant
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, grid)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in primitives.__all__:
            return getattr(primitives, name)(*(_value(arg, grid) for arg in args))
    raise ValueError(f"{ast.unparse(node)!r} is not a call of a primitive, `grid` or an integer")
