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
TRACE_SIGNAL = signal.SIGUSR2
MAX_TRACE_BYTES = 8192
# A process that got less of the CPU than this over the last stretch is waiting, not computing.
WAITING_SHARE = 0.01
STRETCH_S = 0.25
_real_exit = os._exit  # the child replaces the name for its program

PRELOADED = (
    "__future__ abc argparse array ast base64 binascii bisect calendar cmath collections collections.abc contextlib"
    " copy copyreg csv ctypes dataclasses datetime decimal difflib dis enum fractions functools graphlib hashlib"
    " heapq hmac inspect io itertools json keyword linecache locale logging math numbers operator pathlib pickle"
    " pprint queue random re secrets select shutil socket sre_compile statistics string struct subprocess tempfile"
    " textwrap threading time timeit traceback types typing unicodedata unittest uuid warnings weakref zlib numpy"
    " numpy.random numpy.linalg numpy.fft numpy.ma numpy.polynomial numpy.lib.stride_tricks"
).split()


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
    _preload(config)
    from arcgym.sandbox import child, protocol

    layers.confine(LISTENER)
    zygote = Zygote(config, control, layers, child, protocol)
    _close_packages()
    faulthandler.enable(file=TRACE_WRITE, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(TRACE_SIGNAL, file=TRACE_WRITE, all_threads=False, chain=False)
    os.dup2(0, 2)
    gc.collect()
    gc.freeze()
    _greet(control, {"attempts": layers.attempts, "pid": os.getpid()})
    return zygote


def _open_packages(package: str) -> None:
    """Make `arcgym.sandbox.*` and `arcgym.primitives` importable without running `arcgym/__init__.py`."""
    for name, path in (("arcgym", package), ("arcgym.sandbox", os.path.join(package, "sandbox"))):
        module = types.ModuleType(name)
        module.__path__ = [path]
        sys.modules[name] = module
    sys.modules["arcgym"].sandbox = sys.modules["arcgym.sandbox"]  # type: ignore[attr-defined]


def _preload(config: dict[str, Any]) -> None:
    sys.path.append(config["numpy_parent"])
    for name in PRELOADED:
        importlib.import_module(name)
    importlib.import_module("arcgym.primitives")
    sys.path.remove(config["numpy_parent"])
    sys.path_importer_cache.pop(config["numpy_parent"], None)
    _make_numpy_deterministic()


def _make_numpy_deterministic() -> None:
    import numpy as np

    np.random.seed(0)  # children inherit the state: NumPy, unlike `random`, does not reseed at fork
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
        self, config: dict[str, Any], control: socket.socket, layers: Any, child: types.ModuleType, protocol: Any
    ) -> None:
        self._timeout_s: float = config["timeout_s"]
        self._hard_wall_s: float = config["hard_wall_s"]
        self._readable = tuple(os.path.join(folder, "") for folder in [*config["stdlib"], *config["packages"]])
        self._control = control
        self._layers = layers
        self._child = child
        self._protocol = protocol
        self._poller = select.poll()
        self._poller.register(CONTROL, select.POLLIN)
        if layers.has_listener:
            self._poller.register(LISTENER, select.POLLIN)

    def serve(self) -> NoReturn:
        """Take tickets until the control socket closes."""
        protocol = self._protocol
        while True:
            ticket, fds, _, _ = socket.recv_fds(self._control, protocol.TICKET.size, 2)
            if not ticket:
                os._exit(0)
            kind, job_id = protocol.TICKET.unpack(ticket)
            if kind != protocol.TICKET_RUN:  # a late order to kill a child that is gone already
                continue
            if fds != [JOB, RECORDS] or os.pipe() != (TRACE_READ, TRACE_WRITE):
                os._exit(2)  # the numbering is part of the isolation; start afresh
            self._control.sendall(protocol.encode_report(self._run_one(job_id)))

    def _run_one(self, job_id: int) -> Any:
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._become_child()
        os.close(JOB)
        os.close(RECORDS)
        os.close(TRACE_WRITE)
        watch = _Watch(self, pid, started)
        reason = watch.until_end()
        os.close(TRACE_READ)
        usage = watch.usage
        return self._protocol.Report(
            job_id,
            watch.wait_status,
            reason,
            time.monotonic() - started,
            usage.ru_utime + usage.ru_stime,
            usage.ru_stime,
            usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            watch.violations,
            watch.system_call,
            bytes(watch.trace),
        )

    def _become_child(self) -> NoReturn:
        try:
            for fd in (CONTROL, LISTENER, TRACE_READ):
                os.close(fd)
            os.setsid()
            job = self._protocol.decode_job(_read_all(JOB))
            os.close(JOB)
            self._layers.confine_child()
            self._child.Runner(job, RECORDS, self._readable).run()
        except BaseException:
            _real_exit(70)
        _real_exit(71)


class _Watch:
    """The watch over one child: its deadline, its forbidden system calls, its end."""

    def __init__(self, zygote: Zygote, pid: int, started: float) -> None:
        self._zygote = zygote
        self._pid = pid
        self._started = started
        self._clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, as clock_getcpuclockid makes it
        self._sample = (0.0, 0.0)
        self.trace = bytearray()
        self.violations = 0
        self.system_call = -1
        self.wait_status = 0
        self.usage: Any = None

    def until_end(self) -> int:
        """Wait for the end, or bring it about; returns the reason."""
        protocol, poller = self._zygote._protocol, self._zygote._poller
        reason: int = protocol.EXITED
        check_at = self._started + self._zygote._timeout_s
        poller.register(TRACE_READ, select.POLLIN)
        while reason == protocol.EXITED:
            events = dict(poller.poll(max(0.0, (check_at - time.monotonic()) * 1000 + 1)))
            if LISTENER in events:
                self._refuse_system_call()
            if CONTROL in events and self._told_to_kill():
                reason = protocol.CANCELLED
            if TRACE_READ in events and not self._read_trace():
                break
            if len(self.trace) > MAX_TRACE_BYTES:
                reason = protocol.TAMPERED
            if time.monotonic() >= check_at:
                if self._is_out_of_time():
                    reason = protocol.OUT_OF_TIME
                    self._ask_for_trace()
                check_at = time.monotonic() + self._next_check()
        poller.unregister(TRACE_READ)
        self._reap()
        return reason

    def _is_out_of_time(self) -> bool:
        """Time is up when the CPU time is used up; on the wall clock, at once if it waits, later if it is starved."""
        limit = self._zygote._timeout_s
        wall = time.monotonic() - self._started
        cpu = _cpu_seconds(self._clock, wall)
        waits = cpu - self._sample[1] < WAITING_SHARE * (wall - self._sample[0])
        self._sample = (wall, cpu)
        return cpu >= limit or wall >= self._zygote._hard_wall_s or (waits and wall >= limit)

    def _next_check(self) -> float:
        left = self._zygote._timeout_s - self._sample[1]
        return min(STRETCH_S, max(left, 0.005))

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
        data = os.read(TRACE_READ, MAX_TRACE_BYTES)
        self.trace += data
        return bool(data)

    def _told_to_kill(self) -> bool:
        ticket = self._zygote._control.recv(self._zygote._protocol.TICKET.size)
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
        if os.getpid() == 1:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _cpu_seconds(clock: int, wall: float) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # no such clock here (macOS): the wall clock decides
        return wall


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0)


if __name__ == "__main__":
    main()
