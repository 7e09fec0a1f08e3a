"""Takes descriptors out of other processes by pidfd.

Expected: security_violation
"""

for process in (os.getppid(), CALLER, BYSTANDER, os.getpid()):
    pidfd = call("pidfd_open", process, 0)
    if pidfd >= 0:
        print("LEAKED", process)
    for fd in range(10):
        if call("pidfd_getfd", pidfd, fd, 0) >= 0:
            print("LEAKED", fd)
    if call("pidfd_send_signal", pidfd, 0, None, 0) == 0 or call("kcmp", process, os.getpid(), 0, 6, 6) >= 0:
        print("LEAKED")
