"""Changes a library that it may read, so that later programs import what it wrote.

Expected: security_violation
"""

import json
import py_compile

import numpy as np

write, shared, private = 2, 1, 2
for path in (json.__file__, np.__file__, sys.modules["arcgym.primitives"].__file__):
    for mode in ("a", "r+", "w"):
        if attempt(open, path, mode):
            print("LEAKED", path)
    for function, *args in ((os.utime, path), (os.setxattr, path, "user.x", b"1"), (os.unlink, path)):
        try:
            function(*args)
            print("LEAKED", function, path)
        except OSError:
            pass
    if attempt(py_compile.compile, path):
        print("LEAKED", path)
    fd = os.open(path, os.O_RDONLY)
    address = call("mmap", 0, 4096, 1, shared, fd, 0)
    if call("mmap", 0, 4096, 1 | write, shared, fd, 0) > 0 or call("mprotect", address, 4096, 1 | write) == 0:
        print("LEAKED", path)
