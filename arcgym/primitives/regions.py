"""Paint inside and around objects: holes by parity or by the piece that fits, boxes, centres, and colours within."""

from collections import Counter
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box, regions
from arcgym.primitives._shapes import cropped, size_of, touches_edge
from arcgym.primitives.objects import objects


def _holes(array: Grid) -> list[Mask]:
    """Return the regions of 0-cells that touch at sides and do not reach the border."""
    return [mask for mask in regions((array == 0).astype(np.int8), diagonal=False) if not touches_edge(mask)]


def fill_odd_holes(grid: GridLike, c: SupportsIndex) -> Grid:
    """Fill the enclosed regions with an odd number of 0-cells with colour `c`.

    Example:
        >>> fill_odd_holes([[5, 5, 5, 5, 5, 5], [5, 0, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]], 7).tolist()
        [[5, 5, 5, 5, 5, 5], [5, 7, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]]
    """
    return _fill_parity(as_array(grid), 1, as_colour(c))


def fill_even_holes(grid: GridLike, c: SupportsIndex) -> Grid:
    """Fill the enclosed regions with an even number of 0-cells with colour `c`.

    Example:
        >>> fill_even_holes([[5, 5, 5, 5, 5, 5], [5, 0, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]], 2).tolist()
        [[5, 5, 5, 5, 5, 5], [5, 0, 5, 2, 2, 5], [5, 5, 5, 5, 5, 5]]
    """
    return _fill_parity(as_array(grid), 0, as_colour(c))


def _fill_parity(array: Grid, parity: int, colour: int) -> Grid:
    for mask in _holes(array):
        if size_of(mask) % 2 == parity:
            array[mask] = colour
    return array


def fill_matching_holes(grid: GridLike) -> Grid:
    """Move each object into the enclosed region of 0-cells that has its shape, not turned; others stay.

    The object's place becomes 0. Of several objects that fit, the one whose colour fewest objects have is taken, and
    of equals the first in reading order. Unchanged when nothing fits.

    Example:
        >>> fill_matching_holes([[5, 5, 5, 5, 0], [5, 0, 0, 5, 0], [5, 5, 5, 5, 0], [3, 3, 0, 0, 4]]).tolist()
        [[5, 5, 5, 5, 0], [5, 3, 3, 5, 0], [5, 5, 5, 5, 0], [0, 0, 0, 0, 4]]
    """
    array = as_array(grid)
    pieces = [(mask, cropped(mask)) for mask in objects(array)]
    number_of = Counter(int(array[mask][0]) for mask, _ in pieces)
    pieces.sort(key=lambda piece: number_of[int(array[piece[0]][0])])
    filled = array.copy()
    for hole in _holes(array):
        wanted = cropped(hole)
        index = next((place for place, (_, crop) in enumerate(pieces) if np.array_equal(crop, wanted)), None)
        if index is not None:
            piece, _ = pieces.pop(index)
            filled[hole], filled[piece] = array[piece][0], 0
    return filled


def fill_own_boxes(grid: GridLike) -> Grid:
    """Paint the 0-cells inside the box of each object with the object's colour.

    Example:
        >>> fill_own_boxes([[1, 0, 0, 0], [1, 1, 0, 4]]).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 4]]
    """
    array = as_array(grid)
    for mask in objects(array):
        box = array[bounding_box(mask)]
        box[box == 0] = array[mask][0]
    return array


def box_around(grid: GridLike, c: SupportsIndex) -> Grid:
    """Draw a rectangle of colour `c`, over 0-cells, one cell outside the box of each object of any colours.

    Example:
        >>> box_around([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], 3).tolist()
        [[3, 3, 3, 3], [3, 1, 0, 3], [3, 0, 1, 3], [3, 3, 3, 3]]
    """
    array, colour = as_array(grid), as_colour(c)
    drawn = np.pad(array, 1)
    for mask in objects(array, same_colour=False):
        rows, columns = bounding_box(mask)
        ring = np.zeros(drawn.shape, dtype=np.bool_)
        # in the padded grid, where one cell outside the box is always inside the array
        ring[rows.start : rows.stop + 2, columns.start : columns.stop + 2] = True
        ring[rows.start + 1 : rows.stop + 1, columns.start + 1 : columns.stop + 1] = False
        drawn[ring & (drawn == 0)] = colour
    return drawn[1:-1, 1:-1].copy()


def mark_centres(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the middle cell of each object's box, or to the middle two or four of an even side.

    Example:
        >>> mark_centres([[1, 1, 1, 0, 4, 4]], 5).tolist()
        [[1, 5, 1, 0, 5, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in objects(array):
        box = array[bounding_box(mask)]
        height, width = box.shape
        box[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1] = colour
    return array


def _several(array: Grid) -> list[tuple[Mask, list[int]]]:
    """Return the objects of any colours that have at least two, and their colours, the most frequent first."""
    found = []
    for mask in objects(array, same_colour=False):
        counts = np.bincount(array[mask], minlength=10)
        if np.count_nonzero(counts) > 1:
            # equal counts: the lower colour first
            found.append((mask, sorted(np.flatnonzero(counts).tolist(), key=lambda colour: -int(counts[colour]))))
    if not found:
        raise ValueError("no object has two colours")
    return found


def swap_within(grid: GridLike) -> Grid:
    """Exchange the two colours of each object that has exactly two; an object's cells touch at sides or corners.

    `ValueError` when no object has two colours or more.

    Example:
        >>> swap_within([[1, 2, 1, 0, 3, 3, 4]]).tolist()
        [[2, 1, 2, 0, 4, 4, 3]]
    """
    array = as_array(grid)
    for mask, colours in _several(array):
        if len(colours) == 2:
            array[mask] = np.where(array[mask] == colours[0], colours[1], colours[0])
    return array


def paint_rarest(grid: GridLike) -> Grid:
    """Paint each object of several colours with the one that it has least of, of equals the highest.

    `ValueError` when no object has two colours or more.

    Example:
        >>> paint_rarest([[1, 1, 2, 0, 3, 3, 4]]).tolist()
        [[2, 2, 2, 0, 4, 4, 4]]
    """
    array = as_array(grid)
    for mask, colours in _several(array):
        array[mask] = colours[-1]
    return array


def paint_commonest(grid: GridLike) -> Grid:
    """Paint each object of several colours with the one that it has most of, of equals the lowest.

    `ValueError` when no object has two colours or more.

    Example:
        >>> paint_commonest([[1, 1, 2, 0, 3, 3, 4]]).tolist()
        [[1, 1, 1, 0, 3, 3, 3]]
    """
    array = as_array(grid)
    for mask, colours in _several(array):
        array[mask] = colours[0]
    return array
