"""Take out what stands out: objects by symmetry or colour, what frames or masks hide, and summaries of panels."""

import itertools
from typing import SupportsIndex

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, Mask, as_array, as_colour, bounding_box
from arcgym.primitives.cropping import crop_inside
from arcgym.primitives.objects import objects
from arcgym.primitives.symmetry import complete_period, complete_symmetry


def _crop(array: Grid, mask: Mask) -> Grid:
    box = bounding_box(mask)
    return np.where(mask[box], array[box], np.int8(0))


def _mixed(array: Grid) -> list[Mask]:
    """Return the objects of any colours; there must be one."""
    masks = objects(array, same_colour=False)
    if not masks:
        raise ValueError("the grid holds no object: every cell is 0")
    return masks


def symmetric_object(grid: GridLike) -> Grid:
    """Return a crop of the object, of any colours, that equals its left-right mirror image.

    Of several the largest counts. `ValueError` when there is none.

    Example:
        >>> symmetric_object([[2, 0, 0, 6, 6, 6], [2, 2, 0, 0, 6, 0]]).tolist()
        [[6, 6, 6], [0, 6, 0]]
    """
    array = as_array(grid)
    crops = [crop for crop in (_crop(array, mask) for mask in _mixed(array)) if (crop == crop[:, ::-1]).all()]
    if not crops:
        raise ValueError("no object equals its left-right mirror image")
    return max(crops, key=np.count_nonzero)


def asymmetric_object(grid: GridLike) -> Grid:
    """Return a crop of the only object, of any colours, that differs from its left-right mirror image.

    `ValueError` unless there is exactly one.

    Example:
        >>> asymmetric_object([[2, 0, 0, 6, 6, 6], [2, 2, 0, 0, 6, 0]]).tolist()
        [[2, 0], [2, 2]]
    """
    array = as_array(grid)
    crops = [crop for crop in (_crop(array, mask) for mask in _mixed(array)) if (crop != crop[:, ::-1]).any()]
    if len(crops) != 1:
        raise ValueError(f"exactly one object must differ from its mirror image, found {len(crops)}")
    return crops[0]


def object_with(grid: GridLike, a: SupportsIndex) -> Grid:
    """Return a crop of the object, of any colours, that holds the most cells of colour `a`.

    `ValueError` when no object holds one.

    Example:
        >>> object_with([[8, 1, 0, 8, 8]], 1).tolist()
        [[8, 1]]
    """
    array, colour = as_array(grid), as_colour(a)
    best = max(_mixed(array), key=lambda mask: int(np.count_nonzero(array[mask] == colour)))
    if not (array[best] == colour).any():
        raise ValueError(f"no object holds colour {colour}")
    return _crop(array, best)


def object_without(grid: GridLike, a: SupportsIndex) -> Grid:
    """Return a crop of the only object, of any colours, that holds no cell of colour `a`.

    `ValueError` unless there is exactly one.

    Example:
        >>> object_without([[8, 1, 0, 8, 8]], 1).tolist()
        [[8, 8]]
    """
    array, colour = as_array(grid), as_colour(a)
    masks = [mask for mask in _mixed(array) if not (array[mask] == colour).any()]
    if len(masks) != 1:
        raise ValueError(f"exactly one object must be without colour {colour}, found {len(masks)}")
    return _crop(array, masks[0])


def rarest_object(grid: GridLike) -> Grid:
    """Return a crop of the object, of any colours, whose crop no other object equals.

    `ValueError` unless there is exactly one beside at least two others.

    Example:
        >>> rarest_object([[3, 0, 3, 0, 4, 4]]).tolist()
        [[4, 4]]
    """
    array = as_array(grid)
    crops = [_crop(array, mask) for mask in _mixed(array)]
    keys = [bytes(crop.shape) + crop.tobytes() for crop in crops]
    single = [crop for crop, key in zip(crops, keys, strict=True) if keys.count(key) == 1]
    if len(single) != 1 or len(crops) < 3:
        raise ValueError(f"exactly one of three or more objects must be unlike the others, found {len(single)}")
    return single[0]


def crop_between(grid: GridLike, a: SupportsIndex) -> Grid:
    """Return what lies between marks of colour `a`: `crop_inside`, by the name that `arcgym-tiny` learned too.

    `ValueError` when no cell has colour `a`, or when nothing lies inside.

    Example:
        >>> crop_between([[4, 0, 4], [0, 2, 0], [4, 0, 4]], 4).tolist()
        [[2]]
    """
    return crop_inside(grid, a)


def hidden_patch(grid: GridLike, a: SupportsIndex) -> Grid:
    """Return what the cells of colour `a` hide, by the symmetries of the grid, or else by its period.

    `ValueError` when the colour is missing, or neither tells what it hides.

    Example:
        >>> hidden_patch([[1, 2, 2, 1], [3, 4, 8, 8], [1, 2, 2, 1]], 8).tolist()
        [[4, 3]]
    """
    array, colour = as_array(grid), as_colour(a)
    if not (array == colour).any():
        raise ValueError(f"the grid holds no colour {colour}")
    box = bounding_box(array == colour)
    whole = complete_symmetry(array, colour)
    if (whole[box] == colour).any():
        whole = complete_period(np.where(array == colour, np.int8(0), array))
        if (whole[box] == 0).any():
            raise ValueError(f"neither symmetry nor period tells what colour {colour} hides")
    return whole[box].copy()


def keep_fullest_panel(grid: GridLike) -> Grid:
    """Clear all panels of a grid divided by lines but those with the most nonzero cells.

    `ValueError` when there are no lines that divide it.

    Example:
        >>> keep_fullest_panel([[1, 2, 5, 0, 1], [0, 1, 5, 0, 0]]).tolist()
        [[1, 2, 5, 0, 0], [0, 1, 5, 0, 0]]
    """
    array, rows, columns = _divided(grid)
    most = max(int(np.count_nonzero(array[row, column])) for row in rows for column in columns)
    for row in rows:
        for column in columns:
            if np.count_nonzero(array[row, column]) < most:
                array[row, column] = 0
    return array


def fill_panels(grid: GridLike) -> Grid:
    """Fill each panel of a grid divided by lines with the most frequent of its colours but 0.

    Empty panels stay; of equally frequent colours the lowest counts. `ValueError` when no lines divide the grid.

    Example:
        >>> fill_panels([[1, 0, 5, 0, 0], [0, 0, 5, 0, 0]]).tolist()
        [[1, 1, 5, 0, 0], [1, 1, 5, 0, 0]]
    """
    array, rows, columns = _divided(grid)
    for row in rows:
        for column in columns:
            counts = np.bincount(array[row, column].ravel(), minlength=10)[1:]
            if counts.any():
                array[row, column] = counts.argmax() + 1
    return array


def panel_colours(grid: GridLike) -> Grid:
    """Shrink each panel of a grid divided by lines to one cell: the most frequent of its colours but 0, or 0.

    `ValueError` when no lines divide the grid.

    Example:
        >>> panel_colours([[1, 0, 5, 0, 0], [0, 0, 5, 0, 0]]).tolist()
        [[1, 0]]
    """
    array, rows, columns = _divided(grid)
    counts = [[np.bincount(array[row, column].ravel(), minlength=10)[1:] for column in columns] for row in rows]
    return np.array([[count.argmax() + 1 if count.any() else 0 for count in line] for line in counts], dtype=np.int8)


def mark_fullest_panels(grid: GridLike, c: SupportsIndex) -> Grid:
    """Shrink each panel of a grid divided by lines to one cell: `c` where it has the most nonzero cells, else 0.

    `ValueError` when no lines divide the grid.

    Example:
        >>> mark_fullest_panels([[1, 2, 5, 0, 1], [0, 1, 5, 0, 0]], 3).tolist()
        [[3, 0]]
    """
    colour = as_colour(c)
    array, rows, columns = _divided(grid)
    counts = np.array([[np.count_nonzero(array[row, column]) for column in columns] for row in rows])
    return np.where(counts == counts.max(), np.int8(colour), np.int8(0))


def _divided(grid: GridLike) -> tuple[Grid, list[slice], list[slice]]:
    """Return a grid, and the rows and the columns of the panels that whole lines of one colour divide it into."""
    array = as_array(grid)
    rows, columns = _lines(array), _lines(array.T)
    if not rows and not columns:
        raise ValueError("no whole row or column of one colour divides the grid")
    panels = _between(rows, array.shape[0]), _between(columns, array.shape[1])
    if not all(panels):
        raise ValueError("there is nothing between the lines")
    return array, *panels


def _lines(array: Grid) -> list[int]:
    """List the rows of one colour but 0: those of the colour that has the most of them, the lowest of equals."""
    uniform = [(index, int(row[0])) for index, row in enumerate(array) if row[0] and (row == row[0]).all()]
    if not uniform:
        return []
    counts = np.bincount([colour for _, colour in uniform])
    return [index for index, colour in uniform if colour == counts.argmax()]


def _between(lines: list[int], length: int) -> list[slice]:
    edges = [-1, *lines, length]
    return [slice(low + 1, high) for low, high in itertools.pairwise(edges) if high - low > 1]


def fold_lr(grid: GridLike) -> Grid:
    """Lay the right half, mirrored, under the left one: its 0-cells take the colours of the right half.

    A middle column, as between two halves of odd width, is left out. `ValueError` when the grid is one cell wide.

    Example:
        >>> fold_lr([[3, 0, 5, 2, 0]]).tolist()
        [[3, 2]]
    """
    array = as_array(grid)
    half = array.shape[1] // 2
    if not half:
        raise ValueError("a grid of one column has no halves")
    left, right = array[:, :half], array[:, -half:][:, ::-1]
    return np.where(left != 0, left, right)


def fold_ud(grid: GridLike) -> Grid:
    """Lay the lower half, mirrored, under the upper one: its 0-cells take the colours of the lower half.

    A middle row, as between two halves of odd height, is left out. `ValueError` when the grid is one cell high.

    Example:
        >>> fold_ud([[3, 0], [5, 5], [2, 2]]).tolist()
        [[3, 2]]
    """
    return fold_lr(as_array(grid).T).T.copy()


def stripe_order(grid: GridLike) -> Grid:
    """List the colours of stripes in their order: as one row where the first row shows them all, else as one column.

    Example:
        >>> stripe_order([[2, 2, 8], [2, 8, 8]]).tolist()
        [[2, 8]]
        >>> stripe_order([[2, 2], [2, 2], [3, 3]]).tolist()
        [[2], [3]]
    """
    array = as_array(grid)
    across = list(dict.fromkeys(array[0].tolist()))
    down = list(dict.fromkeys(array[:, 0].tolist()))
    if len(across) >= len(down):
        return np.array([across], dtype=np.int8)
    return np.array(down, dtype=np.int8)[:, None]


def remove_most_common(grid: GridLike) -> Grid:
    """Set the cells of the most frequent colour but 0 to 0; of equally frequent colours the lowest counts.

    `ValueError` when every cell is 0.

    Example:
        >>> remove_most_common([[3, 3, 0, 1]]).tolist()
        [[0, 0, 0, 1]]
    """
    array = as_array(grid)
    counts = np.bincount(array.ravel(), minlength=10)[1:]
    if not counts.any():
        raise ValueError("the grid holds no colour: every cell is 0")
    return np.where(array == counts.argmax() + 1, np.int8(0), array)
