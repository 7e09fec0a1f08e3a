"""Opens the kernel's widest doors: io_uring, userfaultfd, BPF, performance counters, keyrings.

io_uring opens and connects without a system call; most faults of the last years were in these.
Expected: security_violation
"""

session_keyring = -3
map_attributes = b"".join(value.to_bytes(4, "little") for value in (2, 4, 8, 1)) + bytes(112)
software_counter = (1).to_bytes(4, "little") + (112).to_bytes(4, "little") + bytes(104)
for name, *args in (
    ("io_uring_setup", 8, ctypes.create_string_buffer(120)),
    ("io_setup", 8, ctypes.create_string_buffer(8)),
    ("userfaultfd", 1),
    ("userfaultfd", 0),
    ("bpf", 0, map_attributes, len(map_attributes)),
    ("perf_event_open", software_counter, 0, -1, -1, 0),
    ("keyctl", 0, session_keyring, 1),
    ("add_key", b"user", b"arcgym-test", b"x", 1, session_keyring),
    ("request_key", b"user", b"arcgym-test", None, session_keyring),
    ("fanotify_init", 0x200, 0),
    ("inotify_init1", 0),
    ("timer_create", 0, None, ctypes.create_string_buffer(8)),
):
    if call(name, *args) >= 0:
        print("LEAKED", name)
