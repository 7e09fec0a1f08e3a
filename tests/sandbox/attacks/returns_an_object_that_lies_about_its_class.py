"""Returns an object that claims to be an array when it is asked.

Expected: runtime_error
"""

import numpy as np


class Liar:
    __class__ = np.ndarray
    __array__ = shape = dtype = None

    def __eq__(self, other):
        return True

    __hash__ = None


def transform(grid):
    return Liar()
