"""Lines between cells and through the grid: spans, lines to an object, crossings, spirals, and what repeats."""

import itertools
from collections.abc import Iterator
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box, regions
from arcgym.primitives.lines import connect_columns, connect_rows
from arcgym.primitives.patterns import denoise_rows


def connect_rows_with(grid: GridLike, c: SupportsIndex) -> Grid:
    """Join the same cells as `connect_rows`, by lines of colour `c`.

    Example:
        >>> connect_rows_with([[1, 0, 1, 0, 2]], 8).tolist()
        [[1, 8, 1, 0, 2]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[(connect_rows(array) != 0) & (array == 0)] = colour
    return array


def connect_columns_with(grid: GridLike, c: SupportsIndex) -> Grid:
    """Join the same cells as `connect_columns`, by lines of colour `c`.

    Example:
        >>> connect_columns_with([[1], [0], [1], [0], [2]], 8).tolist()
        [[1], [8], [1], [0], [2]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[(connect_columns(array) != 0) & (array == 0)] = colour
    return array


def _spans(array: Grid) -> Iterator[tuple[int, slice, int]]:
    """Yield row, columns and colour of the stretch from the first to the last cell of each colour in each row."""
    for row, line in enumerate(array):
        for colour in np.unique(line[line != 0]).tolist():
            places = np.flatnonzero(line == colour)
            if len(places) > 1:
                yield row, slice(int(places[0]), int(places[-1]) + 1), colour


def connect_across(grid: GridLike) -> Grid:
    """Draw a line from the first to the last cell of a colour in each row, then in each column, over all between.

    Where lines cross the one in the column is on top; in one row or column the higher colour is.

    Example:
        >>> connect_across([[0, 4, 0], [3, 0, 3], [0, 4, 0]]).tolist()
        [[0, 4, 0], [3, 4, 3], [0, 4, 0]]
    """
    array = as_array(grid)
    drawn = array.copy()
    for row, columns, colour in _spans(array):
        drawn[row, columns] = colour
    for column, rows, colour in _spans(array.T):
        drawn[rows, column] = colour
    return drawn


def connect_borders(grid: GridLike) -> Grid:
    """Draw a line between equal nonzero cells that face each other across the whole grid; all else vanishes.

    The borders themselves are no such lines, and columns lie over rows. `ValueError` when no cells face each other.

    Example:
        >>> connect_borders([[5, 2, 2], [3, 1, 3], [0, 2, 4]]).tolist()
        [[0, 2, 0], [3, 2, 3], [0, 2, 0]]
    """
    array = as_array(grid)
    across = np.where(array[:, :1] == array[:, -1:], array[:, :1], np.int8(0))
    down = np.where(array[:1] == array[-1:], array[:1], np.int8(0))
    across[[0, -1]] = 0
    down[:, [0, -1]] = 0
    if not across.any() and not down.any():
        raise ValueError("no two equal cells face each other across the grid")
    return np.where(down != 0, down, across)


def shoot_at_largest(grid: GridLike) -> Grid:
    """Draw a line from each single cell to the largest object where it faces it in its row or column.

    Lines go over background only: 0, or the most frequent colour of a grid without 0. `ValueError` when there is no
    object of two cells or more.

    Example:
        >>> shoot_at_largest([[3, 3, 0, 0, 1], [3, 3, 0, 0, 0]]).tolist()
        [[3, 3, 1, 1, 1], [3, 3, 0, 0, 0]]
    """
    array = as_array(grid)
    ground = 0 if (array == 0).any() else int(np.bincount(array.ravel()).argmax())
    content = np.where(array == ground, np.int8(0), array)
    masks = regions(content, diagonal=False)
    body = max(masks, key=np.count_nonzero, default=None)
    if body is None or np.count_nonzero(body) < 2:
        raise ValueError("the grid holds no object of two cells or more")
    for mask in masks:
        if np.count_nonzero(mask) > 1:
            continue
        row, column = (int(place[0]) for place in np.nonzero(mask))
        _join(array[row], content[row], body[row], column)
        _join(array[:, column], content[:, column], body[:, column], row)
    return array


def _join(line: Grid, content: Grid, target: Mask, start: int) -> None:
    """Paint a line from one place to the nearest target, if there is one and nothing is between, in place."""
    places = np.flatnonzero(target)
    if len(places):
        nearest = int(places[np.abs(places - start).argmin()])
        between = slice(min(nearest, start) + 1, max(nearest, start))
        if not content[between].any():
            line[between] = content[start]


def _full_lines(array: Grid) -> tuple[list[int], list[int]]:
    """Return the rows and the columns without a 0, which must cross and leave something free."""
    rows = np.flatnonzero((array != 0).all(axis=1)).tolist()
    columns = np.flatnonzero((array != 0).all(axis=0)).tolist()
    if not rows or not columns or not (array == 0).any():
        raise ValueError("a row and a column without 0-cells are needed, and a 0-cell beside them")
    return rows, columns


def ring_crossings(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the eight neighbours of each cell where a row and a column without 0-cells cross.

    `ValueError` when there is no crossing.

    Example:
        >>> ring_crossings([[0, 3, 0, 0], [2, 2, 2, 2], [0, 3, 0, 0]], 4).tolist()
        [[4, 4, 4, 0], [4, 2, 4, 2], [4, 4, 4, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    ringed = array.copy()
    for row, column in itertools.product(*_full_lines(array)):
        ringed[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = colour
        ringed[row, column] = array[row, column]
    return ringed


def swap_crossings(grid: GridLike) -> Grid:
    """Bring the other line to the top at each cell where a row and a column without 0-cells cross.

    `ValueError` when there is no crossing.

    Example:
        >>> swap_crossings([[0, 3, 0], [2, 3, 2], [0, 3, 0]]).tolist()
        [[0, 3, 0], [2, 2, 2], [0, 3, 0]]
    """
    array = as_array(grid)
    rows, columns = _full_lines(array)
    across = [int(np.bincount(array[row]).argmax()) for row in rows]
    down = [int(np.bincount(array[:, column]).argmax()) for column in columns]
    for (row, first), (column, second) in itertools.product(
        zip(rows, across, strict=True), zip(columns, down, strict=True)
    ):
        array[row, column] = first + second - array[row, column] if array[row, column] in (first, second) else first
    return array


def cut_stripes(grid: GridLike) -> Grid:
    """Cut each stripe straight through, with 0, at each 0-cell in it.

    Stripes are neighbouring rows, or columns, of one most frequent colour: whichever fit better, rows if both do.

    Example:
        >>> cut_stripes([[8, 8, 8], [8, 0, 8], [2, 2, 2]]).tolist()
        [[8, 0, 8], [8, 0, 8], [2, 2, 2]]
    """
    array = as_array(grid)
    rows, columns = denoise_rows(array), denoise_rows(array.T)
    if (rows != array).sum() <= (columns != array.T).sum():
        _cut(array, rows[:, 0])
    else:
        _cut(array.T, columns[:, 0])
    return array


def _cut(array: Grid, colours: Grid) -> None:
    """Set the columns of each stretch of rows of one colour to 0 that hold a 0, in place."""
    edges = [0, *(np.flatnonzero(np.diff(colours)) + 1).tolist(), len(colours)]
    for start, stop in itertools.pairwise(edges):
        stripe = array[start:stop]
        stripe[:, (stripe == 0).any(axis=0)] = 0


def spiral(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw a spiral of colour `c` from the top left corner clockwise inwards, one cell wide, with gaps of one cell.

    Example:
        >>> spiral([[0] * 5] * 5, 3).tolist()
        [[3, 3, 3, 3, 3], [0, 0, 0, 0, 3], [3, 3, 3, 0, 3], [3, 0, 0, 0, 3], [3, 3, 3, 3, 3]]
    """
    array, colour = as_array(grid), as_colour(c)
    height, width = array.shape
    # two cells of margin, so that looking two cells ahead stays inside; the outer one is free and the inner one wall
    drawn = np.zeros((height + 4, width + 4), dtype=np.bool_)
    drawn[[0, -1]] = drawn[:, [0, -1]] = True
    row, column, dy, dx = 2, 2, 0, 1
    drawn[row, column] = True
    turns = 0
    while turns < 2:
        free_ahead = not drawn[row + dy, column + dx] and not drawn[row + 2 * dy, column + 2 * dx]
        if free_ahead and 2 <= row + dy < height + 2 and 2 <= column + dx < width + 2:
            row, column, turns = row + dy, column + dx, 0
            drawn[row, column] = True
        else:
            dy, dx, turns = dx, -dy, turns + 1
    array[drawn[2:-2, 2:-2]] = colour
    return array


def repeat_down(grid: GridLike) -> Grid:
    """Repeat the rows from the first to the last that hold something, upwards and downwards to the edges.

    `ValueError` when every cell is 0.

    Example:
        >>> repeat_down([[0, 0], [1, 0], [2, 2], [0, 0]]).tolist()
        [[2, 2], [1, 0], [2, 2], [1, 0]]
    """
    array = as_array(grid)
    if not array.any():
        raise ValueError("the grid holds nothing to repeat: every cell is 0")
    rows, _ = bounding_box(array != 0)
    period = rows.stop - rows.start
    return array[rows.start + (np.arange(array.shape[0]) - rows.start) % period]


def repeat_across(grid: GridLike) -> Grid:
    """Repeat the columns from the first to the last that hold something, to the left and to the right edge.

    `ValueError` when every cell is 0.

    Example:
        >>> repeat_across([[0, 1, 2, 0]]).tolist()
        [[2, 1, 2, 1]]
    """
    return repeat_down(as_array(grid).T).T.copy()


def repeat_runs(grid: GridLike) -> Grid:
    """Repeat each run of two nonzero cells or more along its row, or its column, to both edges, over 0-cells.

    Only rows and columns with one run are continued; rows go first.

    Example:
        >>> repeat_runs([[0, 0, 0, 0], [0, 8, 3, 0], [0, 2, 0, 0]]).tolist()
        [[0, 2, 0, 0], [3, 8, 3, 8], [0, 2, 0, 0]]
    """
    array = as_array(grid)
    drawn = array.copy()
    for view, target in ((array, drawn), (array.T, drawn.T)):
        for line, out in zip(view, target, strict=True):
            places = np.flatnonzero(line)
            if len(places) > 1 and places[-1] - places[0] == len(places) - 1:
                repeated = line[places[0] + (np.arange(len(line)) - places[0]) % len(places)]
                out[:] = np.where(out != 0, out, repeated)
    return drawn
