"""Replaces the functions and modules by which the sandbox makes a record in its process.

Expected: security_violation
"""

frame = sys._getframe()
while "plain_grid" not in frame.f_globals:
    frame = frame.f_back
protocol = frame.f_globals["protocol"]
frame.f_globals["plain_grid"] = lambda value: protocol.PlainGrid(1, 1, b"\x63")
for name in ("os", "struct", "numpy", "arcgym.sandbox.protocol", "builtins"):
    sys.modules[name] = None
