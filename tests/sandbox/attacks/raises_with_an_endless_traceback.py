"""Raises an exception whose traceback never ends.

Expected: timeout
"""


class Endless:
    @property
    def tb_next(self):
        return self

    tb_frame = sys._getframe()
    tb_lineno = 1


class EndlessError(Exception):
    __traceback__ = Endless()


def transform(grid):
    raise EndlessError
