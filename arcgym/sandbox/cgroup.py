"""One cgroup v2 per worker, which bounds the memory and the processes of everything in it together.

Resource limits count address space, and each process for itself; a cgroup counts what is really used by the launcher,
the zygote and its program, kernel memory included. It is optional: few users may make one. The caller makes the group
and puts the freshly started launcher into it; no other process is ever moved, and no manager (systemd) is asked.
"""

import contextlib
import errno
import itertools
import logging
import os
import re
import time
from pathlib import Path

logger = logging.getLogger(__name__)

PROC = Path("/proc/self")
CONTROLLERS = ("memory", "pids")
# A killed process leaves its group a moment after its parent was told that it is dead.
REMOVE_LIMIT_S = 2.0
_NAME = re.compile(r"arcgym-(\d+)-\d+")
_numbers = itertools.count()


class WorkerGroup:
    """A cgroup v2 of one worker, which bounds memory and processes of everything in it together.

    Attributes:
        folder: where the group is in the file system of cgroups.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, memory_bytes: int, processes: int, proc: Path = PROC) -> "WorkerGroup":
        """Make an empty group below our own cgroup or, where that is not allowed, beside it.

        Args:
            memory_bytes: memory of all together, without swap. When it runs out the kernel kills the largest process.
            processes: processes and threads of all together, at least 3: launcher, zygote and program.
            proc: folder that tells the caller's mounts and cgroups.

        Raises:
            OSError: no group can be had; the text says why.
        """
        refusals = []
        for parent in _parents(proc):
            try:
                _enable_controllers(parent, proc)
                _remove_stale(parent)
                return cls(_make(parent, memory_bytes, processes))
            except OSError as exc:
                refusals.append(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
        raise OSError("; ".join(dict.fromkeys(refusals)))

    def add(self, pid: int) -> None:
        """Put a process into the group. What it forks from now on is in it too, what it forked before is not.

        Raises:
            OSError: it has ended already, or may not be moved.
        """
        _write(self.folder / "cgroup.procs", str(pid))

    def remove(self) -> None:
        """Kill what is left in the group and remove it; safe for a group that is gone."""
        with contextlib.suppress(OSError):  # gone, or Linux before 5.14
            _write(self.folder / "cgroup.kill", "1")
        until = time.monotonic() + REMOVE_LIMIT_S
        while True:
            try:
                os.rmdir(self.folder)
            except FileNotFoundError:
                pass
            except OSError as exc:
                if exc.errno == errno.EBUSY and time.monotonic() < until:
                    time.sleep(0.005)
                    continue
                # The next group of another caller takes it away.
                logger.warning("The cgroup %s of a sandbox worker could not be removed: %s", self.folder, exc.strerror)
            return


def _parents(proc: Path) -> list[Path]:
    """Where a group may lie: in our own cgroup, or in the one above, which systemd gives to users."""
    groups = [line[3:] for line in _lines(proc / "cgroup") if line.startswith("0::")]
    mounted = False
    for line in _lines(proc / "mountinfo"):
        place, _, kind = line.partition(" - ")
        if not groups or not kind.startswith("cgroup2 "):
            continue
        mounted = True
        root, mount_point = (_unescape(field) for field in place.split(" ")[3:5])
        # Both are told from the root of our cgroup namespace; what lies above that is written with dots.
        inside = [part for part in root.split("/") if part]
        own = [part for part in groups[0].split("/") if part]
        below = own[len(inside) :]
        if own[: len(inside)] == inside and ".." not in below:
            folder = Path(mount_point, *below)
            return [folder, folder.parent] if below else [folder]
    if mounted:
        raise OSError(f"our own cgroup {groups[0]} is outside of every cgroup2 file system that is mounted here")
    raise OSError("no cgroup2 file system is mounted")


def _enable_controllers(parent: Path, proc: Path) -> None:
    available = _words(parent / "cgroup.controllers")
    missing = [name for name in CONTROLLERS if name not in available]
    if missing:
        version_1 = {name for line in _lines(proc / "cgroup") for name in line.split(":")[1].split(",")}
        where = " (used by cgroup v1)" if version_1.issuperset(missing) else f" (at {parent})"
        raise OSError(f"controllers not available in cgroup v2 here: {', '.join(missing)}{where}")
    if _words(parent / "cgroup.subtree_control").issuperset(CONTROLLERS):
        return
    try:
        _write(parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in CONTROLLERS))
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        raise OSError(f"{parent} holds processes itself, so the kernel allows no limited groups in it") from exc


def _remove_stale(parent: Path) -> None:
    """Remove groups whose callers were killed before they could."""
    for name in os.listdir(parent):
        owner = _NAME.fullmatch(name)
        if owner is None:
            continue
        try:
            os.kill(int(owner[1]), 0)
        except ProcessLookupError:
            with contextlib.suppress(OSError):  # its last processes are still there, or it is another user's
                os.rmdir(parent / name)
        except (PermissionError, OverflowError):  # another user's caller, or not made by us
            pass


def _make(parent: Path, memory_bytes: int, processes: int) -> Path:
    # Moving a process needs this right too, which create() should find out and not add().
    os.close(os.open(parent / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    while True:
        folder = parent / f"arcgym-{os.getpid()}-{next(_numbers)}"
        with contextlib.suppress(FileExistsError):  # of a killed caller that had our number
            os.mkdir(folder)
            break
    try:
        _write(folder / "memory.max", str(memory_bytes))
        _write(folder / "pids.max", str(processes))
        for optional in ("memory.swap.max", "memory.oom.group"):
            with contextlib.suppress(FileNotFoundError):  # a kernel without swap, or before 4.19
                _write(folder / optional, "0")
    except OSError:
        os.rmdir(folder)
        raise
    return folder


def _write(path: Path, text: str) -> None:
    # Not open(): that would make a missing file, which cgroups answer with a misleading "Permission denied".
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(path)) from exc


def _lines(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).removesuffix("\n").split("\n")


def _words(path: Path) -> set[str]:
    return set(path.read_text().split())


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
