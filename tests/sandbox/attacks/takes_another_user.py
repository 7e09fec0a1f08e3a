"""Becomes root, or the user of another program, and takes back what rights there are.

Expected: security_violation
"""

capabilities = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
for name, *args in (
    ("setuid", 0),
    ("setresuid", 0, 0, 0),
    ("setresgid", 0, 0, 0),
    ("setreuid", 0, os.getuid()),
    ("setgroups", 1, bytes(4)),
    ("capset", (0x20080522).to_bytes(8, "little"), capabilities),
):
    if call(name, *args) == 0:
        print("LEAKED", name)
