"""Scenes for rules that take out, sum up or enlarge: panels, frames in noise, pieces, keys, patterns that have begun.

`palette[0]` is the colour that a family's hole `{a}` stands for, `palette[1]` that of `{b}`.
"""

from collections.abc import Sequence

import numpy as np

from arcgym.data.synthetic.scene_parts import Scene, blank, blob, draw, draw_one, place


def layers(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put two to four equal panels of noise, one colour each, beside each other or two by two, at times with lines."""
    cell = int(rng.integers(2, max(3, side // 2) + 1))
    rows, columns = [(1, 2), (1, 3), (1, 4), (2, 2), (2, 2)][int(rng.integers(5))]
    with_lines = rng.random() < 0.5
    line = palette[-1]
    inks = np.resize(palette[:-1] if with_lines else palette, rows * columns)
    step = cell + with_lines
    grid = np.full((rows * step - with_lines, columns * step - with_lines), line, dtype=np.int8)
    for index, ink in enumerate(inks):
        top, left = index // columns * step, index % columns * step
        is_used = rng.random((cell, cell)) < rng.uniform(0.4, 0.75)
        grid[top : top + cell, left : left + cell] = np.where(is_used, ink, 0)
    return grid if rng.random() < 0.7 else np.ascontiguousarray(grid.T)


def mirrored_panels(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put two to four square panels in a row or column, symmetric at a diagonal or more, all but one."""
    return _panels(rng, palette, side, odd_is_symmetric=False)


def one_mirrored_panel(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put two to four square panels in a row or column, one of them symmetric at a diagonal or more."""
    return _panels(rng, palette, side, odd_is_symmetric=True)


def _panels(rng: np.random.Generator, palette: Sequence[int], side: int, odd_is_symmetric: bool) -> np.ndarray:
    cell, count = int(rng.integers(3, max(4, side // 3) + 1)), int(rng.integers(2, 5))
    odd = int(rng.integers(count))
    panels = []
    for index in range(count):
        panel = draw(rng, rng.permutation([*palette, 0])[: int(rng.integers(2, 4))].tolist(), (cell, cell))
        if (index == odd) == odd_is_symmetric:
            panel = np.where(np.tri(cell, dtype=np.bool_), panel, panel.T)
            panel = panel if rng.random() < 0.6 else np.maximum(panel, panel[:, ::-1])
        panels.append(panel)
    grid = np.concatenate(panels)
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def odd_panel(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by lines into panels of one colour, and put a cell or two of another one into one of them."""
    cell = int(rng.integers(1, max(2, side // 3) + 1))
    rows, columns = (int(rng.integers(1, 4)) for _ in range(2))
    columns += rows * columns == 1
    line = 0 if rows == columns == 2 and rng.random() < 0.4 else palette[1]
    grid = np.full((rows * (cell + 1) - 1, columns * (cell + 1) - 1), line, dtype=np.int8)
    odd = int(rng.integers(rows * columns))
    for index in range(rows * columns):
        panel = np.full((cell, cell), palette[0], dtype=np.int8)
        if index == odd:
            panel[int(rng.integers(cell)), int(rng.integers(cell))] = palette[-1] if len(palette) > 2 else 0
        grid[index // columns * (cell + 1) :, index % columns * (cell + 1) :][:cell, :cell] = panel
    return grid


def noisy_regions(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by empty rows and columns into regions of one colour each, with holes of 0 in them."""
    heights, widths = (rng.integers(2, max(3, side // 3) + 1, size=int(rng.integers(1, 4))).tolist() for _ in range(2))
    inks = draw(rng, palette, (len(heights), len(widths)))
    holes = rng.uniform(0, 0.35)
    rows = []
    for row, height in enumerate(heights):
        regions = [np.full((height, width), inks[row, column]) for column, width in enumerate(widths)]
        rows.append(np.pad(np.hstack([np.pad(region, ((0, 0), (0, 1))) for region in regions]), ((0, 1), (0, 0))))
    grid = np.vstack(rows)[:-1, :-1].astype(np.int8)
    grid[rng.random(grid.shape) < holes] = 0
    return grid


def in_noise(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a frame of `palette[0]` around noise, in noise of the other colours."""
    height, width = (int(rng.integers(6, max(8, side) + 1)) for _ in range(2))
    inks = [*palette[1:], *palette[1:], 0, 0]
    grid = draw(rng, inks, (height, width))
    rows, columns = (int(rng.integers(3, length)) for length in (height, width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    box = grid[top : top + rows, left : left + columns]
    box[[0, -1]] = palette[0]
    box[:, [0, -1]] = palette[0]
    return grid


def filled_frames(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place two or three frames of one colour with a different number of points of another one inside and around."""
    grid = blank(rng, max(side, 8), 8)
    for count in rng.permutation(4)[: int(rng.integers(2, 4))].tolist():
        height, width = (int(rng.integers(3, max(5, min(grid.shape) // 2 + 1))) for _ in range(2))
        patch = np.full((height, width), palette[0], dtype=np.int8)
        inside = np.zeros((height - 2) * (width - 2), dtype=np.int8)
        inside[: count + 1] = palette[1]
        patch[1:-1, 1:-1] = rng.permutation(inside).reshape(height - 2, width - 2)
        place(rng, grid, patch)
    for _ in range(int(rng.integers(0, 4))):
        place(rng, grid, np.array([[palette[1]]], dtype=np.int8))
    return grid


def four_corners(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mark the corners of one box with one colour, draw a shape of another in it, and at times points outside."""
    grid = blank(rng, max(side, 6), 5)
    corner, ink = (int(colour) for colour in rng.permutation(palette)[:2])
    height, width = (int(rng.integers(4, length + 1)) for length in grid.shape)
    patch = np.zeros((height, width), dtype=np.int8)
    shape = blob(rng, [ink], int(rng.integers(2, 9)), min(height, width) - 2)
    top, left = int(rng.integers(1, height - shape.shape[0])), int(rng.integers(1, width - shape.shape[1]))
    patch[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
    patch[[0, 0, -1, -1], [0, -1, 0, -1]] = corner
    place(rng, grid, patch)
    return grid


def touching(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw squares of two colours that may touch at corners, with a different share of `palette[0]` in each."""
    size, count = int(rng.integers(2, 4)), max(2, side // 4)
    grid = np.zeros((count * size, count * size), dtype=np.int8)
    places = rng.permutation([(row, column) for row in range(count) for column in range(row % 2, count, 2)])
    for index, (row, column) in enumerate(places[: int(rng.integers(2, 5))].tolist()):
        inks = np.full(size * size, palette[1], dtype=np.int8)
        inks[: index + 1] = palette[0]
        square = rng.permutation(inks).reshape(size, size)
        grid[row * size : (row + 1) * size, column * size : (column + 1) * size] = square
    return np.pad(grid, [tuple(rng.integers(0, 2, size=2)) for _ in range(2)])


def mixed_copies(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter several copies of one small shape, and single shapes of other colours, close to each other."""
    grid = blank(rng, max(side, 8), 7)
    common = blob(rng, [palette[0]], int(rng.integers(3, 6)), 3)
    shapes = [common] * int(rng.integers(2, 5)) + [blob(rng, [colour], 4, 3) for colour in palette[1:]]
    for index in rng.permutation(len(shapes)):
        place(rng, grid, shapes[index])
    return grid


def marked_pieces(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Cut a small picture around one cell of `palette[0]` into pieces that all hold that cell, and scatter them."""
    grid = blank(rng, max(side, 8), 8)
    picture = draw(rng, palette[1:], (3, 3))
    picture[rng.random((3, 3)) < 0.15] = 0
    picture[1, 1] = palette[0]
    sectors = np.array([[0, 0, 1], [3, 9, 1], [3, 2, 2]])
    for sector in range(4):
        patch = np.where((sectors == sector) | (sectors == 9), picture, 0).astype(np.int8)
        rows, columns = (np.flatnonzero(patch.any(axis=axis)) for axis in (1, 0))
        if rng.random() < 0.85:
            place(rng, grid, patch[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return grid


def jigsaw(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Cut a small rectangle into two pieces of different colours, and put them apart."""
    grid = blank(rng, max(side, 7), 7)
    height, width = (int(rng.integers(2, 5)) for _ in range(2))
    lengths = np.minimum(np.maximum.accumulate(rng.integers(0, width + 1, size=height)), width)
    is_left = np.arange(width) < lengths[:, None]
    is_left[0, -1], is_left[-1, 0] = False, True
    first, second = (int(colour) for colour in rng.permutation(palette)[:2])
    turns = int(rng.integers(4))
    for mask, colour in ((is_left, first), (~is_left, second)):
        patch = np.rot90(mask * np.int8(colour), turns)
        rows, columns = (np.flatnonzero(patch.any(axis=axis)) for axis in (1, 0))
        place(rng, grid, np.ascontiguousarray(patch[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
    return grid


def nested(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw symmetric figures of different colours and odd sizes apart from each other, at times not on 0."""
    grid = blank(rng, max(side, 9), 9)
    behind = palette[-1] if len(palette) > 2 and rng.random() < 0.5 else None
    inks = palette if behind is None else palette[:-1]
    for size, colour in zip((5, 3, 1), rng.permutation(inks), strict=False):
        half = (rng.random((size // 2 + 1, size // 2 + 1)) < 0.5) * np.int8(colour)
        half[0, 0] = colour
        if size > 3:
            half[1:, 1:] = 0
        half = np.maximum(half, half.T)
        across = np.hstack([half, half[:, -2::-1]]) if size > 1 else half
        place(rng, grid, np.vstack([across, across[-2::-1]]) if size > 1 else across)
    if behind is not None:
        grid[grid == 0] = behind
    return grid


def enlarged(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Enlarge a small shape of one colour, or a picture, by two to four, and put it somewhere on the background."""
    factor = int(rng.integers(2, 5 if side > 8 else 4))
    length = int(rng.integers(2, 4))
    inks = [palette[0]] if rng.random() < 0.6 else list(palette)
    small = np.where(rng.random((length, length)) < 0.6, draw(rng, inks, (length, length)), 0)
    small[int(rng.integers(length)), [0, -1]] = small[[0, -1], int(rng.integers(length))] = inks[0]
    large = np.kron(small, np.ones((factor, factor), dtype=np.int8)).astype(np.int8)
    return np.pad(large, [tuple(rng.integers(0, 4, size=2)) for _ in range(2)])


def speckled_blocks(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Enlarge a shape as `enlarged` does, in exactly two colours: the shape's, and single points around it."""
    grid = np.pad(enlarged(rng, palette[:1], max(side, 8)), 2)
    for _ in range(int(rng.integers(1, 6))):
        place(rng, grid, np.array([[palette[1]]], dtype=np.int8))
    return grid


def shape_and_picture(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a small picture of several colours beside a shape of one colour whose blocks are its cells."""
    length = int(rng.integers(2, 4))
    factor = int(rng.integers(2, 4 if side > 8 else 3))
    shape = rng.random((length, length)) < 0.6
    shape[int(rng.integers(length)), [0, -1]] = shape[[0, -1], int(rng.integers(length))] = True
    large = np.kron(shape, np.ones((factor, factor), dtype=np.int8)).astype(np.int8) * np.int8(palette[0])
    picture = draw(rng, palette, (length, length))
    gap = int(rng.integers(1, 4))
    room = np.pad(picture, ((0, 0), (int(rng.integers(large.shape[1] - length + 1)), 0)))
    grid = np.vstack([large, np.pad(room, ((gap, 0), (0, large.shape[1] - room.shape[1])))]).astype(np.int8)
    return np.ascontiguousarray(np.rot90(np.pad(grid, int(rng.integers(0, 2))), int(rng.integers(4))))


def frame_and_picture(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a hollow frame beside a small shape that fits into it when enlarged."""
    height, width = (int(rng.integers(1, 4)) for _ in range(2))
    factor = int(rng.integers(1, 4 if side > 8 else 3))
    picture = blob(rng, [palette[1]], int(rng.integers(2, 6)), 3) if rng.random() < 0.6 else None
    if picture is None:
        picture = draw(rng, palette[1:], (height, width))
    frame = np.full([length * factor + 2 for length in picture.shape], palette[0], dtype=np.int8)
    frame[1:-1, 1:-1] = 0
    wide = max(frame.shape[1], picture.shape[1]) + int(rng.integers(0, 3))
    parts = [np.pad(part, ((1, 0), (0, wide - part.shape[1]))) for part in (frame, picture)]
    grid = np.vstack(parts if rng.random() < 0.5 else parts[::-1])
    return np.ascontiguousarray(grid if rng.random() < 0.5 else grid.T)


def key_and_shape(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by a cross of lines: a key of two by two colours in one corner, a shape in the opposite one."""
    factor = int(rng.integers(2, max(3, side // 3) + 1))
    inks, ink, line = np.resize([*palette[:-1], 0], 4), draw_one(rng, palette[:-1]), palette[-1]
    side = 2 * factor
    grid = np.zeros((side + 3, side + 3), dtype=np.int8)
    grid[:2, :2] = rng.permutation(inks).reshape(2, 2)
    grid[2] = line
    grid[:, 2] = line
    grid[3:, 3:] = np.where(rng.random((side, side)) < rng.uniform(0.35, 0.7), ink, 0)
    return np.ascontiguousarray(np.rot90(grid, int(rng.integers(4))))


def shape_halves(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a panel of few points of different colours beside a shape of one colour of the same size."""
    cell = int(rng.integers(2, 5 if side > 6 else 4))
    ink = draw_one(rng, palette)
    points = np.where(rng.random((cell, cell)) < rng.uniform(0.3, 0.7), draw(rng, palette, (cell, cell)), 0)
    shape = np.where(rng.random((cell, cell)) < rng.uniform(0.4, 0.7), ink, 0)
    parts = [points, shape] if rng.random() < 0.5 else [shape, points]
    grid = np.hstack(parts).astype(np.int8)
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def repeating(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Repeat a few rows downwards, at times moved sideways each time; at times turned, so that columns repeat."""
    width, period = int(rng.integers(2, max(4, side) + 1)), int(rng.integers(1, 4))
    unit = np.where(rng.random((period, width)) < rng.uniform(0.2, 0.9), draw(rng, palette, (period, width)), 0)
    drift = int(rng.integers(-1, 2)) if rng.random() < 0.3 else 0
    grid = np.concatenate([_moved(unit, drift * time) for time in range(int(rng.integers(2, 5)))])
    extra = int(rng.integers(0, period))
    grid = grid[: len(grid) - extra].astype(np.int8)
    if rng.random() < 0.3:
        grid = np.pad(grid, ((0, 0), (int(rng.integers(0, 3)), int(rng.integers(0, 3)))))
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def _moved(rows: np.ndarray, drift: int) -> np.ndarray:
    width = rows.shape[1]
    moved = np.zeros_like(rows)
    if abs(drift) < width:
        moved[:, max(drift, 0) : width + min(drift, 0)] = rows[:, max(-drift, 0) : width - max(drift, 0)]
    return moved


def stripes_shown(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw whole lines of different colours, apart from each other, and a block of another one over some of them."""
    length = int(rng.integers(6, max(7, side) + 1))
    grid = np.zeros((int(rng.integers(6, max(7, side) + 1)), length), dtype=np.int8)
    inks = rng.permutation(palette[:-1])
    rows = np.sort(rng.permutation(np.arange(0, grid.shape[0], 2))[: len(inks)])
    grid[rows] = inks[: len(rows), None]
    if rng.random() < 0.7:
        top, left = int(rng.integers(grid.shape[0] - 3)), int(rng.integers(length - 2))
        grid[top : top + int(rng.integers(2, 4)), left : left + 2] = palette[-1]
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def separate_points(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter up to nine points, no two in one column."""
    height, width = (int(rng.integers(4, max(5, side) + 1)) for _ in range(2))
    grid = np.zeros((height, width), dtype=np.int8)
    columns = rng.permutation(width)[: int(rng.integers(2, min(9, width) + 1))]
    grid[rng.integers(height, size=len(columns)), columns] = draw(rng, palette, len(columns))
    return grid


def squares(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one to five squares of two by two in `palette[0]`, with single points of `palette[1]` or squares of it."""
    grid = blank(rng, max(side, 6), 5)
    square = np.full((2, 2), palette[0], dtype=np.int8)
    for _ in range(int(rng.integers(1, 6))):
        place(rng, grid, square)
    other = square * 0 + palette[1] if rng.random() < 0.5 else square[:1, :1] * 0 + palette[int(rng.integers(2))]
    for _ in range(int(rng.integers(0, 4))):
        place(rng, grid, other.astype(np.int8))
    return grid


def few_squares(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one to five squares of one colour, at times touching at corners."""
    grid = blank(rng, max(side, 5), 3)
    size = int(rng.integers(1, 3))
    for _ in range(int(rng.integers(1, 6))):
        top, left = (int(rng.integers(length - size + 1)) for length in grid.shape)
        around = grid[max(top - 1, 0) : top + size + 1, left : left + size]
        if not around.any() and not grid[top : top + size, max(left - 1, 0) : left + size + 1].any():
            grid[top : top + size, left : left + size] = palette[0]
    return grid


def same_sized(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one to three largest shapes of equal size in different colours, and smaller ones."""
    grid = blank(rng, max(side, 8), 7)
    size = int(rng.integers(3, 6))
    for colour in rng.permutation(palette)[: int(rng.integers(1, 4))]:
        patch = np.full((1, size), colour, dtype=np.int8) if rng.random() < 0.3 else _bent(size, colour)
        place(rng, grid, np.ascontiguousarray(np.rot90(patch, int(rng.integers(4)))))
    for _ in range(int(rng.integers(1, 4))):
        place(rng, grid, blob(rng, [draw_one(rng, palette)], size - 1, 3))
    return grid


def _bent(size: int, colour: int) -> np.ndarray:
    """Make an L of `size` cells."""
    patch = np.zeros((size - 1, 2), dtype=np.int8)
    patch[:, 0] = colour
    patch[-1, 1] = colour
    return patch


def short_row(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Make one row whose coloured cells are at its left."""
    width = 2 * int(rng.integers(2, max(3, side // 2 + 1) + 1))
    grid = np.zeros((1, width), dtype=np.int8)
    grid[0, : int(rng.integers(1, max(2, width // 2) + 1))] = draw_one(rng, palette)
    return grid


def single_row(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Make one row with a few points."""
    width = int(rng.integers(3, max(4, side) + 1))
    grid = np.where(rng.random((1, width)) < rng.uniform(0.2, 0.7), draw(rng, palette, (1, width)), 0)
    return grid.astype(np.int8)


def tiny(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Make a grid of two or three cells a side, with one or a few colours on 0."""
    length = int(rng.integers(2, 4))
    inks = [palette[0]] if rng.random() < 0.5 else list(palette)
    return np.where(rng.random((length, length)) < rng.uniform(0.3, 0.8), draw(rng, inks, (length, length)), 0).astype(
        np.int8
    )


def cornered_picture(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a shape of one colour inside, with a colour in each corner of the grid."""
    length = 2 * int(rng.integers(3, max(4, side // 2) + 1))
    grid = np.zeros((length, length), dtype=np.int8)
    inside = rng.random((length - 2, length - 2)) < rng.uniform(0.3, 0.8)
    grid[1:-1, 1:-1][inside] = palette[0]
    grid[[0, 0, -1, -1], [0, -1, 0, -1]] = rng.permutation(np.resize(palette[1:], 4))
    return grid


def framed_corners(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a frame one cell from the edge, a shape of one colour in it, and a colour in each corner of the grid."""
    length = int(rng.integers(2, max(3, side // 2) + 1)) * 2
    ink, line = (int(colour) for colour in rng.permutation(palette)[:2])
    inside = np.where(rng.random((length, length)) < rng.uniform(0.3, 0.8), np.int8(ink), np.int8(0))
    grid = np.pad(np.pad(inside, 1, constant_values=line), 1)
    grid[[0, 0, -1, -1], [0, -1, 0, -1]] = rng.permutation(np.resize(palette, 4))
    return grid


def corner_pieces(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter four corners of a picture: squares of a colour each, or of several, with one empty corner each."""
    grid = blank(rng, max(side, 8), 8)
    size = 2 if side < 9 or rng.random() < 0.7 else 3
    inks = rng.permutation(np.resize(palette, 4))
    for turns in rng.permutation(4).tolist():
        patch = np.full((size, size), inks[turns], dtype=np.int8)
        if rng.random() < 0.2:
            patch = draw(rng, palette, (size, size))
        patch[-1, -1] = 0
        place(rng, grid, np.ascontiguousarray(np.rot90(patch, turns)))
    return grid


def spread_points(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put at most one point into each block of two by two or three by three cells."""
    block = int(rng.integers(2, 4))
    height, width = (int(rng.integers(2, max(3, side // 2) + 1)) for _ in range(2))
    small = np.where(rng.random((height, width)) < rng.uniform(0.2, 0.6), draw(rng, palette, (height, width)), 0)
    spot = np.zeros((block, block), dtype=np.int8)
    spot[tuple(rng.integers(block, size=2))] = 1
    return np.kron(small, spot).astype(np.int8)


def marked_crossings(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a lattice of lines in `palette[0]`, and colour some of its crossings, mostly those around some panels."""
    gap, count = int(rng.integers(1, 4)), int(rng.integers(3, max(4, min(6, side // 2)) + 1))
    marks = np.zeros((count, count), dtype=np.int8)
    for _ in range(int(rng.integers(1, 5))):
        row, column = (int(rng.integers(count - 1)) for _ in range(2))
        marks[row : row + 2, column : column + 2] = draw_one(rng, palette[1:])
    length = count * (gap + 1) + gap
    grid = np.zeros((length, length), dtype=np.int8)
    grid[gap :: gap + 1] = palette[0]
    grid[:, gap :: gap + 1] = palette[0]
    crossings = grid[gap :: gap + 1, gap :: gap + 1]
    crossings[marks != 0] = marks[marks != 0]
    return grid


def crossed(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by a cross of lines through its middle, and draw a shape of another colour into one quarter."""
    half = int(rng.integers(2, max(3, side // 2) + 1))
    line, ink = (int(colour) for colour in rng.permutation(palette)[:2])
    quarter = np.where(rng.random((half, half)) < rng.uniform(0.25, 0.7), np.int8(ink), np.int8(0))
    grid = np.pad(quarter, ((0, half + 1), (0, half + 1)))
    grid[half] = line
    grid[:, half] = line
    return np.ascontiguousarray(np.rot90(grid, int(rng.integers(4))))


def holed(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid rectangles of different colours, one of them with a hole, or two with a different number."""
    grid = blank(rng, max(side, 8), 8)
    inks = np.resize(rng.permutation(palette), 4)
    for index in range(int(rng.integers(2, 5))):
        height, width = (int(rng.integers(2 + (index == 0), 5 + (index == 0))) for _ in range(2))
        patch = np.full((height, width), inks[index], dtype=np.int8)
        if index == 0:
            patch[1, 1 : 1 + int(rng.integers(1, width - 1))] = 0
        place(rng, grid, patch)
    return grid


def hidden(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Make a picture without 0 that is symmetric or repeats, and hide a box of it under 0."""
    if rng.random() < 0.5:
        half = int(rng.integers(2, max(3, side // 2) + 1))
        corner = draw(rng, palette, (half, half))
        corner = np.maximum(corner, corner.T) if rng.random() < 0.5 else corner
        grid = np.vstack([np.hstack([corner, corner[:, ::-1]]), np.hstack([corner[::-1], corner[::-1, ::-1]])])
    else:
        unit = draw(rng, palette, (int(rng.integers(1, 4)), int(rng.integers(2, 4))))
        grid = np.tile(unit, (3, 3))
    height, width = (int(rng.integers(1, max(2, length // 3) + 1)) for length in grid.shape)
    top, left = int(rng.integers(grid.shape[0] - height + 1)), int(rng.integers(grid.shape[1] - width + 1))
    grid[top : top + height, left : left + width] = 0
    return np.ascontiguousarray(grid)


SCENES_RESIZING: tuple[Scene, ...] = (
    *(layers, mirrored_panels, one_mirrored_panel, odd_panel, noisy_regions, in_noise, filled_frames, four_corners),
    *(touching, mixed_copies, marked_pieces, jigsaw, nested, enlarged, speckled_blocks, shape_and_picture),
    *(frame_and_picture, key_and_shape, shape_halves, repeating, stripes_shown, separate_points, squares, few_squares),
    *(same_sized, short_row, single_row, tiny, cornered_picture, holed, hidden, framed_corners),
    *(corner_pieces, spread_points, marked_crossings, crossed),
)
