"""Forks by every system call that forks, with flags for processes, threads and new namespaces.

Expected: security_violation
"""

sigchld = 17
c_library, thread, vfork, new_user, parent = 0x01200000, 0x003D0F00, 0x4100, 0x10000000, 0x8000
arguments = sigchld.to_bytes(64, "little")
for name, *args in (
    ("clone", c_library | sigchld, 0, 0, 0, 0),
    ("clone", sigchld, 0, 0, 0, 0),
    ("clone", new_user | sigchld, 0, 0, 0, 0),
    ("clone", parent | sigchld, 0, 0, 0, 0),
    ("clone", vfork | sigchld, 0, 0, 0, 0),
    ("clone", thread, 0, 0, 0, 0),
    ("fork",),
    ("vfork",),
    ("clone3", arguments, len(arguments)),
):
    process = call(name, *args)
    if process >= 0:
        print("LEAKED", name)
    if process == 0:
        call("exit_group", 0)
