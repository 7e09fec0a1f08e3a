"""Recolour, keep or remove objects by what touches them, and by their holes, their shape, their place or their side.

An object is a connected region of nonzero cells of one colour that touch at sides or corners; a part is one whose
cells touch at sides.
"""

from collections import Counter
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box, regions
from arcgym.primitives._shapes import beside, count_holes, shape_key, size_of
from arcgym.primitives.objects import objects


def _touching(array: Grid, colour: int) -> list[Mask]:
    """Return the objects of other colours that share a side with a cell of this colour."""
    near = beside(array == colour)
    return [mask for mask in regions(np.where(array == colour, 0, array), diagonal=True) if (mask & near).any()]


def _together(array: Grid, masks: list[Mask]) -> Mask:
    """Mark the cells of all these masks."""
    return np.logical_or.reduce(masks) if masks else np.zeros(array.shape, dtype=np.bool_)


def recolour_touching(grid: GridLike, a: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give colour `c` to the objects of other colours that touch colour `a` at a side.

    Example:
        >>> recolour_touching([[3, 3, 2, 0, 3]], 2, 8).tolist()
        [[8, 8, 2, 0, 3]]
    """
    array, asked, colour = as_array(grid), as_colour(a), as_colour(c)
    array[_together(array, _touching(array, asked))] = colour
    return array


def remove_touching(grid: GridLike, a: SupportsIndex) -> Grid:
    """Set the objects of other colours that touch colour `a` at a side to 0.

    Example:
        >>> remove_touching([[3, 3, 2, 0, 3]], 2).tolist()
        [[0, 0, 2, 0, 3]]
    """
    return recolour_touching(grid, a, 0)


def keep_touching(grid: GridLike, a: SupportsIndex) -> Grid:
    """Keep the objects that touch colour `a` at a side, and all of colour `a`; set the others to 0.

    Example:
        >>> keep_touching([[3, 3, 2, 0, 3]], 2).tolist()
        [[3, 3, 2, 0, 0]]
    """
    array, asked = as_array(grid), as_colour(a)
    kept = _together(array, _touching(array, asked)) | (array == asked)
    return np.where(kept, array, np.int8(0))


def recolour_upright(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the objects that are taller than wide.

    Example:
        >>> recolour_upright([[1, 0, 2, 2], [1, 0, 0, 0]], 5).tolist()
        [[5, 0, 2, 2], [5, 0, 0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in objects(array):
        if _lead(mask) > 0:
            array[mask] = colour
    return array


def recolour_flat(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the objects that are wider than tall.

    Example:
        >>> recolour_flat([[1, 0, 2, 2], [1, 0, 0, 0]], 5).tolist()
        [[1, 0, 5, 5], [1, 0, 0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in objects(array):
        if _lead(mask) < 0:
            array[mask] = colour
    return array


def _lead(mask: Mask) -> int:
    """Return by how much a mask is taller than wide."""
    rows, columns = bounding_box(mask)
    return int((rows.stop - rows.start) - (columns.stop - columns.start))


def lone_to(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the nonzero cells with no neighbour of their colour at a side; corners do not count.

    Example:
        >>> lone_to([[2, 2, 0], [0, 0, 2]], 1).tolist()
        [[2, 2, 0], [0, 0, 1]]
    """
    array, colour = as_array(grid), as_colour(c)
    has_twin = np.zeros(array.shape, dtype=np.bool_)
    below, after = array[1:] == array[:-1], array[:, 1:] == array[:, :-1]
    has_twin[1:] |= below
    has_twin[:-1] |= below
    has_twin[:, 1:] |= after
    has_twin[:, :-1] |= after
    array[~has_twin & (array != 0)] = colour
    return array


def recolour_parts_larger(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give colour `c` to the parts of more than `n` cells: what touches at a corner only is another part.

    Example:
        >>> recolour_parts_larger([[3, 3, 0], [0, 3, 0], [3, 0, 3]], 2, 8).tolist()
        [[8, 8, 0], [0, 8, 0], [3, 0, 3]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    for mask in regions(array, diagonal=False):
        if size_of(mask) > size:
            array[mask] = colour
    return array


def recolour_in_order(grid: GridLike) -> Grid:
    """Give the objects the colours 1, 2, 3 and so on from left to right, by their first column, then their first row.

    `ValueError` when there are more than nine objects.

    Example:
        >>> recolour_in_order([[0, 0, 5], [5, 0, 0], [5, 0, 5]]).tolist()
        [[0, 0, 2], [1, 0, 0], [1, 0, 3]]
    """
    array = as_array(grid)
    boxes = [(bounding_box(mask), mask) for mask in objects(array)]
    if len(boxes) > 9:
        raise ValueError(f"there are nine colours to give, but {len(boxes)} objects")
    boxes.sort(key=lambda item: (item[0][1].start, item[0][0].start))
    for rank, (_, mask) in enumerate(boxes, start=1):
        array[mask] = rank
    return array


def recolour_holed(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Give colour `c` to the objects that enclose exactly `n` regions.

    Example:
        >>> recolour_holed([[1, 1, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 1]], 1, 3).tolist()
        [[3, 3, 3, 0, 1], [3, 0, 3, 0, 1], [3, 3, 3, 0, 1]]
    """
    array, number, colour = as_array(grid), as_size(n, "n", 0), as_colour(c)
    for mask in objects(array):
        if count_holes(mask) == number:
            array[mask] = colour
    return array


def recolour_by_holes(grid: GridLike) -> Grid:
    """Give each object as colour the number of regions that it encloses; those that enclose none become 0.

    `ValueError` when an object encloses more than nine.

    Example:
        >>> recolour_by_holes([[5, 5, 5, 0, 5], [5, 0, 5, 0, 5], [5, 5, 5, 0, 5]]).tolist()
        [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]]
    """
    array = as_array(grid)
    for mask in objects(array):
        number = count_holes(mask)
        if number > 9:
            raise ValueError(f"there are nine colours to give, but an object encloses {number} regions")
        array[mask] = number
    return array


def recolour_repeated(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the objects whose shape, turned and mirrored at will, another object has too.

    Example:
        >>> recolour_repeated([[5, 5, 0, 5, 0, 6], [0, 0, 0, 0, 0, 6]], 2).tolist()
        [[2, 2, 0, 5, 0, 2], [0, 0, 0, 0, 0, 2]]
    """
    array, colour = as_array(grid), as_colour(c)
    keyed = [(shape_key(mask), mask) for mask in objects(array)]
    counts = Counter(key for key, _ in keyed)
    for key, mask in keyed:
        if counts[key] > 1:
            array[mask] = colour
    return array


def recolour_like(grid: GridLike, a: SupportsIndex) -> Grid:
    """Give each object of colour `a` the colour of a model with its shape, turned and mirrored at will.

    Models are the objects of other colours; where some of them lie inside of an object with a hole, only those. Of
    several with one shape the first in reading order counts. `ValueError` when there is no object of colour `a`, or
    no model.

    Example:
        >>> recolour_like([[2, 2, 0, 1, 1, 0, 1]], 1).tolist()
        [[2, 2, 0, 2, 2, 0, 1]]
    """
    array, asked = as_array(grid), as_colour(a)
    masks = objects(array)
    others = [mask for mask in masks if array[mask][0] != asked]
    frames = [bounding_box(mask) for mask in masks if count_holes(mask)]
    models = [mask for mask in others if _is_inside(bounding_box(mask), frames)] or others
    followers = [mask for mask in masks if array[mask][0] == asked]
    if not models or not followers:
        raise ValueError(f"an object of colour {asked} and one of another colour are needed")
    colours = {shape_key(mask): int(array[mask][0]) for mask in reversed(models)}
    for mask in followers:
        array[mask] = colours.get(shape_key(mask), asked)
    return array


def _is_inside(box: tuple[slice, slice], frames: list[tuple[slice, slice]]) -> bool:
    """Tell whether a box lies in one of others without reaching its border."""
    return any(
        all(outer.start < inner.start and inner.stop < outer.stop for inner, outer in zip(box, frame, strict=True))
        for frame in frames
    )


def keep_sized(grid: GridLike, n: SupportsIndex) -> Grid:
    """Keep the objects of exactly `n` cells, and set the others to 0.

    Example:
        >>> keep_sized([[5, 0, 5, 5, 0, 3, 3, 3]], 2).tolist()
        [[0, 0, 5, 5, 0, 0, 0, 0]]
    """
    array, size = as_array(grid), as_size(n, "n")
    return np.where(_together(array, [mask for mask in objects(array) if size_of(mask) == size]), array, np.int8(0))
