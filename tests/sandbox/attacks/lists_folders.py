"""Lists folders by all of Python's ways.

Expected: security_violation
"""

import glob
import pathlib

folder = os.path.dirname(SECRET)
found = [
    attempt(os.listdir, folder),
    attempt(lambda: [entry.name for entry in os.scandir(folder)]),
    attempt(lambda: list(os.walk(folder))),
    attempt(glob.glob, folder + "/*"),
    attempt(lambda: list(pathlib.Path(folder).iterdir())),
    attempt(os.listdir, "/proc"),
    attempt(os.listdir, "/"),
]
if "secret.txt" in repr(found) or found[5]:
    print("LEAKED")
