"""Makes its parent the owner of a pipe, to which the kernel then sends a signal with every write.

Expected: security_violation
"""

import fcntl
import signal

reading, writing = os.pipe()
for fd in (reading, RECORDS, TRACE):
    for command, value in ((fcntl.F_SETOWN, os.getppid()), (10, signal.SIGKILL), (fcntl.F_SETFL, os.O_ASYNC)):
        attempt(fcntl.fcntl, fd, command, value)
    if attempt(fcntl.fcntl, fd, fcntl.F_GETOWN):
        print("LEAKED", fd)
os.write(writing, b"now")
