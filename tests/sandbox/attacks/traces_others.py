"""Attaches to other processes as a debugger, and reads and writes their memory.

Expected: security_violation
"""

trace_me, attach, seize = 0, 16, 0x4206
set_dumpable, set_tracer, anyone = 4, 0x59616D61, -1
for option, value in ((set_dumpable, 1), (set_tracer, anyone)):
    if call("prctl", option, value, 0, 0, 0) == 0:
        print("LEAKED", option)
buffer = ctypes.create_string_buffer(8)
vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 8)
there = (ctypes.c_ulong * 2)(id(sys.modules), 8)  # a copy of its parent: the same addresses mean the same things there
for process in (os.getppid(), CALLER, BYSTANDER):
    for request in (attach, seize):
        if call("ptrace", request, process, 0, 0) == 0:
            print("LEAKED", process)
    for name in ("process_vm_readv", "process_vm_writev"):
        if call(name, process, vector, 1, there, 1, 0) > 0:
            print("LEAKED", name, process)
if call("ptrace", trace_me, 0, 0, 0) == 0:
    print("LEAKED")
