"""Takes each descriptor that it was born with for a socket, the sandbox's own above all, and speaks on it.

Expected: security_violation
"""

import socket

for fd in range(64):
    inherited = attempt(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd))
    if inherited:
        for function, *args in ((inherited.send, b"KILL" + bytes(8)), (inherited.recv, 64), (inherited.getpeername,)):
            if attempt(function, *args):
                print("LEAKED", fd)
        inherited.detach()
    if call("sendto", fd, b"RUN " + bytes(8), 12, 0, None, 0) > 0:
        print("LEAKED", fd)
