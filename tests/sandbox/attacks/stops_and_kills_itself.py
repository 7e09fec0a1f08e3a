"""Stops itself, so that it uses no time, and kills itself, to look like a program that the kernel killed.

Expected: security_violation
"""

import signal

for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGKILL):
    attempt(os.kill, os.getpid(), number)
    attempt(signal.raise_signal, number)
    for name, *args in (
        ("kill", os.getpid(), number),
        ("tkill", os.getpid(), number),
        ("tgkill", os.getpid(), os.getpid(), number),
    ):
        if call(name, *[int(arg) for arg in args]) == 0:
            print("LEAKED", name)
