"""Scenes of patterns: noisy blocks, crowded grids with clearings, walls and rooms, crossings, panels, what repeats.

`palette[0]` is the colour that a family's hole `{a}` stands for, `palette[1]` that of `{b}`.
"""

from collections.abc import Sequence

import numpy as np

from arcgym.data.synthetic.scene_parts import Scene, blank, blob, draw, draw_one, place, shape


def plates(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid rectangles of at least 2 x 2 cells, mostly large enough to have an inside, often of one colour."""
    grid = blank(rng, max(side, 6), 5)
    colours = palette[:1] if rng.random() < 0.5 else palette
    largest = max(3, min(grid.shape) - 2)
    for index in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(3 if index == 0 else 2, largest + 1)) for _ in range(2))
        place(rng, grid, np.full((height, width), draw_one(rng, colours), dtype=np.int8))
    return grid


def grains(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid rectangles, and scatter single cells of the first colour over them and beside them."""
    grid = blank(rng, max(side, 7), 6)
    one = draw_one(rng, palette[1:])
    for _ in range(int(rng.integers(2, 4))):
        height, width = (int(rng.integers(2, max(3, min(grid.shape) // 2) + 1)) for _ in range(2))
        place(rng, grid, np.full((height, width), one if rng.random() < 0.6 else draw_one(rng, palette[1:]), np.int8))
    grains_left = max(2, grid.size // int(rng.integers(12, 25)))
    grid.flat[rng.choice(grid.size, size=grains_left, replace=False)] = palette[0]
    return grid


def burrs(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid rectangles and single cells, also attached ones, of the same colours."""
    grid = grains(rng, [palette[0], palette[0] if rng.random() < 0.6 else palette[1]], side)
    if rng.random() < 0.5:
        extra = rng.choice(grid.size, size=max(1, grid.size // 12), replace=False)
        extra = extra[grid.flat[extra] == 0]
        grid.flat[extra] = draw(rng, palette, len(extra))
    return grid


def loners(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter several points of all colours but one, which occurs once."""
    grid = blank(rng, max(side, 4), 4)
    common = palette[1:]
    cells = rng.permutation(grid.size)[: 1 + len(common) * int(rng.integers(2, 5))]
    grid.flat[cells] = np.resize(np.array(common, dtype=np.int8), len(cells))
    grid.flat[cells[0]] = palette[0]
    return grid


def _crowd(rng: np.random.Generator, palette: Sequence[int], side: int, lowest: int = 5) -> np.ndarray:
    grid = blank(rng, max(side, lowest), lowest)
    colours = palette[:1] if rng.random() < 0.7 else palette[:2]
    is_full = rng.random(grid.shape) < rng.uniform(0.45, 0.8)
    return np.where(is_full, draw(rng, colours, grid.shape), np.int8(0)).astype(np.int8)


def crowded(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Crowd the grid with cells of one or two colours, so that empty regions of all sizes are left."""
    return _crowd(rng, palette, side)


def aisles(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Crowd the grid, and clear one to three whole rows or columns; at times a border is kept."""
    grid = _crowd(rng, palette, side)
    bordered = rng.random() < 0.4
    if bordered:
        grid[[0, -1]] = grid[:, [0, -1]] = palette[0]
    inside = slice(1, -1) if bordered else slice(None)
    for _ in range(int(rng.integers(1, 4))):
        view = grid if rng.random() < 0.5 else grid.T
        view[int(rng.integers(1, len(view) - 1)), inside] = 0
    return grid


def clearings(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Crowd the grid, and clear one to three rectangles of 2 to 5 cells' side."""
    grid = _crowd(rng, palette, side)
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(2, min(5, length - 1) + 1)) for length in grid.shape)
        top, left = int(rng.integers(grid.shape[0] - height + 1)), int(rng.integers(grid.shape[1] - width + 1))
        grid[top : top + height, left : left + width] = 0
    return grid


def rooms(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by walls, each from border to border or from wall to wall, into regions of several sizes."""
    grid = blank(rng, max(side, 6), 6)
    for _ in range(int(rng.integers(2, 5))):
        view = grid if rng.random() < 0.5 else grid.T
        row, start = (int(rng.integers(1, length - 1)) for length in view.shape)
        if not view[row - 1 : row + 2, start].any():
            walls = np.flatnonzero(view[row])
            low = max((int(wall) for wall in walls if wall < start), default=-1)
            high = min((int(wall) for wall in walls if wall > start), default=view.shape[1])
            view[row, low + 1 : high] = palette[0]
    return grid


def clusters(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Crowd the grid with the second colour, and put ragged shapes of the first colour onto it."""
    grid = _crowd(rng, palette[1:2], side, 6)
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(2, 5)) for _ in range(2))
        top, left = int(rng.integers(grid.shape[0] - height + 1)), int(rng.integers(grid.shape[1] - width + 1))
        box = grid[top : top + height, left : left + width]
        box[rng.random(box.shape) < 0.7] = palette[0]
    return grid


def quads(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mark the corners of rectangles by four cells of one colour each, and set a point or two elsewhere."""
    grid = blank(rng, max(side, 6), 5)
    largest = max(3, min(grid.shape) - 1)
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(3, largest + 1)) for _ in range(2))
        # placed whole, so that nothing lies between the corners, and emptied in the end
        patch = np.full((height, width), -1, dtype=np.int8)
        patch[np.ix_([0, -1], [0, -1])] = draw_one(rng, palette)
        place(rng, grid, patch)
    for _ in range(int(rng.integers(0, 3))):
        place(rng, grid, np.array([[draw_one(rng, palette)]], dtype=np.int8))
    return np.maximum(grid, 0)


def spans(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set pairs of equal points on rows and on columns, whose lines may cross."""
    grid = blank(rng, max(side, 5), 5)
    for index in range(int(rng.integers(2, 5))):
        view = grid if index % 2 else grid.T
        row = int(rng.integers(len(view)))
        ends = rng.permutation(view.shape[1])[:2]
        view[row, ends] = palette[index % len(palette)]
    return grid


def facing_borders(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter points of the other colours, and put pairs of the first colour where they face each other."""
    grid = blank(rng, max(side, 6), 5)
    noise = rng.random(grid.shape) < rng.uniform(0.05, 0.3)
    grid[noise] = draw(rng, palette[1:], int(noise.sum()))
    for _ in range(int(rng.integers(1, 4))):
        view = grid if rng.random() < 0.6 else grid.T
        view[int(rng.integers(1, len(view) - 1)), [0, -1]] = palette[0]
    return grid


def targets(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one rectangle, points that face it and points that do not; at times the background has a colour."""
    grid = blank(rng, max(side, 7), 6)
    height, width = (int(rng.integers(2, 4)) for _ in range(2))
    top, left = int(rng.integers(grid.shape[0] - height + 1)), int(rng.integers(grid.shape[1] - width + 1))
    grid[top : top + height, left : left + width] = palette[0]
    for index in range(int(rng.integers(2, 6))):
        row, column = (int(rng.integers(length)) for length in grid.shape)
        if index < 2:
            row, column = (int(rng.integers(top, top + height)), column) if rng.random() < 0.5 else (row, left)
        if not grid[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any():
            grid[row, column] = draw_one(rng, palette[1:])
    if len(palette) > 2 and rng.random() < 0.4:
        grid[grid == palette[-1]] = palette[1]
        grid[grid == 0] = palette[-1]
    return grid


def crossroads(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one or two whole rows and columns, of different colours, over each other."""
    grid = blank(rng, max(side, 5), 5)
    down_first = rng.random() < 0.5
    for is_column in (down_first, not down_first):
        view = grid.T if is_column else grid
        for _ in range(1 if rng.random() < 0.75 else 2):
            view[int(rng.integers(1, len(view) - 1))] = palette[int(is_column)]
    return grid


def pierced(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill the grid with stripes of several colours, and pierce them at a few cells."""
    height, width = shape(rng, max(side, 6), 5)
    order = rng.permutation(palette)
    grid = np.repeat(np.repeat(order, rng.integers(2, 6, size=len(order)))[:height, None], width, axis=1)
    grid = grid.astype(np.int8)
    for _ in range(int(rng.integers(1, 4))):
        grid[int(rng.integers(len(grid))), int(rng.integers(width))] = 0
    return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)


def empty(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Leave the grid empty, mostly a square, at times with a point of another colour."""
    height, width = shape(rng, max(side, 6), 4)
    grid = np.zeros((height, height if rng.random() < 0.5 else width), dtype=np.int8)
    if rng.random() < 0.3:
        grid[int(rng.integers(len(grid))), int(rng.integers(grid.shape[1]))] = draw_one(rng, palette)
    return grid


def band(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill a few neighbouring rows with a pattern, and leave those above and below empty."""
    height, width = shape(rng, max(side, 6), 5)
    grid = np.zeros((height, width), dtype=np.int8)
    rows = int(rng.integers(1, 4))
    top = int(rng.integers(height - rows + 1))
    colours = [*palette[: int(rng.integers(1, 3))], 0]
    picture = draw(rng, colours, (rows, int(rng.integers(2, 5)) if rng.random() < 0.5 else width))
    grid[top : top + rows] = np.tile(picture, (1, width))[:, :width]
    return grid


def band_down(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill a few neighbouring columns with a pattern, and leave those beside them empty."""
    return np.ascontiguousarray(band(rng, palette, side).T)


def runs(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Begin a row of two to four colours, and often a column of the same colours through one of its cells."""
    grid = blank(rng, max(side, 6), 6)
    run = draw(rng, palette, int(rng.integers(2, 5)))
    row, column = int(rng.integers(1, len(grid) - 1)), int(rng.integers(grid.shape[1] - len(run) + 1))
    grid[row, column : column + len(run)] = run
    if rng.random() < 0.7:
        crossing = int(rng.integers(len(run)))
        top = max(0, min(row - int(rng.integers(len(run))), len(grid) - len(run)))
        grid[top : top + len(run), column + crossing] = np.roll(run, row - top - crossing)
    elif rng.random() < 0.5:
        grid = np.ascontiguousarray(grid.T)
    return grid


def _lattice(rng: np.random.Generator, panels: np.ndarray, line: int) -> np.ndarray:
    """Join panels, of shape (rows, columns, height, width), with lines of one cell between them."""
    rows, columns, height, width = panels.shape
    padded = np.full((rows, columns, height + 1, width + 1), line, dtype=np.int8)
    padded[:, :, :-1, :-1] = panels
    grid = padded.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1))
    return np.ascontiguousarray(grid[:-1, :-1])


def _panel_shape(rng: np.random.Generator, side: int, lowest: int) -> tuple[int, int, int, int]:
    height, width = shape(rng, max(lowest + 1, min(5, side // 2)), lowest)
    most = max(2, min(4, side // lowest))
    rows, columns = shape(rng, most, 1)
    return (rows, columns, height, width) if rows * columns > 1 else (1, 2, height, width)


def one_panel(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by lines of the last colour into panels, and draw into one of them."""
    panels = np.zeros(_panel_shape(rng, side, 2), dtype=np.int8)
    picture = draw(rng, [*palette[:-1], 0], panels.shape[2:])
    panels[int(rng.integers(len(panels))), int(rng.integers(panels.shape[1]))] = picture
    return _lattice(rng, panels, palette[-1])


def part_panels(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by lines of the last colour into panels that hold parts of one shape, one of them all of it."""
    rows, columns, height, width = _panel_shape(rng, side, 3)
    figure = np.zeros((height, width), dtype=np.int8)
    drawn = blob(rng, palette[:1], int(rng.integers(3, 7)), min(height, width))
    figure[: drawn.shape[0], : drawn.shape[1]] = drawn
    panels = np.where(rng.random((rows, columns, height, width)) < rng.uniform(0.2, 0.9), figure, np.int8(0))
    panels[int(rng.integers(rows)), int(rng.integers(columns))] = figure
    return _lattice(rng, panels, palette[-1])


def lit_panels(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid by lines of the last colour into many small panels, and fill some of them with a colour."""
    rows, columns = shape(rng, max(4, min(9, side // 2)), 3)
    pixels = np.zeros((rows, columns), dtype=np.int8)
    for _ in range(int(rng.integers(1, 4))):
        view = pixels if rng.random() < 0.5 else pixels.T
        count = 1 if rng.random() < 0.3 else 2
        view[int(rng.integers(len(view))), rng.permutation(view.shape[1])[:count]] = draw_one(rng, palette[:-1])
    cell = int(rng.integers(1, 4)) if max(rows, columns) < 7 else int(rng.integers(1, 3))
    panels = np.broadcast_to(pixels[:, :, None, None], (rows, columns, cell, cell))
    return _lattice(rng, panels, palette[-1])


def panel_key(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Divide the grid into n x n panels of n x n cells, all full but one sparser or denser than the others."""
    length = 2 if side < 7 or rng.random() < 0.3 else 3
    inks = palette[:-1] or palette
    panels = draw(rng, inks, (length, length, length, length))
    full = int(rng.integers(2, length * length))
    for index in np.ndindex(length, length):
        panels[index].flat[rng.permutation(length * length)[full:]] = 0
    odd = panels[int(rng.integers(length)), int(rng.integers(length))]
    if rng.random() < 0.6:
        odd.flat[np.flatnonzero(odd)[:1]] = 0
    else:
        odd.flat[np.flatnonzero(odd == 0)[:1]] = draw_one(rng, inks)
    return _lattice(rng, panels, palette[-1])


def around(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a symmetric figure somewhere, and shapes of another colour on one side of it."""
    grid = blank(rng, max(side, 9), 9)
    figures = ([[1, 1], [1, 1]], [[1, 0, 1], [0, 1, 0], [1, 0, 1]], [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    figure = np.array(figures[int(rng.integers(3))], dtype=np.int8)
    height, width = grid.shape
    top, left = (int(rng.integers(3, length - len(figure) - 2)) for length in (height, width))
    grid[top : top + len(figure), left : left + len(figure)] = figure * palette[0]
    reach = min(top, left, height - top - len(figure), width - left - len(figure))
    part = blob(rng, palette[1:] if rng.random() < 0.3 else palette[1:2], int(rng.integers(3, 8)), reach)
    grid[top - part.shape[0] : top, left - part.shape[1] : left] = part
    if rng.random() < 0.4:
        beside = slice(left + len(figure), left + len(figure) + part.shape[1])
        grid[top - part.shape[0] : top, beside] = part[:, ::-1]
    turned = np.rot90(grid, int(rng.integers(4)))
    return np.ascontiguousarray(turned)


def turning(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw a figure that quarter turns leave the same, and take some of its outer cells away."""
    grid = blank(rng, max(side, 6), 5)
    length = int(rng.integers(3, min(6, *grid.shape) + 1))
    figure = draw(rng, [*palette[:2], 0], (length, length))
    figure = np.maximum.reduce([np.rot90(figure, quarter) for quarter in range(4)])
    lost = rng.random(figure.shape) < 0.35
    lost[1:-1, 1:-1] = False
    place(rng, grid, np.where(lost, np.int8(0), figure))
    return grid


def tinted_plates(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid and hollow rectangles of the other colours on a background of the first colour."""
    grid = blank(rng, max(side, 7), 6)
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(2, 6)) for _ in range(2))
        patch = np.full((height, width), draw_one(rng, palette[1:]), dtype=np.int8)
        if rng.random() < 0.5:
            patch[1:-1, 1:-1] = 0
        place(rng, grid, patch)
    for _ in range(int(rng.integers(0, 3))):
        place(rng, grid, np.array([[draw_one(rng, palette[1:])]], dtype=np.int8))
    return np.where(grid == 0, np.int8(palette[0]), grid)


def tinted_points(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set points, some of them in pairs on a row or a column, on a background of the first colour."""
    grid = np.full(shape(rng, max(side, 5), 4), palette[0], dtype=np.int8)
    for _ in range(int(rng.integers(1, 4))):
        view = grid if rng.random() < 0.5 else grid.T
        count = int(rng.integers(1, 3))
        view[int(rng.integers(len(view))), rng.permutation(view.shape[1])[:count]] = draw_one(rng, palette[1:])
    return grid


def pricked(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill the grid with the first colour, and prick one to three holes into it."""
    grid = np.full(shape(rng, max(side, 4), 3), palette[0], dtype=np.int8)
    grid.flat[rng.choice(grid.size, size=int(rng.integers(1, 4)), replace=False)] = 0
    return grid


SCENES_PATTERNS: tuple[Scene, ...] = (
    *(plates, grains, burrs, loners, crowded, aisles, clearings, rooms, clusters, quads, spans, facing_borders),
    *(targets, crossroads, pierced, empty, band, band_down, runs, one_panel, part_panels, lit_panels, panel_key),
    *(around, turning, tinted_plates, tinted_points, pricked),
)
