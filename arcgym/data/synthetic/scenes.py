"""Random input grids: the scenes on which synthetic tasks play.

Each scene is a function `(rng, palette, side) -> grid`. `palette` holds the colours that must be able to appear,
without the background 0; `side` is the largest height and width wanted. Scenes imitate what ARC inputs look like:
noise, sparse points, solid rectangles, connected blobs, lines, two halves beside each other, frames with holes.
"""

from collections.abc import Sequence

import numpy as np

from arcgym.data.synthetic.scene_parts import Scene, blank, blob, draw, draw_one, place, shape
from arcgym.data.synthetic.scenes_more import SCENES_MORE
from arcgym.data.synthetic.scenes_objects import SCENES_OBJECTS
from arcgym.data.synthetic.scenes_patterns import SCENES_PATTERNS
from arcgym.data.synthetic.scenes_resizing import SCENES_RESIZING


def dense(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill every cell with a random colour; the background 0 takes part at times."""
    colours = [*palette, 0] if rng.random() < 0.6 else list(palette)
    return draw(rng, colours, shape(rng, side))


def square(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Fill a square grid with random colours."""
    length = int(rng.integers(2, side + 1))
    return draw(rng, [*palette, 0], (length, length))


def sparse(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Scatter a few coloured points over the background."""
    grid = blank(rng, side)
    count = int(rng.integers(1, max(2, grid.size // 6) + 1))
    cells = rng.choice(grid.size, size=min(count, grid.size), replace=False)
    grid.flat[cells] = draw(rng, palette, len(cells))
    return grid


def noise(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Mix background and colours at a random density."""
    grid = blank(rng, side, 2)
    coloured = rng.random(grid.shape) < rng.uniform(0.25, 0.7)
    return np.where(coloured, draw(rng, palette, grid.shape), grid).astype(np.int8)


def rectangles(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place solid rectangles of different colours and sizes apart from each other."""
    grid = blank(rng, side, 4)
    largest = max(2, min(grid.shape) * 2 // 3)
    for index in range(int(rng.integers(2, 5))):
        height, width = (int(rng.integers(1, largest + 1)) for _ in range(2))
        place(rng, grid, np.full((height, width), palette[index % len(palette)], dtype=np.int8))
    return grid


def blobs(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place connected one-colour shapes of different sizes apart from each other."""
    grid = blank(rng, side, 4)
    sizes = rng.permutation(np.arange(2, 9))[: int(rng.integers(2, 5))]
    for index, size in enumerate(sizes):
        place(rng, grid, blob(rng, [palette[index % len(palette)]], int(size), max(2, min(grid.shape) // 2 + 1)))
    return grid


def one_blob(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place one shape, of one or several colours, somewhere on the background."""
    grid = blank(rng, side, 3)
    colours = list(palette) if rng.random() < 0.6 else [draw_one(rng, palette)]
    place(rng, grid, blob(rng, colours, int(rng.integers(3, 10)), max(2, min(grid.shape) - 1)))
    return grid


def speckled(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place rectangles or blobs, then single points beside them as noise."""
    grid = (rectangles if rng.random() < 0.5 else blobs)(rng, palette, side)
    for _ in range(int(rng.integers(2, 6))):
        place(rng, grid, np.array([[draw_one(rng, palette)]], dtype=np.int8))
    return grid


def frames(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Place hollow rectangles, some of them open, so that enclosed regions exist."""
    grid = blank(rng, max(side, 5), 5)
    for index in range(int(rng.integers(1, 4))):
        height, width = (int(rng.integers(3, max(4, min(grid.shape) // 2 + 2))) for _ in range(2))
        patch = np.full((height, width), palette[index % len(palette)], dtype=np.int8)
        patch[1:-1, 1:-1] = 0
        if rng.random() < 0.25:
            patch[0, width // 2] = 0
        place(rng, grid, patch)
    return grid


def boxed(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw one rectangle whose inside holds a small random picture in other colours."""
    grid = blank(rng, max(side, 5), 5)
    height, width = (int(rng.integers(3, length + 1)) for length in grid.shape)
    patch = np.full((height, width), palette[0], dtype=np.int8)
    inks = [0, *palette[1:]]
    patch[1:-1, 1:-1] = draw(rng, inks, (height - 2, width - 2))
    place(rng, grid, patch)
    return grid


def lines(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw whole rows or whole columns on the background."""
    grid = blank(rng, side, 3)
    across = grid if rng.random() < 0.5 else grid.T
    for row in rng.permutation(across.shape[0])[: int(rng.integers(1, max(2, across.shape[0] // 2) + 1))]:
        across[row] = draw_one(rng, palette)
    return grid


def seeds(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set one to four points, never two in the same row or column."""
    grid = blank(rng, side, 3)
    count = min(int(rng.integers(1, 5)), *grid.shape)
    rows = rng.permutation(grid.shape[0])[:count]
    columns = rng.permutation(grid.shape[1])[:count]
    grid[rows, columns] = draw(rng, palette, count)
    return grid


def point_pairs(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Set pairs of equal points that share a row or a column."""
    grid = blank(rng, side, 4)
    horizontal = rng.random() < 0.5
    across = grid if horizontal else grid.T
    for row in rng.permutation(across.shape[0])[: int(rng.integers(1, 4))]:
        left, right = sorted(rng.permutation(across.shape[1])[:2])
        across[row, [left, right]] = draw_one(rng, palette)
    return grid


def halves(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put two panels of noise beside or above each other, mostly with a separating line between them."""
    half = max(2, side // 2 + 1)
    height, width = (int(rng.integers(2, half + 1)) for _ in range(2))
    density = rng.uniform(0.3, 0.65)
    first, second, line = palette[0], palette[1 % len(palette)], palette[-1]
    left = np.where(rng.random((height, width)) < density, first, 0).astype(np.int8)
    right = np.where(rng.random((height, width)) < density, second, 0).astype(np.int8)
    if rng.random() < 0.7 or width == height:
        joined = np.hstack([left, np.full((height, 1), line, dtype=np.int8), right])
    else:
        joined = np.hstack([left, right]) if 2 * width > height else np.vstack([left, right])
    return joined if rng.random() < 0.6 else np.ascontiguousarray(joined.T)


def panels(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Put several equal panels of noise in a row, a column or a square, divided by lines of one colour."""
    cell = int(rng.integers(2, max(2, side // 3) + 1))
    rows, columns = [(1, 3), (3, 1), (2, 2), (1, 2), (2, 1)][int(rng.integers(5))]
    line = palette[-1]
    inks = palette[:-1] or palette
    grid = np.full((rows * (cell + 1) - 1, columns * (cell + 1) - 1), line, dtype=np.int8)
    for row in range(rows):
        for column in range(columns):
            panel = np.where(rng.random((cell, cell)) < rng.uniform(0.2, 0.7), draw_one(rng, inks), 0)
            grid[row * (cell + 1) :, column * (cell + 1) :][:cell, :cell] = panel
    return grid


def blocks(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Enlarge a small random grid, so that equal rows and columns repeat."""
    small = draw(rng, [*palette, 0], shape(rng, max(2, side // 2)))
    repeat_rows = rng.integers(1, 4, size=small.shape[0])
    repeat_columns = rng.integers(1, 4, size=small.shape[1])
    return np.repeat(np.repeat(small, repeat_rows, axis=0), repeat_columns, axis=1)


def regular_blocks(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Enlarge a small random grid by one factor in both directions."""
    factor = int(rng.integers(2, 4))
    small = draw(rng, [*palette, 0], shape(rng, max(2, side // factor)))
    return np.kron(small, np.ones((factor, factor), dtype=np.int8))


def tiled(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Repeat a small random tile, and blot out a part of it with the background."""
    tile = draw(rng, palette, shape(rng, 3))
    height, width = shape(rng, max(side, 5), 5)
    grid = np.tile(tile, (height // tile.shape[0] + 1, width // tile.shape[1] + 1))[:height, :width].copy()
    top, left = int(rng.integers(height - 1)), int(rng.integers(width - 1))
    grid[top : top + int(rng.integers(1, 4)), left : left + int(rng.integers(1, 4))] = 0
    return grid


def half_symmetric(rng: np.random.Generator, palette: Sequence[int], side: int) -> np.ndarray:
    """Draw on one half only, or on a mirrored picture with a part blotted out."""
    grid = noise(rng, palette, side)
    if rng.random() < 0.5:
        grid[:, grid.shape[1] // 2 :] = 0
        return grid if rng.random() < 0.5 else np.ascontiguousarray(grid.T)
    grid = np.maximum(grid, grid[:, ::-1])
    top, left = int(rng.integers(grid.shape[0])), int(rng.integers(grid.shape[1]))
    grid[top : top + 2, left : left + 2] = 0
    return grid


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        *(dense, square, sparse, noise, rectangles, blobs, one_blob, speckled, frames, boxed, lines, seeds),
        *(point_pairs, halves, panels, blocks, regular_blocks, tiled, half_symmetric),
        *SCENES_MORE,
        *SCENES_OBJECTS,
        *SCENES_RESIZING,
        *SCENES_PATTERNS,
    )
}
