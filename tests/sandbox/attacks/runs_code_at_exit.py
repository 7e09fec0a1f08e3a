"""Leaves code behind that runs when the interpreter ends, after its result was judged.

Expected: ok
"""

import atexit
import threading
import weakref


class Late:
    def __del__(self):
        tell()


def tell():
    os.write(RECORDS, b"LEAKED")


late = Late()
atexit.register(tell)
weakref.finalize(late, tell)
threading._register_atexit(tell)
sys.exitfunc = tell
