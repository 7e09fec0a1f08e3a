"""What the primitives about objects ask of a mask: its size, its neighbours, its holes, its shape however turned."""

import numpy as np

from arcgym.primitives._arrays import Mask, bounding_box, regions


def size_of(mask: Mask) -> int:
    """Count the cells of a mask."""
    return int(np.count_nonzero(mask))


def cropped(mask: Mask) -> Mask:
    """Return the smallest rectangle of a mask that holds all its cells."""
    return mask[bounding_box(mask)]


def beside(mask: Mask) -> Mask:
    """Mark the cells that share a side with a cell of the mask; its own cells count where they are two."""
    near = np.zeros_like(mask)
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    return near


def count_holes(mask: Mask) -> int:
    """Count the regions inside a mask's box that it cuts off from the outside."""
    around = np.pad(~cropped(mask), 1, constant_values=True)
    return len(regions(around.astype(np.int8), diagonal=False)) - 1


def touches_edge(mask: Mask) -> bool:
    """Tell whether a mask has a cell at the border of the grid."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def shape_key(mask: Mask) -> bytes:
    """Return what is equal for the eight positions of one shape, and for no other."""
    crop = cropped(mask)
    views = [np.rot90(view, turns) for view in (crop, crop.T) for turns in range(4)]
    return min(bytes(view.shape) + np.ascontiguousarray(view).tobytes() for view in views)
