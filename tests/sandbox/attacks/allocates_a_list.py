"""Fills a list with blocks that are written to.

Expected: memory
"""


def transform(grid):
    blocks = []
    while True:
        blocks.append([0] * 100_000)
