"""Let cells fall, and put rows, columns and colours in order."""

import numpy as np

from arcgym.primitives._arrays import NUM_COLOURS, Grid, GridLike, as_array


def _fallen_down(array: Grid) -> Grid:
    """Let the nonzero cells of each column fall, keeping their order."""
    return np.take_along_axis(array, np.argsort(array != 0, axis=0, kind="stable"), axis=0)


def gravity_down(grid: GridLike) -> Grid:
    """Let the nonzero cells of each column fall to the bottom, keeping their order.

    Example:
        >>> gravity_down([[1, 2], [3, 0], [0, 0]]).tolist()
        [[0, 0], [1, 0], [3, 2]]
    """
    return _fallen_down(as_array(grid))


def gravity_up(grid: GridLike) -> Grid:
    """Let the nonzero cells of each column rise to the top, keeping their order.

    Example:
        >>> gravity_up([[0, 0], [1, 0], [3, 2]]).tolist()
        [[1, 2], [3, 0], [0, 0]]
    """
    return _fallen_down(as_array(grid)[::-1])[::-1].copy()


def gravity_left(grid: GridLike) -> Grid:
    """Let the nonzero cells of each row move to the left, keeping their order.

    Example:
        >>> gravity_left([[0, 1, 0, 2]]).tolist()
        [[1, 2, 0, 0]]
    """
    return np.rot90(_fallen_down(np.rot90(as_array(grid))), -1).copy()


def gravity_right(grid: GridLike) -> Grid:
    """Let the nonzero cells of each row move to the right, keeping their order.

    Example:
        >>> gravity_right([[1, 0, 2, 0]]).tolist()
        [[0, 0, 1, 2]]
    """
    return _fallen_down(as_array(grid).T).T.copy()


def sort_rows(grid: GridLike) -> Grid:
    """Order the rows by their number of nonzero cells, fewest first; equal ones keep their order.

    Example:
        >>> sort_rows([[1, 1], [0, 0], [2, 0]]).tolist()
        [[0, 0], [2, 0], [1, 1]]
    """
    array = as_array(grid)
    return array[np.argsort(np.count_nonzero(array, axis=1), kind="stable")]


def sort_rows_descending(grid: GridLike) -> Grid:
    """Order the rows by their number of nonzero cells, most first; equal ones keep their order.

    Example:
        >>> sort_rows_descending([[2, 0], [0, 0], [1, 1]]).tolist()
        [[1, 1], [2, 0], [0, 0]]
    """
    array = as_array(grid)
    return array[np.argsort(-np.count_nonzero(array, axis=1), kind="stable")]


def sort_columns(grid: GridLike) -> Grid:
    """Order the columns by their number of nonzero cells, fewest first; equal ones keep their order.

    Example:
        >>> sort_columns([[1, 0, 2], [1, 0, 0]]).tolist()
        [[0, 2, 1], [0, 0, 1]]
    """
    return sort_rows(as_array(grid).T).T.copy()


def sort_columns_descending(grid: GridLike) -> Grid:
    """Order the columns by their number of nonzero cells, most first; equal ones keep their order.

    Example:
        >>> sort_columns_descending([[0, 2, 1], [0, 0, 1]]).tolist()
        [[1, 2, 0], [1, 0, 0]]
    """
    return sort_rows_descending(as_array(grid).T).T.copy()


def _ranked_colours(array: Grid) -> list[tuple[int, int]]:
    """Return (colour, count) of the nonzero colours, most cells first, the smaller colour first among equals."""
    counts = np.bincount(array.ravel(), minlength=NUM_COLOURS).tolist()
    ranked = sorted(((colour, count) for colour, count in enumerate(counts) if colour and count), key=lambda x: -x[1])
    if not ranked:
        raise ValueError("the grid holds no colour other than 0")
    return ranked


def histogram(grid: GridLike) -> Grid:
    """Draw a bar per colour other than 0, as high as it has cells, standing on the bottom, the highest bar left.

    The result is as high as the highest bar and has one column per colour; of equally high bars the smaller colour
    comes first. `ValueError` when every cell is 0.

    Example:
        >>> histogram([[3, 0, 3], [2, 3, 0]]).tolist()
        [[3, 0], [3, 0], [3, 2]]
    """
    ranked = _ranked_colours(as_array(grid))
    bars = np.zeros((ranked[0][1], len(ranked)), dtype=np.int8)
    for column, (colour, count) in enumerate(ranked):
        bars[-count:, column] = colour
    return bars


def count_row(grid: GridLike) -> Grid:
    """Return the colours other than 0 as one row, the most common first.

    Of equally common colours the smaller comes first. `ValueError` when every cell is 0.

    Example:
        >>> count_row([[2, 3, 0], [3, 0, 3]]).tolist()
        [[3, 2]]
    """
    return np.array([[colour for colour, _ in _ranked_colours(as_array(grid))]], dtype=np.int8)


def colours_by_count(grid: GridLike) -> Grid:
    """Return the colours other than 0 as one column, the most common first.

    Of equally common colours the smaller comes first. `ValueError` when every cell is 0.

    Example:
        >>> colours_by_count([[2, 3, 0], [3, 0, 3]]).tolist()
        [[3], [2]]
    """
    return count_row(grid).T.copy()
