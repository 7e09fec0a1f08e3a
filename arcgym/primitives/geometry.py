"""Move, turn, repeat and join whole grids; no function here looks at what the colours mean."""

import operator
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour, as_size


def flip_lr(grid: GridLike) -> Grid:
    """Mirror the grid left to right.

    Example:
        >>> flip_lr([[1, 2], [3, 4]]).tolist()
        [[2, 1], [4, 3]]
    """
    return as_array(grid)[:, ::-1].copy()


def flip_ud(grid: GridLike) -> Grid:
    """Mirror the grid top to bottom.

    Example:
        >>> flip_ud([[1, 2], [3, 4]]).tolist()
        [[3, 4], [1, 2]]
    """
    return as_array(grid)[::-1].copy()


def rotate_cw(grid: GridLike) -> Grid:
    """Turn the grid a quarter clockwise; height and width change places.

    Example:
        >>> rotate_cw([[1, 2], [3, 4]]).tolist()
        [[3, 1], [4, 2]]
    """
    return np.rot90(as_array(grid), -1).copy()


def rotate_ccw(grid: GridLike) -> Grid:
    """Turn the grid a quarter counter-clockwise; height and width change places.

    Example:
        >>> rotate_ccw([[1, 2], [3, 4]]).tolist()
        [[2, 4], [1, 3]]
    """
    return np.rot90(as_array(grid)).copy()


def rotate_180(grid: GridLike) -> Grid:
    """Turn the grid upside down.

    Example:
        >>> rotate_180([[1, 2], [3, 4]]).tolist()
        [[4, 3], [2, 1]]
    """
    return as_array(grid)[::-1, ::-1].copy()


def transpose(grid: GridLike) -> Grid:
    """Mirror the grid at the diagonal from the top left; rows become columns.

    Example:
        >>> transpose([[1, 2], [3, 4]]).tolist()
        [[1, 3], [2, 4]]
    """
    return as_array(grid).T.copy()


def anti_transpose(grid: GridLike) -> Grid:
    """Mirror the grid at the diagonal from the top right.

    Example:
        >>> anti_transpose([[1, 2], [3, 4]]).tolist()
        [[4, 2], [3, 1]]
    """
    return as_array(grid)[::-1, ::-1].T.copy()


def shift(grid: GridLike, dy: SupportsIndex, dx: SupportsIndex, fill: SupportsIndex = 0) -> Grid:
    """Move everything `dy` cells down and `dx` cells right; negative numbers go up and left.

    What leaves the grid is lost, and `fill` comes in. A move of a whole side or more leaves only `fill`.

    Example:
        >>> shift([[1, 2], [3, 4]], 1, 0).tolist()
        [[0, 0], [1, 2]]
    """
    array = as_array(grid)
    down, right = operator.index(dy), operator.index(dx)
    height, width = array.shape
    moved = np.full_like(array, as_colour(fill))
    if abs(down) < height and abs(right) < width:
        source = array[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
        moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = source
    return moved


def roll(grid: GridLike, dy: SupportsIndex, dx: SupportsIndex) -> Grid:
    """Move everything `dy` cells down and `dx` cells right; what leaves comes back in on the other side.

    Example:
        >>> roll([[1, 2, 3]], 0, 1).tolist()
        [[3, 1, 2]]
    """
    return np.roll(as_array(grid), (operator.index(dy), operator.index(dx)), axis=(0, 1))


def scale(grid: GridLike, k: SupportsIndex) -> Grid:
    """Turn every cell into a block of `k` by `k` cells.

    `ValueError` when `k` is below 1.

    Example:
        >>> scale([[1, 2]], 2).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    return stretch(grid, k, k)


def stretch(grid: GridLike, ky: SupportsIndex, kx: SupportsIndex) -> Grid:
    """Turn every cell into a block `ky` cells high and `kx` cells wide.

    `ValueError` when `ky` or `kx` is below 1.

    Example:
        >>> stretch([[1, 2]], 1, 3).tolist()
        [[1, 1, 1, 2, 2, 2]]
    """
    return as_array(grid).repeat(as_size(ky, "ky"), axis=0).repeat(as_size(kx, "kx"), axis=1)


def downscale(grid: GridLike, k: SupportsIndex) -> Grid:
    """Keep every `k`-th cell of every `k`-th row, from the top left; this undoes `scale`.

    A side that `k` does not divide is rounded up. `ValueError` when `k` is below 1.

    Example:
        >>> downscale([[1, 1, 2, 2], [1, 1, 2, 2]], 2).tolist()
        [[1, 2]]
    """
    step = as_size(k, "k")
    return as_array(grid)[::step, ::step].copy()


def tile(grid: GridLike, ny: SupportsIndex, nx: SupportsIndex) -> Grid:
    """Repeat the grid `ny` times downwards and `nx` times to the right.

    `ValueError` when `ny` or `nx` is below 1.

    Example:
        >>> tile([[1, 2]], 2, 2).tolist()
        [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    return np.tile(as_array(grid), (as_size(ny, "ny"), as_size(nx, "nx")))


def checker_tile(grid: GridLike, ny: SupportsIndex, nx: SupportsIndex) -> Grid:
    """Repeat the grid `ny` times downwards and `nx` times to the right, every second row of tiles mirrored.

    The second, fourth, ... row of tiles is flipped left to right. `ValueError` when `ny` or `nx` is below 1.

    Example:
        >>> checker_tile([[1, 2]], 3, 2).tolist()
        [[1, 2, 1, 2], [2, 1, 2, 1], [1, 2, 1, 2]]
    """
    array = as_array(grid)
    across = as_size(nx, "nx")
    plain, flipped = np.tile(array, (1, across)), np.tile(array[:, ::-1], (1, across))
    return np.concatenate([flipped if row % 2 else plain for row in range(as_size(ny, "ny"))], axis=0)


def hconcat(a: GridLike, b: GridLike) -> Grid:
    """Put `b` to the right of `a`.

    `ValueError` when the heights differ.

    Example:
        >>> hconcat([[1], [2]], [[3], [4]]).tolist()
        [[1, 3], [2, 4]]
    """
    left, right = as_array(a), as_array(b)
    if left.shape[0] != right.shape[0]:
        raise ValueError(f"the heights must be equal, got {left.shape[0]} and {right.shape[0]}")
    return np.concatenate([left, right], axis=1)


def vconcat(a: GridLike, b: GridLike) -> Grid:
    """Put `b` below `a`.

    `ValueError` when the widths differ.

    Example:
        >>> vconcat([[1, 2]], [[3, 4]]).tolist()
        [[1, 2], [3, 4]]
    """
    top, bottom = as_array(a), as_array(b)
    if top.shape[1] != bottom.shape[1]:
        raise ValueError(f"the widths must be equal, got {top.shape[1]} and {bottom.shape[1]}")
    return np.concatenate([top, bottom], axis=0)


def mirror_right(grid: GridLike) -> Grid:
    """Put the grid's mirror image to its right.

    Example:
        >>> mirror_right([[1, 2]]).tolist()
        [[1, 2, 2, 1]]
    """
    return hconcat(grid, flip_lr(grid))


def mirror_left(grid: GridLike) -> Grid:
    """Put the grid's mirror image to its left.

    Example:
        >>> mirror_left([[1, 2]]).tolist()
        [[2, 1, 1, 2]]
    """
    return hconcat(flip_lr(grid), grid)


def mirror_down(grid: GridLike) -> Grid:
    """Put the grid's mirror image below it.

    Example:
        >>> mirror_down([[1], [2]]).tolist()
        [[1], [2], [2], [1]]
    """
    return vconcat(grid, flip_ud(grid))


def mirror_up(grid: GridLike) -> Grid:
    """Put the grid's mirror image above it.

    Example:
        >>> mirror_up([[1], [2]]).tolist()
        [[2], [1], [1], [2]]
    """
    return vconcat(flip_ud(grid), grid)


def kaleidoscope(grid: GridLike) -> Grid:
    """Arrange the grid and its mirror images two by two, the grid itself top left.

    Example:
        >>> kaleidoscope([[1, 2], [3, 4]]).tolist()
        [[1, 2, 2, 1], [3, 4, 4, 3], [3, 4, 4, 3], [1, 2, 2, 1]]
    """
    return mirror_down(mirror_right(grid))


def rotate_mosaic(grid: GridLike) -> Grid:
    """Arrange the grid and its turns two by two: as it is, clockwise; counter-clockwise, upside down.

    `ValueError` when the grid is not square.

    Example:
        >>> rotate_mosaic([[1, 2], [3, 4]]).tolist()
        [[1, 2, 3, 1], [3, 4, 4, 2], [2, 4, 4, 3], [1, 3, 2, 1]]
    """
    array = as_array(grid)
    if array.shape[0] != array.shape[1]:
        raise ValueError(f"only a square grid can be turned in place, got {array.shape[0]} x {array.shape[1]}")
    top = hconcat(array, rotate_cw(array))
    return vconcat(top, hconcat(rotate_ccw(array), rotate_180(array)))


def fractal(grid: GridLike) -> Grid:
    """Replace every nonzero cell by a copy of the whole grid and every 0 by a block of 0 of that size.

    Example:
        >>> fractal([[0, 5], [5, 5]]).tolist()
        [[0, 0, 0, 5], [0, 0, 5, 5], [0, 5, 0, 5], [5, 5, 5, 5]]
    """
    array = as_array(grid)
    return np.kron((array != 0).astype(np.int8), array)


def inverse_fractal(grid: GridLike) -> Grid:
    """Replace every 0 by a copy of the whole grid and every other cell by a block of 0 of that size.

    Example:
        >>> inverse_fractal([[0, 5], [5, 5]]).tolist()
        [[0, 5, 0, 0], [5, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    array = as_array(grid)
    return np.kron((array == 0).astype(np.int8), array)
