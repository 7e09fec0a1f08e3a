"""Leaves a grandchild in a session of its own, to outlive it and its parent.

Expected: security_violation
"""

import time

attempt(os.setsid)
attempt(os.setpgid, 0, 0)
if attempt(os.fork) == 0:
    attempt(os.setsid)
    if attempt(os.fork) == 0:
        time.sleep(60)
    call("exit_group", 0)
