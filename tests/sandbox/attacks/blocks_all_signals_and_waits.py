"""Ignores and blocks all signals, and waits for ever.

Expected: timeout
"""

import signal
import time

for number in signal.valid_signals():
    attempt(signal.signal, number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
time.sleep(1000)
