"""Reads a file in many ways, and goes on as if nothing had been when it is refused.

Expected: security_violation
"""

import numpy as np

for read in (
    lambda: open(SECRET).read(),
    lambda: os.read(os.open(SECRET, os.O_RDONLY), 100),
    lambda: np.fromfile(SECRET, np.uint8).tobytes(),
    lambda: np.memmap(SECRET, np.uint8, "r").tobytes(),
    lambda: np.genfromtxt(SECRET, dtype=str),
):
    print(attempt(read))
