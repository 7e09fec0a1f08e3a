"""Starts threads by Python, by the C library, and by faulthandler's watchdog.

Expected: security_violation
"""

import _thread
import ctypes
import faulthandler
import threading

for _ in range(10):
    attempt(threading.Thread(target=print, args=("LEAKED",)).start)
    attempt(_thread.start_new_thread, print, ("LEAKED",))
thread, run = ctypes.c_ulong(), ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: None)
if ctypes.CDLL(None).pthread_create(ctypes.byref(thread), None, run, None) == 0:
    print("LEAKED")
attempt(lambda: faulthandler.dump_traceback_later(0.01, repeat=True, file=TRACE) or print("LEAKED"))
