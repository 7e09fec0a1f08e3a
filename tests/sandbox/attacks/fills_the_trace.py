"""Writes without end where the sandbox expects a traceback.

Expected: security_violation
"""

while True:
    os.write(TRACE, bytes(65536))
