"""Reads the temporary file of another program and a segment that others share, whose names it happens to know.

Expected: security_violation
"""

import tempfile

for path in (TEMPORARY, SHARED):
    print(attempt(lambda: open(path).read()))
    if attempt(os.listdir, os.path.dirname(path)):
        print("LEAKED", path)
attempt(lambda: print("LEAKED", tempfile.mkdtemp()))
try:
    from multiprocessing import shared_memory

    print(bytes(shared_memory.SharedMemory(os.path.basename(SHARED)).buf))
except (ImportError, OSError):
    pass
