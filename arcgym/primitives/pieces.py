"""Take out parts by what surrounds, marks or distinguishes them, and put parts together into one.

A frame is a rectangle whose outermost ring has one colour other than 0, three cells or more on each side.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, SupportsIndex

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
from arcgym.primitives.colours import least_common_colour, most_common_colour, recolour
from arcgym.primitives.extraction import hidden_patch
from arcgym.primitives.objects import objects

# in reading order, so that the opposite of each is as far from the other end
_CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def _crop(array: Grid, mask: Mask) -> Grid:
    box = bounding_box(mask)
    return np.where(mask[box], array[box], np.int8(0))


def _required(masks: list[Mask]) -> list[Mask]:
    """Return the objects, of which there must be one."""
    if not masks:
        raise ValueError("the grid holds no object: every cell is 0")
    return masks


def piece_with(grid: GridLike, a: SupportsIndex) -> Grid:
    """Return a crop of the piece that holds the most cells of colour `a`: nonzero cells that touch at sides.

    Unlike the objects of `object_with`, pieces that meet at a corner are apart. `ValueError` when none holds one.

    Example:
        >>> piece_with([[8, 1, 0], [0, 0, 8]], 1).tolist()
        [[8, 1]]
    """
    array, colour = as_array(grid), as_colour(a)
    pieces = _required(objects(array, diagonal=False, same_colour=False))
    best = max(pieces, key=lambda mask: int(np.count_nonzero(array[mask] == colour)))
    if not (array[best] == colour).any():
        raise ValueError(f"no piece holds colour {colour}")
    return _crop(array, best)


def most_common_shape(grid: GridLike) -> Grid:
    """Return a crop of the object of one colour that occurs most often, touching neighbours of other colours left out.

    Of equally frequent ones the first counts. `ValueError` when every cell is 0.

    Example:
        >>> most_common_shape([[1, 2, 0, 2, 0, 1, 1]]).tolist()
        [[2]]
    """
    array = as_array(grid)
    crops = [_crop(array, mask) for mask in _required(objects(array))]
    keys = [(crop.shape, crop.tobytes()) for crop in crops]
    return crops[keys.index(Counter(keys).most_common(1)[0][0])]


def object_with_most_holes(grid: GridLike) -> Grid:
    """Return a crop of the object of one colour that encloses the most regions; of equals the first.

    Cells of an object touch at sides here, and so do those of a region. `ValueError` when no object encloses one.

    Example:
        >>> object_with_most_holes([[1, 1, 1, 0, 2], [1, 0, 1, 0, 2], [1, 1, 1, 0, 0]]).tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    array = as_array(grid)
    masks = _required(regions(array, diagonal=False))
    counts = [_holes(mask[bounding_box(mask)]) for mask in masks]
    if not max(counts):
        raise ValueError("no object encloses anything")
    return _crop(array, masks[counts.index(max(counts))])


def _holes(mask: Mask) -> int:
    """Return the number of regions that a shape encloses."""
    if min(mask.shape) < 3 or mask.all():
        return 0
    return len(regions(np.pad(~mask, 1, constant_values=True).astype(np.int8), diagonal=False)) - 1


def object_at(grid: GridLike, i: SupportsIndex) -> Grid:
    """Return a crop of the object nearest to an edge of the grid: `i` is 0 for the top, 1 bottom, 2 left, 3 right.

    Objects may have several colours; of equally near ones the first counts. `ValueError` when every cell is 0.

    Example:
        >>> object_at([[1, 0, 0], [0, 0, 2]], 1).tolist()
        [[2]]
    """
    array, edge = as_array(grid), as_size(i, "i", 0)
    if edge > 3:
        raise ValueError(f"edges are numbered 0 to 3, got {edge}")
    masks = _required(objects(array, same_colour=False))
    turned = [(mask if edge < 2 else mask.T)[:: -1 if edge % 2 else 1] for mask in masks]
    distances = [int(mask.any(axis=1).argmax()) for mask in turned]
    return _crop(array, masks[distances.index(min(distances))])


def corner(grid: GridLike, n: SupportsIndex, i: SupportsIndex) -> Grid:
    """Return the `n` by `n` corner number `i`: 0 top left, 1 top right, 2 bottom left, 3 bottom right.

    `ValueError` when a side is shorter than `n`, or there is no such corner.

    Example:
        >>> corner([[1, 2, 3], [4, 5, 6]], 2, 1).tolist()
        [[2, 3], [5, 6]]
    """
    array, side, index = as_array(grid), as_size(n, "n"), as_size(i, "i", 0)
    if side > min(array.shape) or index > 3:
        raise ValueError(f"a grid of {array.shape} has no corner {index} of {side} x {side}")
    rows = slice(-side, None) if index >= 2 else slice(side)
    return array[rows, slice(-side, None) if index % 2 else slice(side)].copy()


class _Box(NamedTuple):
    """A rectangle of the grid."""

    rows: slice
    columns: slice

    @property
    def area(self) -> int:
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


def _runs_to_the_left(array: Grid) -> npt.NDArray[np.intp]:
    """Return how many cells of its colour each cell ends, counted along its row from the left, itself included."""
    height, width = array.shape
    starts = np.zeros((height, width), dtype=np.intp)
    starts[:, 1:] = np.where(array[:, 1:] != array[:, :-1], np.arange(1, width), 0)
    return np.arange(1, width + 1) - np.maximum.accumulate(starts, axis=1)


def _frames(array: Grid) -> list[_Box]:
    """Return all frames, from the largest to the smallest; of equals the first in reading order."""
    right = _runs_to_the_left(array[:, ::-1])[:, ::-1]
    down = _runs_to_the_left(array[::-1].T)[:, ::-1].T
    found = []
    for top, left in np.argwhere((array != 0) & (right >= 3) & (down >= 3)).tolist():
        widths = np.arange(3, right[top, left] + 1)
        heights = np.arange(3, down[top, left] + 1)
        closes = (down[top, left + widths - 1][None] >= heights[:, None]) & (
            right[top + heights - 1, left][:, None] >= widths
        )
        for height, width in (np.argwhere(closes) + 3).tolist():
            found.append(_Box(slice(top, top + height), slice(left, left + width)))
    return sorted(found, key=lambda box: -box.area)


def crop_frame(grid: GridLike) -> Grid:
    """Return what is inside the largest frame, without its ring; there must be another colour inside than the ring's.

    `ValueError` when there is no such frame.

    Example:
        >>> crop_frame([[2, 2, 2, 0], [2, 7, 2, 1], [2, 2, 2, 2]]).tolist()
        [[7]]
    """
    array = as_array(grid)
    for box in _frames(array):
        inside = array[box][1:-1, 1:-1]
        if (inside != array[box][0, 0]).any():
            return inside.copy()
    raise ValueError("there is no frame around anything")


def fullest_frame(grid: GridLike) -> Grid:
    """Return the frame, ring included, with the most cells inside that are neither 0 nor of its colour.

    Of equally full ones the smallest counts. `ValueError` when no frame holds anything.

    Example:
        >>> fullest_frame([[2, 2, 2, 0], [2, 7, 2, 1], [2, 2, 2, 2]]).tolist()
        [[2, 2, 2], [2, 7, 2], [2, 2, 2]]
    """
    array = as_array(grid)
    best, most = None, 0
    for box in _frames(array):
        cells = array[box]
        count = int(np.count_nonzero((cells != 0) & (cells != cells[0, 0])))
        if count >= max(most, 1):
            best, most = cells, count
    if best is None:
        raise ValueError("no frame holds anything")
    return best.copy()


def crop_corners(grid: GridLike) -> Grid:
    """Return the largest rectangle whose four corners have one colour other than 0, and whose sides are not all of it.

    Each side has three cells or more. `ValueError` when there is no such rectangle.

    Example:
        >>> crop_corners([[4, 0, 4, 0], [0, 2, 0, 0], [4, 0, 4, 0]]).tolist()
        [[4, 0, 4], [0, 2, 0], [4, 0, 4]]
    """
    array = as_array(grid)
    best, area = None, 0
    for colour in np.unique(array[array != 0]):
        box = _widest_corners(array == colour)
        if box is not None and box.area > area:
            best, area = box, box.area
    if best is None:
        raise ValueError("no four cells of one colour are the corners of a rectangle")
    return array[best].copy()


def _widest_corners(mask: Mask) -> _Box | None:
    """Return the largest rectangle, three cells or more on each side, with true corners."""
    height, width = mask.shape
    shared = mask[:, None] & mask[None]  # by top row, bottom row and column
    left, right = shared.argmax(axis=2), width - 1 - shared[:, :, ::-1].argmax(axis=2)
    widths, heights = right - left + 1, np.arange(height)[None] - np.arange(height)[:, None] + 1
    areas = np.where(shared.any(axis=2) & (widths >= 3) & (heights >= 3), widths * heights, 0)
    top, bottom = divmod(int(areas.argmax()), height)
    if not areas[top, bottom]:
        return None
    return _Box(slice(top, bottom + 1), slice(int(left[top, bottom]), int(right[top, bottom]) + 1))


def recolour_to_corner(grid: GridLike) -> Grid:
    """Give every nonzero cell the colour of the top left cell.

    `ValueError` when that is 0.

    Example:
        >>> recolour_to_corner([[4, 0], [0, 2]]).tolist()
        [[4, 0], [0, 4]]
    """
    array = as_array(grid)
    if not array[0, 0]:
        raise ValueError("the top left cell has no colour")
    return recolour(array, array[0, 0])


def recolour_to_most_common(grid: GridLike) -> Grid:
    """Give every nonzero cell the most frequent colour but 0; of equally frequent colours the smallest counts.

    Unchanged when every cell is 0.

    Example:
        >>> recolour_to_most_common([[4, 0, 4, 2]]).tolist()
        [[4, 0, 4, 4]]
    """
    return recolour(grid, most_common_colour(grid))


def recolour_to_least_common(grid: GridLike) -> Grid:
    """Give every nonzero cell the rarest colour but 0 that the grid holds; of equally rare ones the smallest counts.

    Unchanged when every cell is 0.

    Example:
        >>> recolour_to_least_common([[4, 0, 4, 2]]).tolist()
        [[2, 0, 2, 2]]
    """
    return recolour(grid, least_common_colour(grid))


def hidden_zeros(grid: GridLike) -> Grid:
    """Return what the 0-cells hide, by the symmetries of the grid, or else by its period, as `hidden_patch` does.

    `ValueError` when there are none, or neither tells what they hide.

    Example:
        >>> hidden_zeros([[1, 2, 2, 1], [3, 4, 0, 0], [1, 2, 2, 1]]).tolist()
        [[4, 3]]
    """
    return hidden_patch(grid, 0)


def stack_centred(grid: GridLike) -> Grid:
    """Crop each colour but the most frequent one, and lay the crops on each other, their centres together.

    Smaller crops are on top, and the most frequent colour is around. `ValueError` when there is one colour only, or
    when two crops cannot have the same centre.

    Example:
        >>> stack_centred([[0, 1, 0, 1, 2], [0, 0, 0, 0, 0]]).tolist()
        [[1, 2, 1]]
    """
    array = as_array(grid)
    behind = np.bincount(array.ravel(), minlength=NUM_COLOURS).argmax()
    crops = [array[bounding_box(array == colour)] for colour in np.unique(array) if colour != behind]
    if not crops:
        raise ValueError("the grid has one colour only")
    height, width = (max(crop.shape[axis] for crop in crops) for axis in (0, 1))
    stacked = np.full((height, width), behind, dtype=np.int8)
    for crop in sorted(crops, key=lambda crop: -crop.size):
        top, left = height - crop.shape[0], width - crop.shape[1]
        if top % 2 or left % 2:
            raise ValueError("odd and even sizes have no common centre")
        room = stacked[top // 2 : top // 2 + crop.shape[0], left // 2 : left // 2 + crop.shape[1]]
        room[crop != behind] = crop[crop != behind]
    return stacked


def stack_at(grid: GridLike, a: SupportsIndex) -> Grid:
    """Lay all objects that hold one cell of colour `a` on each other so that these cells meet.

    Objects may have several colours; where two meet the later one is on top. `ValueError` when no object does.

    Example:
        >>> stack_at([[1, 5, 0, 0], [0, 0, 0, 5], [0, 0, 0, 2]], 5).tolist()
        [[1, 5], [0, 2]]
    """
    array, colour = as_array(grid), as_colour(a)
    marked = [mask for mask in objects(array, same_colour=False) if np.count_nonzero(array[mask] == colour) == 1]
    if colour == 0 or not marked:
        raise ValueError(f"no object holds one cell of colour {colour}")
    height, width = array.shape
    stacked = np.zeros((2 * height - 1, 2 * width - 1), dtype=np.int8)
    for mask in marked:
        row, column = np.argwhere(mask & (array == colour))[0].tolist()
        room = stacked[height - 1 - row :, width - 1 - column :][:height, :width]
        room[mask] = array[mask]
    return stacked[bounding_box(stacked != 0)]


def join_pieces(grid: GridLike) -> Grid:
    """Move the objects of one colour together, without turning them, so that they make a full rectangle.

    Of several rectangles the squarest counts. `ValueError` when there are not two to four objects, or they make none.

    Example:
        >>> join_pieces([[1, 1, 0, 2], [1, 0, 2, 2], [0, 0, 0, 0]]).tolist()
        [[1, 1, 2], [1, 2, 2]]
    """
    array = as_array(grid)
    crops = [_crop(array, mask) for mask in objects(array)]
    if not 2 <= len(crops) <= 4:
        raise ValueError(f"two to four objects can be joined, found {len(crops)}")
    for shape in _shapes(sum(int(np.count_nonzero(crop)) for crop in crops)):
        joined = _join(np.zeros(shape, dtype=np.int8), crops)
        if joined is not None:
            return joined
    raise ValueError("the objects make no full rectangle")


def _shapes(area: int) -> Sequence[tuple[int, int]]:
    """Return the heights and widths of rectangles, the squarest first."""
    sides = [side for side in range(1, area + 1) if area % side == 0]
    return sorted(((side, area // side) for side in sides), key=lambda shape: abs(shape[0] - shape[1]))


def _join(canvas: Grid, crops: Sequence[Grid]) -> Grid | None:
    """Fill the first empty cell with one of the crops, and so on."""
    if not crops:
        return canvas
    row, column = divmod(int((canvas == 0).argmax()), canvas.shape[1])
    for index, crop in enumerate(crops):
        # the crop's first cell in reading order goes to the first empty one
        left = column - int((crop[0] != 0).argmax())
        if left < 0 or row + crop.shape[0] > canvas.shape[0] or left + crop.shape[1] > canvas.shape[1]:
            continue
        room = canvas[row : row + crop.shape[0], left : left + crop.shape[1]]
        if ((room != 0) & (crop != 0)).any():
            continue
        filled = canvas.copy()
        filled[row : row + crop.shape[0], left : left + crop.shape[1]] += crop
        joined = _join(filled, [*crops[:index], *crops[index + 1 :]])
        if joined is not None:
            return joined
    return None


def join_corners(grid: GridLike) -> Grid:
    """Put up to four objects together as the corners of one picture, the empty corner of each to the inside.

    Where that does not tell their places they are taken in reading order. Objects may have several colours; smaller
    ones keep to the corners of the picture. `ValueError` when there are more than four, or none.

    Example:
        >>> join_corners([[1, 1, 0, 0, 2], [1, 0, 0, 2, 2], [0] * 5, [3, 3, 0, 4, 0], [0, 3, 0, 4, 4]]).tolist()
        [[1, 1, 3, 3], [1, 0, 0, 3], [4, 0, 0, 2], [4, 4, 2, 2]]
    """
    array = as_array(grid)
    crops = [_crop(array, mask) for mask in objects(array, same_colour=False)]
    if not 1 <= len(crops) <= 4:
        raise ValueError(f"one to four objects can be corners of a picture, found {len(crops)}")
    empty = [[corner for corner in _CORNERS if not crop[corner]] for crop in crops]
    is_told = all(len(corners) == 1 for corners in empty) and len({corners[0] for corners in empty}) == len(crops)
    # the empty corner is at the opposite of the object's own
    places = [_CORNERS[3 - _CORNERS.index(corners[0])] for corners in empty] if is_told else _CORNERS[: len(crops)]
    height, width = (2 * max(crop.shape[axis] for crop in crops) for axis in (0, 1))
    picture = np.zeros((height, width), dtype=np.int8)
    for crop, (row, column) in zip(crops, places, strict=True):
        rows = slice(height - crop.shape[0], None) if row else slice(crop.shape[0])
        picture[rows, slice(width - crop.shape[1], None) if column else slice(crop.shape[1])] = crop
    return picture


def paint_by_corners(grid: GridLike) -> Grid:
    """Give each nonzero cell the colour of the corner of the grid in its quarter; middle lines of odd sides stay.

    `ValueError` when a corner is 0.

    Example:
        >>> paint_by_corners([[1, 5, 5, 2], [5, 0, 5, 0], [3, 0, 5, 4]]).tolist()
        [[1, 1, 2, 2], [5, 0, 5, 0], [3, 0, 4, 4]]
    """
    array = as_array(grid)
    halves = [(slice(length // 2), slice((length + 1) // 2, None)) for length in array.shape]
    for (rows, row), (columns, column) in itertools.product(*_with_ends(halves)):
        if not array[row, column]:
            raise ValueError("every corner of the grid must have a colour")
        quarter = array[rows, columns]
        quarter[quarter != 0] = array[row, column]
    return array


def _with_ends(halves: Sequence[tuple[slice, slice]]) -> Iterator[list[tuple[slice, int]]]:
    """Yield, by axis, both halves with the place of their corner."""
    for first, second in halves:
        yield [(first, 0), (second, -1)]
