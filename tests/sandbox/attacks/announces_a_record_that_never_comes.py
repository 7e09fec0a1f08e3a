"""Announces a record of two gigabytes, for which the caller would wait or make room, and leaves.

Expected: crashed
"""


def transform(grid):
    os.write(RECORDS, b"\xff\xff\xff\x7f")
    call("exit_group", 0)
