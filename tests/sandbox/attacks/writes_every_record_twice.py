"""Replaces the function by which its results are written with one that writes them twice.

Expected: security_violation
"""

write = os.write


def write_twice(fd, data):
    write(fd, data)
    return write(fd, data)


os.write = write_twice
