"""Convolves two long arrays, a single call that takes an hour.

Expected: timeout
"""

import numpy as np


def transform(grid):
    return np.convolve(np.ones(3_000_000), np.ones(3_000_000))
