"""Scenes about objects: some touch, some have holes, some are copies, some are strays, frames, pieces or marks.

`palette[0]` is the colour that a family's hole `{a}` stands for, `palette[1]` that of `{b}`.
"""

from collections.abc import Sequence

import numpy as np

from arcgym.data.synthetic.scene_parts import Scene, blank, blob, draw, draw_one, place


def touched(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place blobs of several colours, and put a cell of `palette[0]` at the side of some of them, and some alone."""
    grid = blank(rng, max(side, 6), 5)
    others = palette[1:] if rng.random() < 0.6 else [palette[1]]
    for _ in range(int(rng.integers(2, 6))):
        patch = np.pad(blob(rng, [draw_one(rng, others)], int(rng.integers(1, 6)), 3), 1)
        if rng.random() < 0.65:
            near = np.argwhere((patch[1:-1, 1:-1] == 0) & _has_neighbour(patch)).tolist()
            if near:
                row, column = near[int(rng.integers(len(near)))]
                patch[row + 1, column + 1] = palette[0]
        place(rng, grid, patch if rng.random() < 0.5 else patch[1:-1, 1:-1])
    if rng.random() < 0.7:
        place(rng, grid, np.full((1, int(rng.integers(1, 3))), palette[0], dtype=np.int8))
    return grid


def _has_neighbour(patch: np.ndarray) -> np.ndarray:
    return (patch[:-2, 1:-1] != 0) | (patch[2:, 1:-1] != 0) | (patch[1:-1, :-2] != 0) | (patch[1:-1, 2:] != 0)


def corner_touching(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter cells of one colour, mostly, densely enough that many touch at sides and many at corners only."""
    grid = blank(rng, max(side, 4), 3)
    inks = [palette[0]] if rng.random() < 0.7 else palette
    cells = rng.random(grid.shape) < rng.uniform(0.2, 0.5)
    grid[cells] = draw(rng, inks, int(cells.sum()))
    return grid


def perforated(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place bodies with none to three holes, mostly all of one colour."""
    grid = blank(rng, max(side, 9), 8)
    one = rng.random() < 0.7
    for _ in range(int(rng.integers(2, 5))):
        height, holes = int(rng.integers(3, 5)), int(rng.integers(0, 4))
        ink = palette[0] if one else draw_one(rng, palette)
        patch = np.full((height, 2 * max(holes, 1) + 1), ink, dtype=np.int8)
        for hole in range(holes):
            patch[1 : height - 1 if rng.random() < 0.5 else 2, 2 * hole + 1] = 0
        place(rng, grid, patch if rng.random() < 0.5 else patch.T)
    return grid


def exemplars(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place shapes of other colours, and shapes of `palette[0]` some of them copies; frame a model at times."""
    grid = blank(rng, max(side, 9), 8)
    models = [blob(rng, [1], int(rng.integers(2, 6)), 3) for _ in range(int(rng.integers(1, 3)))]
    for model, ink in zip(models, palette[1:], strict=False):
        patch = model * np.int8(ink)
        if rng.random() < 0.3:
            patch = np.pad(np.pad(patch, 1), 1, constant_values=palette[-1])
        place(rng, grid, patch)
    for _ in range(int(rng.integers(2, 5))):
        shape = models[int(rng.integers(len(models)))] if rng.random() < 0.6 else blob(rng, [1], 4, 3)
        place(rng, grid, shape * np.int8(palette[0]))
    return grid


def spotted(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place blocks of one colour with few cells of a second one in them; some blocks have none."""
    grid = blank(rng, max(side, 7), 6)
    for _ in range(int(rng.integers(1, 5))):
        inks = rng.permutation(palette)
        patch = np.full((int(rng.integers(2, 5)), int(rng.integers(2, 5))), inks[0], dtype=np.int8)
        if rng.random() < 0.8:
            spots = rng.permutation(patch.size)[: int(rng.integers(1, max(2, patch.size // 3 + 1)))]
            patch.flat[spots] = inks[1]
        place(rng, grid, patch)
    return grid


def puzzle(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place a block of `palette[0]` with holes, pieces that fit them, and other pieces."""
    grid = blank(rng, max(side, 10), 9)
    shapes = [blob(rng, [1], int(rng.integers(1, 5)), 3) for _ in range(int(rng.integers(1, 3)))]
    for shape in shapes:
        block = np.full([length + 2 for length in shape.shape], palette[0], dtype=np.int8)
        block[1:-1, 1:-1][shape != 0] = 0
        place(rng, grid, block)
    others = [blob(rng, [1], int(rng.integers(1, 5)), 3)] if rng.random() < 0.6 else []
    for shape in [*shapes, *others]:
        place(rng, grid, shape * np.int8(draw_one(rng, palette[1:])))
    return grid


def _with_block(rng: np.random.Generator, ink: int, side: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Put one block away from the border, and return the grid, its top and left, its height and width."""
    grid = blank(rng, max(side, 7), 7)
    height, width = (int(rng.integers(1, 4)) for _ in range(2))
    top, left = (
        int(rng.integers(2, length - extent - 1)) for length, extent in zip(grid.shape, (height, width), strict=True)
    )
    grid[top : top + height, left : left + width] = ink
    return grid, (top, left, height, width)


def strays(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a block of one colour, and cells of `palette[0]` in its rows, columns and diagonals away from it."""
    grid, (top, left, height, width) = _with_block(rng, palette[1], side)
    spots = []
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            dy, dx = max(top - row, row - top - height + 1, 0), max(left - column, column - left - width + 1, 0)
            if max(dy, dx) > 1 and (dy == 0 or dx == 0 or dy == dx):
                spots.append((row, column))
    for index in rng.permutation(len(spots))[: int(rng.integers(1, 6))]:
        grid[spots[index]] = palette[0]
    return grid


def quarters(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a block, and a single cell of some colour into some of the four corners of the grid around it."""
    grid, (top, left, height, width) = _with_block(rng, palette[0], side)
    for quarter in rng.permutation(4)[: int(rng.integers(2, 5))]:
        rows = range(top - 1) if quarter < 2 else range(top + height + 1, grid.shape[0])
        columns = range(left - 1) if quarter % 2 else range(left + width + 1, grid.shape[1])
        if rows and columns:
            grid[draw_one(rng, rows), draw_one(rng, columns)] = draw_one(rng, palette[1:])
    return grid


def bordered(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a line of its own colour along two to four borders, and scatter cells of these and other colours inside."""
    grid = np.zeros([int(rng.integers(6, max(7, side) + 1)) for _ in range(2)], dtype=np.int8)
    lines = [(0, slice(1, -1)), (-1, slice(1, -1)), (slice(1, -1), 0), (slice(1, -1), -1)]
    inks = list(palette) if rng.random() < 0.6 else list(palette[:-1])
    for line, ink in zip(rng.permutation(4), inks, strict=False):
        grid[lines[line]] = ink
    inner = grid[2:-2, 2:-2]
    cells = rng.permutation(inner.size)[: int(rng.integers(1, 6))]
    inner.flat[cells] = draw(rng, palette, len(cells))
    return grid


def corners_and_piece(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mark the corners of a rectangle in `palette[0]`, and put a picture that fits its inside somewhere else."""
    picture = blob(rng, palette[1:], int(rng.integers(2, 8)), 4)
    frame = np.zeros([length + 2 for length in picture.shape], dtype=np.int8)
    frame[np.ix_([0, -1], [0, -1])] = palette[0]
    if rng.random() < 0.4:
        frame[[0, -1]] = palette[0]
    room = [int(rng.integers(0, max(1, side // 2))) for _ in range(4)]
    top, left = (int(rng.integers(-extent, room[axis] + 1)) for axis, extent in enumerate(picture.shape))
    grid = np.pad(frame, ((room[0], room[2]), (room[1], room[3])))
    rows = np.clip(top + room[0], 0, grid.shape[0] - picture.shape[0])
    columns = np.clip(left + room[1], 0, grid.shape[1] - picture.shape[1])
    body = grid[rows : rows + picture.shape[0], columns : columns + picture.shape[1]]
    body[(picture != 0) & (body == 0)] = picture[(picture != 0) & (body == 0)]
    return grid


def picture_and_marks(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put one picture of other colours, and one or two single cells of `palette[0]` far from it."""
    grid = blank(rng, max(side, 8), 8)
    place(rng, grid, blob(rng, palette[1:], int(rng.integers(2, 7)), 3))
    for _ in range(int(rng.integers(1, 3))):
        patch = np.zeros((3, 3), dtype=np.int8)
        patch[1, 1] = palette[0]
        place(rng, grid, patch)
    return grid


def mirrors(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a line or two opposite brackets in `palette[0]`, and shapes of other colours on one side of each."""
    length, span = int(rng.integers(9, max(10, side + 4))), int(rng.integers(5, max(6, side)))
    grid = np.zeros((min(length, 30), min(span, 30)), dtype=np.int8)
    axes = [grid.shape[0] // 2] if rng.random() < 0.4 else [3, grid.shape[0] - 4]
    outside = rng.random() < 0.5
    for axis in axes:
        grid[axis, 1:-1] = palette[0]
        way = -1 if (axis < grid.shape[0] // 2) == outside else 1
        if len(axes) == 2 and rng.random() < 0.5:
            inner = 1 if axis < grid.shape[0] // 2 else -1
            grid[axis + inner, [1, -2]] = palette[0]
        for column in range(2, grid.shape[1] - 2):
            for distance in (1, 2):
                if rng.random() < 0.35:
                    grid[axis + way * distance, column] = draw_one(rng, palette[1:])
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def begun_copies(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one small picture of several colours, and begin turned or mirrored copies of it: some of its cells only."""
    grid = blank(rng, max(side, 10), 9)
    picture = blob(rng, [palette[0]], int(rng.integers(3, 7)), 3)
    cells = np.argwhere(picture != 0)
    marked = cells[rng.permutation(len(cells))[:2]]
    inks = rng.permutation(palette[1:])
    for index, (row, column) in enumerate(marked[: max(1, len(inks))]):
        picture[row, column] = inks[index % len(inks)]
    place(rng, grid, picture)
    for _ in range(int(rng.integers(1, 4))):
        begun = np.where((rng.random(picture.shape) < 0.5) | (picture != palette[0]), picture, 0).astype(np.int8)
        turned = np.rot90(begun, int(rng.integers(4)))
        place(rng, grid, turned if rng.random() < 0.5 else turned[:, ::-1])
    return grid


def ranked_bars(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Stand bars of different heights apart from each other, all of `palette[0]`."""
    height = int(rng.integers(4, max(5, side) + 1))
    heights = rng.permutation(np.arange(1, height + 1))[: int(rng.integers(3, 6))]
    grid = np.zeros((height, 2 * len(heights) + int(rng.integers(0, 3))), dtype=np.int8)
    for index, bar in enumerate(heights.tolist()):
        lift = int(rng.integers(0, height - bar + 1)) if rng.random() < 0.3 else 0
        grid[height - bar - lift : height - lift, 2 * index] = palette[0]
    return grid if rng.random() < 0.7 else np.ascontiguousarray(np.rot90(grid))


def on_colour(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place rings and blobs on a background of `palette[0]`; the 0 is not a background here, and mostly absent."""
    grid = blank(rng, max(side, 7), 6)
    for _ in range(int(rng.integers(1, 5))):
        ink = draw_one(rng, palette[1:])
        patch = blob(rng, [ink], int(rng.integers(1, 7)), 3)
        if rng.random() < 0.6:
            patch = np.full((int(rng.integers(3, 6)), int(rng.integers(3, 6))), ink, dtype=np.int8)
            patch[1:-1, 1:-1] = 0
        place(rng, grid, patch)
    return np.where(grid == 0, np.int8(palette[0]), grid)


def targets_on_colour(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a block and single cells of other colours that mostly face it on a background of `palette[0]`."""
    grid, (top, left, height, width) = _with_block(rng, palette[1], side)
    grid[top : top + max(2, height), left : left + max(2, width)] = palette[1]
    for _ in range(int(rng.integers(1, 5))):
        row, column = int(rng.integers(grid.shape[0])), int(rng.integers(grid.shape[1]))
        if rng.random() < 0.8:
            row, column = (top + int(rng.integers(height)), column) if rng.random() < 0.5 else (row, left)
        if not grid[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any():
            grid[row, column] = draw_one(rng, palette[1:])
    return np.where(grid == 0, np.int8(palette[0]), grid)


SCENES_OBJECTS: tuple[Scene, ...] = (
    *(touched, corner_touching, perforated, exemplars, spotted, puzzle, strays, quarters, bordered, corners_and_piece),
    *(picture_and_marks, mirrors, begun_copies, ranked_bars, on_colour, targets_on_colour),
)
