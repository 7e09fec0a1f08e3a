"""Reads what /proc tells of other processes, and memory as a file: theirs, its own, the kernel's.

Expected: security_violation
"""

names = ("environ", "cmdline", "maps", "auxv", "status", "mem")
processes = ("self", "thread-self", 1, os.getppid(), CALLER, BYSTANDER)
paths = [f"/proc/{process}/{name}" for process in processes for name in names]
for path in (*paths, "/proc/kcore", "/proc/kallsyms", "/proc/sysrq-trigger", "/dev/mem", "/dev/kmsg"):
    for flags in (os.O_RDONLY, os.O_RDWR):
        fd = attempt(os.open, path, flags)
        if fd is not None:
            print("LEAKED", path, attempt(os.pread, fd, 8, id(sys.modules)))
