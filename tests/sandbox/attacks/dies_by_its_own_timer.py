"""Sets timers that fire in its own time and long after, and dies by the first.

Expected: crashed
"""

import signal
import time

signal.alarm(2)
signal.setitimer(signal.ITIMER_PROF, 3)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.02)


def transform(grid):
    while time.process_time() < 100:
        pass
    return grid
