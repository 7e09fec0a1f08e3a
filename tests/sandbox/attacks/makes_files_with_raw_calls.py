"""Makes files by every system call that makes some, in memory as well, where they are room beyond its limit.

Expected: security_violation
"""

path, flags, here = (SECRET + "-new").encode(), os.O_CREAT | os.O_RDWR, -100
for name, *args in (
    ("open", path, flags, 0o644),
    ("creat", path, 0o644),
    ("openat", here, path, flags, 0o644),
    ("openat2", here, path, flags.to_bytes(8, "little") + bytes(16), 24),
    ("memfd_create", b"room", 0),
    ("memfd_secret", 0),
    ("shmget", 0x4A7C, 4096, 0o1666),
    ("semget", 0x4A7C, 1, 0o1666),
    ("msgget", 0x4A7C, 0o1666),
    ("mq_open", b"arcgym-test", flags, 0o600, None),
):
    if call(name, *args) >= 0:
        print("LEAKED", name)
