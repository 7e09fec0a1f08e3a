"""Connects to a listener by its path, and to one by its abstract name, which no rule on files can guard.

Expected: security_violation
"""

import socket

for address in (SOCKET, ABSTRACT):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        client = attempt(socket.socket, socket.AF_UNIX, kind)
        if client and attempt(client.connect_ex, address) == 0:
            print("LEAKED", address)
