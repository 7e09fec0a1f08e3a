"""Raises an exception that raises again whenever its text is wanted.

Expected: runtime_error
"""


class HostileError(BaseException):
    def __str__(self):
        raise HostileError

    __repr__ = __str__


def transform(grid):
    raise HostileError
