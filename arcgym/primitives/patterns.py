"""Continue and complete patterns: periods along rows, diagonals, symmetric objects, fractals and striped noise."""

from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour, bounding_box
from arcgym.primitives.symmetry import symmetrise_all


def continue_right(grid: GridLike) -> Grid:
    """Continue the picture to the right edge with the smallest period, in columns, that what is there has.

    What is there ends with the last column that holds something. `ValueError` when it shows less than one period
    and a half, or reaches the edge.

    Example:
        >>> continue_right([[1, 2, 1, 0, 0, 0]]).tolist()
        [[1, 2, 1, 2, 1, 2]]
    """
    array = as_array(grid)
    used = np.flatnonzero(array.any(axis=0))
    end = int(used[-1]) + 1 if len(used) else 0
    if not 0 < end < array.shape[1]:
        raise ValueError("the picture must end before the right edge")
    for period in range(1, max(1, end * 2 // 3) + 1):
        if (array[:, period:end] == array[:, : end - period]).all():
            return array[:, np.arange(array.shape[1]) % period]
    raise ValueError("the picture shows no period")


def complete_diagonals(grid: GridLike) -> Grid:
    """Fill the grid with rising diagonals whose colours repeat, as the nonzero cells show.

    The period is the number of colours. `ValueError` when the cells do not agree with it, or leave a diagonal open.

    Example:
        >>> complete_diagonals([[2, 8, 0], [8, 0, 0], [0, 0, 2]]).tolist()
        [[2, 8, 2], [8, 2, 8], [2, 8, 2]]
    """
    array = as_array(grid)
    period = len(np.unique(array[array != 0]))
    if not period:
        raise ValueError("the grid holds no colour: every cell is 0")
    place = np.add.outer(np.arange(array.shape[0]), np.arange(array.shape[1])) % period
    colours = np.array([array[place == index].max() for index in range(period)], dtype=np.int8)
    filled = colours[place]
    if (colours == 0).any() or ((array != 0) & (array != filled)).any():
        raise ValueError("the cells show no diagonals that repeat")
    return filled


def symmetrise_object(grid: GridLike) -> Grid:
    """Complete the symmetry of what is there, within its box: left to right, top to bottom, and at the diagonal.

    `ValueError` when every cell is 0.

    Example:
        >>> symmetrise_object([[0, 0, 0, 0], [3, 8, 0, 0], [0, 2, 8, 0], [0, 0, 0, 0]]).tolist()
        [[0, 0, 0, 0], [3, 8, 3, 0], [8, 2, 8, 0], [0, 0, 0, 0]]
    """
    array = as_array(grid)
    if not array.any():
        raise ValueError("the grid holds no object: every cell is 0")
    box = bounding_box(array != 0)
    array[box] = symmetrise_all(array[box])
    return array


def fractal_where(grid: GridLike, a: SupportsIndex) -> Grid:
    """Replace each cell of colour `a` by a copy of the whole grid, and every other cell by 0s of the same size.

    Example:
        >>> fractal_where([[1, 2]], 2).tolist()
        [[0, 0, 1, 2]]
    """
    array, colour = as_array(grid), as_colour(a)
    return np.kron((array == colour).astype(np.int8), array)


def fractal_most_common(grid: GridLike) -> Grid:
    """Replace each cell of the most frequent colour by a copy of the whole grid, and every other cell by 0s.

    Of equally frequent colours the lowest counts; 0 takes part.

    Example:
        >>> fractal_most_common([[1, 2, 2]]).tolist()
        [[0, 0, 0, 1, 2, 2, 1, 2, 2]]
    """
    array = as_array(grid)
    return fractal_where(array, int(np.bincount(array.ravel()).argmax()))


def denoise_rows(grid: GridLike) -> Grid:
    """Give each row its most frequent colour; of equally frequent colours the lowest counts.

    Example:
        >>> denoise_rows([[2, 2, 5], [3, 1, 3]]).tolist()
        [[2, 2, 2], [3, 3, 3]]
    """
    array = as_array(grid)
    counts = (array[:, :, None] == np.arange(10)).sum(axis=1)
    return np.repeat(counts.argmax(axis=1).astype(np.int8)[:, None], array.shape[1], axis=1)


def denoise_stripes(grid: GridLike) -> Grid:
    """Give each row, or each column, its most frequent colour: whichever changes fewer cells, rows if both do equally.

    Example:
        >>> denoise_stripes([[2, 3], [2, 3], [2, 1]]).tolist()
        [[2, 3], [2, 3], [2, 3]]
    """
    array = as_array(grid)
    rows, columns = denoise_rows(array), denoise_rows(array.T).T
    return (rows if (rows != array).sum() <= (columns != array).sum() else columns).copy()


def pad_edges(grid: GridLike) -> Grid:
    """Add a border one cell wide that repeats the outermost cells, with 0 at the four corners.

    Example:
        >>> pad_edges([[1, 2]]).tolist()
        [[0, 1, 2, 0], [1, 1, 2, 2], [0, 1, 2, 0]]
    """
    padded = np.pad(as_array(grid), 1, mode="edge")
    padded[[0, 0, -1, -1], [0, -1, 0, -1]] = 0
    return padded


def unfold_twice(grid: GridLike) -> Grid:
    """Put the mirror image and the grid side by side, and stack three of that, the outer ones upside down.

    Example:
        >>> unfold_twice([[1, 0], [2, 0]]).tolist()
        [[0, 2, 2, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 1, 1, 0]]
    """
    array = as_array(grid)
    wide = np.hstack([array[:, ::-1], array])
    return np.vstack([wide[::-1], wide, wide[::-1]])
