"""Returns a list whose iteration never ends, of generators that never end.

Expected: invalid_output
"""


class Endless(list):
    def __iter__(self):
        while True:
            yield iter(int, 1)

    def __len__(self):
        return 1

    __getitem__ = __reversed__ = __iter__


def transform(grid):
    return Endless([[1]])
