"""Returns an integer that takes years to be written into an error message.

Expected: invalid_output
"""

sys.set_int_max_str_digits(0)


def transform(grid):
    return [[1 << 100_000_000]]
