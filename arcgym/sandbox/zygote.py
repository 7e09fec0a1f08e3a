"""The warm process that is forked once per program, and the watch over its children.

Started by the caller as a script with a clean environment, it loads NumPy and `arcgym.primitives`, gives up every
right that it does not need, and then serves one child at a time. It never reads a program or a grid: a ticket on its
control socket brings two descriptors, one with the job and one for the records, and both go to the child untouched. So
a child, which is a copy of this process, finds nothing of any other program in its memory.

Descriptor numbers are fixed, because the kernel gives the lowest free one: 0–2 /dev/null, 3 control, 4 system-call
listener, 5 job, 6 records, 7 and 8 the two ends of the trace pipe, whose closing also tells that the child is gone.
"""

import faulthandler
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import types
from typing import Any, NoReturn

CONTROL, LISTENER, JOB, RECORDS, TRACE_READ, TRACE_WRITE = 3, 4, 5, 6, 7, 8
_PASSED = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("ii", JOB, RECORDS))]
_PASSED_BYTES = socket.CMSG_SPACE(8)
TRACE_SIGNAL = signal.SIGUSR2
MAX_TRACE_BYTES = 8192
# A process that got less of the CPU than this over the last stretch is waiting, not computing.
WAITING_SHARE = 0.01
STRETCH_S = 0.25
_real_exit = os._exit  # the child replaces the name for its program

# What solvers import, and little else: every library that is mapped and every page that is written is copied by each
# fork. Other modules of the standard library and of NumPy are still there to be imported.
PRELOADED = (
    "__future__ bisect cmath collections collections.abc contextlib copy ctypes dataclasses enum functools heapq"
    " itertools json math numbers operator random re string struct time traceback types typing warnings weakref"
    " numpy numpy.random numpy.linalg numpy.lib.stride_tricks arcgym.primitives"
).split()
# What those take for their objects, about.
ARENAS_BYTES = 9 << 20
# Libraries that some of them load if they can, and do without.
DISPENSABLE = ("_hashlib", "_bz2", "_lzma")
SAMPLE = b"import numpy as np\n\n\ndef transform(grid):\n    return np.rot90(grid) + 1\n"


def main() -> NoReturn:
    """Load, harden, report, serve; leaves only by ending the process."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    os.dup2(0, CONTROL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(null, LISTENER)  # keeps the number taken until a listener replaces it
    if null not in (0, 1, LISTENER):
        os.close(null)
    control = socket.socket(fileno=CONTROL)
    control.recv(1)  # comes when the caller has put this process into its cgroup
    try:
        zygote = _warm_up(config, control)
    except BaseException as exc:
        _greet(control, {"error": f"{type(exc).__name__}: {exc}"})
        os._exit(1)
    try:
        zygote.serve()
    finally:  # a reset of the socket, for one; ordinary shutdown would make calls that are forbidden by now, and hang
        _real_exit(3)


def _warm_up(config: dict[str, Any], control: socket.socket) -> "Zygote":
    _open_packages(config["package"])
    harden = importlib.import_module("arcgym.sandbox.harden")
    layers = harden.Hardening(config)
    layers.separate()  # namespaces; continues in process 1 of the new ones
    arenas = _claim_arenas()
    _preload(config)
    from arcgym.sandbox import child, linux, protocol

    sample = protocol.encode_job(bytes(protocol.NONCE_BYTES), SAMPLE, [protocol.PlainGrid(1, 2, b"\1\2")])
    child.Runner(LISTENER, -1, ()).rehearse(protocol.decode_job(sample))  # that number is still /dev/null
    gc.collect()
    if linux.supported():
        linux.merge_mappings()
        linux.use_huge_pages()
    layers.confine(LISTENER)
    zygote = Zygote(config, control, layers, child, protocol, arenas)
    _close_packages()
    faulthandler.enable(file=TRACE_WRITE, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(TRACE_SIGNAL, file=TRACE_WRITE, all_threads=False, chain=False)
    os.dup2(0, 2)
    gc.collect()
    layers.limit_memory()
    gc.freeze()
    _greet(control, {"attempts": layers.attempts, "pid": os.getpid()})
    return zygote


def _claim_arenas() -> list[bytes]:
    """Have the interpreter get the memory for its objects in one piece, which huge pages can hold.

    Returns:
        What keeps that memory: one small object in each of the interpreter's arenas (1 MiB; 256 KiB before 3.10).
    """
    blocks: list[Any] = [None] * (ARENAS_BYTES // 512)
    for i in range(len(blocks)):
        blocks[i] = bytes(470)
    return blocks[::400]


def _open_packages(package: str) -> None:
    """Make `arcgym.sandbox.*` and `arcgym.primitives` importable without running `arcgym/__init__.py`."""
    for name, path in (("arcgym", package), ("arcgym.sandbox", os.path.join(package, "sandbox"))):
        module = types.ModuleType(name)
        module.__path__ = [path]
        sys.modules[name] = module
    sys.modules["arcgym"].sandbox = sys.modules["arcgym.sandbox"]  # type: ignore[attr-defined]


def _preload(config: dict[str, Any]) -> None:
    sys.path.append(config["numpy_parent"])
    absent: Any = dict.fromkeys(DISPENSABLE)  # None: an import of it fails
    sys.modules.update(absent)
    register, os.register_at_fork = os.register_at_fork, _register_nothing
    for name in PRELOADED:
        importlib.import_module(name)
    os.register_at_fork = register
    for name in DISPENSABLE:
        del sys.modules[name]
    sys.path.remove(config["numpy_parent"])
    sys.path_importer_cache.pop(config["numpy_parent"], None)
    _seed()


def _register_nothing(**_: Any) -> None:
    """Stand in for os.register_at_fork: `random`, `threading` and `logging` would reseed and repair locks every time.

    Programs may not start threads or fork, and are seeded anyway; the repairs cost a fifth of a fork.
    """


def _seed() -> None:
    """Give every child the same state of the random generators."""
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)
    seeded = np.random.default_rng

    def default_rng(seed: Any = None) -> Any:
        """Make a generator as NumPy does; without a seed it is 0 here, so that programs are deterministic."""
        return seeded(0 if seed is None else seed)

    np.random.default_rng = default_rng


def _close_packages() -> None:
    """Leave programs `arcgym.primitives` and nothing else of arcgym."""
    for name in [name for name in sys.modules if name.startswith("arcgym.sandbox")]:
        del sys.modules[name]
    package: Any = sys.modules["arcgym"]
    del package.sandbox
    package.__path__ = []


def _greet(control: socket.socket, content: dict[str, Any]) -> None:
    data = json.dumps(content).encode()
    control.sendall(struct.pack("<I", len(data)) + data)


class Zygote:
    """Serves one child at a time until the caller is gone."""

    def __init__(
        self,
        config: dict[str, Any],
        control: socket.socket,
        layers: Any,
        child: Any,
        protocol: Any,
        arenas: list[bytes],
    ) -> None:
        self.timeout_s: float = config["timeout_s"]
        self.input_timeout_s: float = config["input_timeout_s"]
        self.hard_wall_s: float = config["hard_wall_s"]
        self.control = control
        self._arenas = arenas
        self.protocol = protocol
        self.poller = select.poll()
        self.poller.register(CONTROL, select.POLLIN)
        self.poller.register(TRACE_READ, 0)  # tells of the child's end; what is written there can wait until a check
        if layers.has_listener:
            self.poller.register(LISTENER, select.POLLIN)
        self._layers = layers
        readable = tuple(os.path.join(folder, "") for folder in [*config["stdlib"], *config["packages"]])
        self._runner = child.Runner(RECORDS, TRACE_WRITE if self.input_timeout_s < self.timeout_s else -1, readable)

    def serve(self) -> NoReturn:
        """Take tickets until the control socket closes."""
        protocol, ticket_size = self.protocol, self.protocol.TICKET.size
        while True:
            ticket, passed, _, _ = self.control.recvmsg(ticket_size, _PASSED_BYTES)
            if not ticket:
                os._exit(0)
            kind, job_id, job_bytes = protocol.TICKET.unpack(ticket)
            if kind != protocol.TICKET_RUN:  # a late order to kill a child that is gone already
                continue
            if passed != _PASSED or _pipe() != (TRACE_READ, TRACE_WRITE):
                os._exit(2)  # the numbering is part of the isolation; start afresh
            self.control.sendall(protocol.encode_report(self._run_one(job_id, job_bytes)))

    def _run_one(self, job_id: int, job_bytes: int) -> Any:
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._become_child(job_bytes)
        os.closerange(JOB, RECORDS + 1)
        os.close(TRACE_WRITE)
        watch = _Watch(self, pid, started)
        watch.until_end()
        os.close(TRACE_READ)
        usage = watch.usage
        return self.protocol.Report(
            job_id,
            watch.wait_status,
            watch.reason,
            time.monotonic() - started,
            usage.ru_utime + usage.ru_stime,
            usage.ru_stime,
            usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            watch.violations,
            watch.system_call,
            watch.strays,
            bytes(watch.trace),
        )

    def _become_child(self, job_bytes: int) -> NoReturn:
        try:
            os.closerange(CONTROL, LISTENER + 1)
            os.close(TRACE_READ)
            os.setsid()
            job = self.protocol.decode_job(os.read(JOB, job_bytes))
            os.close(JOB)
            self._layers.confine_child()
            self._runner.run(job)
        except BaseException:
            _real_exit(70)
        _real_exit(71)


class _Watch:
    """The watch over one child: its deadlines, its forbidden system calls, its end."""

    def __init__(self, zygote: Zygote, pid: int, started: float) -> None:
        self._zygote = zygote
        self._pid = pid
        self._started = started
        self._clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, as clock_getcpuclockid makes it
        # Wall and CPU seconds at the last check, and when the present input was first seen to run.
        self._checked = self._input_began = (0.0, 0.0)
        self._inputs_begun = 1
        self.reason: int = zygote.protocol.EXITED
        self.trace = bytearray()
        self.violations = 0
        self.system_call = -1
        self.strays = 0
        self.wait_status = 0
        self.usage: Any = None

    def until_end(self) -> None:
        """Wait for the end, or bring it about."""
        protocol, poller = self._zygote.protocol, self._zygote.poller
        check_at = self._started + self._next_check(self._zygote.timeout_s)
        ended = False
        while not ended and self.reason == protocol.EXITED:
            for fd, _ in poller.poll(max(0.0, (check_at - time.monotonic()) * 1000 + 1)):
                if fd == TRACE_READ:
                    ended = True
                elif fd == LISTENER:
                    self._refuse_system_call()
                elif self._told_to_kill():
                    self.reason = protocol.CANCELLED
            if time.monotonic() >= check_at and not ended:
                self._check()
                check_at = time.monotonic() + self._next_check(STRETCH_S)
        self._reap()
        self._read_trace()

    def _check(self) -> None:
        """Stop the program if its time is up: CPU time; on the wall clock at once if it waits, later if starved."""
        zygote, protocol = self._zygote, self._zygote.protocol
        wall = time.monotonic() - self._started
        cpu = _cpu_seconds(self._clock, wall)
        waits = cpu - self._checked[1] < WAITING_SHARE * (wall - self._checked[0])
        self._checked = (wall, cpu)
        self._read_trace()
        if len(self.trace) > self._inputs_begun:
            self._inputs_begun, self._input_began = len(self.trace), self._checked
        input_wall, input_cpu = wall - self._input_began[0], cpu - self._input_began[1]
        if cpu >= zygote.timeout_s or wall >= zygote.hard_wall_s or (waits and wall >= zygote.timeout_s):
            self.reason = protocol.OUT_OF_TIME
        elif input_cpu >= zygote.input_timeout_s or (waits and input_wall >= zygote.input_timeout_s):
            self.reason = protocol.INPUT_OUT_OF_TIME
        if self.reason != protocol.EXITED:
            self._ask_for_trace()

    def _next_check(self, at_most: float) -> float:
        zygote = self._zygote
        if zygote.input_timeout_s < zygote.timeout_s:
            at_most = min(at_most, zygote.input_timeout_s / 4)
        return min(at_most, max(zygote.timeout_s - self._checked[1], 0.005))

    def _ask_for_trace(self) -> None:
        """Have faulthandler write the lines that run now, innermost first; works inside loops in C too."""
        if not hasattr(faulthandler, "register"):
            return
        os.kill(self._pid, TRACE_SIGNAL)
        ready = select.poll()
        ready.register(TRACE_READ, select.POLLIN)
        until = time.monotonic() + 0.25
        # It writes piece by piece; the program's innermost line is enough.
        while b"\n" not in self.trace.partition(b'"<program>", line ')[2] and ready.poll(
            max(0.0, until - time.monotonic()) * 1000
        ):
            if not self._read_trace():
                return

    def _read_trace(self) -> bool:
        """Take what is there; False at the end."""
        try:
            data = os.read(TRACE_READ, MAX_TRACE_BYTES)
        except BlockingIOError:
            return True
        self.trace += data
        if len(self.trace) >= MAX_TRACE_BYTES:
            self.reason = self._zygote.protocol.TAMPERED
            del self.trace[MAX_TRACE_BYTES:]
        return bool(data)

    def _told_to_kill(self) -> bool:
        ticket = self._zygote.control.recv(self._zygote.protocol.TICKET.size)
        if not ticket:
            os.kill(self._pid, signal.SIGKILL)
            os._exit(0)
        return True

    def _refuse_system_call(self) -> None:
        request = bytearray(80)
        try:
            fcntl.ioctl(LISTENER, 0xC0502100, request)
            (identifier, _, _, number) = struct.unpack_from("<QIIi", request)
            fcntl.ioctl(LISTENER, 0xC0182101, bytearray(struct.pack("<QqiI", identifier, 0, -1, 0)))  # EPERM
        except OSError:  # the child was killed meanwhile
            return
        if not self.violations:
            self.system_call = number
        self.violations += 1

    def _reap(self) -> None:
        # A child that is exiting keeps its exit status; one that only closed its end of the trace pipe dies here.
        os.kill(self._pid, signal.SIGKILL)
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        _, self.wait_status, self.usage = os.wait4(self._pid, 0)
        how = os.WNOHANG
        if os.getpid() == 1:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                return
            how = 0  # there is nobody left but what is about to die
        try:
            while os.waitpid(-1, how)[0]:
                self.strays += 1
        except ChildProcessError:
            pass


def _cpu_seconds(clock: int, wall: float) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # no such clock here (macOS): the wall clock decides
        return wall


def _pipe() -> tuple[int, int]:
    """Both ends never block: a program that fills the pipe must not hold its place, nor its watch wait for it."""
    if hasattr(os, "pipe2"):
        return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


if __name__ == "__main__":
    main()
