"""Reads the checkout: its tests, its sources and its data folder.

Expected: security_violation
"""

print(attempt(lambda: open(DATA + "/evaluation.json").read()))
for folder in (DATA, REPOSITORY + "/data", REPOSITORY + "/tests", REPOSITORY + "/.git"):
    if attempt(os.listdir, folder):
        print("LEAKED", folder)
for folder, name in ((REPOSITORY, "pyproject.toml"), (ARCGYM, "errors.py")):
    if name in (attempt(os.listdir, folder) or []) or attempt(lambda: open(f"{folder}/{name}").read()):
        print("LEAKED", folder)
