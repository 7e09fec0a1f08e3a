"""Overwrites a file, and looks for one folder, of all that a Linux has, in which it may leave another.

Expected: security_violation
"""

if attempt(lambda: open(SECRET, "w").write("changed")):
    print("LEAKED")
usual = (
    "/ . /tmp /var/tmp /dev/shm /dev /dev/mqueue /run /run/lock /home /root /var/cache /opt /srv /proc/self /canary"
)
for folder in (*usual.split(), *sys.path, os.path.dirname(os.__file__), os.path.dirname(SECRET)):
    name = os.path.join(folder, "arcgym-test-left-behind")
    if attempt(os.open, name, os.O_CREAT | os.O_WRONLY, 0o666) is not None:
        print("LEAKED", folder)
    if attempt(os.open, folder, os.O_TMPFILE | os.O_RDWR, 0o600) is not None:
        print("LEAKED", folder)
