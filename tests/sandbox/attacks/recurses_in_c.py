"""Recurses in C over a list in a list in a list, until the stack is gone.

Expected: crashed, runtime_error
"""

sys.setrecursionlimit(10**9)


def transform(grid):
    nested = []
    for _ in range(1_000_000):
        nested = [nested]
    return repr(nested)
