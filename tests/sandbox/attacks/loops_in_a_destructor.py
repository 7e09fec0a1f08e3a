"""Loops when the sandbox lets go of what was returned.

Expected: timeout
"""


class Endless(list):
    def __del__(self):
        while True:
            pass


def transform(grid):
    return Endless([[1]])
