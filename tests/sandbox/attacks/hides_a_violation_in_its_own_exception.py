"""Turns a refusal into an exception of its own that nobody catches by accident.

Expected: security_violation
"""


class InnocentError(BaseException):
    pass


def transform(grid):
    try:
        return open(SECRET).read()
    except BaseException:
        raise InnocentError("an ordinary mistake") from None
