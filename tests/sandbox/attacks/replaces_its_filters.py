"""Puts filters and rules of its own above those of the sandbox, to answer its calls itself.

Expected: security_violation
"""

allow_all = bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F])
buffer = ctypes.create_string_buffer(allow_all, 8)
header = (1).to_bytes(8, "little") + ctypes.addressof(buffer).to_bytes(8, "little")
with_listener = 8
for name, *args in (
    ("seccomp", 1, 0, header),
    ("seccomp", 1, with_listener, header),
    ("prctl", 22, 2, header, 0, 0),
    ("landlock_create_ruleset", (1).to_bytes(8, "little"), 8, 0),
):
    if call(name, *args) >= 0:
        print("LEAKED", name)
