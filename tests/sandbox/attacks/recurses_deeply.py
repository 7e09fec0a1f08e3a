"""Recurses without a limit, until the memory for its frames or the time to unwind them is used up.

Expected: memory, timeout
"""

sys.setrecursionlimit(10**9)


def transform(grid):
    return [transform(grid)]
