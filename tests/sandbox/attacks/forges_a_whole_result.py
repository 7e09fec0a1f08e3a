"""Takes the run's number from the stack, writes all records itself, and leaves.

It may: a grid of its own choice is what any program can return.
Expected: ok
"""

import struct

frame = sys._getframe()
while "self" not in frame.f_locals:
    frame = frame.f_back
nonce = frame.f_locals["self"]._nonce
for kind, index, content in ((b"G", 0, b"\1\1\1"), (b"E", 0xFFFF, b"\0\0\0")):
    body = struct.pack("<c8sH", kind, nonce, index) + content
    os.write(RECORDS, struct.pack("<I", len(body)) + body)
sys.modules["posix"]._exit(0)
