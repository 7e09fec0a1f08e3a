"""Replaces what a check of its result would use, to pass off a cell that is no colour.

Expected: security_violation
"""

import builtins
import json

import numpy as np

builtins.max = builtins.min = lambda *args: 0
builtins.len = lambda thing: 1
np.array = np.asarray = json.dumps = json.loads = lambda thing, *args, **kwargs: thing
np.frombuffer = lambda *args, **kwargs: np.zeros(6, np.int8)


def transform(grid):
    return np.full((1, 1), 99)
