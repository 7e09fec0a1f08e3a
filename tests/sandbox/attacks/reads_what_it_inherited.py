"""Looks for secrets in its environment and arguments, and for descriptors that somebody forgot to close.

One that is a folder would be a way past every rule on paths.
Expected: ok
"""

import stat

for value in (*os.environ.values(), *os.environb.values(), *sys.orig_argv, *sys.argv):
    if "LEAKED" in str(value):
        print("LEAKED")
for fd in range(64):
    kind = attempt(lambda: os.fstat(fd).st_mode)
    if kind is None:
        continue
    if stat.S_ISDIR(kind) or stat.S_ISSOCK(kind) or stat.S_ISREG(kind) or stat.S_ISBLK(kind):
        print("LEAKED", fd, oct(kind))
    if attempt(os.read, fd, 100):
        print("LEAKED", fd)
