"""Computes a little and sleeps a little, so that it neither uses up its time nor seems to wait.

Expected: timeout
"""

import time


def transform(grid):
    while True:
        started = time.process_time()
        while time.process_time() < started + 0.002:
            pass
        time.sleep(0.03)
