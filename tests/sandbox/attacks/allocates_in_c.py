"""Maps memory of all kinds past Python, and pushes the end of the heap.

Expected: security_violation
"""

size, read_write = 1 << 24, 3
shared, private, noreserve, grows_down, huge = 0x21, 0x22, 0x4022, 0x122, 0x40022
mapped = 0
for flags in (shared, private, noreserve, grows_down, huge):
    for _ in range(100):
        if call("mmap", 0, size, read_write, flags, -1, 0) > 0:
            mapped += size
for _ in range(100):
    if call("mremap", call("mmap", 0, 4096, read_write, private, -1, 0), 4096, size, 1) > 0:
        mapped += size
libc.malloc.restype = ctypes.c_void_p
while libc.malloc(ctypes.c_size_t(100_000)):
    mapped += 100_000
if mapped > 600 << 20 or call("mlock", id(mapped), 1) == 0:
    print("LEAKED", mapped)
