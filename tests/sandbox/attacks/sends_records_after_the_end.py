"""Finds the run's number through the garbage collector, ends the stream itself, and goes on.

Expected: security_violation
"""

import gc
import struct

gc.unfreeze()
runner = next(o for o in gc.get_objects() if type(o).__name__ == "Runner" and any(o._nonce))
assert any(type(o) is dict or hasattr(o, "f_locals") for o in gc.get_referrers(runner))


def send(kind, index, content):
    body = struct.pack("<c8sH", kind, runner._nonce, index) + content
    os.write(RECORDS, struct.pack("<I", len(body)) + body)


send(b"G", 0, b"\1\1\1")
send(b"E", 0xFFFF, b"\0\0\0")
send(b"G", 1, b"\1\1\x63")
