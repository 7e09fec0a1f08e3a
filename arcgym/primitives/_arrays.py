"""What every primitive does at its own door: take a grid, a colour or a size, or raise `ValueError`."""

import operator
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

NUM_COLOURS = 10

Grid = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
GridLike = npt.ArrayLike


def as_array(grid: GridLike) -> Grid:
    """Return a fresh int8 copy of `grid`, so that no primitive can touch its input."""
    array = np.asarray(grid)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"a grid has two dimensions and at least one cell, but this one has shape {array.shape}")
    if array.dtype.kind not in "iub":
        raise ValueError(f"a grid holds integers, but this one holds {array.dtype}")
    # before the cast, which would wrap 256 around to 0
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest >= NUM_COLOURS:
        raise ValueError(f"colours are 0 to 9, but this grid holds {lowest} to {highest}")
    return np.array(array, dtype=np.int8, order="C")


def as_colour(colour: SupportsIndex) -> int:
    """Return `colour` as a plain int from 0 to 9."""
    value = operator.index(colour)
    if not 0 <= value < NUM_COLOURS:
        raise ValueError(f"colours are 0 to 9, got {value}")
    return value


def as_size(size: SupportsIndex, name: str, least: int = 1) -> int:
    """Return `size` as a plain int, at least `least`; numpy's int8 would overflow in products."""
    value = operator.index(size)
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, got {value}")
    return value


def bounding_box(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest rectangle that holds every true cell of a mask that has one."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def regions(keys: npt.NDArray[np.integer], diagonal: bool) -> list[Mask]:
    """Return one mask per connected region of equal nonzero keys, by first cell in reading order."""
    height, width = keys.shape
    stride = width + 2
    padded = np.zeros((height + 2, stride), dtype=np.int64)
    padded[1:-1, 1:-1] = keys
    # a flat Python list with a border of zeros: no bounds checks, and several times faster than indexing the array
    left_over = padded.ravel().tolist()
    steps = [-stride, -1, 1, stride]
    if diagonal:
        steps += [-stride - 1, -stride + 1, stride - 1, stride + 1]
    found = []
    for start in np.flatnonzero(padded).tolist():
        key = left_over[start]
        if not key:
            continue
        left_over[start] = 0
        members = [start]
        for cell in members:
            for step in steps:
                if left_over[cell + step] == key:
                    left_over[cell + step] = 0
                    members.append(cell + step)
        mask = np.zeros(padded.size, dtype=np.bool_)
        mask[members] = True
        found.append(mask.reshape(padded.shape)[1:-1, 1:-1].copy())
    return found
