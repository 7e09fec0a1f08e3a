"""Returns an array of one byte that says it has a million million rows.

Expected: invalid_output
"""

import numpy as np


def transform(grid):
    return np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape=(1 << 40, 1 << 20), strides=(0, 0))
