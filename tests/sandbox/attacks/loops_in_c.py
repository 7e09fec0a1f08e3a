"""Computes a power that takes years, in C, where no exception can reach it.

Expected: timeout
"""


def transform(grid):
    return 10**10**8
