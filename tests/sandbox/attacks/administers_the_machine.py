"""Does what an administrator may: the host's name, clock, log, modules, swap and restart.

Expected: security_violation
"""

for name, *args in (
    ("sethostname", b"leaked", 6),
    ("settimeofday", None, None),
    ("clock_settime", 0, bytes(16)),
    ("adjtimex", ctypes.create_string_buffer(208)),
    ("syslog", 10, None, 0),
    ("init_module", b"", 0, b""),
    ("finit_module", 0, b"", 0),
    ("kexec_load", 0, 0, None, 0),
    ("swapon", b"/canary", 0),
    ("acct", None),
    ("reboot", 0xFEE1DEAD, 672274793, 0, None),
):
    if call(name, *args) >= 0:
        print("LEAKED", name)
