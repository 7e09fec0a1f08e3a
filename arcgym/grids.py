"""What a grid is: validation, comparison, the official palette, and drawing for terminals and SVG.

A grid is a read-only `int8` array of 1 to 30 rows and 1 to 30 columns of colours 0 to 9. Everything that enters arcgym
from a file, a prompt or a program passes through `as_grid`, which lists every problem of a value at once, so that a
file is repaired in one go. Booleans and floats are refused even where they equal a colour: `True == 1` and `1.0 == 1`
in Python, but a file that holds them was written by mistake, and a program that returns them has not been careful.
"""

import reprlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from arcgym.errors import TaskError

Grid = NDArray[np.int8]

MAX_SIDE = 30
NUM_COLOURS = 10
PALETTE: tuple[str, ...] = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)

_SIDE_RULE = f"a grid has 1 to {MAX_SIDE} rows and 1 to {MAX_SIDE} columns"
_COLOUR_RULE = f"a colour is a whole number from 0 to {NUM_COLOURS - 1}"


def grid_problems(value: object) -> list[str]:
    """List everything that keeps a value from being a grid.

    Args:
        value: a list (or tuple) of rows of integers, or an integer array of two dimensions.

    Returns:
        One sentence per problem, with the row and the column (both counted from 0) where there is one, and what is
        allowed instead. Empty when the value is a valid grid.
    """
    if isinstance(value, np.ndarray):
        return _array_problems(value)
    if not isinstance(value, list | tuple):
        return [f"{_show(value)} is not a grid; write a list of rows, each a list of colours"]
    return list(_rows_problems(value))


def as_grid(value: object) -> Grid:
    """Turn a value into a grid, or say everything that is wrong with it.

    Args:
        value: a list (or tuple) of rows of integers, or an integer array of two dimensions.

    Returns:
        A read-only `int8` array of shape (height, width) that shares no memory with a writable `value`.

    Raises:
        TaskError: the value is not a grid; the message lists every problem.
    """
    problems = grid_problems(value)
    if problems:
        raise TaskError("not a grid: " + "; ".join(problems) + ".")
    if isinstance(value, np.ndarray) and value.dtype == np.int8 and value.base is None and not value.flags.writeable:
        return value
    grid = np.array(value, dtype=np.int8, order="C")
    grid.setflags(write=False)
    return grid


def grids_equal(a: Grid | None, b: Grid | None) -> bool:
    """Tell whether two grids have the same shape and the same colours; a missing grid (`None`) equals nothing."""
    return a is not None and b is not None and np.array_equal(a, b)


def render_ansi(grid: Grid) -> str:
    """Draw a grid for a terminal with 24-bit colour: two spaces per cell, one line per row."""
    backgrounds = [
        f"\x1b[48;2;{int(colour[1:3], 16)};{int(colour[3:5], 16)};{int(colour[5:7], 16)}m  " for colour in PALETTE
    ]
    return "\n".join("".join(backgrounds[cell] for cell in row) + "\x1b[0m" for row in grid.tolist())


def render_svg(grid: Grid, cell_px: int = 16) -> str:
    """Draw a grid as a self-contained SVG document.

    Args:
        grid: the grid.
        cell_px: side of a cell in pixels.

    Returns:
        The SVG text, `width * cell_px` by `height * cell_px` pixels, one rectangle per cell.
    """
    height, width = grid.shape
    side = f'width="{cell_px}" height="{cell_px}"'
    cells = "".join(
        f'<rect x="{c * cell_px}" y="{r * cell_px}" {side} fill="{PALETTE[cell]}"/>'
        for r, row in enumerate(grid.tolist())
        for c, cell in enumerate(row)
    )
    size = f'width="{width * cell_px}" height="{height * cell_px}" viewBox="0 0 {width * cell_px} {height * cell_px}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><g stroke="#555555" stroke-width="1">{cells}</g></svg>'


def _array_problems(array: np.ndarray) -> list[str]:
    """`grid_problems` of an array, without a Python loop over the cells of a good one."""
    if array.ndim != 2:
        return [f"an array of {array.ndim} dimensions is not a grid; give it 2: rows and columns"]
    if not np.issubdtype(array.dtype, np.integer):
        return [f"an array of {array.dtype} is not a grid; {_COLOUR_RULE}: use an integer dtype"]
    problems = []
    if not all(1 <= side <= MAX_SIDE for side in array.shape):
        problems.append(f"{array.shape[0]} rows by {array.shape[1]} columns; {_SIDE_RULE}")
    bad_cells = np.argwhere((array < 0) | (array >= NUM_COLOURS)).tolist()
    return problems + [f"row {r}, column {c}: {array[r, c]} is out of range; {_COLOUR_RULE}" for r, c in bad_cells]


def _rows_problems(rows: Sequence[object]) -> Iterator[str]:
    """`grid_problems` of a list of rows."""
    if not 1 <= len(rows) <= MAX_SIDE:
        yield f"{len(rows)} rows; {_SIDE_RULE}"
    width: int | None = None
    for r, row in enumerate(rows):
        if isinstance(row, np.ndarray) and row.ndim == 1:
            row = list(row)
        if not isinstance(row, list | tuple):
            yield f"row {r}: {_show(row)} is not a row; write a list of colours"
            continue
        if not 1 <= len(row) <= MAX_SIDE:
            yield f"row {r}: {len(row)} columns; {_SIDE_RULE}"
        if width is None:
            width = len(row)
        elif len(row) != width:
            yield f"row {r}: {len(row)} columns, but the rows before have {width}; make all rows equally long"
            width = max(width, len(row))
        for c, cell in enumerate(row):
            if isinstance(cell, bool) or not isinstance(cell, int | np.integer):
                yield f"row {r}, column {c}: {_show(cell)} is not an integer; {_COLOUR_RULE}"
            elif not 0 <= cell < NUM_COLOURS:
                yield f"row {r}, column {c}: {_show(cell)} is out of range; {_COLOUR_RULE}"


def _show(value: object) -> str:
    """A short text for a value of any kind and size."""
    if isinstance(value, int) and abs(value) >= 10**12:  # the digits of a huge integer may not even be printable
        return f"an integer of {value.bit_length()} bits"
    return f"{type(value).__name__} {reprlib.repr(value)}"
