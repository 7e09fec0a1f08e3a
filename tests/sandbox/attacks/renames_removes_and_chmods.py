"""Changes what a folder holds and who may read it, by Python and by system calls.

Landlock alone does not refuse a change of rights, owners and times.
Expected: security_violation
"""

for function, *args in (
    (os.rename, SECRET, SECRET + "-new"),
    (os.remove, SECRET),
    (os.truncate, SECRET, 0),
    (os.chmod, SECRET, 0),
    (os.chown, SECRET, 0, 0),
    (os.utime, SECRET, (0, 0)),
    (os.setxattr, SECRET, "user.x", b"1"),
    (os.mkdir, SECRET + "-folder"),
    (os.rmdir, os.path.dirname(SECRET)),
    (os.mkfifo, SECRET + "-pipe"),
):
    try:
        function(*args)
        print("LEAKED", function)
    except OSError:
        pass
old, new, here = SECRET.encode(), (SECRET + "-new").encode(), -100
for name, *args in (
    ("renameat", here, old, here, new),
    ("unlinkat", here, old, 0),
    ("fchmodat", here, old, 0),
    ("mkdirat", here, new, 0o755),
    ("symlinkat", old, here, new),
    ("utimensat", here, old, None, 0),
):
    if call(name, *args) == 0:
        print("LEAKED", name)
