"""The tables agree with the kernel's headers, and the filters decide as they say."""

import re
import struct
import sys
from pathlib import Path

import pytest

from arcgym.sandbox import linux

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_agree_with_the_kernel_headers(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", HEADERS[machine].read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found}
    # asm-generic names a few after their 32-bit variants
    for ours, theirs in (("newfstatat", "fstatat"), ("fadvise64", "fadvise64")):
        numbers.setdefault(ours, numbers.get(theirs, -1))
    for name in linux.SYSTEM_CALLS:
        mine = linux.call_number(name, machine)
        if name in numbers:
            assert mine == numbers[name], name
        else:
            assert mine is None or mine >= 424, f"{name} is not in the header"


def decide(program: bytes, machine: str, name_or_number: str | int, *arguments: int, arch: int | None = None) -> int:
    """Run a filter as the kernel does: an independent, slow reading of the few instructions used."""
    number = name_or_number if isinstance(name_or_number, int) else linux.call_number(name_or_number, machine)
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine] if arch is None else arch
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, architecture, 0, *padded)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        elif code == 0x15:
            at += if_true if accumulator == value else if_false
        elif code == 0x45:
            at += if_true if accumulator & value else if_false
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


FORK = 0x01200011
REFUSE = linux.error(1)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("notify", [True, False])
def test_the_zygotes_filter(machine, notify):
    program = linux.zygote_filter(machine, notify)
    no = linux.NOTIFY if notify else REFUSE
    for name in ("read", "write", "mmap", "exit_group", "wait4", "recvmsg", "clock_gettime"):
        assert decide(program, machine, name) == linux.ALLOW
    for name in (
        "socket connect bind execve ptrace mount unshare setns bpf keyctl userfaultfd io_uring_setup process_vm_readv"
        " process_vm_writev memfd_create pidfd_getfd perf_event_open chroot setresuid capset openat2 execveat unlinkat"
    ).split():
        assert decide(program, machine, name) == no, name
    assert decide(program, machine, "clone", FORK) == linux.ALLOW
    for flags in (17, FORK | 0x10000000, FORK | 0x8000, 0x00010F00):
        assert decide(program, machine, "clone", flags) == no
    assert decide(program, machine, "clone3") == linux.error(38)
    for flags in (0, 0o2000000, 0o200000):  # reading, close-on-exec, a folder
        assert decide(program, machine, "openat", 0, 0, flags) == linux.ALLOW
    for flags in (1, 2, 0o100, 0o1000, 0o20200000):
        assert decide(program, machine, "openat", 0, 0, flags) == no
    assert decide(program, machine, "prctl", 1) == linux.ALLOW and decide(program, machine, "prctl", 22) == REFUSE
    assert decide(program, machine, "ioctl", 0, 0x5401) == linux.ALLOW
    assert decide(program, machine, "ioctl", 0, 0x5412) == REFUSE  # TIOCSTI: types into a terminal
    assert decide(program, machine, "fcntl", 0, 8) == REFUSE  # F_SETOWN: sends signals
    for unknown in (599, 0x40000000, 0x40000000 + 1):  # the second and third are x32 calls on x86_64
        assert decide(program, machine, unknown) == no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_childs_filter(machine):
    program = linux.child_filter(machine)
    for name in "kill tkill tgkill setsid setpgid seccomp recvmsg sendto recvfrom prctl wait4".split():
        assert decide(program, machine, name) == REFUSE, name
    assert decide(program, machine, "clone", FORK) == REFUSE
    assert (
        decide(program, machine, "prlimit64", 0) == linux.ALLOW and decide(program, machine, "prlimit64", 1) == REFUSE
    )
    for name in ("read", "write", "mmap", "exit_group", "openat"):
        assert decide(program, machine, name) == linux.ALLOW


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_of_another_architecture_kill(machine):
    for program in (linux.zygote_filter(machine, True), linux.child_filter(machine)):
        assert decide(program, machine, "read", arch=0x40000003) == linux.KILL  # i386, by int 0x80
        assert len(program) // 8 < 4096  # the kernel's limit


def test_a_32_bit_or_unknown_machine_is_refused(monkeypatch):
    class Machine:
        machine = "riscv64"

    monkeypatch.setattr(linux.os, "uname", lambda: Machine)
    assert not linux.supported()
    with pytest.raises(OSError, match="riscv64"):
        linux.architecture()


def test_system_calls_have_names():
    machine = linux.architecture()
    assert linux.system_call_name(linux.call_number("socket", machine)) == "socket"
    assert linux.system_call_name(9999) == "number 9999"
