"""Makes calls of the x32 and the 32-bit interface, whose numbers mean other calls than those that a filter looks for.

Expected: security_violation
"""

import mmap

x32 = 0x40000000
for name, *args in (
    ("socket", 2, 1, 0),
    ("openat", -100, SECRET.encode(), 0),
    ("getpid",),
    ("execve", None, None, None),
):
    if call(x32 | NUMBERS[name], *args) >= 0:
        print("LEAKED", name)
# i386's socket(AF_INET, SOCK_STREAM, 0) by `int 0x80`; a fault where the kernel has no such interface
push_rbx, pop_rbx, back = b"\x53", b"\x5b", b"\xc3"
family, kind, protocol = b"\xbb\x02\0\0\0", b"\xb9\x01\0\0\0", b"\x31\xd2"
socket_call = b"\xb8\x67\x01\0\0\xcd\x80"
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(push_rbx + family + kind + protocol + socket_call + pop_rbx + back)
if os.uname().machine == "x86_64":
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if function() >= 0:
        print("LEAKED")
