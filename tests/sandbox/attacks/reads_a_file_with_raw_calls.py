"""Opens a file by every system call that opens, by its path and by its handle.

Python's own functions tell of what they open; the kernel's do not.
Expected: security_violation
"""

path, here = SECRET.encode(), -100
handle, mount = ctypes.create_string_buffer((128).to_bytes(4, "little"), 8 + 128), ctypes.c_int()
call("name_to_handle_at", here, path, handle, ctypes.byref(mount), 0)
for fd in (
    call("open", path, os.O_RDONLY, 0),
    call("openat", here, path, os.O_RDONLY, 0),
    call("openat2", here, path, bytes(24), 24),
    call("open_by_handle_at", here, handle, os.O_RDONLY),
):
    if fd >= 0:
        print(os.read(fd, 100))
