"""Runs another program, beside itself and in its own place.

Expected: security_violation
"""

import subprocess

attempt(lambda: print(subprocess.check_output(["/bin/echo", "LEAKED"])))
for path in (sys.executable, "/bin/sh", "/bin/true"):
    if attempt(os.posix_spawn, path, [path], {}):
        print("LEAKED", path)
    attempt(os.execv, path, [path])
    call("execve", path.encode(), None, None)
    call("execveat", -100, path.encode(), None, None, 0)
if attempt(os.system, "true") == 0:
    print("LEAKED")
