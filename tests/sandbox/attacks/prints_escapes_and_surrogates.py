"""Prints what no log can bear: terminal commands, halves of characters, and a great deal of it.

Expected: runtime_error
"""

hostile = "\x1b]0;owned\x07\x1b[2J\0\r\u202e\ud800\udcff" * 10_000
print(hostile)


def transform(grid):
    raise type("\x1b[31mError\n", (Exception,), {})(hostile)
