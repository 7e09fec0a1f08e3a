"""The caller's end of one zygote: start it, hand it a job, read what comes back, trust none of it.

The process is started with `subprocess` (which does not copy the caller: a trainer holds gigabytes) from a clean
environment, so that it inherits neither secrets nor descriptors. Reading never blocks: `Worker.advance` takes what is
there and says whether the run is over, so that one thread drives all workers.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcgym.errors import SandboxError
from arcgym.sandbox import protocol
from arcgym.sandbox.cgroup import WorkerGroup

START_LIMIT_S = 60.0
# Beyond the hard wall limit, within which the zygote itself must end a program, this much later the zygote is dead.
WATCHDOG_S = 10.0
# What launcher, zygote and child take together beside the program's own memory, and how many processes these are.
BASE_BYTES = 128 << 20
PROCESSES = 3
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Limits:
    """What one program may use: time for all its inputs together and for each, and memory."""

    timeout_s: float
    input_timeout_s: float
    memory_mb: int

    @property
    def hard_wall_s(self) -> float:
        """Wall-clock limit for a program that computes on a busy machine; a waiting one is stopped at `timeout_s`."""
        return 8 * self.timeout_s + 1.0


@dataclass(frozen=True)
class Finished:
    """One run as it came back: records as read from an untrusted stream, and the zygote's report."""

    records: protocol.Records
    report: protocol.Report
    flooded: bool


class WorkerLostError(Exception):
    """The zygote died or fell silent: says nothing about the program."""


class Worker:
    """One zygote process and the run in progress, if any."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._group: WorkerGroup | None = None
        self._group_refusal = ""
        self._records_fd = -1
        self._job_id = 0
        self._nonce = b""
        self._inputs = 0
        self._received = bytearray()
        self._report = bytearray()
        self._flooded = False
        self.deadline = 0.0
        self.served = 0
        self.attempts: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        """Whether a zygote was started and has not been found dead."""
        return self._control is not None

    def start(self) -> None:
        """Start the process; `greet` must follow."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-s", "-S", "-P", "-B", str(PACKAGE / "sandbox" / "zygote.py"), self._config()],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=_clean_environment(),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._control = ours
        self.served = 0
        self._enter_group()
        with contextlib.suppress(OSError):  # dead already: `greet` tells why
            ours.send(b"!")  # only now may it fork

    def _enter_group(self) -> None:
        """Put the fresh process into a cgroup of its own, where this user may make one."""
        assert self._process is not None
        try:
            memory = self._limits.memory_mb * (1 << 20) + BASE_BYTES
            self._group = WorkerGroup.create(memory, PROCESSES)
            self._group.add(self._process.pid)
            self._group_refusal = ""
        except OSError as exc:
            self._group_refusal = str(exc)
            self._leave_group()

    def _leave_group(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.remove()

    def greet(self) -> None:
        """Wait until the zygote is ready.

        Raises:
            SandboxError: it did not come up; the text holds what it said.
        """
        assert self._process is not None and self._control is not None and self._process.stderr is not None
        self._control.settimeout(START_LIMIT_S)
        try:
            (length,) = struct.unpack("<I", _receive(self._control, 4))
            greeting: dict[str, Any] = json.loads(_receive(self._control, length))
        except (OSError, EOFError) as exc:
            self._process.kill()
            said = self._process.stderr.read().decode(errors="replace").strip()
            self.stop()
            raise SandboxError(f"A sandbox worker did not start: {said or exc or 'no answer in time'}") from exc
        self._process.stderr.close()
        if "error" in greeting:
            self.stop()
            raise SandboxError(f"A sandbox worker did not start: {greeting['error']}")
        self.attempts = {**greeting["attempts"], "cgroup": self._group_refusal}
        self._control.setblocking(False)

    def begin(self, source: bytes, grids: list[protocol.PlainGrid]) -> None:
        """Hand the zygote a job.

        Raises:
            WorkerLostError: the zygote is dead.
        """
        if self._control is None:
            raise WorkerLostError("the worker is not running")
        self._job_id += 1
        self._nonce = os.urandom(protocol.NONCE_BYTES)
        self._inputs = len(grids)
        self._received.clear()
        self._report.clear()
        self._flooded = False
        self.served += 1
        self.deadline = time.monotonic() + self._limits.hard_wall_s + WATCHDOG_S
        job = protocol.encode_job(self._nonce, source, grids)
        job_fd = _anonymous_file(job)
        self._records_fd, write_end = os.pipe()
        try:
            os.set_blocking(self._records_fd, False)
            ticket = protocol.TICKET.pack(protocol.TICKET_RUN, self._job_id, len(job))
            socket.send_fds(self._control, [ticket], [job_fd, write_end])
        except OSError as exc:
            raise WorkerLostError(str(exc)) from exc
        finally:
            os.close(job_fd)
            os.close(write_end)

    def fds(self) -> list[int]:
        """Descriptors to wait on for the run in progress."""
        fds = [] if self._control is None else [self._control.fileno()]
        return fds if self._records_fd < 0 or self._flooded else [*fds, self._records_fd]

    def advance(self) -> Finished | None:
        """Read what is there; the finished run, or None while it goes on.

        Raises:
            WorkerLostError: the zygote is dead.
        """
        over = self._read_report()
        self._read_records()
        if not over:
            return None
        report = protocol.decode_report(bytes(self._report))
        if report.job_id != self._job_id:
            raise WorkerLostError("the worker answered another ticket")
        self._close_records()
        records = protocol.parse_records(bytes(self._received), self._nonce, self._inputs)
        return Finished(records, report, self._flooded)

    def _read_report(self) -> bool:
        assert self._control is not None
        size = protocol.REPORT.size
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return False
        except OSError as exc:
            raise WorkerLostError(str(exc)) from exc
        if not data:
            raise WorkerLostError("the worker closed its socket")
        self._report += data
        if len(self._report) < size:
            return False
        return len(self._report) >= size + protocol.REPORT.unpack_from(self._report)[-1]

    def _read_records(self) -> None:
        limit = protocol.max_record_bytes(self._inputs)
        while not self._flooded and self._records_fd >= 0:
            try:
                data = os.read(self._records_fd, 65536)
            except BlockingIOError:
                return
            if not data:
                self._close_records()
            self._received += data
            if len(self._received) > limit:
                self._flooded = True
                self._order_kill()

    def _order_kill(self) -> None:
        assert self._control is not None
        with contextlib.suppress(OSError):  # if it cannot be sent, the watchdog ends the zygote
            self._control.send(protocol.TICKET.pack(protocol.TICKET_KILL, self._job_id, 0))

    def _close_records(self) -> None:
        if self._records_fd >= 0:
            os.close(self._records_fd)
            self._records_fd = -1

    def stop(self) -> None:
        """End the process and give back every descriptor; safe in any state and more than once."""
        self.forget(kill=True)

    def forget(self, kill: bool) -> None:
        """Close our ends; with `kill` end the process too, without it (after a fork of the caller) leave it alone."""
        self._close_records()
        if self._control is not None:
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            # The session holds the launcher and, where there is no process namespace, the zygote itself.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            self._leave_group()
        else:
            process.returncode = 0  # it is another process's child: never wait for it, never warn about it
            self._group = None
        if process.stderr is not None:
            process.stderr.close()

    def _config(self) -> str:
        return json.dumps(
            {
                "package": str(PACKAGE),
                "numpy_parent": str(Path(np.__file__).resolve().parent.parent),
                "stdlib": _standard_library(),
                "packages": _packages(),
                "salt": os.getpid(),
                "timeout_s": self._limits.timeout_s,
                "input_timeout_s": self._limits.input_timeout_s,
                "hard_wall_s": self._limits.hard_wall_s,
                "memory_mb": self._limits.memory_mb,
            }
        )


def _standard_library() -> list[str]:
    folders = {sysconfig.get_path("stdlib"), os.path.dirname(os.__file__)}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders.add(os.path.join(sys.base_exec_prefix, sys.platlibdir, version))
    # Under the name by which it is imported and under its real one, where that goes through a link.
    folders |= {os.path.realpath(folder) for folder in folders}
    return sorted(folder for folder in folders if os.path.isdir(folder))


def _packages() -> list[str]:
    numpy_folder = Path(np.__file__).resolve().parent
    folders = [numpy_folder, numpy_folder.parent / "numpy.libs", PACKAGE / "primitives"]
    return [str(folder) for folder in folders if folder.is_dir()]


def _clean_environment() -> dict[str, str]:
    # One BLAS thread: threads are forbidden to programs, and each would take address space.
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    python = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    python["LD_BIND_NOW"] = "1"  # resolve every symbol once, not anew in each child
    # Without these some interpreters do not find their own libraries.
    found = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PYTHONHOME") if name in os.environ}
    return {"PATH": "/nonexistent", "HOME": "/nonexistent", **python, **one, **found}


def _anonymous_file(content: bytes) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("job", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.pwrite(fd, content, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _receive(control: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = control.recv(count - len(data))
        if not more:
            raise EOFError("it ended before it was ready")
        data += more
    return data


def wait_for(workers: list[Worker], until: float) -> set[int]:
    """Descriptors of these workers that have something to say, by `until` (monotonic seconds)."""
    poller = select.poll()
    for worker in workers:
        for fd in worker.fds():
            poller.register(fd, select.POLLIN)
    return {fd for fd, _ in poller.poll(max(0.0, until - time.monotonic()) * 1000)}
