"""Count and exchange colours; where the cells are matters only to `paint_columns` and `paint_rows`."""

from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from arcgym.primitives._arrays import NUM_COLOURS, Grid, GridLike, as_array, as_colour, as_size


def _counts(array: Grid) -> npt.NDArray[np.intp]:
    """Return how many cells hold each of the ten colours."""
    return np.bincount(array.ravel(), minlength=NUM_COLOURS)


def background(grid: GridLike) -> int:
    """Return the background colour: 0 if it covers at least a third of the cells, else the most common colour.

    Of equally common colours the smallest is taken.

    Example:
        >>> background([[0, 7, 7]]), background([[0, 7, 7, 7]])
        (0, 7)
    """
    counts = _counts(as_array(grid))
    return 0 if 3 * counts[0] >= counts.sum() else int(counts.argmax())


def most_common_colour(grid: GridLike) -> int:
    """Return the most common colour other than 0.

    Of equally common colours the smallest is taken; 0 when the grid holds nothing else.

    Example:
        >>> most_common_colour([[0, 0, 0, 4, 4, 5]])
        4
    """
    counts = _counts(as_array(grid))
    counts[0] = 0
    return int(counts.argmax())


def least_common_colour(grid: GridLike) -> int:
    """Return the rarest colour other than 0 that the grid holds.

    Of equally rare colours the smallest is taken; 0 when the grid holds nothing else.

    Example:
        >>> least_common_colour([[0, 4, 4, 5]])
        5
    """
    counts = _counts(as_array(grid))
    present = [colour for colour in range(1, NUM_COLOURS) if counts[colour]]
    return min(present, key=lambda colour: counts[colour], default=0)


def count_colours(grid: GridLike) -> int:
    """Return the number of different colours, 0 not counted.

    Example:
        >>> count_colours([[0, 4, 4, 5]])
        2
    """
    return int(np.count_nonzero(_counts(as_array(grid))[1:]))


def count_cells(grid: GridLike, c: SupportsIndex) -> int:
    """Return the number of cells of colour `c`.

    Example:
        >>> count_cells([[0, 4, 4, 5]], 4)
        2
    """
    return int(_counts(as_array(grid))[as_colour(c)])


def replace_colour(grid: GridLike, old: SupportsIndex, new: SupportsIndex) -> Grid:
    """Give the cells of colour `old` the colour `new`.

    Unchanged when no cell has colour `old`.

    Example:
        >>> replace_colour([[1, 2, 1]], 1, 3).tolist()
        [[3, 2, 3]]
    """
    array = as_array(grid)
    array[array == as_colour(old)] = as_colour(new)
    return array


def swap_colours(grid: GridLike, a: SupportsIndex, b: SupportsIndex) -> Grid:
    """Exchange the colours `a` and `b`.

    Example:
        >>> swap_colours([[1, 2, 3]], 1, 2).tolist()
        [[2, 1, 3]]
    """
    array = as_array(grid)
    is_a, is_b = array == as_colour(a), array == as_colour(b)
    array[is_a] = as_colour(b)
    array[is_b] = as_colour(a)
    return array


def keep_colour(grid: GridLike, c: SupportsIndex) -> Grid:
    """Set every cell that is not of colour `c` to 0.

    Example:
        >>> keep_colour([[1, 2, 3]], 2).tolist()
        [[0, 2, 0]]
    """
    array = as_array(grid)
    array[array != as_colour(c)] = 0
    return array


def remove_colour(grid: GridLike, c: SupportsIndex) -> Grid:
    """Set every cell of colour `c` to 0.

    Example:
        >>> remove_colour([[1, 2, 3]], 2).tolist()
        [[1, 0, 3]]
    """
    return replace_colour(grid, c, 0)


def recolour(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give every nonzero cell the colour `c`.

    Example:
        >>> recolour([[0, 1, 2]], 5).tolist()
        [[0, 5, 5]]
    """
    array = as_array(grid)
    array[array != 0] = as_colour(c)
    return array


def fill_zero(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give every 0 the colour `c`.

    Example:
        >>> fill_zero([[0, 1, 0]], 5).tolist()
        [[5, 1, 5]]
    """
    return replace_colour(grid, 0, c)


def fill_all(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give every cell the colour `c`.

    Example:
        >>> fill_all([[0, 1, 2]], 5).tolist()
        [[5, 5, 5]]
    """
    return np.full_like(as_array(grid), as_colour(c))


def canvas(height: SupportsIndex, width: SupportsIndex, c: SupportsIndex) -> Grid:
    """Make a grid of the given size in one colour.

    `ValueError` when a side is below 1.

    Example:
        >>> canvas(2, 3, 5).tolist()
        [[5, 5, 5], [5, 5, 5]]
    """
    return np.full((as_size(height, "height"), as_size(width, "width")), as_colour(c), dtype=np.int8)


def invert_colours(grid: GridLike) -> Grid:
    """Exchange the two colours of a grid that holds exactly two (0 counts).

    `ValueError` when it holds fewer or more.

    Example:
        >>> invert_colours([[0, 3, 3]]).tolist()
        [[3, 0, 0]]
    """
    array = as_array(grid)
    present = np.flatnonzero(_counts(array))
    if len(present) != 2:
        raise ValueError(f"a grid of exactly two colours is needed, this one has {len(present)}")
    return swap_colours(array, present[0], present[1])


def keep_most_common(grid: GridLike) -> Grid:
    """Set every cell to 0 but those of the most common colour other than 0.

    Example:
        >>> keep_most_common([[0, 4, 4, 5]]).tolist()
        [[0, 4, 4, 0]]
    """
    return keep_colour(grid, most_common_colour(grid))


def keep_least_common(grid: GridLike) -> Grid:
    """Set every cell to 0 but those of the rarest colour other than 0.

    Example:
        >>> keep_least_common([[0, 4, 4, 5]]).tolist()
        [[0, 0, 0, 5]]
    """
    return keep_colour(grid, least_common_colour(grid))


def fill_most_common(grid: GridLike) -> Grid:
    """Give every cell the most common colour other than 0.

    Example:
        >>> fill_most_common([[0, 4, 4, 5]]).tolist()
        [[4, 4, 4, 4]]
    """
    return fill_all(grid, most_common_colour(grid))


def paint_columns(grid: GridLike) -> Grid:
    """Give every nonzero cell the colour of the first row in its column.

    Columns that start with 0 stay as they are.

    Example:
        >>> paint_columns([[1, 2, 0], [5, 0, 5], [0, 5, 5]]).tolist()
        [[1, 2, 0], [1, 0, 5], [0, 2, 5]]
    """
    array = as_array(grid)
    head = array[:1]
    return np.where((array != 0) & (head != 0), head, array)


def paint_rows(grid: GridLike) -> Grid:
    """Give every nonzero cell the colour of the first column in its row.

    Rows that start with 0 stay as they are.

    Example:
        >>> paint_rows([[1, 5, 0], [0, 5, 5]]).tolist()
        [[1, 1, 0], [0, 5, 5]]
    """
    return paint_columns(as_array(grid).T).T.copy()
