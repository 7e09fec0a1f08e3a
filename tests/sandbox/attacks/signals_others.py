"""Signals its parent, its group, its siblings and everyone, by Python and by system calls.

Expected: security_violation
"""

import signal

for process in (os.getppid(), -1, 0, CALLER, -CALLER, BYSTANDER):
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1, 0):
        try:
            os.kill(process, number)
            print("LEAKED", process)
        except OSError:
            pass
attempt(lambda: os.killpg(0, signal.SIGTERM) or print("LEAKED"))
number, information = int(signal.SIGTERM), bytes(128)
for process in (os.getppid(), CALLER, BYSTANDER):
    for name, *args in (
        ("kill", process, number),
        ("kill", -process, number),
        ("tkill", process, number),
        ("tgkill", process, process, number),
        ("rt_sigqueueinfo", process, number, information),
        ("rt_tgsigqueueinfo", process, process, number, information),
    ):
        if call(name, *args) == 0:
            print("LEAKED", name, process)
