"""Cells by what is around them: insides, corners, noise, and the empty regions, squares and lines between things."""

import itertools
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box, regions


def _same(array: Grid) -> tuple[Mask, Mask, Mask, Mask]:
    """Mark the cells whose neighbour above, below, before and after has their colour; beyond the border is 0."""
    padded = np.pad(array, 1)
    sides = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    above, below, before, after = (side == array for side in sides)
    return above, below, before, after


def _inside(array: Grid) -> Mask:
    """Mark the nonzero cells whose four neighbours all have their colour."""
    return np.logical_and.reduce(_same(array)) & (array != 0)


def keep_inside(grid: GridLike) -> Grid:
    """Keep the cells whose four neighbours all have their colour, and set the others to 0.

    Example:
        >>> keep_inside([[5, 5, 5], [5, 5, 5], [5, 5, 5]]).tolist()
        [[0, 0, 0], [0, 5, 0], [0, 0, 0]]
    """
    array = as_array(grid)
    return np.where(_inside(array), array, np.int8(0))


def fill_inside(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the nonzero cells whose four neighbours all have their colour.

    Example:
        >>> fill_inside([[5, 5, 5], [5, 5, 5], [5, 5, 5]], 2).tolist()
        [[5, 5, 5], [5, 2, 5], [5, 5, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[_inside(array)] = colour
    return array


def paint_corners(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the corners of objects: cells with one neighbour of their colour above or below, one beside.

    Example:
        >>> paint_corners([[5, 5, 5], [5, 5, 5]], 1).tolist()
        [[1, 5, 1], [1, 5, 1]]
    """
    array, colour = as_array(grid), as_colour(c)
    above, below, before, after = _same(array)
    array[(above ^ below) & (before ^ after) & (array != 0)] = colour
    return array


def remove_thin(grid: GridLike) -> Grid:
    """Set every cell to 0 that is in no block of 2 x 2 cells of one colour.

    Example:
        >>> remove_thin([[5, 5, 0, 3], [5, 5, 5, 0]]).tolist()
        [[5, 5, 0, 0], [5, 5, 0, 0]]
    """
    array = as_array(grid)
    corner = array[:-1, :-1]
    is_block = (corner == array[1:, :-1]) & (corner == array[:-1, 1:]) & (corner == array[1:, 1:])
    return np.where(_spread(is_block, 2, array.shape), array, np.int8(0))


def _spread(starts: Mask, side: int, shape: tuple[int, ...]) -> Mask:
    """Mark every cell of the blocks of `side` x `side` cells with these top left corners."""
    covered = np.zeros(shape, dtype=np.bool_)
    height, width = starts.shape
    for dy in range(side):
        for dx in range(side):
            covered[dy : dy + height, dx : dx + width] |= starts
    return covered


def denoise(grid: GridLike, a: SupportsIndex) -> Grid:
    """Replace each cell of colour `a` by what two of its four neighbours agree on, or by 0 if no two do.

    The neighbours' colour is another than `a` and 0; the highest counts where two pairs differ.

    Example:
        >>> denoise([[3, 3, 3], [3, 8, 3], [0, 0, 8]], 8).tolist()
        [[3, 3, 3], [3, 3, 3], [0, 0, 0]]
    """
    array, noise = as_array(grid), as_colour(a)
    padded = np.pad(np.where(array == noise, np.int8(0), array), 1)
    sides = np.sort([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]], axis=0)
    agreed = np.where(sides[1:] == sides[:-1], sides[1:], np.int8(0)).max(axis=0)
    return np.where(array == noise, agreed, array)


def keep_lone_colours(grid: GridLike) -> Grid:
    """Keep the cells whose colour occurs once in the grid, and set the others to 0.

    Example:
        >>> keep_lone_colours([[1, 4, 1, 0]]).tolist()
        [[0, 4, 0, 0]]
    """
    array = as_array(grid)
    is_lone = np.bincount(array.ravel(), minlength=10) == 1
    return np.where(np.take(is_lone, array), array, np.int8(0))


def fill_clear_lines(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells of each row and column that holds nothing, or nothing but its two end cells.

    Example:
        >>> fill_clear_lines([[8, 0, 8, 8], [8, 0, 8, 0], [8, 0, 8, 8]], 3).tolist()
        [[8, 3, 8, 8], [8, 3, 8, 3], [8, 3, 8, 8]]
    """
    array, colour = as_array(grid), as_colour(c)
    if min(array.shape) < 3:
        raise ValueError(f"a grid of at least 3 x 3 cells is needed, got {array.shape[0]} x {array.shape[1]}")
    is_clear = ~(array[:, 1:-1].any(axis=1, keepdims=True) & array[1:-1].any(axis=0, keepdims=True))
    array[is_clear & (array == 0)] = colour
    return array


def fill_empty_squares(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give colour `c` to squares of `n` x `n` 0-cells, one after the other in reading order; they do not overlap.

    Example:
        >>> fill_empty_squares([[5, 0, 0, 0], [5, 0, 0, 0]], 2, 1).tolist()
        [[5, 1, 1, 0], [5, 1, 1, 0]]
    """
    array, side, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    if side > min(array.shape):
        return array
    filled = np.pad((array != 0).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = filled[side:, side:] - filled[:-side, side:] - filled[side:, :-side] + filled[:-side, :-side]
    taken = np.zeros(array.shape, dtype=np.bool_)
    for row, column in np.argwhere(inside == 0).tolist():
        square = taken[row : row + side, column : column + side]
        if not square.any():
            square[:] = True
    array[taken] = colour
    return array


def fill_largest_rectangle(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the largest rectangle of 0-cells, at least two cells high and wide.

    Of equals the one that ends first in reading order. Unchanged when there is none.

    Example:
        >>> fill_largest_rectangle([[1, 0, 0, 0], [0, 0, 0, 1]], 6).tolist()
        [[1, 6, 6, 0], [0, 6, 6, 1]]
    """
    array, colour = as_array(grid), as_colour(c)
    heights = [0] * array.shape[1]
    best, box = 0, (slice(0), slice(0))
    for row, line in enumerate(array.tolist()):
        heights = [0 if value else height + 1 for value, height in zip(line, heights, strict=True)]
        waiting: list[tuple[int, int]] = []  # starts of rectangles that may still grow to the right, lowest first
        for column, height in enumerate([*heights, 0]):
            start = column
            while waiting and waiting[-1][1] >= height:
                start, high = waiting.pop()
                if min(high, column - start) > 1 and high * (column - start) > best:
                    best, box = high * (column - start), (slice(row - high + 1, row + 1), slice(start, column))
            waiting.append((start, height))
    array[box] = colour
    return array


def _empty_regions(array: Grid) -> list[Mask]:
    """Return the regions of 0-cells that touch at sides, of which there must be one."""
    found = regions((array == 0).astype(np.int8), diagonal=False)
    if not found:
        raise ValueError("the grid holds no 0-cell")
    return found


def fill_largest_region(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the largest region of 0-cells that touch at sides, and to all others of its size.

    `ValueError` when there is no 0-cell.

    Example:
        >>> fill_largest_region([[0, 2, 0], [2, 2, 0]], 1).tolist()
        [[0, 2, 1], [2, 2, 1]]
    """
    return _fill_extreme(as_array(grid), as_colour(c), largest=True)


def fill_smallest_region(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the smallest region of 0-cells that touch at sides, and to all others of its size.

    `ValueError` when there is no 0-cell.

    Example:
        >>> fill_smallest_region([[0, 2, 0], [2, 2, 0]], 8).tolist()
        [[8, 2, 0], [2, 2, 0]]
    """
    return _fill_extreme(as_array(grid), as_colour(c), largest=False)


def _fill_extreme(array: Grid, colour: int, *, largest: bool) -> Grid:
    masks = _empty_regions(array)
    sizes = [int(np.count_nonzero(mask)) for mask in masks]
    wanted = max(sizes) if largest else min(sizes)
    for mask, size in zip(masks, sizes, strict=True):
        if size == wanted:
            array[mask] = colour
    return array


def fill_square_regions(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the regions of 0-cells that are full squares, wherever they are.

    Example:
        >>> fill_square_regions([[0, 5, 0, 0], [5, 5, 5, 5], [0, 0, 0, 5]], 3).tolist()
        [[3, 5, 0, 0], [5, 5, 5, 5], [0, 0, 0, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in _empty_regions(array):
        box = mask[bounding_box(mask)]
        if box.shape[0] == box.shape[1] and box.all():
            array[mask] = colour
    return array


def number_empty_regions(grid: GridLike) -> Grid:
    """Give each region of 0-cells that touch at sides its rank by size: the largest 1, the next 2, and so on.

    Regions of one size share a rank, and ranks past 9 stay 9. `ValueError` when there is no 0-cell.

    Example:
        >>> number_empty_regions([[0, 5, 0], [5, 5, 0]]).tolist()
        [[2, 5, 1], [5, 5, 1]]
    """
    array = as_array(grid)
    masks = _empty_regions(array)
    sizes = sorted({int(np.count_nonzero(mask)) for mask in masks}, reverse=True)
    for mask in masks:
        array[mask] = min(sizes.index(int(np.count_nonzero(mask))) + 1, 9)
    return array


def _clusters(mask: Mask) -> list[Mask]:
    """Group the true cells so that each has one of its group at most two rows and two columns away."""
    left = {(row, column) for row, column in np.argwhere(mask).tolist()}
    groups = []
    while left:
        members = [left.pop()]
        for row, column in members:
            near = [cell for cell in left if abs(cell[0] - row) < 3 and abs(cell[1] - column) < 3]
            left.difference_update(near)
            members += near
        group = np.zeros(mask.shape, dtype=np.bool_)
        group[tuple(zip(*members, strict=True))] = True
        groups.append(group)
    return groups


def fill_boxes_of(grid: GridLike, a: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give colour `c` to all other cells in the box of each group of cells of colour `a`, whatever they are.

    Cells belong to a group when they touch, at sides or corners, or when only one cell is between them.

    Example:
        >>> fill_boxes_of([[2, 3, 0], [3, 2, 3]], 2, 4).tolist()
        [[2, 4, 0], [4, 2, 3]]
    """
    array, asked, colour = as_array(grid), as_colour(a), as_colour(c)
    is_asked = array == asked
    for group in _clusters(is_asked):
        box = bounding_box(group)
        array[box][~is_asked[box]] = colour
    return array


def fill_between_corners(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the inside of each empty rectangle that has four cells of one colour as its corners.

    Example:
        >>> fill_between_corners([[4, 0, 4], [0, 0, 0], [4, 0, 4]], 2).tolist()
        [[4, 0, 4], [0, 2, 0], [4, 0, 4]]
    """
    array, colour = as_array(grid), as_colour(c)
    filled = array.copy()
    lines = np.flatnonzero((array != 0).sum(axis=1) > 1).tolist()
    for place, top in enumerate(lines):
        for bottom in lines[place + 1 :]:
            if bottom - top < 2:
                continue
            # a corner needs equal ends and an empty side, and a rectangle consecutive corners
            is_end = (array[top] == array[bottom]) & (array[top] != 0) & ~array[top + 1 : bottom].any(axis=0)
            ends = np.flatnonzero(is_end).tolist()
            for left, right in itertools.pairwise(ends):
                box = array[top : bottom + 1, left : right + 1]
                if right - left > 1 and box[0, 0] == box[0, -1] and np.count_nonzero(box) == 4:
                    filled[top + 1 : bottom, left + 1 : right] = colour
    return filled
