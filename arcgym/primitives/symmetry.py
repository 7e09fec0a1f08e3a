"""Test a grid for symmetry, and fill its gaps from its symmetry or its period."""

import itertools
from collections.abc import Iterator
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array, as_colour


def is_symmetric_lr(grid: GridLike) -> bool:
    """Tell whether the grid equals its mirror image left to right.

    Example:
        >>> is_symmetric_lr([[1, 2, 1]]), is_symmetric_lr([[1, 2]])
        (True, False)
    """
    array = as_array(grid)
    return bool((array == array[:, ::-1]).all())


def is_symmetric_ud(grid: GridLike) -> bool:
    """Tell whether the grid equals its mirror image top to bottom.

    Example:
        >>> is_symmetric_ud([[1], [2], [1]]), is_symmetric_ud([[1], [2]])
        (True, False)
    """
    array = as_array(grid)
    return bool((array == array[::-1]).all())


def symmetrise_lr(grid: GridLike) -> Grid:
    """Give each 0-cell the colour of its mirror image left to right.

    Example:
        >>> symmetrise_lr([[1, 2, 0, 0]]).tolist()
        [[1, 2, 2, 1]]
    """
    array = as_array(grid)
    return np.where(array != 0, array, array[:, ::-1])


def symmetrise_ud(grid: GridLike) -> Grid:
    """Give each 0-cell the colour of its mirror image top to bottom.

    Example:
        >>> symmetrise_ud([[1, 0], [0, 2]]).tolist()
        [[1, 2], [1, 2]]
    """
    array = as_array(grid)
    return np.where(array != 0, array, array[::-1])


def symmetrise_diagonal(grid: GridLike) -> Grid:
    """Give each 0-cell the colour of its mirror image at the diagonal from the top left.

    `ValueError` when the grid is not square.

    Example:
        >>> symmetrise_diagonal([[1, 2], [0, 3]]).tolist()
        [[1, 2], [2, 3]]
    """
    array = as_array(grid)
    if array.shape[0] != array.shape[1]:
        raise ValueError(f"only a square grid has a diagonal to mirror at, got {array.shape[0]} x {array.shape[1]}")
    return np.where(array != 0, array, array.T)


def symmetrise_all(grid: GridLike) -> Grid:
    """Fill the 0-cells left to right, then top to bottom, then, when the grid is square, at the diagonal.

    Example:
        >>> symmetrise_all([[1, 2, 0], [0, 0, 0], [0, 0, 0]]).tolist()
        [[1, 2, 1], [2, 0, 2], [1, 2, 1]]
    """
    filled = symmetrise_ud(symmetrise_lr(grid))
    return symmetrise_diagonal(filled) if filled.shape[0] == filled.shape[1] else filled


def _pattern(array: Grid, rows: int, columns: int) -> Grid:
    """Lay the grid's pieces of `rows` x `columns` on each other, the highest colour on top, and tile the result."""
    down, across = -(-array.shape[0] // rows), -(-array.shape[1] // columns)
    whole = np.zeros((down * rows, across * columns), dtype=np.int8)
    whole[: array.shape[0], : array.shape[1]] = array
    piece = whole.reshape(down, rows, across, columns).max(axis=(0, 2))
    return np.tile(piece, (down, across))[: array.shape[0], : array.shape[1]]


def complete_period(grid: GridLike) -> Grid:
    """Fill the 0-cells so that the grid repeats, with the smallest period that its nonzero cells allow.

    A period is a number of rows and of columns; the smallest has the smallest product, and of equals the fewest rows.
    A place of the period at which no nonzero cell is ever seen stays 0. Unchanged when the grid does not repeat.

    Example:
        >>> complete_period([[1, 2, 1, 2], [3, 0, 3, 4], [1, 2, 0, 2]]).tolist()
        [[1, 2, 1, 2], [3, 4, 3, 4], [1, 2, 1, 2]]
    """
    array = as_array(grid)
    height, width = array.shape
    # a period of both sides is one of each side, which is cheap to test and leaves few pairs
    rows = [n for n in range(1, height + 1) if _agrees(array, _pattern(array, n, width))]
    columns = [n for n in range(1, width + 1) if _agrees(array, _pattern(array, height, n))]
    for period in sorted(itertools.product(rows, columns), key=lambda pair: (pair[0] * pair[1], pair)):
        pattern = _pattern(array, *period)
        if _agrees(array, pattern):
            return pattern
    return array


def _agrees(array: Grid, pattern: Grid) -> bool:
    """Tell whether a pattern has the colour of every nonzero cell."""
    return bool(((array == 0) | (array == pattern)).all())


def _moved(mirrored: Grid, offset: int, unknown: int) -> Grid:
    """Move a mirror image to the right, as mirroring at an axis off the centre does; `unknown` comes in."""
    width = mirrored.shape[1]
    image = np.full_like(mirrored, unknown)
    image[:, max(offset, 0) : width + min(offset, 0)] = mirrored[:, max(-offset, 0) : width - max(offset, 0)]
    return image


def _images(array: Grid, unknown: int) -> Iterator[Grid]:
    """Yield the images of a grid under the symmetries to try, `unknown` where an image has no cell."""
    height, width = array.shape
    yield array[::-1, ::-1]
    if height == width:
        yield array.T
        yield array[::-1, ::-1].T
        yield np.rot90(array)
        yield np.rot90(array, -1)
    # the axis moves half as far as the image
    for offset in sorted(range(-(width // 2), width // 2 + 1), key=abs):
        yield _moved(array[:, ::-1], offset, unknown)
    for offset in sorted(range(-(height // 2), height // 2 + 1), key=abs):
        yield _moved(array[::-1].T, offset, unknown).T


def complete_symmetry(grid: GridLike, c: SupportsIndex) -> Grid:
    """Replace the cells of colour `c`, taken as hidden, by what the symmetries of the grid say.

    Tried in turn, and again until nothing changes: the half turn; for a square grid the diagonals and quarter turns;
    the mirror axes left to right, then top to bottom, the central one first, then up to a quarter of the side away.
    A symmetry counts when it holds for all the pairs of cells with none hidden, and there is such a pair. Cells that
    none of them reaches keep colour `c`.

    Example:
        >>> complete_symmetry([[1, 2, 8], [3, 4, 3], [8, 2, 1]], 8).tolist()
        [[1, 2, 1], [3, 4, 3], [1, 2, 1]]
    """
    array, hidden = as_array(grid), as_colour(c)
    while (is_hidden := array == hidden).any():
        before = array.copy()
        for image in _images(before, hidden):
            is_known = ~is_hidden & (image != hidden)
            if is_known.any() and (before == image)[is_known].all():
                array = np.where(array == hidden, image, array)
        if (array == before).all():
            break
    return array
