"""Waits until its time is up, is woken by the signal that asks where it is, and returns a grid all the same.

Expected: timeout
"""

import signal
import time


class WokenError(BaseException):
    pass


def wake(number, frame):
    raise WokenError


for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGXCPU):
    signal.signal(number, wake)


def transform(grid):
    try:
        time.sleep(1000)
    except WokenError:
        pass
    return grid
