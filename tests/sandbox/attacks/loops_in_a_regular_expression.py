"""Matches an expression that backtracks without end.

Expected: timeout
"""

import re


def transform(grid):
    return re.match("(a+)+$", "a" * 60 + "b")
