"""Complete pictures that are symmetric about a centre of their own, and simple rules for rows and columns."""

from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour, bounding_box

_Places = npt.NDArray[np.intp]


def symmetrise_around(grid: GridLike) -> Grid:
    """Mirror everything left to right and top to bottom about the object in the middle; 0-cells take the images.

    The object in the middle is the colour whose cells are symmetric both ways within their own box; of several the
    one with the most cells, of equals the highest. `ValueError` when there is none.

    Example:
        >>> symmetrise_around([[2, 0, 0, 0], [0, 3, 3, 0], [0, 3, 3, 0], [0, 0, 0, 0]]).tolist()
        [[2, 0, 0, 2], [0, 3, 3, 0], [0, 3, 3, 0], [2, 0, 0, 2]]
    """
    array = as_array(grid)
    found = []
    for colour in np.unique(array[array != 0]).tolist():
        rows, columns = bounding_box(array == colour)
        box = array[rows, columns] == colour
        if (box == box[:, ::-1]).all() and (box == box[::-1]).all():
            found.append((int(box.sum()), colour, rows.start + rows.stop - 1, columns.start + columns.stop - 1))
    if not found:
        raise ValueError("no colour is symmetric within its own box")
    _, _, twice_row, twice_column = max(found)
    mirrored = np.where(array != 0, array, _reflected(array, twice_column))
    return np.where(mirrored != 0, mirrored, _reflected(mirrored.T, twice_row).T)


def symmetrise_turns(grid: GridLike) -> Grid:
    """Complete the picture to one that quarter turns leave the same, about the centre that fits best.

    A centre fits when no image of a cell meets a cell of another colour, or leaves the grid. The best needs the fewest
    new cells, of equals it is the first in reading order. `ValueError` when no centre fits.

    Example:
        >>> symmetrise_turns([[0, 4, 7, 0], [0, 0, 4, 0], [0, 4, 0, 0], [0, 0, 0, 0]]).tolist()
        [[7, 4, 7, 0], [4, 0, 4, 0], [7, 4, 7, 0], [0, 0, 0, 0]]
    """
    array = as_array(grid)
    rows, columns = np.nonzero(array)
    if not len(rows):
        raise ValueError("the grid holds nothing to complete: every cell is 0")
    top, bottom, left, right = (2 * int(edge) for edge in (rows.min(), rows.max(), columns.min(), columns.max()))
    high, wide = 2 * array.shape[0] - 2, 2 * array.shape[1] - 2
    best = None
    for y in range(top, bottom + 1):
        # a quarter turn leads from cells to cells only about the centre of a cell or a corner of one
        for x in range(left + (y - left) % 2, right + 1, 2):
            reach = max(y - top, bottom - y, x - left, right - x)
            if reach > min(y, x, high - y, wide - x):
                continue
            turned = _turned(array, rows, columns, y, x)
            if turned is not None and (best is None or np.count_nonzero(turned) < np.count_nonzero(best)):
                best = turned
    if best is None:
        raise ValueError("no centre of symmetry fits")
    return best


def _turned(array: Grid, rows: _Places, columns: _Places, twice_row: int, twice_column: int) -> Grid | None:
    """Add the three turned images of each cell about one centre; `None` where they contradict each other."""
    y, x = 2 * rows - twice_row, 2 * columns - twice_column
    turned, colours = array.copy(), array[rows, columns]
    for down, right in ((x, -y), (-y, -x), (-x, y)):
        places = (twice_row + down) // 2, (twice_column + right) // 2
        there = turned[places]
        if ((there != 0) & (there != colours)).any():
            return None
        turned[places] = colours
    return turned


def _reflected(array: Grid, twice_axis: int) -> Grid:
    """Mirror left to right about an axis given by twice its column; what has no image is 0."""
    sources = twice_axis - np.arange(array.shape[1])
    is_inside = (sources >= 0) & (sources < array.shape[1])
    image = np.zeros_like(array)
    image[:, is_inside] = array[:, sources[is_inside]]
    return image


def flip_odd_columns(grid: GridLike) -> Grid:
    """Turn every second column upside down, starting with the second.

    Example:
        >>> flip_odd_columns([[3, 3, 3], [9, 9, 9]]).tolist()
        [[3, 9, 3], [9, 3, 9]]
    """
    array = as_array(grid)
    array[:, 1::2] = array[::-1, 1::2].copy()
    return array


def flip_odd_rows(grid: GridLike) -> Grid:
    """Turn every second row around, left to right, starting with the second.

    Example:
        >>> flip_odd_rows([[3, 9], [3, 9]]).tolist()
        [[3, 9], [9, 3]]
    """
    return flip_odd_columns(as_array(grid).T).T.copy()


def keep_middle_column(grid: GridLike) -> Grid:
    """Set everything to 0 but the middle column, or the middle two where their number is even.

    Example:
        >>> keep_middle_column([[1, 2, 3]]).tolist()
        [[0, 2, 0]]
    """
    array = as_array(grid)
    width = array.shape[1]
    array[:, : (width - 1) // 2] = 0
    array[:, width // 2 + 1 :] = 0
    return array


def keep_middle_row(grid: GridLike) -> Grid:
    """Set everything to 0 but the middle row, or the middle two where their number is even.

    Example:
        >>> keep_middle_row([[1], [2], [3]]).tolist()
        [[0], [2], [0]]
    """
    return keep_middle_column(as_array(grid).T).T.copy()


def draw_rising_diagonal(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells on the diagonal that rises from the bottom left corner.

    Example:
        >>> draw_rising_diagonal([[5, 0, 0], [5, 0, 0], [5, 0, 0]], 2).tolist()
        [[5, 0, 2], [5, 2, 0], [5, 0, 0]]
    """
    return draw_falling_diagonal(as_array(grid)[::-1], c)[::-1].copy()


def draw_falling_diagonal(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells on the diagonal that falls from the top left corner.

    Example:
        >>> draw_falling_diagonal([[0, 0], [0, 5], [0, 0]], 2).tolist()
        [[2, 0], [0, 5], [0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    is_diagonal = np.eye(*array.shape, dtype=np.bool_)
    array[is_diagonal & (array == 0)] = colour
    return array


def fill_last_row(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells of the last row.

    Example:
        >>> fill_last_row([[0, 0], [5, 0]], 4).tolist()
        [[0, 0], [5, 4]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[-1][array[-1] == 0] = colour
    return array
