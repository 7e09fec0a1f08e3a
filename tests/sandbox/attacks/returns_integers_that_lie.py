"""Returns integers that say of themselves that they are small.

Expected: invalid_output
"""

import numpy as np


class Liar(int):
    __le__ = __ge__ = __lt__ = __gt__ = __eq__ = lambda self, other: True
    __index__ = __int__ = lambda self: 3
    __hash__ = int.__hash__


class NumpyLiar(np.int64):
    __le__ = __ge__ = lambda self, other: True
    __index__ = __int__ = lambda self: Liar(99)


def transform(grid):
    return [[Liar(99), NumpyLiar(99), Liar(-1)]]
