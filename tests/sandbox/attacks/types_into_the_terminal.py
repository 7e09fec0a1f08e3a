"""Types a command into the terminal from which the sandbox was started.

Expected: security_violation
"""

import fcntl

type_in, become_terminal = 0x5412, 0x540E
for fd in (0, 1, 2, attempt(os.open, "/dev/tty", os.O_RDWR)):
    if fd is not None:
        for command, value in ((type_in, b"x"), (become_terminal, 0)):
            try:
                fcntl.ioctl(fd, command, value)
                print("LEAKED", fd)
            except OSError:
                pass
attempt(os.openpty)
