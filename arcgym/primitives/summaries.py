"""Sum a grid up in a smaller one: counts, orders and colours of its parts, its blocks as single cells, stacked panels.

A piece is a connected region of one colour other than 0 whose cells touch at sides, so that squares which meet at a
corner are counted apart. Panels are the sub-grids of `cells` when they are equal in size; else they are the squares
along the grid's longer side, or else its quarters, the middle line of an odd side left out.
"""

import itertools
import math
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from arcgym.primitives._arrays import (
    NUM_COLOURS,
    Grid,
    GridLike,
    Mask,
    as_array,
    as_colour,
    as_size,
    bounding_box,
    regions,
)
from arcgym.primitives.colours import most_common_colour
from arcgym.primitives.logic import cells
from arcgym.primitives.objects import objects


def _filled(array: Grid) -> Grid:
    """Return a grid that must hold something."""
    if not array.any():
        raise ValueError("the grid holds no object: every cell is 0")
    return array


def _panels(array: Grid) -> list[Grid]:
    """Return the panels of a grid, of equal size, of which there must be two or more."""
    found = cells(array)
    if len(found) > 1 and len({panel.shape for panel in found}) == 1:
        return found
    height, width = array.shape
    if height % width == 0 and height > width:
        return np.split(array, height // width)
    if width % height == 0 and width > height:
        return np.split(array, width // height, axis=1)
    if min(height, width) < 2:
        raise ValueError(f"a grid of {height} x {width} cells without lines has no panels")
    down, across = (((slice(length // 2), slice(-(length // 2), None))) for length in array.shape)
    return [array[rows, columns].copy() for rows in down for columns in across]


def stack_panels(grid: GridLike, i: SupportsIndex) -> Grid:
    """Lay the panels on each other: panel `i`, counted from 0, on top, the next below it, and so on around.

    The 0-cells are transparent. `ValueError` when there are no panels, or no panel `i`.

    Example:
        >>> stack_panels([[1, 5, 2], [0, 5, 3]], 0).tolist()
        [[1], [3]]
    """
    panels, first = _panels(as_array(grid)), as_size(i, "i", 0)
    if first >= len(panels):
        raise ValueError(f"there is no panel {first}, only 0 to {len(panels) - 1}")
    order = [*panels[first:], *panels[:first]]
    stacked = np.zeros_like(order[0])
    for panel in order:
        stacked = np.where(stacked != 0, stacked, panel)
    return stacked


def panels_and(grid: GridLike, c: SupportsIndex) -> Grid:
    """Return colour `c` where all panels are nonzero, and 0 elsewhere.

    `ValueError` when there are no panels.

    Example:
        >>> panels_and([[1, 1], [5, 5], [0, 2], [5, 5], [3, 3]], 4).tolist()
        [[0, 4]]
    """
    colour = as_colour(c)
    shared: Mask = np.logical_and.reduce([panel != 0 for panel in _panels(as_array(grid))])
    return np.where(shared, np.int8(colour), np.int8(0))


def panels_majority(grid: GridLike) -> Grid:
    """Give each cell the colour that most panels have there; of equally frequent colours the smallest counts.

    `ValueError` when there are no panels.

    Example:
        >>> panels_majority([[1, 1], [5, 5], [0, 1], [5, 5], [0, 3]]).tolist()
        [[0, 1]]
    """
    stacked = np.stack(_panels(as_array(grid)))
    return (stacked[..., None] == np.arange(NUM_COLOURS)).sum(axis=0).argmax(axis=-1).astype(np.int8)


def stack_corners(grid: GridLike, n: SupportsIndex) -> Grid:
    """Lay the four `n` by `n` corners of the grid on each other, top left on top; 0-cells are transparent.

    `ValueError` when a side is shorter than `n`.

    Example:
        >>> stack_corners([[1, 0, 2], [0, 0, 0], [0, 3, 0]], 2).tolist()
        [[1, 2], [3, 3]]
    """
    array, side = as_array(grid), as_size(n, "n")
    if side > min(array.shape):
        raise ValueError(f"a grid of {array.shape[0]} x {array.shape[1]} cells has no corners of {side} x {side}")
    stacked = np.zeros((side, side), dtype=np.int8)
    for rows, columns in itertools.product((slice(0, side), slice(-side, None)), repeat=2):
        stacked = np.where(stacked != 0, stacked, array[rows, columns])
    return stacked


def asymmetric_panel(grid: GridLike) -> Grid:
    """Return the only panel that no mirror leaves as it is: left-right, top-bottom, or at a diagonal.

    `ValueError` unless there is exactly one such panel.

    Example:
        >>> asymmetric_panel([[1, 1], [1, 1], [1, 2], [0, 0]]).tolist()
        [[1, 2], [0, 0]]
    """
    found = [panel for panel in _panels(as_array(grid)) if not _is_mirrored(panel)]
    if len(found) != 1:
        raise ValueError(f"exactly one panel without symmetry is needed, found {len(found)}")
    return found[0].copy()


def symmetric_panel(grid: GridLike) -> Grid:
    """Return the only panel that some mirror leaves as it is: left-right, top-bottom, or at a diagonal.

    `ValueError` unless there is exactly one such panel.

    Example:
        >>> symmetric_panel([[1, 1], [1, 1], [1, 2], [0, 0]]).tolist()
        [[1, 1], [1, 1]]
    """
    found = [panel for panel in _panels(as_array(grid)) if _is_mirrored(panel)]
    if len(found) != 1:
        raise ValueError(f"exactly one panel with a symmetry is needed, found {len(found)}")
    return found[0].copy()


def _is_mirrored(panel: Grid) -> bool:
    images = [panel[:, ::-1], panel[::-1]]
    if panel.shape[0] == panel.shape[1]:
        images += [panel.T, panel[::-1, ::-1].T]
    return any((panel == image).all() for image in images)


def panel_with_most_colours(grid: GridLike) -> Grid:
    """Return the panel with the most different colours, of equals the first; sub-grids may differ in size here.

    `ValueError` when there are no panels.

    Example:
        >>> panel_with_most_colours([[1, 5, 2], [0, 5, 3], [0, 5, 4]]).tolist()
        [[2], [3], [4]]
    """
    found = cells(grid)
    panels = found if len(found) > 1 else _panels(as_array(grid))
    return max(panels, key=lambda panel: len(np.unique(panel))).copy()


def unscale(grid: GridLike) -> Grid:
    """Shrink square blocks of equal cells to one cell each, with the largest block size that loses nothing.

    Unchanged when only blocks of one cell do.

    Example:
        >>> unscale([[1, 1, 2, 2], [1, 1, 2, 2]]).tolist()
        [[1, 2]]
    """
    array = as_array(grid)
    changes = [
        [*(np.flatnonzero((lines[1:] != lines[:-1]).any(axis=1)) + 1).tolist(), len(lines)]
        for lines in (array, array.T)
    ]
    size = math.gcd(*changes[0], *changes[1])
    return array[::size, ::size].copy()


def pool(grid: GridLike, n: SupportsIndex) -> Grid:
    """Shrink each block of `n` by `n` cells to one cell: the most frequent of its colours but 0.

    An empty block gives 0. Blocks at the right and the bottom may be cut off by the edge; of equally frequent colours
    the smallest counts.

    Example:
        >>> pool([[0, 0, 2, 0], [0, 1, 0, 3]], 2).tolist()
        [[1, 2]]
    """
    array, size = as_array(grid), as_size(n, "n")
    size = min(size, max(array.shape))
    height, width = (-(-length // size) for length in array.shape)
    whole = np.zeros((height * size, width * size), dtype=np.int8)
    whole[: array.shape[0], : array.shape[1]] = array
    blocks = whole.reshape(height, size, width, size)
    counts = np.stack([(blocks == colour).sum(axis=(1, 3)) for colour in range(1, NUM_COLOURS)])
    return np.where(counts.any(axis=0), counts.argmax(axis=0) + 1, 0).astype(np.int8)


def line_crossings(grid: GridLike) -> Grid:
    """Return the cells where the grid's lines cross, in the colours that differ from the lines', 0 elsewhere.

    A row or column is a line when more than half its cells have the colour of the lines: the most frequent but 0.
    `ValueError` when no lines cross.

    Example:
        >>> line_crossings([[0, 4, 0, 4, 0], [4, 1, 4, 4, 4], [0, 4, 0, 4, 0]]).tolist()
        [[1, 0]]
    """
    array = as_array(grid)
    colour = most_common_colour(array)
    is_line = array == colour
    rows, columns = 2 * is_line.sum(axis=1) > array.shape[1], 2 * is_line.sum(axis=0) > array.shape[0]
    if not rows.any() or not columns.any():
        raise ValueError("the grid has no lines that cross")
    crossings = array[rows][:, columns]
    return np.where(crossings == colour, np.int8(0), crossings)


def agreeing_corners(grid: GridLike) -> Grid:
    """Give each square of two by two neighbours one cell: their colour where all four have it, else 0.

    `ValueError` when the grid is one cell high or wide.

    Example:
        >>> agreeing_corners([[1, 1, 2], [1, 1, 2]]).tolist()
        [[1, 0]]
    """
    array = as_array(grid)
    if min(array.shape) < 2:
        raise ValueError("a square of neighbours needs two rows and two columns")
    first, *others = array[:-1, :-1], array[:-1, 1:], array[1:, :-1], array[1:, 1:]
    return np.where(np.logical_and.reduce([first == other for other in others]), first, np.int8(0))


def region_colours(grid: GridLike) -> Grid:
    """Shrink each region between empty rows and columns to one cell: the most frequent of its colours but 0.

    A row or column is empty when every cell is 0; of equally frequent colours the smallest counts, and a region of 0s
    gives 0. `ValueError` when every cell is 0.

    Example:
        >>> region_colours([[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 0, 0], [3, 3, 0, 4]]).tolist()
        [[1, 2], [3, 4]]
    """
    array = _filled(as_array(grid))
    rows, columns = _runs((array != 0).any(axis=1)), _runs((array != 0).any(axis=0))
    counts = [[np.bincount(array[row, column].ravel(), minlength=2) for column in columns] for row in rows]
    return np.array([[_most(count) for count in line] for line in counts], dtype=np.int8)


def _most(counts: npt.NDArray[np.intp]) -> int:
    return int(counts[1:].argmax()) + 1 if counts[1:].any() else 0


def _runs(is_used: npt.NDArray[np.bool_]) -> list[slice]:
    """Return the stretches of true cells."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_used, [False]]).astype(np.int8)))
    return [slice(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


def list_by_column(grid: GridLike) -> Grid:
    """List the colours of the nonzero cells in one row: column by column from the left, each from the top.

    `ValueError` when every cell is 0.

    Example:
        >>> list_by_column([[0, 1, 0], [2, 0, 0], [0, 3, 0]]).tolist()
        [[2, 1, 3]]
    """
    return list_by_row(as_array(grid).T)


def list_by_row(grid: GridLike) -> Grid:
    """List the colours of the nonzero cells in one row: row by row from the top, each from the left.

    `ValueError` when every cell is 0.

    Example:
        >>> list_by_row([[0, 1, 0], [2, 0, 3]]).tolist()
        [[1, 2, 3]]
    """
    array = _filled(as_array(grid))
    return array[array != 0][None]


def wrap(grid: GridLike, n: SupportsIndex) -> Grid:
    """Write the cells of the grid, in reading order, into an `n` by `n` square; what is left of it stays 0.

    `ValueError` when they are too many.

    Example:
        >>> wrap([[1, 2, 3]], 2).tolist()
        [[1, 2], [3, 0]]
    """
    flat, side = as_array(grid).ravel(), as_size(n, "n")
    if flat.size > side * side:
        raise ValueError(f"{flat.size} cells do not fit into a square of {side} x {side}")
    square = np.zeros(side * side, dtype=np.int8)
    square[: flat.size] = flat
    return square.reshape(side, side)


def wrap_snake(grid: GridLike, n: SupportsIndex) -> Grid:
    """Write the cells of the grid, in reading order, into an `n` by `n` square, every second row from the right.

    `ValueError` when they are too many.

    Example:
        >>> wrap_snake([[1, 2, 3]], 2).tolist()
        [[1, 2], [0, 3]]
    """
    square = wrap(grid, n)
    square[1::2] = square[1::2, ::-1].copy()
    return square


def _pieces(array: Grid) -> list[Mask]:
    """Return the pieces, of which there must be one."""
    return regions(_filled(array), diagonal=False)


def tally(grid: GridLike, n: SupportsIndex) -> Grid:
    """Make a row of `n` cells, the first of them, one per piece of the grid, in its most frequent colour but 0.

    `ValueError` when there are more than `n` pieces, or none.

    Example:
        >>> tally([[1, 0, 1], [1, 0, 0]], 4).tolist()
        [[1, 1, 0, 0]]
    """
    array, length = as_array(grid), as_size(n, "n")
    count = len(_pieces(array))
    if count > length:
        raise ValueError(f"{count} pieces do not fit into a row of {length} cells")
    row = np.zeros((1, length), dtype=np.int8)
    row[0, :count] = most_common_colour(array)
    return row


def tally_dots(grid: GridLike, c: SupportsIndex) -> Grid:
    """Put one dot of colour `c` per piece on a 3 by 3 grid of 0: in the corners and the middle, in reading order.

    `ValueError` when there are more than five pieces, or none.

    Example:
        >>> tally_dots([[1, 0, 1], [1, 0, 0], [0, 0, 2]], 4).tolist()
        [[4, 0, 4], [0, 4, 0], [0, 0, 0]]
    """
    colour, count = as_colour(c), len(_pieces(as_array(grid)))
    if count > 5:
        raise ValueError(f"only up to 5 pieces can be shown as dots, found {count}")
    dots = np.zeros(9, dtype=np.int8)
    dots[: 2 * count : 2] = colour
    return dots.reshape(3, 3)


def object_bars(grid: GridLike) -> Grid:
    """Draw one bar per object, in its colour and as high as it has cells, standing on the bottom, side by side.

    The bars are in the order of the objects' leftmost columns. `ValueError` when every cell is 0.

    Example:
        >>> object_bars([[0, 0, 1, 1], [2, 0, 0, 1]]).tolist()
        [[0, 1], [0, 1], [2, 1]]
    """
    array = _filled(as_array(grid))
    masks = sorted(objects(array), key=lambda mask: bounding_box(mask)[1].start)
    sizes = [int(np.count_nonzero(mask)) for mask in masks]
    bars = np.zeros((max(sizes), len(masks)), dtype=np.int8)
    for column, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        bars[-size:, column] = array[mask][0]
    return bars


def object_colours(grid: GridLike) -> Grid:
    """List the colours of the objects in one column, from the largest object to the smallest.

    Of equally large ones the first counts first. `ValueError` when every cell is 0.

    Example:
        >>> object_colours([[1, 0, 2, 2, 0, 1]]).tolist()
        [[2], [1], [1]]
    """
    array = _filled(as_array(grid))
    masks = sorted(objects(array), key=np.count_nonzero, reverse=True)
    return np.array([[array[mask][0]] for mask in masks], dtype=np.int8)


def keep_all_largest(grid: GridLike) -> Grid:
    """Set all objects to 0 but those with the most cells; all of equal size stay.

    Example:
        >>> keep_all_largest([[1, 0, 2, 2, 0, 3, 3]]).tolist()
        [[0, 0, 2, 2, 0, 3, 3]]
    """
    array = as_array(grid)
    masks = objects(array)
    sizes = [int(np.count_nonzero(mask)) for mask in masks]
    for mask, size in zip(masks, sizes, strict=True):
        if size < max(sizes):
            array[mask] = 0
    return array


def line_order(grid: GridLike) -> Grid:
    """Show the straight lines of one colour each, in their order, as stripes of one cell that make a square.

    A colour makes a line when all its cells are in one row, or all in one column, three or more of them; the stripes
    run as most of the lines do. `ValueError` when there is no line.

    Example:
        >>> line_order([[1, 1, 1], [0, 0, 0], [2, 2, 2]]).tolist()
        [[1, 1], [2, 2]]
    """
    array = as_array(grid)
    boxes = {int(colour): bounding_box(array == colour) for colour in np.unique(array[array != 0])}
    across, down = (_lines_along(boxes, axis) for axis in (0, 1))
    if not across and not down:
        raise ValueError("no colour makes a straight line of three or more cells")
    colours = np.array(max(across, down, key=len), dtype=np.int8)
    square = np.repeat(colours[:, None], len(colours), axis=1)
    return square if len(across) >= len(down) else square.T.copy()


def _lines_along(boxes: dict[int, tuple[slice, slice]], axis: int) -> Sequence[int]:
    """Return the colours whose box is one cell thick along the axis, by their place."""
    thick = {colour: box[axis].start for colour, box in boxes.items() if box[axis].stop - box[axis].start == 1}
    long = [colour for colour in thick if boxes[colour][1 - axis].stop - boxes[colour][1 - axis].start >= 3]
    return sorted(long, key=thick.__getitem__)


def colour_cell(grid: GridLike) -> Grid:
    """Return one cell of the most frequent colour but 0; of equally frequent colours the smallest counts.

    The cell is 0 when every cell of the grid is.

    Example:
        >>> colour_cell([[1, 1, 2]]).tolist()
        [[1]]
    """
    return np.array([[most_common_colour(grid)]], dtype=np.int8)


def symmetry_cell(grid: GridLike, a: SupportsIndex, b: SupportsIndex) -> Grid:
    """Return one cell: of colour `a` when the grid equals its left-right mirror image, else of colour `b`.

    Example:
        >>> symmetry_cell([[1, 2, 1]], 3, 4).tolist()
        [[3]]
    """
    array, colours = as_array(grid), (as_colour(a), as_colour(b))
    return np.array([[colours[0] if (array == array[:, ::-1]).all() else colours[1]]], dtype=np.int8)
