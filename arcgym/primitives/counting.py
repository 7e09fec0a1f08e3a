"""Make grids whose size is a number, given or counted in another grid."""

from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_colour, as_size
from arcgym.primitives.colours import canvas, count_colours
from arcgym.primitives.geometry import scale, tile
from arcgym.primitives.objects import count_objects


def scale_by_colours(grid: GridLike) -> Grid:
    """Scale the grid by its number of different colours, 0 not counted.

    `ValueError` when every cell is 0.

    Example:
        >>> scale_by_colours([[1, 2]]).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    return scale(grid, count_colours(grid))


def tile_by_colours(grid: GridLike) -> Grid:
    """Repeat the grid in both directions as many times as it has different colours, 0 not counted.

    `ValueError` when every cell is 0.

    Example:
        >>> tile_by_colours([[1, 2]]).tolist()
        [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    times = count_colours(grid)
    return tile(grid, times, times)


def unit_row(n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Make a row of `n` cells of colour `c`.

    `ValueError` when `n` is below 1.

    Example:
        >>> unit_row(3, 2).tolist()
        [[2, 2, 2]]
    """
    return canvas(1, n, c)


def diagonal_of(n: SupportsIndex, c: SupportsIndex) -> Grid:
    """Make an `n` by `n` grid of 0 with colour `c` on the diagonal from the top left.

    `ValueError` when `n` is below 1.

    Example:
        >>> diagonal_of(2, 7).tolist()
        [[7, 0], [0, 7]]
    """
    return np.eye(as_size(n, "n"), dtype=np.int8) * np.int8(as_colour(c))


def count_as_row(grid: GridLike, c: SupportsIndex) -> Grid:
    """Make a row of colour `c` with one cell per object of the grid, objects as in `objects`.

    `ValueError` when every cell is 0.

    Example:
        >>> count_as_row([[1, 0, 2], [0, 0, 2]], 8).tolist()
        [[8, 8]]
    """
    return unit_row(count_objects(grid), c)


def size_square(grid: GridLike, c: SupportsIndex) -> Grid:
    """Make a square of colour `c` whose side is the number of objects of the grid, objects as in `objects`.

    `ValueError` when every cell is 0.

    Example:
        >>> size_square([[1, 0, 2], [0, 0, 2]], 8).tolist()
        [[8, 8], [8, 8]]
    """
    side = count_objects(grid)
    return canvas(side, side, c)
