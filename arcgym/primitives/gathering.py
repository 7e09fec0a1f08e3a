"""Pull cells to what they face, lay them onto blocks, bring them to their colour, push objects aside, fit them in."""

from collections import Counter
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box
from arcgym.primitives._shapes import size_of
from arcgym.primitives.moving import drop_objects
from arcgym.primitives.objects import objects

_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def _line(array: Grid, row: int, column: int, step: tuple[int, int]) -> Grid:
    """Return the cells that follow one in a direction."""
    room = [
        length - 1 - place if way > 0 else place if way < 0 else max(array.shape)
        for place, way, length in zip((row, column), step, array.shape, strict=True)
    ]
    steps = np.arange(1, min(room) + 1)
    return array[row + step[0] * steps, column + step[1] * steps]


def _way(targets: Grid, row: int, column: int) -> tuple[int, tuple[int, int]] | None:
    """Return the steps to the nearest target and their direction; `None` when no target is faced."""
    for ways in (_SIDES, _CORNERS):
        seen = [(np.flatnonzero(_line(targets, row, column, step)), step) for step in ways]
        reached = [(int(places[0]), step) for places, step in seen if len(places)]
        if reached:
            return min(reached)
    return None


def _targets(array: Grid, moved: int) -> Grid:
    """Keep the objects of other colours that are the only ones of their colour, or else all of other colours."""
    others = np.where(array == moved, np.int8(0), array)
    masks = objects(others)
    number_of = Counter(int(others[mask][0]) for mask in masks)
    lone = [mask for mask in masks if number_of[int(others[mask][0])] == 1]
    return np.where(np.logical_or.reduce(lone), others, np.int8(0)) if lone else others


def pull(grid: GridLike, a: SupportsIndex) -> Grid:
    """Move each cell of colour `a` straight to the nearest target that it faces.

    Targets are the objects that are the only ones of their colour; without any, all objects of other colours. A cell
    faces along its row or column, or else along a diagonal, and stops beside its target, or behind those that came
    before it. A cell that faces none stays. `ValueError` when none faces any.

    Example:
        >>> pull([[5, 0, 0, 2, 0, 5]], 5).tolist()
        [[0, 0, 5, 2, 5, 0]]
    """
    array, moved = as_array(grid), as_colour(a)
    targets = _targets(array, moved)
    cells = np.argwhere(array == moved).tolist() if moved else []
    ways = sorted((*way, row, column) for row, column in cells if (way := _way(targets, row, column)))
    if not ways:
        raise ValueError(f"no cell of colour {moved} faces another colour")
    pulled = array.copy()
    for distance, (dy, dx), row, column in ways:  # the nearest first, the next ones queue behind it
        pulled[row, column] = 0
        free = next(step for step in range(distance, -1, -1) if pulled[row + dy * step, column + dx * step] == 0)
        pulled[row + dy * free, column + dx * free] = moved
    return pulled


def pull_onto(grid: GridLike) -> Grid:
    """Lay each single cell onto the nearest cell of the box of the largest object, and set its place to 0.

    A single cell is an object of one cell. `ValueError` when there is none, or no larger object.

    Example:
        >>> pull_onto([[0, 0, 0, 7], [8, 8, 0, 0], [8, 8, 0, 0], [0, 0, 0, 0]]).tolist()
        [[0, 0, 0, 0], [8, 7, 0, 0], [8, 8, 0, 0], [0, 0, 0, 0]]
    """
    array = as_array(grid)
    masks = objects(array)
    body = max(masks, key=size_of, default=None)
    singles = [mask for mask in masks if size_of(mask) == 1]
    if body is None or size_of(body) < 2 or not singles:
        raise ValueError("a single cell and a larger object are needed")
    rows, columns = bounding_box(body)
    pulled = array.copy()
    for mask in singles:
        pulled[mask] = 0
    for mask in singles:
        row, column = (int(place[0]) for place in np.nonzero(mask))
        pulled[np.clip(row, rows.start, rows.stop - 1), np.clip(column, columns.start, columns.stop - 1)] = array[
            mask
        ][0]
    return pulled


def gather_by_colour(grid: GridLike) -> Grid:
    """Move each single cell straight beside the largest object of its colour; those without one vanish.

    It moves along its row or column as far as the object's box, which it must face. `ValueError` when there is no
    single cell, or when it does not face the object of its colour.

    Example:
        >>> gather_by_colour([[2, 0, 0, 2, 0, 3], [2, 0, 0, 0, 0, 0]]).tolist()
        [[2, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    """
    array = as_array(grid)
    bodies: dict[int, Mask] = {}
    singles = []
    for mask in objects(array):
        colour = int(array[mask][0])
        if size_of(mask) == 1:
            singles.append((mask, colour))
        elif colour not in bodies or size_of(mask) > size_of(bodies[colour]):
            bodies[colour] = mask
    if not singles:
        raise ValueError("the grid holds no single cell")
    gathered = array.copy()
    for mask, _ in singles:
        gathered[mask] = 0
    for mask, colour in singles:
        if colour in bodies:
            row, column = (int(place[0]) for place in np.nonzero(mask))
            gathered[_place_beside(row, column, bodies[colour])] = colour
    return gathered


def _place_beside(row: int, column: int, body: Mask) -> tuple[int, int]:
    """Return the place next to a box that a cell reaches along its row or column."""
    rows, columns = bounding_box(body)
    if columns.start <= column < columns.stop:
        return (rows.start - 1 if row < rows.start else rows.stop if row >= rows.stop else row), column
    if rows.start <= row < rows.stop:
        return row, columns.start - 1 if column < columns.start else columns.stop
    raise ValueError("a single cell does not face the object of its colour")


def step_towards(grid: GridLike, a: SupportsIndex) -> Grid:
    """Move everything of colour `a` one step, straight or diagonal, towards everything else that is not 0.

    It goes from box to box: up or down unless they share rows, and left or right unless they share columns. Nothing
    moves where the step would lead onto something. `ValueError` when either is missing.

    Example:
        >>> step_towards([[3, 0, 0], [0, 0, 0], [0, 0, 4]], 3).tolist()
        [[0, 0, 0], [0, 3, 0], [0, 0, 4]]
    """
    array, moved = as_array(grid), as_colour(a)
    body = (array == moved) & (array != 0)
    target = (array != moved) & (array != 0)
    if not body.any() or not target.any():
        raise ValueError(f"something of colour {moved} and something of another colour are needed")
    steps = [_towards(own, other) for own, other in zip(bounding_box(body), bounding_box(target), strict=True)]
    rows, columns = np.nonzero(body)
    places = rows + steps[0], columns + steps[1]
    if target[places].any():
        return array
    stepped = np.where(body, np.int8(0), array)
    stepped[places] = moved
    return stepped


def _towards(own: slice, other: slice) -> int:
    """Return the step from one stretch to another: -1 or 1, or 0 where they overlap."""
    return int(own.stop <= other.start) - int(other.stop <= own.start)


def push_left(grid: GridLike) -> Grid:
    """Let every object slide to the left as a whole, the leftmost first, until something or the border stops it.

    Example:
        >>> push_left([[0, 3, 3, 0, 5], [0, 0, 3, 0, 5]]).tolist()
        [[3, 3, 5, 0, 0], [0, 3, 5, 0, 0]]
    """
    return np.rot90(drop_objects(np.rot90(as_array(grid), 1)), -1).copy()


def push_right(grid: GridLike) -> Grid:
    """Let every object slide to the right as a whole, the rightmost first, until something or the border stops it.

    Example:
        >>> push_right([[5, 0, 3, 3, 0], [5, 0, 3, 0, 0]]).tolist()
        [[0, 0, 5, 3, 3], [0, 0, 5, 3, 0]]
    """
    return np.rot90(drop_objects(np.rot90(as_array(grid), -1)), 1).copy()


def fit_inside(grid: GridLike, a: SupportsIndex) -> Grid:
    """Move everything else, as one piece, to the middle of the box of colour `a`, whose cells stay on top.

    Of two middles the upper or left one is taken. `ValueError` when either is missing, or the piece is larger than
    the box.

    Example:
        >>> fit_inside([[1, 0, 1, 0, 0], [0, 0, 0, 0, 5], [1, 0, 1, 0, 0]], 1).tolist()
        [[1, 0, 1, 0, 0], [0, 5, 0, 0, 0], [1, 0, 1, 0, 0]]
    """
    array, frame = as_array(grid), as_colour(a)
    corners, piece = (array == frame) & (array != 0), (array != frame) & (array != 0)
    if not corners.any() or not piece.any():
        raise ValueError(f"something of colour {frame} and something of another colour are needed")
    box = bounding_box(piece)
    starts = []
    for outer, inner in zip(bounding_box(corners), box, strict=True):
        room = (outer.stop - outer.start) - (inner.stop - inner.start)
        if room < 0:
            raise ValueError(f"the piece is larger than the box of colour {frame}")
        starts.append(outer.start + room // 2)
    fitted = np.where(piece, np.int8(0), array)
    place = fitted[starts[0] :, starts[1] :][: box[0].stop - box[0].start, : box[1].stop - box[1].start]
    moved = piece[box] & (place == 0)
    place[moved] = array[box][moved]
    return fitted
