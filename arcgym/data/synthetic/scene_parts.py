"""What scenes are made of: random shapes and colours, connected shapes, and places where nothing touches them."""

from collections.abc import Callable, Sequence

import numpy as np

Scene = Callable[[np.random.Generator, Sequence[int], int], np.ndarray]


def shape(rng: np.random.Generator, side: int, lowest: int = 2) -> tuple[int, int]:
    """Draw a height and a width from `lowest` to `side`; two in five are square."""
    if rng.random() < 0.4:
        length = int(rng.integers(lowest, side + 1))
        return length, length
    return int(rng.integers(lowest, side + 1)), int(rng.integers(lowest, side + 1))


def blank(rng: np.random.Generator, side: int, lowest: int = 3) -> np.ndarray:
    """Make a background of random shape."""
    return np.zeros(shape(rng, max(side, lowest), lowest), dtype=np.int8)


def draw(rng: np.random.Generator, colours: Sequence[int], size: int | tuple[int, ...]) -> np.ndarray:
    """Draw colours with equal chances: `rng.choice` with the same result, in a third of the time on small arrays."""
    return np.array(colours, dtype=np.int8)[rng.integers(len(colours), size=size)]


def draw_one(rng: np.random.Generator, colours: Sequence[int]) -> int:
    """Draw one colour."""
    return colours[int(rng.integers(len(colours)))]


def place(rng: np.random.Generator, grid: np.ndarray, patch: np.ndarray) -> bool:
    """Put `patch` where nothing touches it; tell whether a place was found."""
    height, width = patch.shape
    rows, columns = grid.shape[0] - height + 1, grid.shape[1] - width + 1
    if rows < 1 or columns < 1:
        return False
    for _ in range(12):
        top, left = int(rng.integers(rows)), int(rng.integers(columns))
        around = grid[top - 1 if top else 0 : top + height + 1, left - 1 if left else 0 : left + width + 1]
        if not np.count_nonzero(around):  # on so few cells much faster than `any`
            grid[top : top + height, left : left + width] = patch
            return True
    return False


def blob(rng: np.random.Generator, colours: Sequence[int], size: int, box: int) -> np.ndarray:
    """Grow a connected shape of about `size` cells inside a `box` × `box` square, cut to its bounding box."""
    cells: dict[tuple[int, int], int] = {}
    row = column = box // 2
    for _ in range(size * 2):
        cells[row, column] = draw_one(rng, colours)
        if len(cells) >= size:
            break
        step = int(rng.integers(4))
        row = min(max(row + (step == 0) - (step == 1), 0), box - 1)
        column = min(max(column + (step == 2) - (step == 3), 0), box - 1)
    rows, columns = zip(*cells, strict=True)
    top, left = min(rows), min(columns)
    patch = np.zeros((max(rows) - top + 1, max(columns) - left + 1), dtype=np.int8)
    for (row, column), colour in cells.items():
        patch[row - top, column - left] = colour
    return patch
