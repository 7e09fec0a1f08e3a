"""Reads the solutions and metrics that a training run keeps.

Expected: security_violation
"""

import contextlib

with contextlib.suppress(ImportError):
    import sqlite3

    rows = attempt(
        lambda: sqlite3.connect(f"file:{RUN}/solutions.sqlite?mode=ro", uri=True).execute("select * from s")
    )
    print(rows and rows.fetchall())
print(attempt(lambda: open(RUN + "/metrics.jsonl").read()))
print(attempt(lambda: open(RUN + "/solutions.sqlite", "rb").read()))
