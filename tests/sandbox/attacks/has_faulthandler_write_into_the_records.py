"""Has the traceback that the sandbox asks for written among its records.

Expected: timeout
"""

import faulthandler
import signal

faulthandler.enable(file=RECORDS)
faulthandler.register(signal.SIGUSR2, file=RECORDS, chain=False)


def transform(grid):
    while True:
        pass
