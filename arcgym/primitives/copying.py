"""Copy, reflect and complete what is drawn: pictures at marks, mirror images across lines, copies of a model."""

from collections import Counter, defaultdict
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box, regions
from arcgym.primitives.objects import objects


def copy_to(grid: GridLike, a: SupportsIndex) -> Grid:
    """Copy the picture that the other colours make so that its middle is on each cell of colour `a`; it stays itself.

    The picture is the box of all other nonzero cells; of an even side, the middle is the upper or left one. What
    leaves the grid is cut off. `ValueError` when there is no picture or no cell of colour `a`.

    Example:
        >>> copy_to([[1, 2, 3, 0], [0, 0, 0, 0], [0, 0, 5, 0]], 5).tolist()
        [[1, 2, 3, 0], [0, 0, 0, 0], [0, 1, 2, 3]]
    """
    array, mark = as_array(grid), as_colour(a)
    others = (array != 0) & (array != mark)
    marks = np.argwhere(array == mark).tolist() if mark else []
    if not marks or not others.any():
        raise ValueError(f"a cell of colour {mark} and something of another colour are needed")
    picture = np.where(others, array, np.int8(0))[bounding_box(others)]
    copied = np.where(array == mark, np.int8(0), array)
    rows, columns = np.nonzero(picture)
    inks = picture[rows, columns]
    for row, column in marks:
        places = rows + row - (picture.shape[0] - 1) // 2, columns + column - (picture.shape[1] - 1) // 2
        inside = (places[0] >= 0) & (places[0] < array.shape[0]) & (places[1] >= 0) & (places[1] < array.shape[1])
        copied[places[0][inside], places[1][inside]] = inks[inside]
    return copied


def reflect_across(grid: GridLike, a: SupportsIndex) -> Grid:
    """Move every other nonzero cell to its mirror image across the nearest line of colour `a`.

    A line is the fullest row of an object of colour `a` that is wider than tall, or the fullest column of one that is
    taller than wide. Cells of colour `a` stay, and what leaves the grid is lost. `ValueError` when there is no line
    or no other cell.

    Example:
        >>> reflect_across([[0, 5, 0], [2, 2, 2], [0, 0, 0]], 2).tolist()
        [[0, 0, 0], [2, 2, 2], [0, 5, 0]]
    """
    array, colour = as_array(grid), as_colour(a)
    lines = _lines((array == colour) & (array != 0))
    cells = np.argwhere((array != 0) & (array != colour)).tolist()
    if not lines or not cells:
        raise ValueError(f"a line of colour {colour} and a cell of another colour are needed")
    reflected = np.where(array == colour, array, np.int8(0))
    for cell in cells:
        axis, place = min(lines, key=lambda line: abs(cell[line[0]] - line[1]))
        image = list(cell)
        image[axis] = 2 * place - cell[axis]
        if 0 <= image[axis] < array.shape[axis] and reflected[image[0], image[1]] == 0:
            reflected[image[0], image[1]] = array[cell[0], cell[1]]
    return reflected


def _lines(mask: Mask) -> list[tuple[int, int]]:
    """Return for each object of a mask that is no square its axis, 0 for a row, and its fullest row or column."""
    lines = []
    for part in regions(mask.astype(np.int8), diagonal=True):
        rows, columns = bounding_box(part)
        lead = (columns.stop - columns.start) - (rows.stop - rows.start)
        if lead:
            axis = 0 if lead > 0 else 1
            lines.append((axis, int(part.sum(axis=1 - axis).argmax())))
    return lines


def flip_objects(grid: GridLike) -> Grid:
    """Turn each object upside down within its own box; an object may have several colours.

    Where turned objects meet, the later one in reading order is on top.

    Example:
        >>> flip_objects([[1, 2, 0, 3], [0, 2, 0, 4]]).tolist()
        [[0, 2, 0, 4], [1, 2, 0, 3]]
    """
    array = as_array(grid)
    flipped = np.zeros_like(array)
    for mask in objects(array, same_colour=False):
        box = bounding_box(mask)
        turned = mask[box][::-1]
        flipped[box][turned] = array[box][::-1][turned]
    return flipped


def _models(array: Grid) -> list[Mask]:
    """Return the objects with the most colours, of which there must be two."""
    masks = objects(array, same_colour=False)
    numbers = [len(np.unique(array[mask])) for mask in masks]
    most = max(numbers, default=0)
    if most < 2:
        raise ValueError("no object has two colours")
    return [mask for mask, number in zip(masks, numbers, strict=True) if number == most]


def _votes(crops: list[Grid], rest: Grid) -> list[tuple[int, int, int, int]]:
    """List the number of agreeing cells, negated, and the placement of each turned model that has one; most first."""
    spots = defaultdict(list)
    for row, column in np.argwhere(rest != 0).tolist():
        spots[int(rest[row, column])].append((row, column))
    votes: Counter[tuple[int, int, int]] = Counter()
    for turn, crop in enumerate(crops):
        for row, column in np.argwhere(crop != 0).tolist():
            for top, left in spots[int(crop[row, column])]:
                votes[turn, top - row, left - column] += 1
    return sorted((-count, *placement) for placement, count in votes.items())


def _fits(crop: Grid, rest: Grid, top: int, left: int) -> tuple[np.ndarray, ...] | None:
    """Return the cells that a placed model covers; `None` where it leaves the grid or meets another colour."""
    rows, columns = np.nonzero(crop)
    inks = crop[rows, columns]
    rows, columns = rows + top, columns + left
    if rows.min() < 0 or columns.min() < 0 or rows.max() >= rest.shape[0] or columns.max() >= rest.shape[1]:
        return None
    under = rest[rows, columns]
    return (rows, columns, inks) if ((under == 0) | (under == inks)).all() else None


def complete_copies(grid: GridLike) -> Grid:
    """Complete the beginnings of copies of a model: draw it, turned or mirrored, over cells that it agrees with.

    Models are the objects with the most colours, at least two. A copy is drawn where most of its cells are there
    already and no other colour is in its way, and each copy holds a cell that no other does. `ValueError` when there
    is no model, or nothing to complete.

    Example:
        >>> complete_copies([[4, 8, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 8, 0]]).tolist()
        [[4, 8, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 4, 8, 4]]
    """
    array = as_array(grid)
    return _completed(array, _models(array))


def move_to_copies(grid: GridLike) -> Grid:
    """Draw models over the beginnings of their copies, as `complete_copies` does, and set the models themselves to 0.

    `ValueError` when there is no model, or nothing to complete.

    Example:
        >>> move_to_copies([[4, 8, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 8, 0]]).tolist()
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 4, 8, 4]]
    """
    array = as_array(grid)
    models = _models(array)
    return np.where(np.logical_or.reduce(models), np.int8(0), _completed(array, models))


def _completed(array: Grid, models: list[Mask]) -> Grid:
    rest = np.where(np.logical_or.reduce(models), np.int8(0), array)
    crops: list[Grid] = []
    for mask in models:
        crop = np.where(mask, array, np.int8(0))[bounding_box(mask)]
        crops += [np.rot90(view, turns) for view in (crop, crop[:, ::-1]) for turns in range(4)]
    completed = array.copy()
    for _, turn, top, left in _votes(crops, rest):
        cells = _fits(crops[turn], completed, top, left)
        if cells is not None and rest[cells[0], cells[1]].any():
            completed[cells[0], cells[1]] = cells[2]
            rest[cells[0], cells[1]] = 0
            if not rest.any():
                break
    if (completed == array).all():
        raise ValueError("there is no beginning of a copy to complete")
    return completed
