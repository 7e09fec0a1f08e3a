"""Linux's own means of confinement, through ctypes: namespaces, a new root, Landlock, seccomp-BPF.

No Python binding for these is maintained well enough to rest a sandbox on, and the system calls are few and stable.
Each function does one thing and raises OSError where the kernel refuses; which refusals matter is decided in `harden`.
Only the standard library is imported: the zygote loads this module without the rest of arcgym.

Reference: man 2 seccomp, landlock(7), namespaces(7), pivot_root(2); numbers from asm/unistd_64.h and
asm-generic/unistd.h.
"""

import ctypes
import errno
import functools
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

# name: (x86_64, aarch64); None where the architecture does not have the call.
SYSTEM_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "access": (21, None), "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124),
    "mremap": (25, 216), "msync": (26, 227), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None),
    "pause": (34, None), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103),
    "getpid": (39, 172), "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendto": (44, 206),
    "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "bind": (49, 200), "listen": (50, 201),
    "getsockname": (51, 204), "getpeername": (52, 205), "socketpair": (53, 199),
    "clone": (56, 220), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "exit": (60, 93), "wait4": (61, 260), "kill": (62, 129), "uname": (63, 160), "fcntl": (72, 25), "flock": (73, 32),
    "fsync": (74, 82), "truncate": (76, 45), "ftruncate": (77, 46), "getcwd": (79, 17), "chdir": (80, 49),
    "rename": (82, None), "mkdir": (83, None), "rmdir": (84, None), "creat": (85, None), "link": (86, None),
    "unlink": (87, None), "symlink": (88, None), "readlink": (89, None), "chmod": (90, None), "fchmod": (91, 52),
    "chown": (92, None), "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "ptrace": (101, 117), "getuid": (102, 174), "getgid": (104, 176),
    "setuid": (105, 146), "setgid": (106, 144), "geteuid": (107, 175), "getegid": (108, 177), "setpgid": (109, 154),
    "getppid": (110, 173), "getpgrp": (111, None), "setsid": (112, 157), "setreuid": (113, 145),
    "getgroups": (115, 158), "setgroups": (116, 159), "setresuid": (117, 147), "getresuid": (118, 148),
    "setresgid": (119, 149), "getresgid": (120, 150), "getpgid": (121, 155), "getsid": (124, 156), "capget": (125, 90),
    "capset": (126, 91), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "personality": (135, 92), "statfs": (137, 43), "fstatfs": (138, 44),
    "getpriority": (140, 141), "setpriority": (141, 140), "sched_getparam": (143, 121),
    "sched_setscheduler": (144, 119), "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "mlock": (149, 228), "munlock": (150, 229), "pivot_root": (155, 41),
    "prctl": (157, 167), "arch_prctl": (158, None), "setrlimit": (160, 164), "chroot": (161, 51), "mount": (165, 40),
    "umount2": (166, 39), "gettid": (186, 178), "tkill": (200, 130), "time": (201, None), "futex": (202, 98),
    "sched_setaffinity": (203, 122), "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "tgkill": (234, 131),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "get_mempolicy": (239, 236), "waitid": (247, 95),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "openat": (257, 56), "mkdirat": (258, 34),
    "newfstatat": (262, 79), "unlinkat": (263, 35), "renameat": (264, 38), "symlinkat": (266, 36),
    "readlinkat": (267, 78), "fchmodat": (268, 53), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "unshare": (272, 97), "set_robust_list": (273, 99), "utimensat": (280, 88), "dup3": (292, 24), "pipe2": (293, 59),
    "perf_event_open": (298, 241), "prlimit64": (302, 261), "setns": (308, 268), "getcpu": (309, 168),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "seccomp": (317, 277), "getrandom": (318, 278),
    "memfd_create": (319, 279), "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282),
    "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "pidfd_open": (434, 434), "clone3": (435, 435), "close_range": (436, 436),
    "openat2": (437, 437), "pidfd_getfd": (438, 438), "faccessat2": (439, 439),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip
_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def architecture() -> str:
    """The machine's name if it is one of those supported.

    Raises:
        OSError: another architecture, or a 32-bit interpreter.
    """
    machine = os.uname().machine
    if machine not in _AUDIT_ARCHITECTURES or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no system-call table for {machine} with {struct.calcsize('P') * 8}-bit pointers")
    return machine


def call_number(name: str, machine: str) -> int | None:
    """Number of a system call, None where `machine` lacks it."""
    return SYSTEM_CALLS[name][0 if machine == "x86_64" else 1]


def system_call_name(number: int) -> str:
    """Name of a system call of this machine, or its number."""
    column = 1 if os.uname().machine == "aarch64" else 0
    return next((name for name, numbers in SYSTEM_CALLS.items() if numbers[column] == number), f"number {number}")


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prepared_call(name: str, *arguments: int | bytes | None) -> Callable[[], int]:
    """A system call with its arguments made ready, for use after a fork: the less memory is written there, the better.

    Returns:
        What makes the call and returns its result, negative where the kernel refuses.
    """
    number = call_number(name, architecture())
    assert number is not None
    # Plain ints would be passed as 32-bit values; the upper halves of the registers would be garbage.
    widened = [ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments)]
    return functools.partial(_libc.syscall, *widened)


def _system_call(name: str, *arguments: int | bytes | None) -> int:
    return _check(prepared_call(name, *arguments)(), name)


# --- processes and privileges

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38


def prctl(option: int, value: int) -> None:
    """Set a process attribute."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def prepared_limit(resource: int, value: int) -> Callable[[], int]:
    """The call that sets both limits of this process on a resource."""
    return prepared_call("prlimit64", 0, resource, struct.pack("<QQ", value, value), None)


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets."""
    _system_call("capset", struct.pack("<Ii", 0x20080522, 0), bytes(24))


# --- memory

_READ, _WRITE, _EXECUTE = 1, 2, 4


_HUGE_PAGE = 2 << 20
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25


def merge_mappings() -> None:
    """Give neighbouring private mappings of one library the same rights, so that the kernel joins them.

    Five mappings of each library become two, which makes every fork and exit cheaper: the kernel copies and takes down
    each on its own. Read-only data becomes executable and relocated data writable, which means nothing in a process
    that runs programs of others anyhow: they may map such memory themselves.
    """
    mappings = _own_mappings()
    for before, mapping, after in zip([None, *mappings], mappings, [*mappings[1:], None], strict=False):
        if mapping.rights != "r--p" or not mapping.path.startswith("/"):
            continue
        if after and mapping.touches(after) and after.rights == "rw-p":
            rights = _READ | _WRITE
        elif (before and before.touches(mapping)) or (after and mapping.touches(after)):
            rights = _READ | _EXECUTE
        else:
            continue
        # A kernel that refuses (SELinux may) leaves it as it was: only speed is lost.
        _libc.mprotect(ctypes.c_void_p(mapping.start), ctypes.c_size_t(mapping.end - mapping.start), rights)


def use_huge_pages() -> None:
    """Put the heap into huge pages, where the kernel gives them: a fork copies one entry for each instead of 512.

    What a child writes is still copied in small pages. Kernels before 6.1 cannot; then nothing changes.
    """
    for mapping in _own_mappings():
        start, end = -(-mapping.start // _HUGE_PAGE) * _HUGE_PAGE, mapping.end // _HUGE_PAGE * _HUGE_PAGE
        # Larger ones are buffers that hold nothing, of BLAS for one: their pages should not be there at all.
        if mapping.rights == "rw-p" and mapping.path in ("", "[heap]") and 0 < end - start <= 8 * _HUGE_PAGE:
            for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
                _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def _own_mappings() -> "list[_Mapping]":
    with open("/proc/self/maps") as file:
        return [_Mapping.parse(line) for line in file]


class _Mapping(NamedTuple):
    start: int
    end: int
    rights: str
    path: str

    @classmethod
    def parse(cls, line: str) -> "_Mapping":
        span, rights, _, _, _, *path = line.split(None, 5)
        start, end = (int(number, 16) for number in span.split("-"))
        return cls(start, end, rights, path[0].strip() if path else "")

    def touches(self, other: "_Mapping") -> bool:
        return self.end == other.start and self.path == other.path


# --- namespaces and the new root

CLONE_NEW = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_NOATIME, _MS_NODIRATIME, _MS_BIND, _MS_REC, _MS_PRIVATE, _MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
_MNT_DETACH = 2
_STAGES = ("/mnt", "/media", "/srv", "/opt", "/tmp", "/var/tmp", "/run", "/home", "/var", "/usr/local")


def unshare(kind: str) -> None:
    """Move this process (for "pid": its next child) into a new namespace of that kind."""
    _check(_libc.unshare(ctypes.c_int(CLONE_NEW[kind])), f"unshare {kind}")


def map_own_user(uid: int, gid: int) -> None:
    """Give a fresh user namespace the one user that started it, under its own number."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def namespace_id(kind: str) -> int:
    """Identity of the namespace that this process is in."""
    name = {"mount": "mnt"}.get(kind, kind)
    return os.stat(f"/proc/self/ns/{name}").st_ino


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _check(_libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]), f"mount {target}")


def _bind_read_only(source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    _mount(source, target, None, _MS_BIND)
    # In a user namespace flags of the source must be kept; statvfs numbers all of them as mount does but RELATIME.
    flags = os.statvfs(source).f_flag
    kept = flags & (_MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME) | (_MS_RELATIME if flags & 4096 else 0)
    _mount(None, target, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | kept)


def enter_new_root(folders: Sequence[str], hidden: Sequence[str], canary: str) -> None:
    """Replace the root by one that holds `folders` read-only at their own paths, and nothing else.

    Args:
        folders: absolute paths, each without what it has below `hidden`.
        hidden: folders below those to be emptied; a member of `folders` below a hidden one stays visible.
        canary: absolute path of an empty folder to make, by which other layers are tested.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    stage = next(s for s in _STAGES if os.path.isdir(s) and not any((f + "/").startswith(s + "/") for f in folders))
    empty = _MS_NOSUID | _MS_NODEV
    _mount("sandbox", stage, "tmpfs", empty, "mode=755,size=1m,nr_inodes=1000")
    blanks = [stage]
    # Shorter paths first: numpy may lie below the site-packages that is hidden below the standard library.
    for path in sorted({*folders, *hidden}):
        if path not in hidden:
            _bind_read_only(path, stage + path)
        elif os.path.isdir(stage + path):
            _mount("sandbox", stage + path, "tmpfs", empty, "mode=755,size=1m,nr_inodes=1000")
            blanks.append(stage + path)
    os.makedirs(stage + canary, exist_ok=True)
    for blank in blanks:
        _mount(None, blank, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | empty)
    os.chdir(stage)
    _system_call("pivot_root", b".", b".")  # the old root ends up on top of the new one, and is taken off
    _check(_libc.umount2(b".", ctypes.c_int(_MNT_DETACH)), "umount2")
    os.chdir("/")


# --- Landlock

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3


def landlock_version() -> int:
    """Version of the kernel's Landlock interface.

    Raises:
        OSError: the kernel has none, or it is switched off.
    """
    return _system_call("landlock_create_ruleset", None, 0, 1)


def landlock(readable: Sequence[str]) -> None:
    """Deny this process and its children all files but reading `readable`, TCP, and signals out of the domain."""
    version = landlock_version()
    files = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    files |= 1 << 15 if version >= 5 else 0
    attributes = struct.pack("<Q", files)
    attributes += struct.pack("<Q", 3) if version >= 4 else b""  # TCP bind and connect
    attributes += struct.pack("<Q", 3) if version >= 6 else b""  # abstract sockets, signals
    ruleset = _system_call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path in readable:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
            try:
                rights = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
                _system_call("landlock_add_rule", ruleset, 1, struct.pack("<Qi", rights, fd), 0)
            finally:
                os.close(fd)
        _system_call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


# --- seccomp

ALLOW, KILL, NOTIFY = 0x7FFF0000, 0x80000000, 0x7FC00000
NEW_LISTENER = 1 << 3
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _JUMP, _RETURN = 0x20, 0x15, 0x45, 0x05, 0x06
_NUMBER, _ARCH = 0, 4


def error(code: int) -> int:
    """The filter action that makes a call fail with this errno."""
    return 0x00050000 | code


class Filter:
    """Assembles a seccomp program: rules in order, then a default.

    Rules compare the low 32 bits of one argument at most; the flags, commands and process numbers compared here need
    no more, because the kernel itself takes them as 32-bit values.
    """

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self._rules = b""

    def when(self, name: str, action: int) -> "Filter":
        """Take `action` for this call."""
        number = call_number(name, self.machine)
        if number is not None:
            self._rules += _op(_JUMP_EQUAL, number, 0, 1) + _op(_RETURN, action)
        return self

    def when_equal(self, name: str, argument: int, values: Sequence[int], then: int, otherwise: int) -> "Filter":
        """Take `then` if the argument is one of `values`."""
        tests = [_op(_JUMP_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]
        return self._on_argument(name, argument, b"".join(tests), then, otherwise)

    def when_any_bit(self, name: str, argument: int, mask: int, then: int, otherwise: int) -> "Filter":
        """Take `then` if the argument has any bit of `mask`."""
        return self._on_argument(name, argument, _op(_JUMP_ANY_BIT, mask, 1, 0), then, otherwise)

    def _on_argument(self, name: str, argument: int, tests: bytes, then: int, otherwise: int) -> "Filter":
        number = call_number(name, self.machine)
        if number is None:
            return self
        body = _op(_LOAD, 16 + 8 * argument) + tests + _op(_RETURN, otherwise) + _op(_RETURN, then)
        self._rules += _op(_JUMP_EQUAL, number, 0, len(body) // 8) + body
        return self

    def otherwise(self, action: int) -> bytes:
        """The finished program."""
        arch = _op(_LOAD, _ARCH) + _op(_JUMP_EQUAL, _AUDIT_ARCHITECTURES[self.machine], 1, 0) + _op(_RETURN, KILL)
        return arch + _op(_LOAD, _NUMBER) + self._rules + _op(_RETURN, action)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


class PreparedFilter:
    """A filter in the form that the kernel takes, made once and installed after every fork.

    Attributes:
        call: installs it without a listener; its result is negative where the kernel refuses.
    """

    def __init__(self, program: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(self._buffer))
        self.call = prepared_call("seccomp", 1, 0, header)
        self._call_with_listener = prepared_call("seccomp", 1, NEW_LISTENER, header)

    def install(self, listen: bool = False) -> int:
        """Put it in force for this process and its children, for good; needs PR_SET_NO_NEW_PRIVS.

        Returns:
            The listener's descriptor with `listen`, else 0.
        """
        return _check(self._call_with_listener() if listen else self.call(), "seccomp")


_FORK_FLAGS = 0x01200011  # CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, as the C library forks
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # write modes, O_CREAT, O_TRUNC, O_TMPFILE
_ALLOWED = (
    "read write readv writev pread64 pwrite64 close close_range lseek fstat stat lstat newfstatat statx access"
    " faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir dup dup2 dup3 pipe pipe2 poll ppoll select"
    " pselect6 mmap mprotect munmap mremap msync madvise brk futex set_robust_list set_tid_address rseq sched_yield"
    " sched_getaffinity getcpu getpid gettid getppid getuid getgid geteuid getegid getresuid getresgid getgroups"
    " getpgrp getpgid getsid setsid uname sysinfo times time gettimeofday clock_gettime clock_getres nanosleep"
    " clock_nanosleep getrusage getrlimit prlimit64 getrandom rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending"
    " rt_sigtimedwait rt_sigsuspend sigaltstack pause alarm getitimer setitimer restart_syscall exit exit_group"
    " wait4 waitid kill tkill tgkill seccomp recvmsg recvfrom sendto"
).split()
# Refused without ado: libraries try these for speed, no attack is shown by them.
_REFUSED_QUIETLY = (
    "getsockname getpeername"
    " sched_setaffinity sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max"
    " sched_get_priority_min mbind set_mempolicy get_mempolicy getpriority setpriority mlock munlock membarrier"
    " capget personality arch_prctl statfs fstatfs flock fsync fadvise64 umask"
).split()
_CHILD_REFUSED = "kill tkill tgkill setsid setpgid seccomp recvmsg recvfrom sendto wait4 waitid".split()


def zygote_filter(machine: str, notify: bool) -> bytes:
    """The allow-list for the zygote and, with `child_filter` on top, for programs.

    An allow-list, because the kernel gains calls with every release and a deny-list ages. What is not on it fails with
    EPERM, so that a program's traceback still shows the line; with `notify` the zygote is asked to refuse, and so
    knows.
    """
    refuse = error(errno.EPERM)
    rules = Filter(machine)
    rules.when_equal("clone", 0, [_FORK_FLAGS], then=ALLOW, otherwise=NOTIFY if notify else refuse)
    rules.when("clone3", error(errno.ENOSYS))  # its flags are in memory, where a filter cannot look
    rules.when_any_bit("openat", 2, _WRITING, then=NOTIFY if notify else refuse, otherwise=ALLOW)
    rules.when_any_bit("open", 1, _WRITING, then=NOTIFY if notify else refuse, otherwise=ALLOW)
    rules.when_equal("prctl", 0, [PR_SET_PDEATHSIG], then=ALLOW, otherwise=refuse)
    # isatty; close-on-exec; the listener's receive and send
    rules.when_equal("ioctl", 1, [0x5401, 0x5450, 0x5451, 0xC0502100, 0xC0182101], then=ALLOW, otherwise=refuse)
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; F_SETOWN would send signals
    rules.when_equal("fcntl", 1, [0, 1, 2, 3, 4, 1030], then=ALLOW, otherwise=refuse)
    for name in _ALLOWED:
        rules.when(name, ALLOW)
    for name in _REFUSED_QUIETLY:
        rules.when(name, refuse)
    return rules.otherwise(NOTIFY if notify else refuse)


def child_filter(machine: str) -> bytes:
    """What the zygote may do and a program may not: fork, signal, talk on sockets, change limits or filters."""
    refuse = error(errno.EPERM)
    rules = Filter(machine)
    # With other flags the zygote's filter acts.
    rules.when_equal("clone", 0, [_FORK_FLAGS], then=refuse, otherwise=ALLOW)
    # Its own limits it may lower, not raise; those of the zygote, which has the same user, it must not touch.
    rules.when_equal("prlimit64", 0, [0], then=ALLOW, otherwise=refuse)
    rules.when("prctl", refuse)
    for name in _CHILD_REFUSED:
        rules.when(name, refuse)
    return rules.otherwise(ALLOW)


def supported() -> bool:
    """Whether this is a Linux that the module knows."""
    return sys.platform == "linux" and os.uname().machine in _AUDIT_ARCHITECTURES
