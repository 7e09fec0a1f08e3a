"""Exits as a script would.

Expected: runtime_error
"""

sys.exit(0)
