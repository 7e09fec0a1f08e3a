"""System calls without Python in between, put above the programs that use them; NUMBERS comes from the runner."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(name, *args):
    """Make the system call of this name or number; -1 where it fails or this architecture lacks it."""
    number = NUMBERS.get(name, name)
    if number is None:
        return -1
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
