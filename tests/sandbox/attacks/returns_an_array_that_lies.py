"""Returns an array of a class that lies about its shape, its cells and itself.

Expected: invalid_output
"""

import numpy as np


class Liar(np.ndarray):
    shape = (1, 1)
    ndim = 2

    def __array_finalize__(self, source):
        pass

    def __array_ufunc__(self, *args, **kwargs):
        return True

    def tolist(self):
        return [[1]]

    def view(self, *args):
        return self

    min = max = __len__ = lambda self, *args: 0


def transform(grid):
    return np.full((2, 2), 99).view(Liar)
