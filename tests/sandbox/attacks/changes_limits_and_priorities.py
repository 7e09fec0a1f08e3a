"""Raises its own limits and priority, and lowers those of others, so that later programs have too little.

Expected: security_violation
"""

import resource

_, memory = resource.getrlimit(resource.RLIMIT_AS)
narrow = (ctypes.c_ulong * 2)(1 << 20, 1 << 20)
deeds = [
    (resource.setrlimit, resource.RLIMIT_AS, (-1, -1)),
    (resource.setrlimit, resource.RLIMIT_AS, (memory + 1, memory + 1)),
    (resource.setrlimit, resource.RLIMIT_CPU, (-1, -1)),
    (resource.setrlimit, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    (os.setpriority, os.PRIO_PROCESS, 0, -20),
    (os.setpriority, os.PRIO_USER, os.getuid(), 19),
    (os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)),
    (os.nice, -20),
]
for process in (os.getppid(), CALLER, BYSTANDER):
    deeds += [
        (resource.prlimit, process, resource.RLIMIT_CPU, (1, 1)),
        (os.setpriority, os.PRIO_PROCESS, process, 19),
        (os.sched_setaffinity, process, [0]),
    ]
    if call("prlimit64", process, int(resource.RLIMIT_AS), narrow, None) == 0:
        print("LEAKED", process)
for function, *args in deeds:
    try:
        function(*args)
        print("LEAKED", function, args)
    except (ValueError, OSError):
        pass
