"""Move objects as wholes: let them fall, slide to each other, line up, or gather at lines."""

from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box, regions
from arcgym.primitives.objects import objects


def drop_objects(grid: GridLike) -> Grid:
    """Let every object fall as a whole, the lowest first, until something is below it or the grid ends.

    Example:
        >>> drop_objects([[3, 3, 0], [0, 3, 0], [0, 0, 0], [5, 0, 0]]).tolist()
        [[0, 0, 0], [0, 0, 0], [3, 3, 0], [5, 3, 0]]
    """
    array = as_array(grid)
    fallen = np.zeros_like(array)
    for mask in sorted(objects(array), key=lambda mask: -int(np.flatnonzero(mask.any(axis=1))[-1])):
        colour, depth = array[mask][0], _fall(mask, fallen)
        fallen[depth:][mask[: mask.shape[0] - depth]] = colour
    return fallen


def _fall(mask: Mask, fallen: Grid) -> int:
    """Count the rows that a mask can go down over 0-cells."""
    room = mask.shape[0] - 1 - int(np.flatnonzero(mask.any(axis=1))[-1])
    for depth in range(1, room + 1):
        if fallen[depth:][mask[: mask.shape[0] - depth]].any():
            return depth - 1
    return room


def raise_objects(grid: GridLike) -> Grid:
    """Let every object rise as a whole, the highest first, until something is above it or the grid ends.

    Example:
        >>> raise_objects([[5, 0, 0], [0, 0, 0], [0, 3, 0], [3, 3, 0]]).tolist()
        [[5, 3, 0], [3, 3, 0], [0, 0, 0], [0, 0, 0]]
    """
    return drop_objects(as_array(grid)[::-1])[::-1].copy()


def slide(grid: GridLike, a: SupportsIndex) -> Grid:
    """Slide everything of colour `a` along a row or column until it touches something else, or the border.

    The direction is the one in which its box faces the box of all other nonzero cells. `ValueError` when there is
    nothing of colour `a`, or the boxes face each other in no direction.

    Example:
        >>> slide([[2, 0, 0, 8]], 2).tolist()
        [[0, 0, 2, 8]]
    """
    array, moved = as_array(grid), as_colour(a)
    if moved == 0 or not (array == moved).any() or not ((array != 0) & (array != moved)).any():
        raise ValueError(f"something of colour {moved} and something of another colour are needed")
    for turns in range(4):
        turned = np.rot90(array, turns)
        body = turned == moved
        distance = _distance_right(body, (turned != 0) & ~body)
        if distance is not None:
            slid = np.where(body, np.int8(0), turned)
            slid[:, distance:][body[:, : body.shape[1] - distance]] = moved
            return np.rot90(slid, -turns).copy()
    raise ValueError(f"what has colour {moved} faces nothing else")


def _distance_right(body: Mask, target: Mask) -> int | None:
    """Count the free columns between a mask and another to the right of it in the rows that both have."""
    if int(np.flatnonzero(body.any(axis=0))[-1]) >= int(np.flatnonzero(target.any(axis=0))[0]):
        return None
    rows = np.flatnonzero(body.any(axis=1) & target.any(axis=1))
    gaps = [int(target[row].argmax()) - (body.shape[1] - 1 - int(body[row, ::-1].argmax())) - 1 for row in rows]
    room = body.shape[1] - 1 - int(np.flatnonzero(body.any(axis=0))[-1])
    return min(*gaps, room) if gaps else None


def align_rows(grid: GridLike, a: SupportsIndex) -> Grid:
    """Move every object up or down so that it begins at the row where the objects of colour `a` begin.

    `ValueError` when there is no such object, or an object would leave the grid.

    Example:
        >>> align_rows([[2, 0, 0], [0, 0, 0], [0, 0, 1]], 1).tolist()
        [[0, 0, 0], [0, 0, 0], [2, 0, 1]]
    """
    array, anchor = as_array(grid), as_colour(a)
    if anchor == 0 or not (array == anchor).any():
        raise ValueError(f"there is no object of colour {anchor}")
    start = bounding_box(array == anchor)[0].start
    aligned = np.zeros_like(array)
    for mask in objects(array):
        box = bounding_box(mask)
        crop = mask[box]
        if start + crop.shape[0] > array.shape[0]:
            raise ValueError("an object is too tall to be moved there")
        aligned[start : start + crop.shape[0], box[1]][crop] = array[mask][0]
    return aligned


def gather_at_lines(grid: GridLike) -> Grid:
    """Move the single cells beside the line of their colour, a whole row or column; other single cells vanish.

    A cell goes to its own side of the line, and stays in its row or column. `ValueError` when there is no line.

    Example:
        >>> gather_at_lines([[3, 0, 2, 0, 2], [0, 0, 2, 0, 0], [2, 0, 2, 0, 0]]).tolist()
        [[0, 0, 2, 2, 0], [0, 0, 2, 0, 0], [0, 2, 2, 0, 0]]
    """
    array = as_array(grid)
    rows = {int(row[0]): index for index, row in enumerate(array) if row[0] and (row == row[0]).all()}
    columns = {
        int(column[0]): index for index, column in enumerate(array.T) if column[0] and (column == column[0]).all()
    }
    if not rows and not columns:
        raise ValueError("no row or column is a line of one colour")
    gathered = np.zeros_like(array)
    for colour, index in rows.items():
        gathered[index] = colour
    for colour, index in columns.items():
        gathered[:, index] = colour
    for row, column in np.argwhere((array != 0) & (gathered == 0)).tolist():
        colour = int(array[row, column])
        if colour in columns:
            column = columns[colour] + (1 if column > columns[colour] else -1)
        elif colour in rows:
            row = rows[colour] + (1 if row > rows[colour] else -1)
        else:
            continue
        gathered[row, column] = colour
    return gathered


def _lines(array: Grid) -> dict[int, int]:
    """Map the colours but 0 of rows of one colour to the rows' numbers."""
    return {int(row[0]): index for index, row in enumerate(array) if row[0] and (row == row[0]).all()}


def stamp(grid: GridLike, a: SupportsIndex) -> Grid:
    """Replace every object of colour `a` by the picture that the other colours make, which disappears.

    The picture is the box of all other nonzero cells, put at each object's top left corner. `ValueError` when there
    is no such object or picture, or the picture leaves the grid.

    Example:
        >>> stamp([[7, 6, 0, 0], [0, 0, 0, 0], [0, 0, 8, 8]], 8).tolist()
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 7, 6]]
    """
    array, asked = as_array(grid), as_colour(a)
    others = (array != 0) & (array != asked)
    masks = regions((array == asked).astype(np.int8), diagonal=True) if asked else []
    if not masks or not others.any():
        raise ValueError(f"the grid needs an object of colour {asked} and something of other colours")
    picture = np.where(others, array, np.int8(0))[bounding_box(others)]
    stamped = np.zeros_like(array)
    for mask in masks:
        rows, columns = bounding_box(mask)
        place = stamped[rows.start : rows.start + picture.shape[0], columns.start : columns.start + picture.shape[1]]
        if place.shape != picture.shape:
            raise ValueError("the picture does not fit at an object's place")
        place[:] = np.where(picture != 0, picture, place)
    return stamped
