"""Writes to every descriptor: noise, then records of a grid without the run's number.

Expected: security_violation
"""

import struct

body = b"G" + bytes(8) + struct.pack("<HBB", 0, 1, 1) + b"\1"
for data in (b"\x05\0\0\0hello", struct.pack("<I", len(body)) + body):
    for fd in range(64):
        attempt(os.write, fd, data)
call("exit_group", 0)
