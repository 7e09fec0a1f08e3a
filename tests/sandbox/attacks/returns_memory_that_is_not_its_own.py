"""Returns an array that lies over memory where nothing is, to have the sandbox read it.

Expected: crashed
"""

import numpy as np


class Interface:
    __array_interface__ = {"data": (0x1000, True), "shape": (2, 2), "typestr": "|i1", "version": 3}


def transform(grid):
    return np.asarray(Interface())
