"""Loops, and catches whatever would stop it.

Expected: timeout
"""


def transform(grid):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
