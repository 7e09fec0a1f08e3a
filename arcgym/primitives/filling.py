"""Fill what is empty: holes of a size, rings around cells, boxes, gaps, and regions that a colour reaches."""

from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box, regions

_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def _empty_regions(array: Grid) -> list[Mask]:
    """Return the regions of 0-cells that touch at sides."""
    return regions((array == 0).astype(np.int8), diagonal=False)


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _beside(mask: Mask, steps: tuple[tuple[int, int], ...]) -> Mask:
    """Mark the cells that one of the steps leads to from a cell of the mask."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    return np.logical_or.reduce([padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width] for dy, dx in steps])


def fill_holes_of_size(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Fill the enclosed regions of exactly `n` 0-cells with colour `c`.

    Example:
        >>> fill_holes_of_size([[5, 5, 5, 5, 5, 5], [5, 0, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]], 1, 7).tolist()
        [[5, 5, 5, 5, 5, 5], [5, 7, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    for mask in _empty_regions(array):
        if np.count_nonzero(mask) == size and not _touches_border(mask):
            array[mask] = colour
    return array


def fill_square_holes(grid: GridLike, c: SupportsIndex) -> Grid:
    """Fill the enclosed regions of 0-cells that are squares with colour `c`.

    Example:
        >>> fill_square_holes([[5, 5, 5, 5, 5, 5], [5, 0, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]], 2).tolist()
        [[5, 5, 5, 5, 5, 5], [5, 2, 5, 0, 0, 5], [5, 5, 5, 5, 5, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in _empty_regions(array):
        box = mask[bounding_box(mask)]
        if box.shape[0] == box.shape[1] and box.all() and not _touches_border(mask):
            array[mask] = colour
    return array


def fill_regions_larger(grid: GridLike, n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Fill the regions of more than `n` 0-cells, wherever they are, with colour `c`.

    Example:
        >>> fill_regions_larger([[0, 5, 0], [5, 5, 0]], 1, 1).tolist()
        [[0, 5, 1], [5, 5, 1]]
    """
    array, size, colour = as_array(grid), as_size(n, "n"), as_colour(c)
    for mask in _empty_regions(array):
        if np.count_nonzero(mask) > size:
            array[mask] = colour
    return array


def fill_outside(grid: GridLike, c: SupportsIndex) -> Grid:
    """Fill the regions of 0-cells that reach the border with colour `c`; enclosed ones stay.

    Example:
        >>> fill_outside([[0, 4, 4, 4], [0, 4, 0, 4], [0, 4, 4, 4]], 3).tolist()
        [[3, 4, 4, 4], [3, 4, 0, 4], [3, 4, 4, 4]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in _empty_regions(array):
        if _touches_border(mask):
            array[mask] = colour
    return array


def flood(grid: GridLike, a: SupportsIndex) -> Grid:
    """Let colour `a` run into every region of 0-cells that it touches at a side.

    Example:
        >>> flood([[2, 0, 5, 0], [0, 0, 5, 0]], 2).tolist()
        [[2, 2, 5, 0], [2, 2, 5, 0]]
    """
    array, colour = as_array(grid), as_colour(a)
    touched = _beside(array == colour, _SIDES)
    for mask in _empty_regions(array):
        if (mask & touched).any():
            array[mask] = colour
    return array


def fill_with_seed(grid: GridLike) -> Grid:
    """Fill each enclosed region of 0-cells with the colour of the single cells that lie in it.

    A seed is a nonzero cell with no neighbour of its colour, at sides or corners. Regions are taken together with
    their seeds; those with seeds of several colours, or none, stay.

    Example:
        >>> fill_with_seed([[1, 1, 1, 1], [1, 0, 3, 1], [1, 0, 0, 1], [1, 1, 1, 1]]).tolist()
        [[1, 1, 1, 1], [1, 3, 3, 1], [1, 3, 3, 1], [1, 1, 1, 1]]
    """
    array = as_array(grid)
    seeds = np.zeros(array.shape, dtype=np.bool_)
    for mask in regions(array, diagonal=True):
        if np.count_nonzero(mask) == 1:
            seeds |= mask
    for mask in regions(((array == 0) | seeds).astype(np.int8), diagonal=False):
        colours = np.unique(array[mask & seeds])
        if len(colours) == 1 and not _touches_border(mask):
            array[mask] = colours[0]
    return array


def ring_around(grid: GridLike, a: SupportsIndex, c: SupportsIndex) -> Grid:
    """Paint the 0-cells around each cell of colour `a`, at sides and corners, with colour `c`.

    Example:
        >>> ring_around([[0, 0, 0], [0, 2, 0], [0, 0, 0], [3, 0, 0]], 2, 1).tolist()
        [[1, 1, 1], [1, 2, 1], [1, 1, 1], [3, 0, 0]]
    """
    return _surrounded(grid, a, c, _SIDES + _CORNERS)


def plus_around(grid: GridLike, a: SupportsIndex, c: SupportsIndex) -> Grid:
    """Paint the 0-cells at the sides of each cell of colour `a` with colour `c`.

    Example:
        >>> plus_around([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1, 7).tolist()
        [[0, 7, 0], [7, 1, 7], [0, 7, 0]]
    """
    return _surrounded(grid, a, c, _SIDES)


def corners_around(grid: GridLike, a: SupportsIndex, c: SupportsIndex) -> Grid:
    """Paint the 0-cells at the corners of each cell of colour `a` with colour `c`.

    Example:
        >>> corners_around([[0, 0, 0], [0, 2, 0], [0, 0, 0]], 2, 4).tolist()
        [[4, 0, 4], [0, 2, 0], [4, 0, 4]]
    """
    return _surrounded(grid, a, c, _CORNERS)


def _surrounded(grid: GridLike, a: SupportsIndex, c: SupportsIndex, steps: tuple[tuple[int, int], ...]) -> Grid:
    array, inner, colour = as_array(grid), as_colour(a), as_colour(c)
    array[_beside(array == inner, steps) & (array == 0)] = colour
    return array


def fill_colour_boxes(grid: GridLike) -> Grid:
    """Fill the smallest rectangle around all cells of each colour but 0 with that colour, the low colours first.

    Example:
        >>> fill_colour_boxes([[3, 0, 0], [0, 0, 7], [0, 3, 7]]).tolist()
        [[3, 3, 0], [3, 3, 7], [3, 3, 7]]
    """
    array = as_array(grid)
    filled = array.copy()
    for colour in np.unique(array[array != 0]):
        filled[bounding_box(array == colour)] = colour
    return filled


def fill_gaps(grid: GridLike, c: SupportsIndex) -> Grid:
    """Paint each 0-cell whose left and right neighbours have one colour but 0 with colour `c`.

    Example:
        >>> fill_gaps([[1, 0, 1, 0, 0, 3]], 2).tolist()
        [[1, 2, 1, 0, 0, 3]]
    """
    array, colour = as_array(grid), as_colour(c)
    is_gap = (array[:, 1:-1] == 0) & (array[:, :-2] == array[:, 2:]) & (array[:, 2:] != 0)
    array[:, 1:-1][is_gap] = colour
    return array


def fill_columns_with_content(grid: GridLike, c: SupportsIndex) -> Grid:
    """Paint the 0-cells of each column that holds something with colour `c`.

    Example:
        >>> fill_columns_with_content([[0, 4, 0], [0, 0, 0]], 8).tolist()
        [[0, 4, 0], [0, 8, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[(array == 0) & (array != 0).any(axis=0)] = colour
    return array


def fill_marked_crossings(grid: GridLike, c: SupportsIndex) -> Grid:
    """Paint the 0-cells whose first cell of the column and last cell of the row are both nonzero with colour `c`.

    Example:
        >>> fill_marked_crossings([[5, 0, 5, 0], [0, 0, 0, 0], [0, 0, 0, 5]], 2).tolist()
        [[5, 0, 5, 0], [0, 0, 0, 0], [2, 0, 2, 5]]
    """
    array, colour = as_array(grid), as_colour(c)
    array[(array == 0) & (array[:1] != 0) & (array[:, -1:] != 0)] = colour
    return array
