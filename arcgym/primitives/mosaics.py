"""Make larger grids: patterns that go on beyond the edge, reflections, room to draw in, pictures made of pictures."""

from typing import NamedTuple, SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, as_size, bounding_box
from arcgym.primitives.colours import count_colours
from arcgym.primitives.logic import cells, split2
from arcgym.primitives.objects import objects

_DRIFTS = (0, 1, -1, 2, -2, 3, -3)  # cells that a repeated pattern may move sideways each time
_MAX_SIDE = 30  # of an ARC grid; for results whose size grows with the square of the grid's


def _continued(array: Grid, height: int) -> Grid:
    """Continue a grid downwards by the smallest number of rows after which it repeats, if need be moved sideways."""
    rows, width = array.shape
    for period in range(1, rows):
        for drift in _DRIFTS:
            if abs(drift) >= width:
                continue
            upper, lower = array[: rows - period], array[period:]
            if (_moved(upper, drift) == lower).all() and lower.any():
                grown = np.zeros((height, width), dtype=np.int8)
                grown[:rows] = array[:height]
                for row in range(rows, height):
                    grown[row] = _moved(grown[row - period][None], drift)[0]
                return grown
    raise ValueError("the rows do not repeat")


def _moved(rows: Grid, drift: int) -> Grid:
    """Move rows sideways; 0 comes in."""
    moved = np.zeros_like(rows)
    width = rows.shape[1]
    moved[:, max(drift, 0) : width + min(drift, 0)] = rows[:, max(-drift, 0) : width - max(drift, 0)]
    return moved


def extend_down(grid: GridLike, n: SupportsIndex) -> Grid:
    """Continue the pattern downwards by `n` halves of the grid's height.

    The pattern is the smallest number of rows after which the grid repeats, straight down or moved sideways, by up
    to three cells, each time. `ValueError` when its rows do not repeat.

    Example:
        >>> extend_down([[1, 2], [3, 4], [1, 2], [3, 4]], 1).tolist()
        [[1, 2], [3, 4], [1, 2], [3, 4], [1, 2], [3, 4]]
    """
    array = as_array(grid)
    return _continued(array, array.shape[0] + array.shape[0] * as_size(n, "n") // 2)


def extend_right(grid: GridLike, n: SupportsIndex) -> Grid:
    """Continue the pattern to the right by `n` halves of the grid's width, as `extend_down` does downwards.

    `ValueError` when its columns do not repeat.

    Example:
        >>> extend_right([[1, 2, 1, 2]], 2).tolist()
        [[1, 2, 1, 2, 1, 2, 1, 2]]
    """
    return extend_down(as_array(grid).T, n).T.copy()


def extend_to_square(grid: GridLike) -> Grid:
    """Continue the pattern along the shorter side, as `extend_down` does, until the grid is a square.

    Unchanged when it is one. `ValueError` when it does not repeat.

    Example:
        >>> extend_to_square([[1, 1, 0, 0], [0, 1, 1, 0]]).tolist()
        [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    """
    array = as_array(grid)
    height, width = array.shape
    if height == width:
        return array
    if height < width:
        return _continued(array, width)
    return _continued(array.T, height).T.copy()


def reflect_right(grid: GridLike) -> Grid:
    """Put the grid's mirror image to its right, so that both share the column in the middle.

    Example:
        >>> reflect_right([[1, 2, 3]]).tolist()
        [[1, 2, 3, 2, 1]]
    """
    return np.concatenate([as_array(grid), as_array(grid)[:, -2::-1]], axis=1)


def reflect_down(grid: GridLike) -> Grid:
    """Put the grid's mirror image below it, so that both share the row in the middle.

    Example:
        >>> reflect_down([[1], [2], [3]]).tolist()
        [[1], [2], [3], [2], [1]]
    """
    return reflect_right(as_array(grid).T).T.copy()


def reflect_around(grid: GridLike) -> Grid:
    """Reflect the grid to the right and down, as `reflect_right` and `reflect_down` do, into a cross of symmetry.

    Example:
        >>> reflect_around([[1, 2], [3, 4]]).tolist()
        [[1, 2, 1], [3, 4, 3], [1, 2, 1]]
    """
    return reflect_down(reflect_right(grid))


def double_canvas(grid: GridLike) -> Grid:
    """Put the grid in the top left corner of a grid of 0 twice as high and twice as wide.

    Example:
        >>> double_canvas([[1, 2]]).tolist()
        [[1, 2, 0, 0], [0, 0, 0, 0]]
    """
    array = as_array(grid)
    return np.pad(array, ((0, array.shape[0]), (0, array.shape[1])))


def canvas_by_colours(grid: GridLike) -> Grid:
    """Put the grid in the top left corner of a square of 0, whose side is its longer side times its number of colours.

    0 is not counted.     `ValueError` when every cell is 0.

    Example:
        >>> canvas_by_colours([[1, 0]]).tolist()
        [[1, 0], [0, 0]]
    """
    array = as_array(grid)
    side = max(array.shape) * as_size(count_colours(array), "number of colours")
    square = np.zeros((side, side), dtype=np.int8)
    square[: array.shape[0], : array.shape[1]] = array
    return square


def shoot_down_right(grid: GridLike) -> Grid:
    """Draw a ray from each nonzero cell down and to the right, to the edge or to the next nonzero cell.

    Example:
        >>> shoot_down_right([[1, 2, 0], [0, 0, 0], [0, 3, 0]]).tolist()
        [[1, 2, 0], [0, 1, 2], [0, 3, 1]]
    """
    array = as_array(grid)
    for above, below in zip(array[:-1, :-1], array[1:, 1:], strict=True):
        below[:] = np.where(below != 0, below, above)
    return array


def tile_by_cells(grid: GridLike) -> Grid:
    """Repeat the grid once per nonzero cell, in reading order, in a square as many times its size as it has 0-cells.

    `ValueError` when the copies do not fit, or the result would be longer than 30 cells on a side.

    Example:
        >>> tile_by_cells([[1, 0, 2, 0]]).tolist()
        [[1, 0, 2, 0, 1, 0, 2, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
    """
    array = as_array(grid)
    copies = int(np.count_nonzero(array))
    times = array.size - copies
    if not 0 < copies <= times * times:
        raise ValueError(f"{copies} copies do not fit into {times} x {times} places")
    if times * max(array.shape) > _MAX_SIDE:
        raise ValueError(f"{times} times {array.shape} is larger than a grid may be")
    places = (np.arange(times * times) < copies).reshape(times, times)
    return np.kron(places.astype(np.int8), array)


def scale_by_cells(grid: GridLike) -> Grid:
    """Scale the grid by its number of nonzero cells.

    `ValueError` when every cell is 0, or the result would be longer than 30 cells on a side.

    Example:
        >>> scale_by_cells([[1, 0, 2]]).tolist()
        [[1, 1, 0, 0, 2, 2], [1, 1, 0, 0, 2, 2]]
    """
    array = as_array(grid)
    times = as_size(int(np.count_nonzero(array)), "number of cells")
    if times * max(array.shape) > _MAX_SIDE:
        raise ValueError(f"{times} times {array.shape} is larger than a grid may be")
    return array.repeat(times, axis=0).repeat(times, axis=1)


def staircase(grid: GridLike) -> Grid:
    """Write the first row over and over, half as often as it is wide, its first colour one cell longer each time.

    `ValueError` when the first cell is 0, or the grid is one cell wide.

    Example:
        >>> staircase([[1, 0, 0, 0]]).tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0]]
    """
    row = as_array(grid)[0]
    if not row[0] or len(row) < 2:
        raise ValueError("a staircase starts from a row of two or more cells, the first with a colour")
    start = int((row != row[0]).argmax()) or len(row)
    lengths = start + np.arange(len(row) // 2)
    return np.where(np.arange(len(row)) < lengths[:, None], row[0], row)


class _Pair(NamedTuple):
    """A small picture, and a shape that tells where it goes."""

    picture: Grid
    shape: Grid


def _picture_and_shape(first: Grid, second: Grid) -> _Pair:
    """Tell a picture of several colours from a shape of one."""
    colours = len(np.unique(first[first != 0])), len(np.unique(second[second != 0]))
    if 0 in colours or min(colours) > 1 or max(colours) < 2:
        raise ValueError(f"one part must have one colour and the other several, found {colours[0]} and {colours[1]}")
    return _Pair(first, second) if colours[0] > colours[1] else _Pair(second, first)


def halves_product(grid: GridLike) -> Grid:
    """Draw the shape in one half, as in `split2`, once for each nonzero cell of the other, in that cell's colour.

    The shape's half has one colour, the other several; the result is a mosaic of shapes. `ValueError` otherwise.

    Example:
        >>> halves_product([[1, 2, 8, 8], [0, 0, 0, 8]]).tolist()
        [[1, 1, 2, 2], [0, 1, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    picture, shape = _picture_and_shape(*split2(grid))
    return np.kron(picture, (shape != 0).astype(np.int8))


def paint_by_key(grid: GridLike) -> Grid:
    """Paint the largest of the sub-grids, as in `cells`, with the colours of the smallest, enlarged to its size.

    Its 0-cells stay. `ValueError` when the sides of the largest are no multiples of those of the smallest.

    Example:
        >>> paint_by_key([[1, 2, 8, 0, 0], [8, 8, 8, 8, 8], [0, 0, 8, 3, 3], [0, 0, 8, 0, 3]]).tolist()
        [[1, 2], [0, 2]]
    """
    found = cells(grid)
    # of equally small or large ones, those that show something
    colours = [len(np.unique(cell)) for cell in found]
    small = found[min(range(len(found)), key=lambda index: (found[index].size, -colours[index]))]
    large = found[max(range(len(found)), key=lambda index: (found[index].size, colours[index]))]
    return _painted(small, large)


def _painted(small: Grid, large: Grid) -> Grid:
    down, across = large.shape[0] // small.shape[0], large.shape[1] // small.shape[1]
    if small is large or (small.shape[0] * down, small.shape[1] * across) != large.shape:
        raise ValueError(f"a key of {small.shape} cannot be enlarged to {large.shape}")
    return np.where(large != 0, small.repeat(down, axis=0).repeat(across, axis=1), np.int8(0))


def paint_blocks(grid: GridLike) -> Grid:
    """Take the object with the most colours, and keep of it what the rest of the grid, shrunk to its size, covers.

    The rest is cropped; usually it is a shape made of blocks, one for each cell of the object, which may have several
    colours. `ValueError` when there is nothing else.

    Example:
        >>> paint_blocks([[1, 2, 0, 8, 8, 0, 0], [3, 4, 0, 8, 8, 8, 8], [0, 0, 0, 0, 0, 8, 8]]).tolist()
        [[1, 0], [3, 4]]
    """
    array = as_array(grid)
    masks = objects(array, same_colour=False)
    if len(masks) < 2:
        raise ValueError("the grid must hold a picture and a shape")
    mask = max(masks, key=lambda mask: len(np.unique(array[mask])))
    picture, shape = _cropped(array, mask), _cropped(array, (array != 0) & ~mask)
    rows, columns = (
        np.arange(length) * other // length for length, other in zip(picture.shape, shape.shape, strict=True)
    )
    return np.where(shape[np.ix_(rows, columns)] != 0, picture, np.int8(0))


def _cropped(array: Grid, mask: Mask) -> Grid:
    box = bounding_box(mask)
    return np.where(mask[box], array[box], np.int8(0))


def fit_in_frame(grid: GridLike) -> Grid:
    """Enlarge the small picture as far as it fits into the hollow frame, and return the frame with it in the middle.

    The frame is the object with the largest box, the picture everything else. `ValueError` when it does not fit.

    Example:
        >>> fit_in_frame([[1, 0, 2, 2, 2, 2], [0, 0, 2, 0, 0, 2], [0, 0, 2, 0, 0, 2], [0, 0, 2, 2, 2, 2]]).tolist()
        [[2, 2, 2, 2], [2, 1, 1, 2], [2, 1, 1, 2], [2, 2, 2, 2]]
    """
    array = as_array(grid)
    masks = objects(array)
    if len(masks) < 2:
        raise ValueError("the grid must hold a frame and a picture")
    frame = max(masks, key=lambda mask: array[bounding_box(mask)].size)
    whole, picture = _cropped(array, frame), _cropped(array, (array != 0) & ~frame)
    room = whole[1:-1, 1:-1]
    times = min(room.shape[0] // picture.shape[0], room.shape[1] // picture.shape[1])
    if not times:
        raise ValueError(f"a picture of {picture.shape} does not fit into a frame of {whole.shape}")
    enlarged = picture.repeat(times, axis=0).repeat(times, axis=1)
    top, left = ((side - length) // 2 for side, length in zip(room.shape, enlarged.shape, strict=True))
    room[top : top + enlarged.shape[0], left : left + enlarged.shape[1]] = enlarged
    return whole


def insert_lines(grid: GridLike, c: SupportsIndex) -> Grid:
    """Put lines of colour `c` between all rows and all columns.

    Example:
        >>> insert_lines([[1, 2], [3, 4]], 5).tolist()
        [[1, 5, 2], [5, 5, 5], [3, 5, 4]]
    """
    array, colour = as_array(grid), as_colour(c)
    height, width = array.shape
    spread = np.full((2 * height - 1, 2 * width - 1), colour, dtype=np.int8)
    spread[::2, ::2] = array
    return spread


def recolour_to_lines(grid: GridLike) -> Grid:
    """Give every nonzero cell the colour of the lines: of the row or column of one colour, of several the first.

    `ValueError` when no row or column has one colour other than 0.

    Example:
        >>> recolour_to_lines([[1, 5, 0], [0, 5, 2]]).tolist()
        [[5, 5, 0], [0, 5, 5]]
    """
    array = as_array(grid)
    for lines in (array, array.T):
        colours = lines[(lines == lines[:, :1]).all(axis=1) & (lines[:, 0] != 0), 0]
        if len(colours) and lines.shape[1] > 1:
            return np.where(array != 0, colours[0], np.int8(0))
    raise ValueError("no row or column has one colour other than 0")


def outline_corners(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells that touch a nonzero cell at a corner.

    Example:
        >>> outline_corners([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 3).tolist()
        [[3, 0, 3], [0, 1, 0], [3, 0, 3]]
    """
    array, colour = as_array(grid), as_colour(c)
    used = np.pad(array != 0, 1)
    near = used[:-2, :-2] | used[:-2, 2:] | used[2:, :-2] | used[2:, 2:]
    array[near & (array == 0)] = colour
    return array
