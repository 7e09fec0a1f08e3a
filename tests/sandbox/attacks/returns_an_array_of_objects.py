"""Returns an array of objects that do as they like when they are looked at.

Expected: invalid_output
"""

import numpy as np


class Hostile:
    def __index__(self):
        return 1 << 1000

    def __eq__(self, other):
        while True:
            pass

    __lt__ = __gt__ = __le__ = __ge__ = __repr__ = __eq__
    __hash__ = None


def transform(grid):
    cells = np.empty((2, 2), dtype=object)
    cells.fill(Hostile())
    return cells
