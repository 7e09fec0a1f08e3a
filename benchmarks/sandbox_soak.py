"""Runs very many programs, good and bad, in one sandbox of one process, and watches what must not grow.

    python benchmarks/sandbox_soak.py                       # 100 000 programs
    python benchmarks/sandbox_soak.py --programs 10000

In every hundred programs 80 are solvers that work, 14 fail (errors, bad grids, syntax, crashes), 3 try what is
forbidden, 2 are hungry for memory and 1 hangs until its time is up. Each result is checked. After each tenth it prints
the caller's resident memory, the workers' resident memory, open descriptors and processes. It ends with code 1 if a
result was not what it had to be or if anything grew from the second tenth to the last.
"""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from solvers import SOLVERS

from arcgym.sandbox import CodeSandbox, Status

GRID = np.arange(100, dtype=np.int8).reshape(10, 10) % 10
BATCH = 500
# Growth up to this is the allocator's and the counters' own.
SLACK_MB = 8.0

FAILING = {
    "def transform(grid):\n    return grid[99]\n": Status.RUNTIME_ERROR,
    "def transform(grid):\n    return transform(grid)\n": Status.RUNTIME_ERROR,
    "raise SystemExit\n": Status.RUNTIME_ERROR,
    "def transform(grid)\n    return grid\n": Status.SYNTAX_ERROR,
    "def transform(grid):\n    return None\n": Status.INVALID_OUTPUT,
    "import os\ndef transform(grid):\n    os._exit(1)\n": Status.CRASHED,
    "import ctypes\ndef transform(grid):\n    ctypes.memset(0, 0, 1)\n": Status.CRASHED,
}
FORBIDDEN = {
    "import os\ndef transform(grid):\n    return os.fork()\n": Status.SECURITY_VIOLATION,
    "def transform(grid):\n    return open('/etc/passwd').read()\n": Status.SECURITY_VIOLATION,
    "import os\ndef transform(grid):\n    return os.write(6, bytes(100))\n": Status.SECURITY_VIOLATION,
}
HUNGRY = {
    "def transform(grid):\n    x = []\n    while True:\n        x.append(bytearray(1 << 20))\n": Status.MEMORY,
    "import numpy as np\ndef transform(grid):\n    return np.ones(1 << 30)\n": Status.MEMORY,
}
HANGING = {"def transform(grid):\n    while True:\n        pass\n": Status.TIMEOUT}
SHARES = ((dict.fromkeys(SOLVERS.values(), Status.OK), 80), (FAILING, 14), (FORBIDDEN, 3), (HUNGRY, 2), (HANGING, 1))


class Usage(NamedTuple):
    """What the caller and its workers hold."""

    caller_mb: float
    workers_mb: float
    descriptors: int
    processes: int


def mixture(count: int) -> list[tuple[str, Status]]:
    """Programs with what must become of them, shuffled the same way every time."""
    hundred = [list(kind.items())[i % len(kind)] for kind, share in SHARES for i in range(share)]
    order = np.random.default_rng(0).permutation(len(hundred))
    return [hundred[order[i % len(hundred)]] for i in range(count)]


def usage() -> Usage:
    """Read it off /proc."""
    gc.collect()
    parents, pages = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)], pages[int(entry.name)] = int(fields[1]), int(fields[21])
    ours: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {os.getpid(), *ours}} - ours:
        ours |= more
    page_mb = os.sysconf("SC_PAGE_SIZE") / 2**20
    workers_mb = sum(pages[pid] for pid in ours) * page_mb
    return Usage(pages[os.getpid()] * page_mb, workers_mb, len(os.listdir("/proc/self/fd")), len(ours))


def run_stage(sandbox: CodeSandbox, programs: list[tuple[str, Status]]) -> Counter[str]:
    """Run some programs in batches; how often each wrong outcome came."""
    wrong: Counter[str] = Counter()
    for start in range(0, len(programs), BATCH):
        batch = programs[start : start + BATCH]
        results = sandbox.run([program for program, _ in batch], [[GRID]] * len(batch))
        for (program, expected), result in zip(batch, results, strict=True):
            if result.status is not expected:
                wrong[f"{result.status} instead of {expected}: {result.message}\n{program}"] += 1
    return wrong


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100_000, help="how many")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time")
    arguments = parser.parse_args()
    if arguments.programs < 1000:
        parser.error(f"--programs is {arguments.programs}; give at least 1000, or nothing can be seen to grow")
    stage = arguments.programs // 10
    wrong: Counter[str] = Counter()
    seen: list[Usage] = []
    print(f"{'programs':>9} {'per s':>7} {'caller MB':>10} {'workers MB':>11} {'descriptors':>12} {'processes':>10}")
    with CodeSandbox(timeout_s=0.3, memory_mb=64, workers=arguments.workers) as sandbox:
        for number in range(1, 11):
            started = time.perf_counter()
            wrong += run_stage(sandbox, mixture(stage))
            speed = stage / (time.perf_counter() - started)
            seen.append(now := usage())
            print(
                f"{number * stage:9} {speed:7.0f} {now.caller_mb:10.1f} {now.workers_mb:11.1f}"
                f" {now.descriptors:12} {now.processes:10}",
                flush=True,
            )
    for outcome, times in wrong.most_common(5):
        print(f"wrong, {times} times: {outcome}")
    early, late = seen[1], seen[-1]
    grew = [
        name
        for name, slack in zip(Usage._fields, (SLACK_MB, SLACK_MB, 0, 0), strict=True)
        if getattr(late, name) > getattr(early, name) + slack
    ]
    left = usage().processes
    print(f"wrong results: {wrong.total()}; grew: {', '.join(grew) or 'nothing'}; processes left after close: {left}")
    return 1 if wrong or grew or left else 0


if __name__ == "__main__":
    sys.exit(main())
