"""Reads a file that every user may read.

Expected: security_violation
"""

print(open(SECRET).read())
