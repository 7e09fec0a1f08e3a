"""Give objects, rows, columns and cells another colour by what they are: size, rank, shape, place or neighbours.

An object is a connected region of nonzero cells of one colour that touch at sides or corners.
"""

from collections import Counter
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box, regions
from arcgym.primitives.objects import objects


def _size(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _has_hole(mask: Mask) -> bool:
    """Tell whether some cells of an object's box are cut off from the outside by it."""
    around = np.pad(~mask[bounding_box(mask)], 1, constant_values=True)
    return len(regions(around.astype(np.int8), diagonal=False)) > 1


def _shape_key(mask: Mask) -> bytes:
    """Return what is equal for the eight positions of one shape, and for no other."""
    crop = mask[bounding_box(mask)]
    views = [np.rot90(view, turns) for view in (crop, crop.T) for turns in range(4)]
    return min(bytes(view.shape) + np.ascontiguousarray(view).tobytes() for view in views)


def _painted(array: Grid, masks: list[Mask], colour: int) -> Grid:
    for mask in masks:
        array[mask] = colour
    return array


def recolour_by_rank(grid: GridLike) -> Grid:
    """Give the largest objects colour 1, the next largest 2, and so on; equal sizes share a colour.

    `ValueError` when there are more than nine sizes.

    Example:
        >>> recolour_by_rank([[5, 0, 5, 5, 5, 0, 5, 5]]).tolist()
        [[3, 0, 1, 1, 1, 0, 2, 2]]
    """
    array = as_array(grid)
    masks = objects(array)
    sizes = sorted({_size(mask) for mask in masks}, reverse=True)
    if len(sizes) > 9:
        raise ValueError(f"there are nine colours to give, but {len(sizes)} sizes")
    for mask in masks:
        array[mask] = sizes.index(_size(mask)) + 1
    return array


def recolour_larger(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give the objects of more than `n` cells colour `c`.

    Example:
        >>> recolour_larger([[5, 0, 5, 5, 0, 3, 3, 3]], 2, 8).tolist()
        [[5, 0, 5, 5, 0, 8, 8, 8]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    return _painted(array, [mask for mask in objects(array) if _size(mask) > size], colour)


def recolour_smaller(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give the objects of at most `n` cells colour `c`.

    Example:
        >>> recolour_smaller([[5, 0, 5, 5, 0, 3, 3, 3]], 2, 8).tolist()
        [[8, 0, 8, 8, 0, 3, 3, 3]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    return _painted(array, [mask for mask in objects(array) if _size(mask) <= size], colour)


def recolour_sized(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give the objects of exactly `n` cells colour `c`.

    Example:
        >>> recolour_sized([[5, 0, 5, 5, 0, 3, 3, 3]], 2, 8).tolist()
        [[5, 0, 8, 8, 0, 3, 3, 3]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    return _painted(array, [mask for mask in objects(array) if _size(mask) == size], colour)


def recolour_odd_one(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the object whose shape, turned and mirrored at will, no other object has.

    `ValueError` unless there is exactly one such object.

    Example:
        >>> recolour_odd_one([[5, 5, 0, 5, 0, 5], [0, 0, 0, 5, 0, 0]], 2).tolist()
        [[5, 5, 0, 5, 0, 2], [0, 0, 0, 5, 0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    masks = objects(array)
    keys = [_shape_key(mask) for mask in masks]
    odd = [mask for mask, key in zip(masks, keys, strict=True) if keys.count(key) == 1]
    if len(odd) != 1 or len(masks) < 3:
        raise ValueError(f"exactly one object of three or more must have a shape of its own, found {len(odd)}")
    return _painted(array, odd, colour)


def recolour_closed(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the objects that enclose a hole colour `c`.

    Example:
        >>> recolour_closed([[1, 1, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 1]], 3).tolist()
        [[3, 3, 3, 0, 1], [3, 0, 3, 0, 1], [3, 3, 3, 0, 1]]
    """
    array, colour = as_array(grid), as_colour(c)
    return _painted(array, [mask for mask in objects(array) if _has_hole(mask)], colour)


def keep_closed(grid: GridLike) -> Grid:
    """Keep the objects that enclose a hole.

    Example:
        >>> keep_closed([[1, 1, 1, 0, 2], [1, 0, 1, 0, 2], [1, 1, 1, 0, 2]]).tolist()
        [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]]
    """
    array = as_array(grid)
    return _painted(array, [mask for mask in objects(array) if not _has_hole(mask)], 0)


def recolour_symmetric(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the objects that equal their own left-right mirror image colour `c`.

    Example:
        >>> recolour_symmetric([[0, 4, 0, 0, 4, 0], [4, 4, 4, 0, 4, 4]], 1).tolist()
        [[0, 1, 0, 0, 4, 0], [1, 1, 1, 0, 4, 4]]
    """
    array, colour = as_array(grid), as_colour(c)
    crops = [(mask, mask[bounding_box(mask)]) for mask in objects(array)]
    return _painted(array, [mask for mask, crop in crops if (crop == crop[:, ::-1]).all()], colour)


def recolour_touching_border(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the objects with a cell at the border of the grid colour `c`.

    Example:
        >>> recolour_touching_border([[0, 0, 0], [0, 5, 0], [0, 0, 0], [5, 0, 0]], 2).tolist()
        [[0, 0, 0], [0, 5, 0], [0, 0, 0], [2, 0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    inside = np.zeros(array.shape, dtype=np.bool_)
    inside[1:-1, 1:-1] = True
    return _painted(array, [mask for mask in objects(array) if (mask & ~inside).any()], colour)


def recolour_to_nearest(grid: GridLike, a: SupportsIndex) -> Grid:
    """Give each cell of colour `a` the colour of the nearest cell of another colour but 0, by rows plus columns.

    Of equally near cells the first in reading order counts. `ValueError` when there is none.

    Example:
        >>> recolour_to_nearest([[1, 0, 3, 0, 3, 2]], 3).tolist()
        [[1, 0, 1, 0, 2, 2]]
    """
    array, asked = as_array(grid), as_colour(a)
    sources = np.argwhere((array != 0) & (array != asked))
    cells = np.argwhere(array == asked)
    if not len(sources):
        raise ValueError(f"the grid holds no colour but 0 and {asked}")
    distances = np.abs(cells[:, None, :] - sources[None, :, :]).sum(axis=2)
    nearest = sources[distances.argmin(axis=1)] if len(cells) else sources[:0]
    array[cells[:, 0], cells[:, 1]] = array[nearest[:, 0], nearest[:, 1]]
    return array


def recolour_from_top(grid: GridLike, a: SupportsIndex) -> Grid:
    """Give each object of colour `a`, whose cells touch at sides, the colour that the top row has above it.

    Of several colours above an object the most frequent counts, and of equals the leftmost; an object with nothing
    above it stays.

    Example:
        >>> recolour_from_top([[1, 0, 2], [0, 0, 0], [5, 0, 5]], 5).tolist()
        [[1, 0, 2], [0, 0, 0], [1, 0, 2]]
    """
    array, asked = as_array(grid), as_colour(a)
    for mask in regions((array == asked).astype(np.int8), diagonal=False):
        above = [colour for colour in array[0, mask.any(axis=0)].tolist() if colour not in (0, asked)]
        if above:
            array[mask] = Counter(above).most_common(1)[0][0]
    return array


def recolour_rows_by_first(grid: GridLike, a: SupportsIndex) -> Grid:
    """Give each cell of colour `a` the colour of the first cell of its row.

    Example:
        >>> recolour_rows_by_first([[1, 0, 5], [2, 5, 5]], 5).tolist()
        [[1, 0, 1], [2, 2, 2]]
    """
    array, asked = as_array(grid), as_colour(a)
    return np.where(array == asked, array[:, :1], array)


def recolour_columns(grid: GridLike, n: SupportsIndex, i: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give the nonzero cells of each `n`-th column, from column `i` on, colour `c`.

    Example:
        >>> recolour_columns([[4, 4, 0, 4, 4, 4]], 2, 1, 6).tolist()
        [[4, 6, 0, 6, 4, 6]]
    """
    array, step, first, colour = as_array(grid), as_size(n, "n"), as_size(i, "i", 0), as_colour(c)
    columns = array[:, first::step]
    columns[columns != 0] = colour
    return array


def recolour_lower_half(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the lower half of each object, the middle row left out, colour `c`.

    Example:
        >>> recolour_lower_half([[2, 0], [2, 2], [2, 2]], 8).tolist()
        [[2, 0], [2, 2], [8, 8]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in regions(array, diagonal=False):
        rows = np.flatnonzero(mask.any(axis=1))
        mask[: int(rows[-1]) + 1 - len(rows) // 2] = False
        array[mask] = colour
    return array


def recolour_uniform_rows(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give rows of one colour, 0 left out, colour `c`, and all other cells 0.

    Example:
        >>> recolour_uniform_rows([[4, 4], [2, 3], [1, 1]], 5).tolist()
        [[5, 5], [0, 0], [5, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    is_uniform = (array == array[:, :1]).all(axis=1) & (array[:, 0] != 0)
    return np.where(is_uniform[:, None], np.int8(colour), np.zeros_like(array))


def recolour_to_odd_cell(grid: GridLike) -> Grid:
    """Give every nonzero cell the colour that only one cell has, and remove that cell.

    `ValueError` unless exactly one colour but 0 has exactly one cell, and there are others.

    Example:
        >>> recolour_to_odd_cell([[2, 2, 0], [0, 2, 0], [0, 0, 4]]).tolist()
        [[4, 4, 0], [0, 4, 0], [0, 0, 0]]
    """
    array = as_array(grid)
    counts = np.bincount(array.ravel(), minlength=10)
    single = [colour for colour in range(1, 10) if counts[colour] == 1]
    if len(single) != 1 or counts[1:].sum() == 1:
        raise ValueError(f"exactly one colour must have a single cell beside others, found {len(single)}")
    return np.where((array != 0) & (array != single[0]), np.int8(single[0]), np.int8(0))


def swap_two_colours(grid: GridLike) -> Grid:
    """Exchange the two colours other than 0.

    `ValueError` unless there are exactly two.

    Example:
        >>> swap_two_colours([[1, 0, 7], [7, 7, 1]]).tolist()
        [[7, 0, 1], [1, 1, 7]]
    """
    array = as_array(grid)
    colours = np.unique(array[array != 0])
    if len(colours) != 2:
        raise ValueError(f"exactly two colours other than 0 are needed, found {len(colours)}")
    first, second = colours
    return np.select([array == first, array == second], [second, first], array)


def _rings(array: Grid) -> list[int]:
    """List the colours of concentric rings from the outside, 0 included."""
    middle = array[array.shape[0] // 2].tolist()
    return list(dict.fromkeys(middle[: (len(middle) + 1) // 2]))


def reverse_rings(grid: GridLike) -> Grid:
    """Reverse the order of the colours of concentric rings, read along the middle row from the left to the centre.

    `ValueError` when there is one colour only.

    Example:
        >>> reverse_rings([[1, 1, 1], [1, 2, 1], [1, 1, 1]]).tolist()
        [[2, 2, 2], [2, 1, 2], [2, 2, 2]]
    """
    array = as_array(grid)
    colours = _rings(array)
    return _replaced(array, colours, colours[::-1])


def cycle_rings(grid: GridLike) -> Grid:
    """Move the colours of concentric rings one ring inwards, and the innermost to the outside.

    They are read along the middle row from the left to the centre. `ValueError` when there is one colour only.

    Example:
        >>> cycle_rings([[3, 3, 3, 3, 3], [3, 2, 2, 2, 3], [3, 2, 0, 2, 3], [3, 2, 2, 2, 3], [3, 3, 3, 3, 3]]).tolist()
        [[0, 0, 0, 0, 0], [0, 3, 3, 3, 0], [0, 3, 2, 3, 0], [0, 3, 3, 3, 0], [0, 0, 0, 0, 0]]
    """
    array = as_array(grid)
    colours = _rings(array)
    return _replaced(array, colours, [colours[-1], *colours[:-1]])


def _replaced(array: Grid, old: list[int], new: list[int]) -> Grid:
    if len(old) < 2:
        raise ValueError("rings of at least two colours are needed, found one colour")
    table = np.arange(10, dtype=np.int8)
    table[old] = new
    return table[array]
