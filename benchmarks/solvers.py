"""Programs as policies and people write them for ARC tasks, for the benchmarks: each gives a grid for any grid."""

ROT90 = "import numpy as np\ndef transform(grid):\n    return np.rot90(grid)\n"

_OBJECTS = """
from collections import deque
from dataclasses import dataclass, field

@dataclass
class Shape:
    colour: int
    cells: list = field(default_factory=list)

def shapes(grid):
    seen, found = set(), []
    for r in range(len(grid)):
        for c in range(len(grid[0])):
            if (r, c) in seen or grid[r][c] == 0:
                continue
            shape, queue = Shape(grid[r][c]), deque([(r, c)])
            seen.add((r, c))
            while queue:
                y, x = queue.popleft()
                shape.cells.append((y, x))
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    p = (y + dy, x + dx)
                    if 0 <= p[0] < len(grid) and 0 <= p[1] < len(grid[0]) and p not in seen:
                        if grid[p[0]][p[1]] == shape.colour:
                            seen.add(p)
                            queue.append(p)
            found.append(shape)
    return found

def transform(grid):
    grid = grid.tolist()
    out = [[0] * len(grid[0]) for _ in grid]
    for rank, shape in enumerate(sorted(shapes(grid), key=lambda s: -len(s.cells))):
        for y, x in shape.cells:
            out[y][x] = min(rank + 1, 9)
    return out
"""

_GRAVITY = """
import numpy as np

def transform(grid):
    out = np.zeros_like(grid)
    for c in range(grid.shape[1]):
        column = grid[:, c][grid[:, c] != 0]
        if len(column):
            out[-len(column):, c] = column
    return out
"""

_RECOLOUR = """
from collections import Counter

def transform(grid):
    counts = Counter(v for row in grid.tolist() for v in row)
    order = {colour: i for i, (colour, _) in enumerate(counts.most_common())}
    return [[order[v] for v in row] for row in grid.tolist()]
"""

_CROP = """
import numpy as np

def transform(grid):
    rows, cols = np.where(grid != np.bincount(grid.ravel(), minlength=10).argmax())
    if len(rows) == 0:
        return grid
    return grid[rows.min():rows.max() + 1, cols.min():cols.max() + 1]
"""

_MOSAIC = """
import numpy as np

def transform(grid):
    grid = grid[:15, :15]
    return np.block([[grid, grid[:, ::-1]], [grid[::-1], grid[::-1, ::-1]]])
"""

_FILL = """
def transform(grid):
    grid = grid.tolist()
    height, width = len(grid), len(grid[0])

    def flood(r, c):
        if 0 <= r < height and 0 <= c < width and grid[r][c] == 0:
            grid[r][c] = -1
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                flood(r + dr, c + dc)

    for r in range(height):
        flood(r, 0)
        flood(r, width - 1)
    for c in range(width):
        flood(0, c)
        flood(height - 1, c)
    return [[0 if v == -1 else 4 if v == 0 else v for v in row] for row in grid]
"""

_PERIOD = """
from functools import reduce
from itertools import product

def transform(grid):
    rows = [tuple(row) for row in grid.tolist()]
    height, width = len(rows), len(rows[0])
    for dy, dx in sorted(product(range(1, height + 1), range(1, width + 1)), key=lambda p: p[0] * p[1]):
        tile, cells = {}, product(range(height), range(width))
        if all(tile.setdefault((r % dy, c % dx), rows[r][c]) == rows[r][c] for r, c in cells):
            return [[tile[r, c] for c in range(dx)] for r in range(dy)]
    return rows
"""

_PRIMITIVES = """
from arcgym.primitives import *

def transform(grid):
    return flip_lr(grid)
"""

SOLVERS = {
    "objects": _OBJECTS,
    "gravity": _GRAVITY,
    "recolour": _RECOLOUR,
    "crop": _CROP,
    "mosaic": _MOSAIC,
    "fill": _FILL,
    "period": _PERIOD,
    "primitives": _PRIMITIVES,
}
