"""What a grid is: validation, comparison, the official palette, and drawing for terminals, SVG and images.

A grid is a read-only `int8` array of 1 to 30 rows and 1 to 30 columns of colours 0 to 9. Everything that enters arcgym
from a file, a prompt or a program passes through `as_grid`, which lists every problem of a value at once, so that a
file is repaired in one go. Booleans and floats are refused even where they equal a colour: `True == 1` and `1.0 == 1`
in Python, but a file that holds them was written by mistake, and a program that returns them has not been careful.
"""

import reprlib
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

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
LINE_COLOUR = "#555555"  # between cells: told apart from black (0) and from grey (5)

_COLOURS = bytes(range(NUM_COLOURS))
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
    if _plain_grid(value) is not None:
        return []
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
    plain = _plain_grid(value)
    if plain is not None:
        return plain
    problems = grid_problems(value)
    if problems:
        raise TaskError("not a grid: " + "; ".join(problems) + ".")
    if isinstance(value, np.ndarray) and value.dtype == np.int8 and _is_frozen(value):
        return value
    grid = np.array(value, dtype=np.int8, order="C")
    grid.setflags(write=False)
    return grid


def grids_equal(a: Grid | None, b: Grid | None) -> bool:
    """Tell whether two grids have the same shape and the same colours; a missing grid (`None`) equals nothing."""
    return a is not None and b is not None and np.array_equal(a, b)


def render_ansi(grid: Grid) -> str:
    """Draw a grid for a terminal with 24-bit colour: two spaces per cell, one line per row."""
    backgrounds = ["\x1b[48;2;{};{};{}m  ".format(*_rgb(colour)) for colour in PALETTE]
    return "\n".join("".join(backgrounds[cell] for cell in row) + "\x1b[0m" for row in grid.tolist())


def render_svg(grid: Grid, cell_px: int = 16) -> str:
    """Draw a grid as a self-contained SVG document of `width * cell_px` by `height * cell_px` pixels.

    Args:
        grid: the grid.
        cell_px: side of a cell in pixels.
    """
    height, width = (side * cell_px for side in grid.shape)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{svg_cells(grid, 0, 0, cell_px)}</svg>'


def svg_cells(grid: Grid, x: int, y: int, cell_px: int) -> str:
    """Draw a grid as part of an SVG drawing: a rectangle per run of equal cells in a row, and the lines between cells.

    Args:
        grid: the grid.
        x: left edge in pixels.
        y: upper edge in pixels.
        cell_px: side of a cell in pixels.
    """
    height, width = grid.shape
    runs = []
    for r, row in enumerate(grid.tolist()):
        c = 0
        for colour, members in groupby(row):
            length = len(list(members))
            runs.append(
                f'<rect x="{x + c * cell_px}" y="{y + r * cell_px}" width="{length * cell_px}" height="{cell_px}" '
                f'fill="{PALETTE[colour]}"/>'
            )
            c += length
    lines = [f"M{x} {y + r * cell_px}h{width * cell_px}" for r in range(height + 1)]
    lines += [f"M{x + c * cell_px} {y}v{height * cell_px}" for c in range(width + 1)]
    return f'<g>{"".join(runs)}<path d="{"".join(lines)}" stroke="{LINE_COLOUR}" fill="none"/></g>'


def render_rgb(grid: Grid, cell_px: int = 16) -> NDArray[np.uint8]:
    """Draw a grid as an image.

    Args:
        grid: the grid.
        cell_px: side of a cell in pixels, its line to the next included.

    Returns:
        Red, green and blue in 0 to 255, of shape (height * cell_px + 1, width * cell_px + 1, 3): the lines between
        cells are one pixel wide, and there is one on each edge.
    """
    palette = np.array([_rgb(colour) for colour in PALETTE], np.uint8)
    image = np.pad(palette[np.kron(grid, np.ones((cell_px, cell_px), np.int8))], ((0, 1), (0, 1), (0, 0)))
    image[::cell_px] = image[:, ::cell_px] = _rgb(LINE_COLOUR)
    return image


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _plain_grid(value: object) -> Grid | None:
    """The grid of a well-formed list of lists of `int`, as JSON files hold; `None` for anything else.

    The common case, without a Python loop over the cells: `bytes` refuses what is no integer or above 255.
    """
    if type(value) is not list or not 1 <= len(value) <= MAX_SIDE or set(map(type, value)) != {list}:
        return None
    rows: list[list[int]] = value
    width = len(rows[0])
    if not 1 <= width <= MAX_SIDE or set(map(len, rows)) != {width}:
        return None
    flat = [*chain.from_iterable(rows)]
    if set(map(type, flat)) != {int}:  # `bytes` takes booleans too
        return None
    try:
        cells = bytes(flat)
    except ValueError:
        return None
    return None if cells.translate(None, _COLOURS) else np.frombuffer(cells, np.int8).reshape(len(rows), width)


def _is_frozen(array: np.ndarray) -> bool:
    """Whether nobody can write into an array: it is read-only, and so is the memory that it looks at."""
    owner = array.base.base if isinstance(array.base, np.ndarray) else array.base
    return not array.flags.writeable and (array.base is None or isinstance(owner, bytes))


def _array_problems(array: np.ndarray) -> list[str]:
    """`grid_problems` of an array, without a Python loop over the cells of a good one."""
    if _is_good_array(array):
        return []
    if array.ndim != 2:
        return [f"an array of {array.ndim} dimensions is not a grid; give it 2: rows and columns"]
    if not np.issubdtype(array.dtype, np.integer):
        return [f"an array of {array.dtype} is not a grid; {_COLOUR_RULE}: use an integer dtype"]
    problems = []
    if not all(1 <= side <= MAX_SIDE for side in array.shape):
        problems.append(f"{array.shape[0]} rows by {array.shape[1]} columns; {_SIDE_RULE}")
    bad_cells = np.argwhere((array < 0) | (array >= NUM_COLOURS)).tolist()
    return problems + [f"row {r}, column {c}: {array[r, c]} is out of range; {_COLOUR_RULE}" for r, c in bad_cells]


def _is_good_array(array: np.ndarray) -> bool:
    """Whether an `int8` array is a grid, which is seen at once: below 0 is above 127 without sign."""
    return (
        array.dtype == np.int8
        and array.ndim == 2
        and 1 <= array.shape[0] <= MAX_SIDE
        and 1 <= array.shape[1] <= MAX_SIDE
        and bool(array.view(np.uint8).max() < NUM_COLOURS)
    )


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
                yield f"row {r}, column {c}: {_show(cell)} is not an integer; {_COLOUR_RULE}{_remedy(cell)}"
            elif not 0 <= cell < NUM_COLOURS:
                yield f"row {r}, column {c}: {_show(cell)} is out of range; {_COLOUR_RULE}"


def _remedy(cell: object) -> str:
    """What a cell of a wrong type should have been, where that is clear."""
    if isinstance(cell, float) and cell.is_integer() and 0 <= cell < NUM_COLOURS:
        return f": write {int(cell)}"
    if isinstance(cell, str) and len(cell) == 1 and cell in "0123456789":
        return f": write {cell} without quotes"
    return ""


def _show(value: object) -> str:
    """A short text for a value of any kind and size."""
    if isinstance(value, int) and abs(value) >= 10**12:  # the digits of a huge integer may not even be printable
        return f"an integer of {value.bit_length()} bits"
    return f"{type(value).__name__} {reprlib.repr(value)}"
