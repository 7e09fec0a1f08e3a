"""Draw lines that go on: along diagonals, through crossings, around corners, and off walls."""

import itertools
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour, regions

_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def _ray(array: Grid, row: int, column: int, dy: int, dx: int, colour: int) -> None:
    """Paint 0-cells from a cell's neighbour on, until something else or the border."""
    row, column = row + dy, column + dx
    while 0 <= row < array.shape[0] and 0 <= column < array.shape[1] and array[row, column] == 0:
        array[row, column] = colour
        row, column = row + dy, column + dx


def connect_diagonals(grid: GridLike) -> Grid:
    """Join cells of one colour on a diagonal, where nothing but 0 is between them.

    Example:
        >>> connect_diagonals([[2, 0, 0], [0, 0, 0], [0, 0, 2]]).tolist()
        [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    """
    array = as_array(grid)
    joined = array.copy()
    height, width = array.shape
    for view, target in ((array, joined), (array[:, ::-1], joined[:, ::-1])):
        for offset in range(1 - height, width):
            diagonal = np.diagonal(view, offset)
            for start, stop in itertools.pairwise(np.flatnonzero(diagonal).tolist()):
                if diagonal[start] == diagonal[stop]:
                    steps = np.arange(start + 1, stop)
                    target[steps + max(0, -offset), steps + max(0, offset)] = diagonal[start]
    return joined


def extend_tails(grid: GridLike) -> Grid:
    """Draw a diagonal line on from each tail: a cell whose only neighbour of its colour is at a corner.

    The line goes away from the neighbour, over 0-cells.

    Example:
        >>> extend_tails([[3, 3, 0, 0], [3, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]]).tolist()
        [[3, 3, 0, 0], [3, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 3]]
    """
    array = as_array(grid)
    drawn = array.copy()
    padded = np.pad(array, 1)
    for row, column in np.argwhere(array != 0).tolist():
        colour = int(array[row, column])
        around = padded[row : row + 3, column : column + 3] == colour
        if np.count_nonzero(around) != 2:
            continue
        for dy, dx in _CORNERS:
            if around[1 + dy, 1 + dx]:
                _ray(drawn, row, column, -dy, -dx, colour)
    return drawn


def shoot_from_corners(grid: GridLike) -> Grid:
    """Draw diagonal lines outwards from the four corners of each object's box, over 0-cells, in its colour.

    Example:
        >>> shoot_from_corners([[0, 0, 0, 0], [0, 5, 5, 0], [0, 5, 5, 0], [0, 0, 0, 0]]).tolist()
        [[5, 0, 0, 5], [0, 5, 5, 0], [0, 5, 5, 0], [5, 0, 0, 5]]
    """
    array = as_array(grid)
    drawn = array.copy()
    for mask in regions(array, diagonal=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        for dy, dx in _CORNERS:
            row, column = int(rows[0 if dy < 0 else -1]), int(columns[0 if dx < 0 else -1])
            _ray(drawn, row, column, dy, dx, int(array[mask][0]))
    return drawn


def cross_lines(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw the whole row and column of each nonzero cell in its colour; where different colours cross stands `c`.

    Example:
        >>> cross_lines([[8, 0, 0], [0, 0, 0], [0, 0, 7]], 2).tolist()
        [[8, 8, 2], [8, 0, 7], [2, 7, 7]]
    """
    array, colour = as_array(grid), as_colour(c)
    return _crossed(np.where(array != 0, array, 0).max(axis=1), array.max(axis=0), colour)


def extend_lines(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw straight objects on to both ends of the grid; where a row and a column cross stands `c`.

    A straight object has at least two cells in a row or column. Everything else vanishes. `ValueError` when there is
    none.

    Example:
        >>> extend_lines([[0, 8, 0], [0, 8, 0], [0, 0, 0], [2, 0, 0]][:3], 4).tolist()
        [[0, 8, 0], [0, 8, 0], [0, 8, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    across, down = np.zeros(array.shape[0], dtype=np.int8), np.zeros(array.shape[1], dtype=np.int8)
    for mask in regions(array, diagonal=False):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) == 1 < len(columns):
            across[rows[0]] = array[mask][0]
        elif len(columns) == 1 < len(rows):
            down[columns[0]] = array[mask][0]
    if not across.any() and not down.any():
        raise ValueError("the grid holds no straight object of two cells or more")
    return _crossed(across, down, colour)


def _crossed(across: Grid, down: Grid, colour: int) -> Grid:
    """Paint rows and columns; a crossing of different colours is `colour`, one of equal colours keeps it."""
    rows, columns = np.broadcast_arrays(across[:, None], down[None, :])
    crossing = (rows != 0) & (columns != 0) & (rows != columns)
    return np.where(crossing, np.int8(colour), np.maximum(rows, columns)).astype(np.int8)


def connect_elbow(grid: GridLike, c: SupportsIndex) -> Grid:
    """Join two single cells by a line of colour `c`: from the lower colour along its row, then along a column.

    `ValueError` unless there are exactly two nonzero cells.

    Example:
        >>> connect_elbow([[2, 0, 0], [0, 0, 0], [0, 0, 3]], 8).tolist()
        [[2, 8, 8], [0, 0, 8], [0, 0, 3]]
    """
    array, colour = as_array(grid), as_colour(c)
    cells = np.argwhere(array != 0).tolist()
    if len(cells) != 2:
        raise ValueError(f"exactly two nonzero cells are needed, found {len(cells)}")
    (row, column), (end_row, end_column) = sorted(cells, key=lambda cell: int(array[cell[0], cell[1]]))
    drawn = array.copy()
    drawn[row, min(column, end_column) : max(column, end_column) + 1] = colour
    drawn[min(row, end_row) : max(row, end_row) + 1, end_column] = colour
    return np.where(array != 0, array, drawn)


def meet_halfway(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw a line from each end of a row with two nonzero cells to the middle, where `c` stands if there is one cell.

    Other rows stay.

    Example:
        >>> meet_halfway([[1, 0, 0, 0, 2]], 5).tolist()
        [[1, 1, 5, 2, 2]]
    """
    array, colour = as_array(grid), as_colour(c)
    for line in array:
        ends = np.flatnonzero(line)
        if len(ends) != 2:
            continue
        start, stop = ends.tolist()
        half = (stop - start + 1) // 2
        line[start : start + half] = line[start]
        line[stop - half + 1 : stop + 1] = line[stop]
        if (stop - start) % 2 == 0:
            line[start + half] = colour
    return array


def shoot_dashed(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw a dashed line to the right from each nonzero cell: its own colour and colour `c` in turn.

    Example:
        >>> shoot_dashed([[0, 8, 0, 0, 0]], 5).tolist()
        [[0, 8, 5, 8, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    for line in array:
        for place in range(1, len(line)):
            if line[place] == 0 and line[place - 1] != 0:
                seeds = np.flatnonzero(line[:place] != colour)
                own = int(line[seeds[-1]]) if len(seeds) else 0
                line[place] = colour if line[place - 1] != colour else own
    return array


def bounce_up(grid: GridLike) -> Grid:
    """Send a diagonal line up and to the right from each nonzero cell of the last row; it bounces off the sides.

    Example:
        >>> bounce_up([[0, 0], [0, 0], [0, 0], [1, 0]]).tolist()
        [[0, 1], [1, 0], [0, 1], [1, 0]]
    """
    array = as_array(grid)
    height, width = array.shape
    steps = np.arange(height)
    for start in np.flatnonzero(array[-1]).tolist():
        period = max(1, 2 * (width - 1))
        folded = (start + steps) % period
        columns = np.where(folded < width, folded, period - folded)
        array[height - 1 - steps, columns] = array[-1, start]
    return array


def elbow_rays(grid: GridLike) -> Grid:
    """Draw a line to the right from each nonzero cell to the border, and down it until the next line.

    Example:
        >>> elbow_rays([[0, 8, 0], [0, 0, 0], [7, 0, 0], [0, 0, 0]]).tolist()
        [[0, 8, 8], [0, 0, 8], [7, 7, 7], [0, 0, 7]]
    """
    array = as_array(grid)
    drawn = array.copy()
    for row in np.flatnonzero(array.any(axis=1)).tolist():
        column = int(np.flatnonzero(array[row])[-1])
        drawn[row, column:] = array[row, column]
        drawn[row:, -1] = array[row, column]
    return drawn


def project_markers(grid: GridLike) -> Grid:
    """Copy each single cell onto the nearest cell of the largest object that it faces in its row or column.

    `ValueError` when there is no object of two cells or more.

    Example:
        >>> project_markers([[0, 9, 0], [0, 0, 0], [0, 8, 8]]).tolist()
        [[0, 9, 0], [0, 0, 0], [0, 9, 8]]
    """
    array = as_array(grid)
    masks = regions(array, diagonal=False)
    body = max(masks, key=np.count_nonzero, default=None)
    if body is None or np.count_nonzero(body) < 2:
        raise ValueError("the grid holds no object of two cells or more")
    marked = array.copy()
    for mask in masks:
        if np.count_nonzero(mask) > 1:
            continue
        row, column = (int(place[0]) for place in np.nonzero(mask))
        in_row, in_column = np.flatnonzero(body[row]), np.flatnonzero(body[:, column])
        if len(in_row):
            marked[row, in_row[np.abs(in_row - column).argmin()]] = array[row, column]
        elif len(in_column):
            marked[in_column[np.abs(in_column - row).argmin()], column] = array[row, column]
    return marked
