"""Which layers are in force on this machine, measured: what a program in a real worker tries and cannot do counts.

Every worker is measured when it starts, so a sandbox never runs on less than it says.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from arcgym.errors import SandboxError
from arcgym.sandbox import protocol
from arcgym.sandbox.client import Limits, Worker, WorkerLostError, wait_for


@dataclass(frozen=True)
class Layer:
    """One layer of the sandbox.

    Attributes:
        name: what it is called in logs and messages.
        active: whether it was found in force.
        guarantee: what it gives, or what is lost without it.
        remedy: what to do to get it; "" when it is active.
    """

    name: str
    active: bool
    guarantee: str
    remedy: str


# One of these two is enough.
GUARD_FILES = frozenset(["landlock", "root"])
REQUIRED = frozenset(["seccomp", "rlimits", "wall clock"]) | GUARD_FILES

_GUARANTEES = {
    "seccomp": "no sockets, no new processes or threads, no signals, no writes, no other kernel interface",
    "landlock": "no file can be read but the standard library, NumPy and the primitives; none can be written",
    "root": "no other file exists: not even names, sizes or dates can be seen",
    "uid": "files and processes of the starting user are out of reach by ownership too",
    "pid": "no other process can be seen or signalled, and all descendants die with the worker",
    "net": "no network interface exists, not even loopback",
    "ipc": "no shared memory, semaphores or message queues of others",
    "rlimits": "memory, CPU time, file sizes and descriptors are bounded by the kernel",
    "cgroup": "memory really used, by all processes of a worker together, and their number are bounded",
    "wall clock": "a program that never ends is killed from outside",
}
_REMEDIES = {
    "seccomp": "use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64, and allow seccomp() in a container",
    "landlock": "use Linux 5.13 or later with landlock in the boot parameter lsm=",
    "root": "allow unprivileged user namespaces (kernel.unprivileged_userns_clone, AppArmor), or start as root",
    "uid": "start as root with an interpreter that other users can read, or rely on the other layers",
    "pid": "allow unprivileged user namespaces, or start as root",
    "net": "allow unprivileged user namespaces, or start as root",
    "ipc": "allow unprivileged user namespaces, or start as root",
    "rlimits": "lift the hard limits of the starting process (ulimit -H -a) that are in the way",
    "cgroup": "start where this user may make cgroups v2 with memory and pids limits (systemd-run --user --scope)",
}

# Runs as any program does, and says what it could and could not do. /dev/null is there for all to read on any machine,
# and is not among what programs may read.
_CANARY = """
import errno, json, os, socket
def code(attempt):
    try:
        attempt()
    except MemoryError:
        return "memory"
    except OSError as exc:
        return errno.errorcode.get(exc.errno, "?")
    return ""
seen = {
    "uid": os.getuid(),
    "parent": os.getppid(),
    "stat": code(lambda: os.stat("/dev/null")),
    "open": code(lambda: os.close(os.open("/dev/null", os.O_RDONLY))),
    "stat_canary": code(lambda: os.stat("/canary")),
    "open_canary": code(lambda: os.listdir("/canary")),
    "socket": code(lambda: socket.socket(socket.AF_UNIX).close()),
    "fork": code(lambda: os.fork() or os.kill(os.getpid(), 9)),
    "memory": code(lambda: bytearray(LIMIT)),
}
print(json.dumps(seen))
def transform(grid):
    return grid
"""


def describe_layers() -> list[Layer]:
    """Start a worker, measure its layers, end it.

    Raises:
        SandboxError: not even a worker without any layer can be started.
    """
    worker = Worker(Limits(timeout_s=5.0, input_timeout_s=5.0, memory_mb=512))
    try:
        worker.start()
        worker.greet()
        return measure(worker, memory_mb=512)
    finally:
        worker.stop()


def measure(worker: Worker, memory_mb: int) -> list[Layer]:
    """Measure a worker that has just greeted.

    Raises:
        SandboxError: the measuring program did not come through.
    """
    seen = _run_canary(worker, memory_mb)
    active = {
        "seccomp": seen["socket"] == "EPERM" and seen["fork"] == "EPERM",
        "landlock": seen["open_canary" if seen["stat_canary"] == "" else "open"] == "EACCES",
        "root": seen["stat"] == "ENOENT",
        "uid": seen["uid"] != os.getuid(),
        "pid": seen["parent"] == 1 and os.getpid() != 1,
        "net": worker.attempts["net"] == "",
        "ipc": worker.attempts["ipc"] == "",
        "rlimits": seen["memory"] == "memory" and worker.attempts["rlimits"] == "",
        "cgroup": worker.attempts["cgroup"] == "",  # the caller's own doing, as the next
        "wall clock": True,  # this process's own doing
    }
    return [
        Layer(name, is_active, _GUARANTEES[name], "" if is_active else _remedy(name, worker.attempts.get(name, "")))
        for name, is_active in active.items()
    ]


def require(layers: list[Layer]) -> list[Layer]:
    """The required layers that are missing: seccomp, rlimits, wall clock, and Landlock or a root of its own."""
    missing = [layer for layer in layers if layer.name in REQUIRED - GUARD_FILES and not layer.active]
    files = [layer for layer in layers if layer.name in GUARD_FILES]
    return missing if any(layer.active for layer in files) else missing + files[:1]


def refusal(missing: list[Layer]) -> str:
    """What to tell the user who may not go without these layers."""
    lost = "; ".join(f"{layer.name} ({layer.guarantee}). To have it: {layer.remedy}" for layer in missing)
    return (
        f"The sandbox lacks required layers here: {lost}. To go without, with trusted programs only: allow_weak=True."
    )


def _remedy(name: str, reason: str) -> str:
    advice = _REMEDIES[name]
    if sys.platform != "linux":
        advice = "use Linux"
    return f"{advice} (here: {reason})" if reason else advice


def _run_canary(worker: Worker, memory_mb: int) -> dict[str, Any]:
    # A quarter more than the limit: the limit counts from what the zygote had mapped before it was frozen.
    source = _CANARY.replace("LIMIT", str((memory_mb + memory_mb // 4 + 64) << 20))
    try:
        worker.begin(source.encode(), [protocol.PlainGrid(1, 1, b"\0")])
        while True:
            ready = wait_for([worker], worker.deadline)
            finished = worker.advance() if ready else None
            if finished is not None:
                break
            if time.monotonic() > worker.deadline:
                raise WorkerLostError("no answer in time")
        seen: dict[str, Any] = json.loads(finished.records.stdout)
        return seen
    except (WorkerLostError, ValueError) as exc:
        raise SandboxError(f"A sandbox worker could not be measured: {exc}") from exc
