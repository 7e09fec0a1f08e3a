"""Forks without end.

Expected: security_violation
"""

while True:
    if os.fork() == 0:
        print("LEAKED")
