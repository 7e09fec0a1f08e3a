"""What the sandbox's tests share: a grid, a program, and the counts by which leaks are found."""

import os
from pathlib import Path

import numpy as np

GRID = np.arange(6, dtype=np.int8).reshape(2, 3)
GOOD = "def transform(grid):\n    return grid[::-1]\n"


def descendants() -> set[int]:
    """Processes that this one started, and theirs, zombies too."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {os.getpid(), *found}} - found:
        found |= more
    return found


def open_descriptors() -> set[tuple[str, str]]:
    links = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            links.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # the one that lists
            continue
    return links
