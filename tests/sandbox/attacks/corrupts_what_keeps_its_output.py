"""Puts something else in the place where the sandbox keeps what was printed.

Expected: crashed
"""

sys.stdout.kept = object()
