"""Makes sockets of every family and kind, and pairs of them, over which descriptors could be handed on.

Expected: security_violation
"""

pair = (ctypes.c_int * 2)()
for family in range(46):
    for kind in (1, 2, 3):
        if call("socket", family, kind, 0) >= 0 or call("socketpair", family, kind, 0, pair) >= 0:
            print("LEAKED", family, kind)
