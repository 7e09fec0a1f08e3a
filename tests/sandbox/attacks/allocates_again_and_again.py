"""Takes all memory that there is, and asks for more without end when it is refused.

Expected: timeout
"""

blocks = []


def transform(grid):
    while True:
        try:
            blocks.append(bytearray(1 << 12))
        except MemoryError:
            pass
