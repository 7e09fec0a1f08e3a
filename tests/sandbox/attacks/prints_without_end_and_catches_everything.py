"""Prints without end, catches what would stop it, and sets back the count of what it printed.

Expected: timeout
"""

while True:
    try:
        print("x" * 1000)
        sys.stdout.total = 0
    except BaseException:
        pass
