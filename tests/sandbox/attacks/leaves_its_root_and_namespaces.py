"""Changes its root and what is mounted, enters namespaces where it would be root, and those of others.

Expected: security_violation
"""

here = -100
for name, *args in (
    ("chroot", b"/canary"),
    ("chroot", b"."),
    ("mount", b"none", b"/", b"tmpfs", 0, None),
    ("mount", b"none", b"/canary", b"proc", 0, None),
    ("mount", b"/", b"/canary", None, 4096, None),
    ("umount2", b"/", 2),
    ("pivot_root", b".", b"."),
    ("fsopen", b"tmpfs", 0),
    ("open_tree", here, b"/", 1),
    ("move_mount", here, b"/", here, b"/canary", 0),
    *(("unshare", 1 << bit) for bit in (17, 25, 26, 27, 28, 29, 30)),
    *(("setns", fd, 0) for fd in range(64)),
):
    if call(name, *args) >= 0:
        print("LEAKED", name)
