"""Scenes with a role for each colour: shapes to tell apart, marks that point, masks that hide, patterns that go on.

`palette[0]` is the colour that a family's hole `{a}` stands for, `palette[1]` that of `{b}`.
"""

from collections.abc import Sequence

import numpy as np

from arcgym.data.synthetic.scene_parts import Scene, blank, blob, draw, draw_one, place, shape

_FIGURES = tuple(
    np.array(figure, dtype=np.int8)
    for figure in (
        [[1, 1], [1, 0]],
        [[1, 1, 1]],
        [[1, 1], [1, 1]],
        [[0, 1, 0], [1, 1, 1]],
        [[0, 1, 0], [1, 1, 1], [0, 1, 0]],
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]],
        [[1, 1, 0], [0, 1, 1]],
        [[1, 0, 0], [1, 1, 1]],
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
        [[1, 1], [0, 1], [1, 1]],
        [[1, 1, 1], [0, 1, 0], [0, 1, 0]],
    )
)


def _figure(rng: np.random.Generator) -> np.ndarray:
    figure = _FIGURES[int(rng.integers(len(_FIGURES)))]
    turned = np.rot90(figure, int(rng.integers(4)))
    return np.ascontiguousarray(turned.T if rng.random() < 0.5 else turned)


def sized(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one-colour shapes of one to eight cells apart from each other, mostly all of one colour."""
    grid = blank(rng, max(side, 6), 5)
    one = rng.random() < 0.6
    for size in rng.integers(1, 9, size=int(rng.integers(3, 7))):
        place(rng, grid, blob(rng, [palette[0] if one else draw_one(rng, palette)], int(size), 4))
    return grid


def shapes(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place small figures; all but one are the same, turned and mirrored at random, mostly of one colour."""
    grid = blank(rng, max(side, 7), 6)
    common, odd = (_FIGURES[int(place)] for place in rng.permutation(len(_FIGURES))[:2])
    colours = list(palette) if rng.random() < 0.4 else [palette[0]]
    for figure in [odd, *[common] * int(rng.integers(2, 5))]:
        turned = np.rot90(figure, int(rng.integers(4)))
        place(rng, grid, turned * np.int8(draw_one(rng, colours)))
    return grid


def closed(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place rings of several sizes and open figures, mostly all of one colour."""
    grid = blank(rng, max(side, 7), 6)
    one = rng.random() < 0.6
    for index in range(int(rng.integers(2, 6))):
        colour = palette[0] if one else palette[index % len(palette)]
        height, width = (int(rng.integers(3, 6)) for _ in range(2))
        patch = np.full((height, width), colour, dtype=np.int8)
        patch[1:-1, 1:-1] = 0
        if rng.random() < 0.4:
            patch = _figure(rng) * np.int8(colour)
        place(rng, grid, patch)
    return grid


def edges(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw lines of two colours along opposite borders, and points of `palette[0]` between them."""
    grid = blank(rng, max(side, 5), 5)
    points = rng.random(grid.shape) < rng.uniform(0.05, 0.25)
    grid[points] = palette[0]
    grid[:, 0] = palette[1]
    grid[:, -1] = palette[2 % len(palette)] if len(palette) > 2 else palette[1]
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def header(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Write colours into the first row, and place shapes of `palette[0]` under them."""
    grid = blank(rng, max(side, 6), 5)
    body = np.zeros((grid.shape[0] - 2, grid.shape[1]), dtype=np.int8)
    for _ in range(int(rng.integers(2, 5))):
        place(rng, body, blob(rng, [palette[0]], int(rng.integers(2, 7)), 3))
    grid[2:] = body
    column = 0
    while column < grid.shape[1]:
        width = int(rng.integers(1, 4))
        if rng.random() < 0.8:
            grid[0, column : column + width] = draw_one(rng, palette[1:])
        column += width + int(rng.integers(0, 2))
    return grid


def labels(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Write colours into the first column, and scatter `palette[0]` in the rest."""
    grid = blank(rng, side, 3)
    grid[rng.random(grid.shape) < rng.uniform(0.2, 0.6)] = palette[0]
    grid[:, 0] = draw(rng, [*palette[1:], 0] if rng.random() < 0.5 else palette[1:], grid.shape[0])
    return grid


def checked(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw diagonals or a chequered pattern of one colour."""
    grid = blank(rng, side, 3)
    period = int(rng.integers(2, 5))
    grid[np.add.outer(np.arange(grid.shape[0]), np.arange(grid.shape[1])) % period == 0] = palette[0]
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid[::-1])


def bars(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Stand bars of several heights on the last row, with a column between them."""
    grid = blank(rng, max(side, 5), 4)
    one = rng.random() < 0.6
    for column in range(int(rng.integers(2)), grid.shape[1], 2):
        height = int(rng.integers(0, grid.shape[0] + 1))
        grid[grid.shape[0] - height :, column] = palette[0] if one else draw_one(rng, palette)
    return grid


def striped(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill whole rows with colours, and disturb some cells."""
    grid = blank(rng, max(side, 3), 3)
    grid[:] = draw(rng, palette, grid.shape[0])[:, None]
    noisy = rng.random(grid.shape) < rng.uniform(0.05, 0.3)
    grid[noisy] = draw(rng, palette, int(noisy.sum()))
    return grid


def stripes(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill the grid with stripes of different colours whose borders are ragged."""
    height, width = shape(rng, max(side, 5), 4)
    colours = rng.permutation(palette)[: int(rng.integers(2, len(palette) + 1))]
    cuts = np.sort(rng.permutation(np.arange(1, width))[: len(colours) - 1])
    grid = np.zeros((height, width), dtype=np.int8)
    for row in range(height):
        wobble = np.clip(cuts + rng.integers(-1, 2, size=len(cuts)) * (row > 0), 1, width - 1)
        for start, colour in zip([0, *np.maximum.accumulate(wobble)], colours, strict=True):
            grid[row, start:] = colour
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def odd_cell(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one shape of one colour, and a single cell of another in a corner."""
    grid = blank(rng, max(side, 4), 4)
    place(rng, grid, blob(rng, [palette[0]], int(rng.integers(3, 12)), max(2, min(grid.shape) - 1)))
    row, column = (int(rng.integers(2)) * -1 for _ in range(2))
    if grid[row, column] == 0:
        grid[row, column] = palette[1]
    return grid


def two_colours(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one figure of exactly two colours, often one around the other."""
    grid = blank(rng, max(side, 4), 4)
    height, width = (int(rng.integers(3, max(4, min(grid.shape)))) for _ in range(2))
    patch = np.full((height, width), palette[0], dtype=np.int8)
    inside = rng.random((height - 2, width - 2)) < 0.6
    patch[1:-1, 1:-1][inside] = palette[1]
    place(rng, grid, patch)
    return grid


def rings(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw concentric rings of different colours, 0 among them at times."""
    colours = rng.permutation([*palette, 0] if rng.random() < 0.4 else palette).tolist()
    depth = min(len(colours), max(2, side // 2))
    core = [int(rng.integers(1, 3)) for _ in range(2)]
    grid = np.full(core, colours[depth - 1], dtype=np.int8)
    for colour in colours[: depth - 1][::-1]:
        grid = np.pad(grid, int(rng.integers(1, 3)) if side > 12 else 1, constant_values=colour)
    return grid


def walled(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by walls of `palette[1]`, and put a drop of `palette[0]` into some of the rooms."""
    grid = blank(rng, max(side, 5), 5)
    grid[int(rng.integers(1, grid.shape[0] - 1))] = palette[1]
    grid[:, int(rng.integers(1, grid.shape[1] - 1))] = palette[1]
    if rng.random() < 0.3:
        grid[rng.random(grid.shape) < 0.1] = palette[1]
    free = np.flatnonzero(grid == 0)
    grid.flat[rng.choice(free, size=min(len(free), int(rng.integers(1, 4))), replace=False)] = palette[0]
    return grid


def seeded(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place frames of one colour, most of them with one cell of another colour inside."""
    grid = blank(rng, max(side, 7), 6)
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(4, max(5, min(grid.shape) - 1))) for _ in range(2))
        patch = np.full((height, width), palette[0], dtype=np.int8)
        patch[1:-1, 1:-1] = 0
        if rng.random() < 0.8:
            patch[int(rng.integers(1, height - 1)), int(rng.integers(1, width - 1))] = draw_one(rng, palette[1:])
        place(rng, grid, patch)
    return grid


def gapped(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put dotted lines, every second cell of one colour, into some rows."""
    grid = blank(rng, max(side, 5), 3)
    for row in range(0, grid.shape[0], 2):
        start, stop = sorted(rng.integers(0, grid.shape[1] + 1, size=2).tolist())
        if rng.random() < 0.7:
            grid[row, start:stop:2] = palette[0]
    return grid


def margins(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mark some columns in the first row, and some rows in the last column."""
    grid = blank(rng, max(side, 4), 4)
    grid[0, :-1] = np.where(rng.random(grid.shape[1] - 1) < 0.4, palette[0], 0)
    grid[1:, -1] = np.where(rng.random(grid.shape[0] - 1) < 0.4, palette[0], 0)
    return grid


def facing(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a solid block of `palette[1]` and a shape of `palette[0]` into the same rows or columns."""
    grid = blank(rng, max(side, 6), 5)
    height, width = grid.shape
    block = int(rng.integers(1, 3))
    row = int(rng.integers(0, height - block))
    grid[row : row + block + 1, width - block :] = palette[1]
    patch = blob(rng, [palette[0]], int(rng.integers(1, 6)), 3)
    top = min(max(0, row + int(rng.integers(-1, 2))), height - patch.shape[0])
    grid[top : top + patch.shape[0], : patch.shape[1]] = patch
    return np.ascontiguousarray(np.rot90(grid, int(rng.integers(4))))


def lines_and_points(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one or two parallel lines, and scatter points of their colours and another one."""
    grid = blank(rng, max(side, 6), 6)
    count = int(rng.integers(1, 3))
    rows = np.arange(1, grid.shape[0] - 1, 3)
    lines = np.sort(rng.permutation(rows)[:count])
    for row in range(grid.shape[0]):
        for column in np.flatnonzero(rng.random(grid.shape[1]) < 0.12):
            grid[row, column] = draw_one(rng, palette)
    for row, colour in zip(lines, palette, strict=False):
        grid[max(row - 1, 0) : row + 2] = 0
        grid[row] = colour
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def stamps(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one small picture, and blocks of its size in `palette[0]`."""
    grid = blank(rng, max(side, 7), 7)
    size = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    place(rng, grid, draw(rng, palette[1:], size))
    for _ in range(int(rng.integers(1, 4))):
        place(rng, grid, np.full(size, palette[0], dtype=np.int8))
    return grid


def diagonal_pairs(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set pairs of equal points that share a diagonal."""
    grid = blank(rng, max(side, 5), 4)
    for colour in palette[: int(rng.integers(1, 4))]:
        length = int(rng.integers(2, min(grid.shape)))
        top, left = int(rng.integers(grid.shape[0] - length)), int(rng.integers(grid.shape[1] - length))
        ends = (left, left + length) if rng.random() < 0.5 else (left + length, left)
        grid[top, ends[0]] = grid[top + length, ends[1]] = colour
    return grid


def tails(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place squares of two by two with single cells at some of their corners."""
    grid = blank(rng, max(side, 7), 6)
    for _ in range(int(rng.integers(1, 3))):
        colour = draw_one(rng, palette)
        patch = np.zeros((4, 4), dtype=np.int8)
        patch[1:3, 1:3] = colour
        for row, column in ((0, 0), (0, 3), (3, 0), (3, 3)):
            if rng.random() < 0.4:
                patch[row, column] = colour
        place(rng, grid, patch)
    return grid


def segments(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw short straight segments at the borders, across and down."""
    grid = blank(rng, max(side, 5), 5)
    length = int(rng.integers(2, max(3, min(grid.shape) // 2)))
    row, column = int(rng.integers(1, grid.shape[0] - 1)), int(rng.integers(1, grid.shape[1] - 1))
    if rng.random() < 0.8:
        grid[row, : min(length, column)] = palette[0]
    if rng.random() < 0.8:
        grid[: min(length, row), column] = palette[1]
    return np.ascontiguousarray(np.rot90(grid, int(rng.integers(4))))


def two_points(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set two points of different colours in different rows and columns."""
    grid = blank(rng, max(side, 4), 3)
    rows, columns = (rng.permutation(length)[:2] for length in grid.shape)
    grid[rows, columns] = palette[:2]
    return grid


def row_ends(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put different colours at both ends of some rows of odd length."""
    height = int(rng.integers(3, max(4, side) + 1))
    grid = np.zeros((height, 2 * int(rng.integers(2, max(3, side // 2 + 1))) + 1), dtype=np.int8)
    for row in rng.permutation(height)[: int(rng.integers(1, max(2, height // 2)))]:
        grid[row, [0, -1]] = rng.permutation(palette)[:2]
    return grid


def bottom_seed(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set one point in the last row of a narrow grid."""
    grid = np.zeros((int(rng.integers(4, max(5, side) + 1)), int(rng.integers(2, 6))), dtype=np.int8)
    grid[-1, int(rng.integers(grid.shape[1])) if rng.random() < 0.5 else 0] = draw_one(rng, palette)
    return grid


def markers(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put a block near the middle, and single points of other colours that face it."""
    grid = blank(rng, max(side, 7), 6)
    top, left = (int(rng.integers(2, length - 3)) for length in grid.shape)
    height, width = int(rng.integers(2, grid.shape[0] - top)), int(rng.integers(2, grid.shape[1] - left))
    grid[top : top + height, left : left + width] = palette[0]
    row, column = top + int(rng.integers(height)), left + int(rng.integers(width))
    spots = [(row, 0), (row, grid.shape[1] - 1), (0, column), (grid.shape[0] - 1, column)]
    for spot in [spots[index] for index in rng.permutation(4)[: int(rng.integers(1, 4))]]:
        if grid[spot] == 0:
            grid[spot] = draw_one(rng, palette[1:])
    return grid


def pictures(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place small solid pictures of several colours, one of them in `palette[1]` with cells of `palette[0]`."""
    grid = blank(rng, max(side, 8), 7)
    for index in range(int(rng.integers(2, 5))):
        size = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        inks = [palette[0], palette[1]] if index == 0 else [*palette[1:], palette[1]]
        patch = draw(rng, inks, size)
        if rng.random() < 0.4:
            patch = np.hstack([patch, patch[:, ::-1]])
        place(rng, grid, patch)
    return grid


def copies(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place several copies of one figure, and one that is another."""
    grid = blank(rng, max(side, 8), 7)
    common, odd = _figure(rng) * np.int8(draw_one(rng, palette)), _figure(rng) * np.int8(draw_one(rng, palette))
    for patch in [odd, *[common] * int(rng.integers(2, 5))]:
        place(rng, grid, patch)
    return grid


def cornered(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mark the corners of a box with `palette[0]`, and draw something of other colours in it."""
    grid = blank(rng, max(side, 6), 5)
    height, width = (int(rng.integers(4, length + 1)) for length in grid.shape)
    patch = np.zeros((height, width), dtype=np.int8)
    patch[[0, 0, -1, -1], [0, -1, 0, -1]] = palette[0]
    inside = rng.random((height - 2, width - 2)) < 0.5
    patch[1:-1, 1:-1][inside] = draw(rng, palette[1:], int(inside.sum()))
    place(rng, grid, patch)
    return grid


def masked(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Make a symmetric picture without `palette[0]`, and hide a box of it under that colour."""
    half = int(rng.integers(2, max(3, side // 2) + 1))
    corner = draw(rng, [*palette[1:], *([0] if rng.random() < 0.4 else [])], (half, half))
    if rng.random() < 0.5:
        corner = np.maximum(corner, corner.T)
    grid = np.vstack([np.hstack([corner, corner[:, ::-1]]), np.hstack([corner[::-1], corner[::-1, ::-1]])])
    height, width = (int(rng.integers(1, half + 1)) for _ in range(2))
    top, left = int(rng.integers(2 * half - height + 1)), int(rng.integers(half - width + 1))
    grid[top : top + height, left : left + width] = palette[0]
    return np.ascontiguousarray(np.rot90(grid, int(rng.integers(4))))


def lattice(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by lines of the last colour into panels, and put few points into each."""
    cell, count = int(rng.integers(2, 4)), int(rng.integers(2, max(3, side // 4) + 1))
    length = count * (cell + 1) - 1
    grid = np.where(rng.random((length, length)) < rng.uniform(0.1, 0.35), 1, 0).astype(np.int8)
    inks = palette[:-1] if rng.random() < 0.5 else palette[:1]
    grid[grid == 1] = draw(rng, inks, int(grid.sum()))
    grid[cell :: cell + 1] = palette[-1]
    grid[:, cell :: cell + 1] = palette[-1]
    return grid


def begun(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Begin a pattern at the left that repeats, and leave the rest empty."""
    height, period = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    tile = draw(rng, [*palette, 0], (height, period))
    shown = period * 2 + int(rng.integers(0, period + 1))
    width = min(30, shown + int(rng.integers(2, max(3, side))))
    grid = np.zeros((height, width), dtype=np.int8)
    grid[:, :shown] = np.tile(tile, (1, 4))[:, :shown]
    top, bottom = int(rng.integers(0, 3)), int(rng.integers(0, 2))
    return np.pad(grid, ((top, bottom), (0, 0)))


def diagonals(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one diagonal of each colour, whose repetition would fill the grid."""
    length = int(rng.integers(3, max(5, side) + 1))
    period = len(palette)
    place_of = np.add.outer(np.arange(length), np.arange(length))
    grid = np.zeros((length, length), dtype=np.int8)
    start = int(rng.integers(0, max(1, 2 * length - 1 - period)))
    for line in range(start, start + period):
        grid[place_of == line] = palette[line % period]
    return grid


def quarter_drawn(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a small symmetric figure, and take away some of its cells."""
    grid = blank(rng, max(side, 6), 5)
    half = draw(rng, [*palette, 0], (2, 2))
    half = np.maximum(half, half.T)
    middle = [0, 1, 0] if rng.random() < 0.5 else [0, 1, 1, 0]
    figure = half[np.ix_(middle, middle)]
    figure[rng.random(figure.shape) < 0.3] = 0
    place(rng, grid, figure)
    return grid


SCENES_MORE: tuple[Scene, ...] = (
    *(sized, shapes, closed, edges, header, labels, checked, bars, striped, stripes, odd_cell, two_colours, rings),
    *(walled, seeded, gapped, margins, facing, lines_and_points, stamps, diagonal_pairs, tails, segments, two_points),
    *(row_ends, bottom_seed, markers, pictures, copies, cornered, masked, lattice, begun, diagonals, quarter_drawn),
)
