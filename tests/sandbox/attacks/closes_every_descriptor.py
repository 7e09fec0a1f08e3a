"""Closes every descriptor and loops, so that nobody can tell that it still runs.

Expected: crashed
"""

os.closerange(0, 64)
call("close_range", 0, 1 << 31, 0)
while True:
    pass
