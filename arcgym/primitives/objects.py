"""Find objects, and pick, drop, colour, fill or outline them.

An object is a connected region of nonzero cells. Unless a function says otherwise its cells have one colour and touch
at sides or corners. Objects come in reading order of their first cell, and of equals the first is taken. A crop of an
object is its bounding box with everything that is not the object set to 0.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box, regions
from arcgym.primitives.geometry import hconcat


def objects(grid: GridLike, diagonal: bool = True, same_colour: bool = True) -> list[Mask]:
    """Return one boolean mask, of the grid's size, for each object.

    `diagonal` lets cells touch at corners; `same_colour=False` lets an object have several colours. The list is empty
    when every cell is 0.

    Example:
        >>> [mask.astype(int).tolist() for mask in objects([[1, 0, 2], [1, 0, 0]])]
        [[[1, 0, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 0]]]
    """
    array = as_array(grid)
    return regions(array if same_colour else (array != 0).astype(np.int8), diagonal)


def _crop_object(array: Grid, mask: Mask) -> Grid:
    """Return the crop of one object."""
    box = bounding_box(mask)
    return np.where(mask[box], array[box], np.int8(0))


def _required(masks: Sequence[Mask]) -> Sequence[Mask]:
    """Return the objects, of which there must be one."""
    if not masks:
        raise ValueError("the grid holds no object: every cell is 0")
    return masks


def _only(masks: Sequence[Mask], what: str) -> Mask:
    """Return the one object of a list that must hold exactly one."""
    if len(masks) != 1:
        raise ValueError(f"exactly one object {what} is needed, found {len(masks)}")
    return masks[0]


def _size(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _height(mask: Mask) -> int:
    return int(np.count_nonzero(mask.any(axis=1)))


def _width(mask: Mask) -> int:
    return int(np.count_nonzero(mask.any(axis=0)))


def largest_object(grid: GridLike) -> Grid:
    """Return a crop of the object with the most cells.

    `ValueError` when every cell is 0.

    Example:
        >>> largest_object([[1, 0, 2], [0, 0, 2]]).tolist()
        [[2], [2]]
    """
    array = as_array(grid)
    return _crop_object(array, max(_required(objects(array)), key=_size))


def smallest_object(grid: GridLike) -> Grid:
    """Return a crop of the object with the fewest cells.

    `ValueError` when every cell is 0.

    Example:
        >>> smallest_object([[1, 0, 2], [0, 0, 2]]).tolist()
        [[1]]
    """
    array = as_array(grid)
    return _crop_object(array, min(_required(objects(array)), key=_size))


def tallest_object(grid: GridLike) -> Grid:
    """Return a crop of the object that spans the most rows.

    `ValueError` when every cell is 0.

    Example:
        >>> tallest_object([[1, 0, 2, 2], [1, 0, 0, 0]]).tolist()
        [[1], [1]]
    """
    array = as_array(grid)
    return _crop_object(array, max(_required(objects(array)), key=_height))


def widest_object(grid: GridLike) -> Grid:
    """Return a crop of the object that spans the most columns.

    `ValueError` when every cell is 0.

    Example:
        >>> widest_object([[1, 0, 2, 2], [1, 0, 0, 0]]).tolist()
        [[2, 2]]
    """
    array = as_array(grid)
    return _crop_object(array, max(_required(objects(array)), key=_width))


def object_with_most_colours(grid: GridLike) -> Grid:
    """Return a crop of the object, of any colours, that holds the most different colours.

    `ValueError` when every cell is 0.

    Example:
        >>> object_with_most_colours([[1, 1, 0, 2, 3]]).tolist()
        [[2, 3]]
    """
    array = as_array(grid)
    masks = _required(objects(array, same_colour=False))
    return _crop_object(array, max(masks, key=lambda mask: len(np.unique(array[mask]))))


def unique_colour_object(grid: GridLike) -> Grid:
    """Return a crop of the object whose colour no other object has.

    `ValueError` unless there is exactly one such object.

    Example:
        >>> unique_colour_object([[1, 0, 2, 2, 0, 1]]).tolist()
        [[2, 2]]
    """
    array = as_array(grid)
    masks = objects(array)
    colours = [int(array[mask][0]) for mask in masks]
    unique = [mask for mask, colour in zip(masks, colours, strict=True) if colours.count(colour) == 1]
    return _crop_object(array, _only(unique, "with a colour of its own"))


def most_common_object(grid: GridLike) -> Grid:
    """Return the crop that occurs most often among the objects, which may have several colours.

    Two objects are the same when their crops are equal, colours included. `ValueError` when every cell is 0.

    Example:
        >>> most_common_object([[1, 0, 2, 3, 0, 2, 3]]).tolist()
        [[2, 3]]
    """
    array = as_array(grid)
    crops = [_crop_object(array, mask) for mask in _required(objects(array, same_colour=False))]
    keys = [(crop.shape, crop.tobytes()) for crop in crops]
    return crops[keys.index(Counter(keys).most_common(1)[0][0])]


def odd_object(grid: GridLike) -> Grid:
    """Return a crop of the object whose shape no other object has; an object may have several colours.

    Colours do not count, turned and mirrored shapes are different ones. `ValueError` unless there is exactly one such
    object.

    Example:
        >>> odd_object([[1, 0, 2, 0, 3], [0, 0, 0, 0, 3]]).tolist()
        [[3], [3]]
    """
    array = as_array(grid)
    masks = objects(array, same_colour=False)
    shapes = [(mask[bounding_box(mask)].shape, mask[bounding_box(mask)].tobytes()) for mask in masks]
    odd = [mask for mask, shape in zip(masks, shapes, strict=True) if shapes.count(shape) == 1]
    return _crop_object(array, _only(odd, "with a shape of its own"))


def _painted(grid: GridLike, choose: Callable[[Sequence[Mask]], Sequence[Mask]], colour: int) -> Grid:
    """Give the chosen objects one colour; `choose` sees a list with at least one object."""
    array = as_array(grid)
    masks = objects(array)
    for mask in choose(masks) if masks else ():
        array[mask] = colour
    return array


def keep_largest(grid: GridLike) -> Grid:
    """Set everything to 0 but the object with the most cells.

    Example:
        >>> keep_largest([[1, 0, 2], [0, 0, 2]]).tolist()
        [[0, 0, 2], [0, 0, 2]]
    """
    return _painted(grid, lambda masks: [~max(masks, key=_size)], 0)


def keep_smallest(grid: GridLike) -> Grid:
    """Set everything to 0 but the object with the fewest cells.

    Example:
        >>> keep_smallest([[1, 0, 2], [0, 0, 2]]).tolist()
        [[1, 0, 0], [0, 0, 0]]
    """
    return _painted(grid, lambda masks: [~min(masks, key=_size)], 0)


def remove_largest(grid: GridLike) -> Grid:
    """Set the object with the most cells to 0.

    Unchanged when every cell is 0.

    Example:
        >>> remove_largest([[1, 0, 2], [0, 0, 2]]).tolist()
        [[1, 0, 0], [0, 0, 0]]
    """
    return recolour_largest(grid, 0)


def remove_smallest(grid: GridLike) -> Grid:
    """Set the object with the fewest cells to 0.

    Unchanged when every cell is 0.

    Example:
        >>> remove_smallest([[1, 0, 2], [0, 0, 2]]).tolist()
        [[0, 0, 2], [0, 0, 2]]
    """
    return recolour_smallest(grid, 0)


def remove_noise(grid: GridLike) -> Grid:
    """Set the objects of one cell to 0.

    Example:
        >>> remove_noise([[1, 0, 2], [0, 0, 2]]).tolist()
        [[0, 0, 2], [0, 0, 2]]
    """
    return isolated_to(grid, 0)


def isolated_to(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the objects of one cell the colour `c`.

    Example:
        >>> isolated_to([[1, 0, 2], [0, 0, 2]], 5).tolist()
        [[5, 0, 2], [0, 0, 2]]
    """
    return _painted(grid, lambda masks: [mask for mask in masks if _size(mask) == 1], as_colour(c))


def count_objects(grid: GridLike) -> int:
    """Return the number of objects.

    Example:
        >>> count_objects([[1, 0, 2], [0, 0, 2]])
        2
    """
    return len(objects(grid))


def recolour_largest(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the object with the most cells the colour `c`.

    Unchanged when every cell is 0.

    Example:
        >>> recolour_largest([[1, 0, 2], [0, 0, 2]], 5).tolist()
        [[1, 0, 5], [0, 0, 5]]
    """
    return _painted(grid, lambda masks: [max(masks, key=_size)], as_colour(c))


def recolour_smallest(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give the object with the fewest cells the colour `c`.

    Unchanged when every cell is 0.

    Example:
        >>> recolour_smallest([[1, 0, 2], [0, 0, 2]], 5).tolist()
        [[5, 0, 2], [0, 0, 2]]
    """
    return _painted(grid, lambda masks: [min(masks, key=_size)], as_colour(c))


def recolour_by_size(grid: GridLike) -> Grid:
    """Give each object its rank by size as colour: the largest 1, the next 2, and so on.

    Objects of one size share a rank, and ranks past 9 stay 9.

    Example:
        >>> recolour_by_size([[5, 0, 5, 5, 0, 5, 5, 5]]).tolist()
        [[3, 0, 2, 2, 0, 1, 1, 1]]
    """
    array = as_array(grid)
    masks = objects(array)
    sizes = sorted({_size(mask) for mask in masks}, reverse=True)
    for mask in masks:
        array[mask] = min(sizes.index(_size(mask)) + 1, 9)
    return array


def _holes(array: Grid) -> list[Mask]:
    """Return the regions of 0 that no path of side steps over 0 leads out of."""
    holes = []
    for mask in regions((array == 0).astype(np.int8), diagonal=False):
        rows, columns = bounding_box(mask)
        if rows.start and columns.start and rows.stop < array.shape[0] and columns.stop < array.shape[1]:
            holes.append(mask)
    return holes


def fill_holes(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells that are cut off from the border of the grid (by side steps over 0-cells).

    Unchanged when there is no hole.

    Example:
        >>> fill_holes([[1, 1, 1], [1, 0, 1], [1, 1, 1]], 4).tolist()
        [[1, 1, 1], [1, 4, 1], [1, 1, 1]]
    """
    array, colour = as_array(grid), as_colour(c)
    for hole in _holes(array):
        array[hole] = colour
    return array


def fill_each_hole(grid: GridLike) -> Grid:
    """Give each hole, as in `fill_holes`, the most common colour of the cells around it.

    Cells at the hole's sides count, corners do not; of equally common colours the smallest is taken.

    Example:
        >>> fill_each_hole([[1, 1, 1], [1, 0, 1], [1, 1, 1]]).tolist()
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    """
    array = as_array(grid)
    filled = array.copy()
    for hole in _holes(array):
        wall = _neighbours(hole, corners=False) & ~hole
        filled[hole] = np.bincount(array[wall]).argmax()
    return filled


def _neighbours(mask: Mask, corners: bool) -> Mask:
    """Return the cells of a mask and those next to them."""
    padded = np.pad(mask, 1)
    near = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    if corners:
        near |= padded[:-2, :-2] | padded[:-2, 2:] | padded[2:, :-2] | padded[2:, 2:]
    return near


def outline(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells that touch a nonzero cell at a side or a corner.

    Example:
        >>> outline([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], 3).tolist()
        [[3, 3, 3, 0], [3, 1, 3, 0], [3, 3, 3, 0]]
    """
    array = as_array(grid)
    array[_neighbours(array != 0, corners=True) & (array == 0)] = as_colour(c)
    return array


def outline_plus(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells that touch a nonzero cell at a side.

    Example:
        >>> outline_plus([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], 3).tolist()
        [[0, 3, 0, 0], [3, 1, 3, 0], [0, 3, 0, 0]]
    """
    array = as_array(grid)
    array[_neighbours(array != 0, corners=False) & (array == 0)] = as_colour(c)
    return array


def hollow(grid: GridLike) -> Grid:
    """Set every cell to 0 whose four neighbours all have its colour; cells at the grid's border stay.

    Example:
        >>> hollow([[2, 2, 2], [2, 2, 2], [2, 2, 2]]).tolist()
        [[2, 2, 2], [2, 0, 2], [2, 2, 2]]
    """
    array = as_array(grid)
    centre = array[1:-1, 1:-1]
    around = (array[:-2, 1:-1], array[2:, 1:-1], array[1:-1, :-2], array[1:-1, 2:])
    is_inside = np.logical_and.reduce([centre == side for side in around])
    centre[is_inside] = 0
    return array


def fill_boxes(grid: GridLike, c: SupportsIndex) -> Grid:
    """Give colour `c` to the 0-cells inside the bounding box of each object.

    Example:
        >>> fill_boxes([[1, 0, 0], [1, 1, 0], [0, 0, 0]], 4).tolist()
        [[1, 4, 0], [1, 1, 0], [0, 0, 0]]
    """
    array, colour = as_array(grid), as_colour(c)
    for mask in objects(array):
        box = array[bounding_box(mask)]
        box[box == 0] = colour
    return array


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def drop_touching_border(grid: GridLike) -> Grid:
    """Set the objects that touch the border of the grid to 0.

    Example:
        >>> drop_touching_border([[1, 0, 0], [0, 2, 0], [0, 0, 0]]).tolist()
        [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    """
    return _painted(grid, lambda masks: [mask for mask in masks if _touches_border(mask)], 0)


def keep_touching_border(grid: GridLike) -> Grid:
    """Set the objects that do not touch the border of the grid to 0.

    Example:
        >>> keep_touching_border([[1, 0, 0], [0, 2, 0], [0, 0, 0]]).tolist()
        [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    """
    return _painted(grid, lambda masks: [mask for mask in masks if not _touches_border(mask)], 0)


def stack_objects_right(grid: GridLike) -> Grid:
    """Put the crops of all objects side by side, ordered by their leftmost column, then by their top row.

    `ValueError` when every cell is 0, or when the objects differ in height.

    Example:
        >>> stack_objects_right([[1, 0, 0, 2], [1, 0, 2, 2]]).tolist()
        [[1, 0, 2], [1, 2, 2]]
    """
    array = as_array(grid)

    def place(mask: Mask) -> tuple[int, int]:
        rows, columns = bounding_box(mask)
        return columns.start, rows.start

    first, *others = [_crop_object(array, mask) for mask in sorted(_required(objects(array)), key=place)]
    for crop in others:
        first = hconcat(first, crop)
    return first


def mirror_objects(grid: GridLike) -> Grid:
    """Mirror each object left to right within its own bounding box; an object may have several colours.

    Where mirrored objects meet, the later one in reading order is on top.

    Example:
        >>> mirror_objects([[1, 2, 0, 3], [1, 0, 0, 3]]).tolist()
        [[2, 1, 0, 3], [0, 1, 0, 3]]
    """
    array = as_array(grid)
    mirrored = np.zeros_like(array)
    for mask in objects(array, same_colour=False):
        box = bounding_box(mask)
        flipped = mask[box][:, ::-1]
        mirrored[box][flipped] = array[box][:, ::-1][flipped]
    return mirrored
