"""Makes arrays as large as they come, then many that are small.

Expected: memory
"""

import numpy as np


def transform(grid):
    attempt(np.ones, 1 << 34)
    attempt(np.empty, (1 << 20, 1 << 20))
    arrays = []
    while True:
        arrays.append(np.ones(1 << 17))
