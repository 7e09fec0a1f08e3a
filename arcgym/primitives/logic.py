"""Cut a grid at its dividing lines, and combine or compare the pieces cell by cell.

In the boolean functions a cell is true when it is not 0.
"""

from collections import Counter
from typing import NamedTuple, SupportsIndex

import numpy as np

from arcgym.primitives._arrays import NUM_COLOURS, Grid, GridLike, Mask, as_array, as_colour, as_size
from arcgym.primitives.cropping import bottom_half, left_half, right_half, top_half


class Halves(NamedTuple):
    """The two halves of a grid: left and right, or top and bottom."""

    first: Grid
    second: Grid


def split2(grid: GridLike) -> Halves:
    """Cut the grid in two halves of equal size and return both, left before right, top before bottom.

    A middle column, or else a middle row, of one colour other than 0 is taken as a dividing line and left out. Without
    one the longer side is halved (of a square grid the height), and the middle line of an odd side is left out.
    `ValueError` for a grid of one cell.

    Example:
        >>> [half.tolist() for half in split2([[1, 5, 0], [0, 5, 2]])]
        [[[1], [0]], [[0], [2]]]
    """
    array = as_array(grid)
    height, width = array.shape
    if _is_divider(array[:, width // 2], width):
        is_wide = True
    elif _is_divider(array[height // 2], height):
        is_wide = False
    else:
        is_wide = width > height
    if is_wide:
        return Halves(left_half(array), right_half(array))
    return Halves(top_half(array), bottom_half(array))


def _is_divider(middle: Grid, side: int) -> bool:
    """Tell whether the middle line across a side is a line of one colour with something on both sides of it."""
    return side % 2 == 1 and side >= 3 and bool(middle[0] != 0 and (middle == middle[0]).all())


def _paired(a: GridLike, b: GridLike) -> Halves:
    """Return both grids, which must be of one size."""
    pair = Halves(as_array(a), as_array(b))
    if pair.first.shape != pair.second.shape:
        raise ValueError(f"the grids must be of one size, got {pair.first.shape} and {pair.second.shape}")
    return pair


def overlay(a: GridLike, b: GridLike) -> Grid:
    """Lay `b` on top of `a`; the 0-cells of `b` are transparent.

    `ValueError` when the sizes differ.

    Example:
        >>> overlay([[1, 1, 0]], [[0, 2, 2]]).tolist()
        [[1, 2, 2]]
    """
    below, above = _paired(a, b)
    return np.where(above != 0, above, below)


def mask_with(a: GridLike, b: GridLike) -> Grid:
    """Keep the cells of `a` at which `b` is not 0 and set the others to 0.

    `ValueError` when the sizes differ.

    Example:
        >>> mask_with([[1, 2, 3]], [[0, 9, 9]]).tolist()
        [[0, 2, 3]]
    """
    picture, mask = _paired(a, b)
    return np.where(mask != 0, picture, np.int8(0))


def _stamped(mask: Mask, c: SupportsIndex) -> Grid:
    """Return a grid with colour `c` at the true cells and 0 elsewhere."""
    return np.where(mask, np.int8(as_colour(c)), np.int8(0))


def halves_and(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where both halves, as in `split2`, are nonzero, and 0 elsewhere.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_and([[1, 1, 5, 0, 2]], 3).tolist()
        [[0, 3]]
    """
    first, second = split2(grid)
    return _stamped((first != 0) & (second != 0), c)


def halves_or(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where at least one half, as in `split2`, is nonzero, and 0 elsewhere.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_or([[1, 0, 5, 0, 0]], 3).tolist()
        [[3, 0]]
    """
    first, second = split2(grid)
    return _stamped((first != 0) | (second != 0), c)


def halves_xor(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where exactly one half, as in `split2`, is nonzero, and 0 elsewhere.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_xor([[1, 1, 5, 0, 2]], 3).tolist()
        [[3, 0]]
    """
    first, second = split2(grid)
    return _stamped((first != 0) ^ (second != 0), c)


def halves_nor(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where both halves, as in `split2`, are 0, and 0 elsewhere.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_nor([[1, 0, 5, 0, 0]], 3).tolist()
        [[0, 3]]
    """
    first, second = split2(grid)
    return _stamped((first == 0) & (second == 0), c)


def halves_diff(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where the first half, as in `split2`, is nonzero and the second is 0, and 0 elsewhere.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_diff([[1, 1, 5, 0, 2]], 3).tolist()
        [[3, 0]]
    """
    first, second = split2(grid)
    return _stamped((first != 0) & (second == 0), c)


def halves_overlay(grid: GridLike) -> Grid:
    """Lay the second half, as in `split2`, on top of the first; its 0-cells are transparent.

    `ValueError` for a grid of one cell.

    Example:
        >>> halves_overlay([[1, 1, 5, 0, 2]]).tolist()
        [[1, 2]]
    """
    return overlay(*split2(grid))


def _line_colour(array: Grid) -> int:
    """Return the nonzero colour that fills the most whole rows and columns of two cells or more, 0 when none does."""
    height, width = array.shape
    is_row = (array == array[:, :1]).all(axis=1) & (width > 1)
    is_column = (array == array[:1]).all(axis=0) & (height > 1)
    lines = np.bincount(np.concatenate([array[is_row, 0], array[0, is_column]]), minlength=NUM_COLOURS)
    lines[0] = 0
    return int(lines.argmax())


def _spans(is_line: Mask) -> list[slice]:
    """Return the stretches between the dividing lines."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], is_line, [True]]).astype(np.int8)))
    return [slice(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


def cells(grid: GridLike) -> list[Grid]:
    """Return the sub-grids between the dividing lines, in reading order.

    Dividing lines are whole rows and columns, of two cells or more, in one colour other than 0: the colour that fills
    the most of them, of equals the smallest. Without lines, or with nothing between them, the list holds the grid.

    Example:
        >>> [cell.tolist() for cell in cells([[1, 5, 2], [5, 5, 5], [3, 5, 4]])]
        [[[1]], [[2]], [[3]], [[4]]]
    """
    array = as_array(grid)
    colour = _line_colour(array)
    if colour == 0:
        return [array]
    is_line = array == colour
    rows = _spans(is_line.all(axis=1) & (array.shape[1] > 1))
    columns = _spans(is_line.all(axis=0) & (array.shape[0] > 1))
    return [array[row, column].copy() for row in rows for column in columns] or [array]


def nth_cell(grid: GridLike, i: SupportsIndex) -> Grid:
    """Return sub-grid number `i`, as in `cells`, counted from 0.

    `ValueError` when there is no such sub-grid.

    Example:
        >>> nth_cell([[1, 5, 2], [5, 5, 5], [3, 5, 4]], 2).tolist()
        [[3]]
    """
    found, index = cells(grid), as_size(i, "i", 0)
    if index >= len(found):
        raise ValueError(f"there is no sub-grid {index}, only 0 to {len(found) - 1}")
    return found[index]


def overlay_cells(grid: GridLike) -> Grid:
    """Lay all sub-grids, as in `cells`, on each other, the last on top; 0-cells are transparent.

    `ValueError` when the sub-grids differ in size.

    Example:
        >>> overlay_cells([[1, 1, 5, 0, 2], [0, 0, 5, 0, 3]]).tolist()
        [[1, 2], [0, 3]]
    """
    top, *others = cells(grid)
    for cell in others:
        top = overlay(top, cell)
    return top


def densest_cell(grid: GridLike) -> Grid:
    """Return the sub-grid, as in `cells`, with the most nonzero cells; of equals the first.

    Example:
        >>> densest_cell([[1, 0, 5, 2, 2], [0, 0, 5, 0, 3]]).tolist()
        [[2, 2], [0, 3]]
    """
    return max(cells(grid), key=np.count_nonzero)


def sparsest_cell(grid: GridLike) -> Grid:
    """Return the sub-grid, as in `cells`, with the fewest nonzero cells; of equals the first.

    Example:
        >>> sparsest_cell([[1, 0, 5, 2, 2], [0, 0, 5, 0, 3]]).tolist()
        [[1, 0], [0, 0]]
    """
    return min(cells(grid), key=np.count_nonzero)


def odd_cell(grid: GridLike) -> Grid:
    """Return the sub-grid, as in `cells`, that no other equals.

    `ValueError` unless there is exactly one such sub-grid.

    Example:
        >>> odd_cell([[1, 5, 2, 5, 1], [0, 5, 0, 5, 0]]).tolist()
        [[2], [0]]
    """
    found = cells(grid)
    keys = [(cell.shape, cell.tobytes()) for cell in found]
    counts = Counter(keys)
    odd = [cell for cell, key in zip(found, keys, strict=True) if counts[key] == 1]
    if len(odd) != 1:
        raise ValueError(f"exactly one sub-grid without an equal is needed, found {len(odd)} of {len(found)}")
    return odd[0]
