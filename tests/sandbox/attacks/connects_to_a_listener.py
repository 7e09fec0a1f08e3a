"""Connects to a listener on loopback, and listens itself.

Expected: security_violation
"""

import socket

for address in (("127.0.0.1", PORT), ("::1", PORT), ("localhost", PORT)):
    if attempt(socket.create_connection, address, 1):
        print("LEAKED", address)
for address in (("127.0.0.1", 0), ("0.0.0.0", 0)):
    if attempt(socket.create_server, address):
        print("LEAKED", address)
