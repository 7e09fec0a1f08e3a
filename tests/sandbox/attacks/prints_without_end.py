"""Prints without end.

Expected: output_limit
"""


def transform(grid):
    while True:
        print("x" * 1000)
