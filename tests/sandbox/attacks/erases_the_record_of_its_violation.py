"""Does what is forbidden, and then erases what the sandbox noticed of it in its own process.

Expected: security_violation
"""

import socket


def silence(event, args):
    if event.startswith("socket"):
        raise InterruptedError


sys.addaudithook(silence)
for family in (socket.AF_INET, socket.AF_UNIX):
    if attempt(socket.socket, family):
        print("LEAKED")
if call("socket", 2, 1, 0) >= 0:
    print("LEAKED")
frame = sys._getframe()
while "self" not in frame.f_locals:
    frame = frame.f_back
frame.f_locals["self"]._violation = None
