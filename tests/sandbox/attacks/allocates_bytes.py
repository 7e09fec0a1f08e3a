"""Doubles a string of bytes without end.

Expected: memory
"""


def transform(grid):
    data = b"x"
    while True:
        data += data
