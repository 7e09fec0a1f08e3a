"""Draw lines from, between and through cells, and let cells spread.

Only 0-cells are painted unless a function says otherwise. Where two colours reach the same cell the higher colour
wins, so that it makes no difference whether the grid is turned or mirrored before or after.
"""

import itertools
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour


def _onto_zeros(array: Grid, *layers: Grid) -> Grid:
    """Paint the highest colour of the layers onto the 0-cells."""
    return np.where(array != 0, array, np.maximum.reduce(layers))


def _shot_right(array: Grid) -> Grid:
    """Give each 0-cell the colour of the nearest nonzero cell to its left."""
    last_seen = np.where(array != 0, np.arange(array.shape[1]), 0)
    np.maximum.accumulate(last_seen, axis=1, out=last_seen)
    return np.take_along_axis(array, last_seen, axis=1)


def _shot_left(array: Grid) -> Grid:
    return _shot_right(array[:, ::-1])[:, ::-1]


def _shot_down(array: Grid) -> Grid:
    return _shot_right(array.T).T


def _shot_up(array: Grid) -> Grid:
    return _shot_right(array[::-1].T).T[::-1]


def shoot_right(grid: GridLike) -> Grid:
    """Paint a line of its colour from each nonzero cell to the right, up to the next nonzero cell or the border.

    Example:
        >>> shoot_right([[0, 1, 0, 2, 0]]).tolist()
        [[0, 1, 1, 2, 2]]
    """
    return _shot_right(as_array(grid)).copy()


def shoot_left(grid: GridLike) -> Grid:
    """Paint a line of its colour from each nonzero cell to the left, up to the next nonzero cell or the border.

    Example:
        >>> shoot_left([[0, 1, 0, 2, 0]]).tolist()
        [[1, 1, 2, 2, 0]]
    """
    return _shot_left(as_array(grid)).copy()


def shoot_up(grid: GridLike) -> Grid:
    """Paint a line of its colour from each nonzero cell upwards, up to the next nonzero cell or the border.

    Example:
        >>> shoot_up([[0, 0], [0, 3], [4, 0]]).tolist()
        [[4, 3], [4, 3], [4, 0]]
    """
    return _shot_up(as_array(grid)).copy()


def shoot_down(grid: GridLike) -> Grid:
    """Paint a line of its colour from each nonzero cell downwards, up to the next nonzero cell or the border.

    Example:
        >>> shoot_down([[0, 3], [4, 0], [0, 0]]).tolist()
        [[0, 3], [4, 3], [4, 3]]
    """
    return _shot_down(as_array(grid)).copy()


def shoot_horizontal(grid: GridLike) -> Grid:
    """Paint lines to the left and to the right of each nonzero cell, as `shoot_left` and `shoot_right` do.

    Between two cells of different colours the higher colour wins.

    Example:
        >>> shoot_horizontal([[0, 1, 0, 2, 0]]).tolist()
        [[1, 1, 2, 2, 2]]
    """
    array = as_array(grid)
    return _onto_zeros(array, _shot_left(array), _shot_right(array))


def shoot_vertical(grid: GridLike) -> Grid:
    """Paint lines up and down from each nonzero cell, as `shoot_up` and `shoot_down` do.

    Between two cells of different colours the higher colour wins.

    Example:
        >>> shoot_vertical([[0, 0], [3, 0], [0, 0]]).tolist()
        [[3, 0], [3, 0], [3, 0]]
    """
    array = as_array(grid)
    return _onto_zeros(array, _shot_up(array), _shot_down(array))


def shoot_cross(grid: GridLike) -> Grid:
    """Paint lines in the four directions from each nonzero cell, up to the next nonzero cell or the border.

    Where lines cross the higher colour wins.

    Example:
        >>> shoot_cross([[0, 0, 0], [0, 3, 0], [0, 0, 0]]).tolist()
        [[0, 3, 0], [3, 3, 3], [0, 3, 0]]
    """
    array = as_array(grid)
    return _onto_zeros(array, _shot_left(array), _shot_right(array), _shot_up(array), _shot_down(array))


def _shot_down_right(array: Grid) -> Grid:
    """Give each 0-cell the colour of the nearest nonzero cell up its diagonal to the left."""
    painted = array.copy()
    for above, row in itertools.pairwise(painted):
        row[1:] = np.where(row[1:] != 0, row[1:], above[:-1])
    return painted


def shoot_diagonal(grid: GridLike) -> Grid:
    """Paint lines in the four diagonal directions from each nonzero cell, up to the next nonzero cell or the border.

    Where lines cross the higher colour wins.

    Example:
        >>> shoot_diagonal([[0, 0, 0], [0, 3, 0], [0, 0, 0]]).tolist()
        [[3, 0, 3], [0, 3, 0], [3, 0, 3]]
    """
    array = as_array(grid)
    turns = [np.rot90(_shot_down_right(np.rot90(array, quarter)), -quarter) for quarter in range(4)]
    return _onto_zeros(array, *turns)


def _between(ahead: Grid, behind: Grid) -> Grid:
    """Keep the colour of the lines from both sides where they have the same."""
    return np.where(ahead == behind, ahead, np.int8(0))


def connect_rows(grid: GridLike) -> Grid:
    """Paint the cells between two cells of one colour on a row, when only 0-cells lie between them.

    Example:
        >>> connect_rows([[1, 0, 0, 1, 0, 2]]).tolist()
        [[1, 1, 1, 1, 0, 2]]
    """
    array = as_array(grid)
    return _onto_zeros(array, _between(_shot_right(array), _shot_left(array)))


def connect_columns(grid: GridLike) -> Grid:
    """Paint the cells between two cells of one colour on a column, when only 0-cells lie between them.

    Example:
        >>> connect_columns([[1, 2], [0, 0], [1, 0]]).tolist()
        [[1, 2], [1, 0], [1, 0]]
    """
    array = as_array(grid)
    return _onto_zeros(array, _between(_shot_down(array), _shot_up(array)))


def connect(grid: GridLike) -> Grid:
    """Paint the cells between two cells of one colour on a row or a column, when only 0-cells lie between them.

    Where lines cross the higher colour wins.

    Example:
        >>> connect([[1, 0, 1], [0, 0, 0], [1, 0, 0]]).tolist()
        [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    """
    array = as_array(grid)
    return _onto_zeros(array, connect_rows(array), connect_columns(array))


def connect_with(grid: GridLike, c: SupportsIndex) -> Grid:
    """Join the same cells as `connect`, by lines of colour `c`.

    Example:
        >>> connect_with([[1, 0, 1, 0, 2]], 8).tolist()
        [[1, 8, 1, 0, 2]]
    """
    array = as_array(grid)
    array[(connect(array) != 0) & (array == 0)] = as_colour(c)
    return array


def draw_rows_of(grid: GridLike, c: SupportsIndex) -> Grid:
    """Paint every row that holds a cell of colour `c` in `c`, whatever was there.

    Example:
        >>> draw_rows_of([[0, 1], [0, 3]], 3).tolist()
        [[0, 1], [3, 3]]
    """
    array = as_array(grid)
    array[(array == as_colour(c)).any(axis=1)] = as_colour(c)
    return array


def draw_columns_of(grid: GridLike, c: SupportsIndex) -> Grid:
    """Paint every column that holds a cell of colour `c` in `c`, whatever was there.

    Example:
        >>> draw_columns_of([[0, 1], [0, 3]], 3).tolist()
        [[0, 3], [0, 3]]
    """
    array = as_array(grid)
    array[:, (array == as_colour(c)).any(axis=0)] = as_colour(c)
    return array


def checkerboard(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells for which row + column is even.

    Example:
        >>> checkerboard([[0, 0, 0], [0, 7, 0]], 2).tolist()
        [[2, 0, 2], [0, 7, 0]]
    """
    array = as_array(grid)
    is_even = np.add.outer(np.arange(array.shape[0]), np.arange(array.shape[1])) % 2 == 0
    array[is_even & (array == 0)] = as_colour(c)
    return array


def grow(grid: GridLike) -> Grid:
    """Let each nonzero cell spread to those of its four neighbours that are 0.

    A cell that several reach takes the highest colour.

    Example:
        >>> grow([[0, 0, 0], [0, 1, 0], [0, 0, 0]]).tolist()
        [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    array = as_array(grid)
    wide = np.pad(array, 1)
    return _onto_zeros(array, wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:])


def grow_diagonal(grid: GridLike) -> Grid:
    """Let each nonzero cell spread to those of its eight neighbours that are 0.

    A cell that several reach takes the highest colour.

    Example:
        >>> grow_diagonal([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).tolist()
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    array = as_array(grid)
    height, width = array.shape
    wide = np.pad(array, 1)
    return _onto_zeros(array, *(wide[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)))
