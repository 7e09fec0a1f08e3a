"""Cut a part out of a grid, or put something around it."""

import operator
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box
from arcgym.primitives.colours import background


def crop(grid: GridLike, top: SupportsIndex, left: SupportsIndex, height: SupportsIndex, width: SupportsIndex) -> Grid:
    """Cut out the rectangle of the given size whose first cell is in row `top`, column `left`.

    `ValueError` when the rectangle is empty or leaves the grid.

    Example:
        >>> crop([[1, 2, 3], [4, 5, 6]], 0, 1, 2, 2).tolist()
        [[2, 3], [5, 6]]
    """
    array = as_array(grid)
    row, column = as_size(top, "top", 0), as_size(left, "left", 0)
    end_row, end_column = row + as_size(height, "height"), column + as_size(width, "width")
    if end_row > array.shape[0] or end_column > array.shape[1]:
        raise ValueError(
            f"rows {row} to {end_row - 1}, columns {column} to {end_column - 1} "
            f"leave the grid of {array.shape[0]} x {array.shape[1]}"
        )
    return array[row:end_row, column:end_column].copy()


def _crop_mask(array: Grid, mask: Mask) -> Grid:
    """Cut out the bounding box of `mask`; the whole grid when it is empty."""
    return array[bounding_box(mask)].copy() if mask.any() else array


def trim(grid: GridLike) -> Grid:
    """Cut out the bounding box of the cells that are not of the background colour.

    Unchanged when every cell is background.

    Example:
        >>> trim([[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]]).tolist()
        [[1, 2]]
    """
    array = as_array(grid)
    return _crop_mask(array, array != background(array))


def trim_zero(grid: GridLike) -> Grid:
    """Cut out the bounding box of the nonzero cells.

    Unchanged when every cell is 0.

    Example:
        >>> trim_zero([[0, 8, 8], [8, 8, 8], [0, 0, 0]]).tolist()
        [[0, 8, 8], [8, 8, 8]]
    """
    array = as_array(grid)
    return _crop_mask(array, array != 0)


def top_half(grid: GridLike) -> Grid:
    """Return the upper half; the middle row of an odd height belongs to no half.

    `ValueError` when the grid has one row.

    Example:
        >>> top_half([[1], [2], [3]]).tolist()
        [[1]]
    """
    array = as_array(grid)
    return crop(array, 0, 0, array.shape[0] // 2, array.shape[1])


def bottom_half(grid: GridLike) -> Grid:
    """Return the lower half; the middle row of an odd height belongs to no half.

    `ValueError` when the grid has one row.

    Example:
        >>> bottom_half([[1], [2], [3]]).tolist()
        [[3]]
    """
    array = as_array(grid)
    return crop(array, (array.shape[0] + 1) // 2, 0, array.shape[0] // 2, array.shape[1])


def left_half(grid: GridLike) -> Grid:
    """Return the left half; the middle column of an odd width belongs to no half.

    `ValueError` when the grid has one column.

    Example:
        >>> left_half([[1, 2, 3, 4]]).tolist()
        [[1, 2]]
    """
    array = as_array(grid)
    return crop(array, 0, 0, array.shape[0], array.shape[1] // 2)


def right_half(grid: GridLike) -> Grid:
    """Return the right half; the middle column of an odd width belongs to no half.

    `ValueError` when the grid has one column.

    Example:
        >>> right_half([[1, 2, 3, 4]]).tolist()
        [[3, 4]]
    """
    array = as_array(grid)
    return crop(array, 0, (array.shape[1] + 1) // 2, array.shape[0], array.shape[1] // 2)


def part(grid: GridLike, n: SupportsIndex, i: SupportsIndex) -> Grid:
    """Cut the longer side into `n` equal strips and return number `i`, counted from 0 at the top or left.

    A square grid is cut into strips of rows. `ValueError` when `n` does not divide the side or `i` is not in 0..n-1.

    Example:
        >>> part([[1, 2, 3, 4, 5, 6]], 3, 1).tolist()
        [[3, 4]]
    """
    array = as_array(grid)
    strips, index = as_size(n, "n"), as_size(i, "i", 0)
    axis = 0 if array.shape[0] >= array.shape[1] else 1
    if array.shape[axis] % strips or index >= strips:
        raise ValueError(f"there is no strip {index} of {strips} along a side of {array.shape[axis]} cells")
    return np.split(array, strips, axis=axis)[index].copy()


def inner(grid: GridLike) -> Grid:
    """Cut off the outermost ring.

    `ValueError` when a side is below 3, because nothing would be left.

    Example:
        >>> inner([[1, 1, 1], [1, 5, 1], [1, 1, 1]]).tolist()
        [[5]]
    """
    array = as_array(grid)
    return crop(array, 1, 1, array.shape[0] - 2, array.shape[1] - 2)


def pad(grid: GridLike, n: SupportsIndex, colour: SupportsIndex = 0) -> Grid:
    """Put a border of `n` cells of one colour around the grid.

    `ValueError` when `n` is negative.

    Example:
        >>> pad([[5]], 1, 2).tolist()
        [[2, 2, 2], [2, 5, 2], [2, 2, 2]]
    """
    return np.pad(as_array(grid), as_size(n, "n", 0), constant_values=as_colour(colour))


def frame(grid: GridLike, colour: SupportsIndex) -> Grid:
    """Give the outermost ring of the grid one colour; the size stays.

    Example:
        >>> frame([[0, 0, 0], [0, 5, 0], [0, 0, 0]], 2).tolist()
        [[2, 2, 2], [2, 5, 2], [2, 2, 2]]
    """
    array = as_array(grid)
    for edge in (array[0], array[-1], array[:, 0], array[:, -1]):
        edge[:] = as_colour(colour)
    return array


def dedupe_rows(grid: GridLike) -> Grid:
    """Drop every row that equals the row right above it.

    Example:
        >>> dedupe_rows([[1], [1], [2], [1]]).tolist()
        [[1], [2], [1]]
    """
    array = as_array(grid)
    is_new = np.ones(array.shape[0], dtype=np.bool_)
    is_new[1:] = (array[1:] != array[:-1]).any(axis=1)
    return array[is_new]


def dedupe_columns(grid: GridLike) -> Grid:
    """Drop every column that equals the column right before it.

    Example:
        >>> dedupe_columns([[1, 1, 2, 1]]).tolist()
        [[1, 2, 1]]
    """
    return dedupe_rows(as_array(grid).T).T.copy()


def dedupe(grid: GridLike) -> Grid:
    """Drop every row and column that equals the one right before it.

    Example:
        >>> dedupe([[1, 1, 2], [1, 1, 2], [3, 3, 1]]).tolist()
        [[1, 2], [3, 1]]
    """
    return dedupe_columns(dedupe_rows(grid))


def _drop_empty(grid: GridLike, rows: bool, columns: bool) -> Grid:
    """Drop the rows and columns that are all background; nothing when every cell is."""
    array = as_array(grid)
    is_content = array != background(array)
    if not is_content.any():
        return array
    kept_rows = is_content.any(axis=1) if rows else np.ones(array.shape[0], dtype=np.bool_)
    kept_columns = is_content.any(axis=0) if columns else np.ones(array.shape[1], dtype=np.bool_)
    return array[kept_rows][:, kept_columns]


def drop_empty_rows(grid: GridLike) -> Grid:
    """Drop the rows that are all background.

    Unchanged when every cell is background.

    Example:
        >>> drop_empty_rows([[0, 1], [0, 0], [2, 0]]).tolist()
        [[0, 1], [2, 0]]
    """
    return _drop_empty(grid, rows=True, columns=False)


def drop_empty_columns(grid: GridLike) -> Grid:
    """Drop the columns that are all background.

    Unchanged when every cell is background.

    Example:
        >>> drop_empty_columns([[0, 0, 2], [1, 0, 0]]).tolist()
        [[0, 2], [1, 0]]
    """
    return _drop_empty(grid, rows=False, columns=True)


def compress(grid: GridLike) -> Grid:
    """Drop the rows and the columns that are all background.

    Unchanged when every cell is background.

    Example:
        >>> compress([[0, 0, 0], [1, 0, 2]]).tolist()
        [[1, 2]]
    """
    return _drop_empty(grid, rows=True, columns=True)


def first_row(grid: GridLike) -> Grid:
    """Return the first row as a grid of one row.

    Example:
        >>> first_row([[1, 2], [3, 4]]).tolist()
        [[1, 2]]
    """
    return as_array(grid)[:1].copy()


def last_row(grid: GridLike) -> Grid:
    """Return the last row as a grid of one row.

    Example:
        >>> last_row([[1, 2], [3, 4]]).tolist()
        [[3, 4]]
    """
    return as_array(grid)[-1:].copy()


def first_column(grid: GridLike) -> Grid:
    """Return the first column as a grid of one column.

    Example:
        >>> first_column([[1, 2], [3, 4]]).tolist()
        [[1], [3]]
    """
    return as_array(grid)[:, :1].copy()


def last_column(grid: GridLike) -> Grid:
    """Return the last column as a grid of one column.

    Example:
        >>> last_column([[1, 2], [3, 4]]).tolist()
        [[2], [4]]
    """
    return as_array(grid)[:, -1:].copy()


def top_left(grid: GridLike, h: SupportsIndex, w: SupportsIndex) -> Grid:
    """Cut out the `h` by `w` cells in the top left corner.

    `ValueError` when the grid is smaller than that.

    Example:
        >>> top_left([[1, 2, 3], [4, 5, 6]], 1, 2).tolist()
        [[1, 2]]
    """
    return crop(grid, 0, 0, h, w)


def quarter(grid: GridLike, i: SupportsIndex) -> Grid:
    """Return a quarter of the grid: 0 top left, 1 top right, 2 bottom left, 3 bottom right.

    The middle row or column of an odd side belongs to no quarter. `ValueError` when a side is 1 or `i` is not in 0..3.

    Example:
        >>> quarter([[1, 2], [3, 4]], 2).tolist()
        [[3]]
    """
    index = operator.index(i)
    if not 0 <= index <= 3:
        raise ValueError(f"quarters are 0 to 3, got {index}")
    half = bottom_half(grid) if index >= 2 else top_half(grid)
    return right_half(half) if index % 2 else left_half(half)


def _box_of_colour(array: Grid, c: SupportsIndex) -> tuple[slice, slice]:
    """Return the bounding box of colour `c`, which must be there."""
    mask = array == as_colour(c)
    if not mask.any():
        raise ValueError(f"no cell has colour {as_colour(c)}")
    return bounding_box(mask)


def crop_colour(grid: GridLike, c: SupportsIndex) -> Grid:
    """Cut out the bounding box of the cells of colour `c`, with all that lies in it.

    `ValueError` when no cell has colour `c`.

    Example:
        >>> crop_colour([[0, 3, 0, 0], [0, 1, 3, 2]], 3).tolist()
        [[3, 0], [1, 3]]
    """
    array = as_array(grid)
    return array[_box_of_colour(array, c)].copy()


def crop_inside(grid: GridLike, c: SupportsIndex) -> Grid:
    """Cut out what lies strictly inside the bounding box of the cells of colour `c`.

    `ValueError` when no cell has colour `c`, or when nothing lies inside.

    Example:
        >>> crop_inside([[3, 3, 3, 3], [3, 1, 2, 3], [3, 3, 3, 3]], 3).tolist()
        [[1, 2]]
    """
    return inner(crop_colour(grid, c))


def remove_grid_lines(grid: GridLike) -> Grid:
    """Drop the rows and columns, of two cells or more, that are all of one colour other than the background.

    Unchanged when nothing would be left.

    Example:
        >>> remove_grid_lines([[0, 5, 1], [5, 5, 5], [0, 5, 0]]).tolist()
        [[0, 1], [0, 0]]
    """
    array = as_array(grid)
    ground = background(array)
    height, width = array.shape
    is_line_row = (array == array[:, :1]).all(axis=1) & (array[:, 0] != ground) & (width > 1)
    is_line_column = (array == array[:1]).all(axis=0) & (array[0] != ground) & (height > 1)
    if is_line_row.all() or is_line_column.all():
        return array
    return array[~is_line_row][:, ~is_line_column]
