"""Reads a file by more steps up than there are, and by the links in /proc that lead out of a changed root.

Expected: security_violation
"""

print(attempt(lambda: open("../" * 40 + SECRET).read()))
for process in ("self", "1", os.getppid(), CALLER, BYSTANDER):
    for link in ("root", "cwd"):
        print(attempt(lambda: open(f"/proc/{process}/{link}{SECRET}").read()))
    for fd in range(10):
        if attempt(os.open, f"/proc/{process}/fd/{fd}", os.O_RDWR | os.O_NONBLOCK) is not None:
            print("LEAKED", process, fd)
