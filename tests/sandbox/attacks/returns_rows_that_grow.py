"""Returns a row that grows while its cells are looked at.

Expected: timeout
"""

import numpy as np

row = []


class Growing(np.int64):
    def __index__(self):
        row.append(self)
        return 1


def transform(grid):
    row.append(Growing(1))
    return [row]
