"""What the zygote gives up before it serves, and its children before they run a program: each layer tried on its own.

A layer that cannot be had is noted with the kernel's reason and must not break the others. Notes are not proof: what
is in force is measured afterwards by a program that tries (see `layers`).
"""

import functools
import math
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from arcgym.sandbox import linux

if sys.platform != "win32":
    import resource

CANARY = "/canary"
# What a program that ran out of memory gets on top, to say so.
_MEGABYTE = 1 << 20
_ROOM_TO_REPORT = 4 * _MEGABYTE
_HIDDEN = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")


class Hardening:
    """The layers of one zygote.

    Attributes:
        attempts: for each layer "" when it was put in force, else why it was not.
        has_listener: whether refused system calls are reported to the zygote.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._statm = -1
        self._child_calls: list[Callable[[], Any]] = []
        self._in_pid_namespace = False
        self._cpu_limit = math.ceil(config["timeout_s"]) + 1
        self.attempts: dict[str, str] = {}
        self.has_listener = False

    def separate(self) -> None:
        """Enter new namespaces; returns in a new process when there is a process namespace, the old one then waits."""
        if not linux.supported():
            for kind in ("user", "pid", "net", "ipc", "uts", "mount"):
                self.attempts[kind] = f"not available on {sys.platform}"
            return
        # Root needs no user namespace; where root has lost its rights (containers) it may still be given one.
        if os.geteuid() != 0 or not self._try("pid", lambda: linux.unshare("pid")):
            self._try("user", self._enter_user_namespace)
        kinds = [kind for kind in ("pid", "net", "ipc", "uts", "mount") if self.attempts.get(kind) != ""]
        for kind in kinds:
            self._try(kind, lambda kind=kind: linux.unshare(kind))
        self._in_pid_namespace = self.attempts["pid"] == ""
        if self._in_pid_namespace:
            zygote = os.fork()
            if zygote:
                _wait_and_leave(zygote)

    def confine(self, listener: int) -> None:
        """Give up files, users and system calls; the zygote needs none of them any more.

        Args:
            listener: descriptor number that the system-call listener gets.
        """
        if os.path.exists("/proc/self/statm"):
            self._statm = os.open("/proc/self/statm", os.O_RDONLY)  # the new root has no /proc
        self._limit_resources()
        self._prepare_child(None)
        if not linux.supported():
            for layer in ("root", "landlock", "uid", "seccomp"):
                self.attempts[layer] = f"not available on {sys.platform}"
            return
        stdlib = self._config["stdlib"]
        hidden = [os.path.join(folder, name) for folder in stdlib for name in _HIDDEN]
        folders = [*stdlib, *self._config["packages"]]
        readable = [*_entries(stdlib), *self._config["packages"]]
        if self.attempts["mount"] == "":
            self._try("root", lambda: linux.enter_new_root(folders, hidden, CANARY))
        else:
            self.attempts["root"] = self.attempts["mount"]
        # The rules are kept by the files themselves, so paths inside the new root and outside are the same to them.
        self._try("landlock", lambda: linux.landlock(readable))
        self._try("uid", lambda: self._become_nobody(folders))
        self._try("capabilities", linux.drop_capabilities)
        self._try("subreaper", lambda: linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1))
        if self._in_pid_namespace:
            # Ends with its launcher. Not earlier: the kernel forgets this whenever the user or a capability changes.
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        self._try("seccomp", lambda: self._filter_system_calls(listener))

    def confine_child(self) -> None:
        """What is done anew after every fork; a failure here ends the child."""
        for confine in self._child_calls:
            if confine():
                raise OSError("a layer could not be put in force")

    def _prepare_child(self, child_filter: linux.PreparedFilter | None) -> None:
        limits = {resource.RLIMIT_CPU: self._cpu_limit, resource.RLIMIT_NPROC: 0}  # root is not held to NPROC
        if not linux.supported():
            pairs = [(kind, (value, value)) for kind, value in limits.items()]
            self._child_calls = [functools.partial(resource.setrlimit, *pair) for pair in pairs]
            return
        self._child_calls = [linux.prepared_limit(kind, value) for kind, value in limits.items()]
        if child_filter is not None:
            if not self._in_pid_namespace:
                self._child_calls.append(linux.prepared_call("prctl", linux.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
            self._child_filter = child_filter  # its memory is what the call points to
            self._child_calls.append(child_filter.call)

    def _try(self, layer: str, put_in_force: Any) -> bool:
        try:
            put_in_force()
        except (OSError, ValueError, StopIteration) as exc:
            self.attempts[layer] = str(exc) or type(exc).__name__
            return False
        self.attempts[layer] = ""
        return True

    def _enter_user_namespace(self) -> None:
        uid, gid = os.geteuid(), os.getegid()
        linux.unshare("user")
        linux.map_own_user(uid, gid)

    def limit_memory(self) -> None:
        """Bound the address space; called when nothing more is loaded or given back.

        BLAS and the C library map much more than they use, so the limit is on top of what is mapped already.
        """
        space = _mapped_bytes(self._statm) + self._config["memory_mb"] * _MEGABYTE
        os.close(self._statm)
        self._lower_limits({"AS": (space, space + _ROOM_TO_REPORT)})

    def _limit_resources(self) -> None:
        limits = dict.fromkeys(("CORE", "FSIZE", "MEMLOCK", "MSGQUEUE"), (0, 0))
        limits |= {"NOFILE": (64, 64), "STACK": (8 * _MEGABYTE, 8 * _MEGABYTE)}
        self._lower_limits(limits)

    def _lower_limits(self, limits: dict[str, tuple[int, int]]) -> None:
        failed = [self.attempts["rlimits"]] if self.attempts.get("rlimits") else []
        for name, (soft, hard) in limits.items():
            try:
                kind = getattr(resource, f"RLIMIT_{name}")
                most = resource.getrlimit(kind)[1]
                if most != resource.RLIM_INFINITY:
                    soft, hard = min(soft, most), min(hard, most)
                resource.setrlimit(kind, (soft, hard))
            except (AttributeError, ValueError, OSError) as exc:
                failed.append(f"{name}: {exc}")
        self.attempts["rlimits"] = "; ".join(failed)

    def _become_nobody(self, folders: list[str]) -> None:
        if os.geteuid() != 0:
            raise OSError(f"started as user {os.geteuid()}, which is not root")
        if self.attempts.get("user") == "":
            raise OSError("the user namespace has one user only")
        if self.attempts["root"] != "":
            closed = next((folder for folder in folders if not _others_can_enter(folder)), None)
            if closed:
                raise OSError(f"{closed} is closed to other users, so no module could be imported any more")
        os.setgroups([])
        # A number that nobody else uses, one for each worker; 65534 where numbers are few (container user namespaces).
        for user in (2_000_000_000 + os.getpid() + int(self._config["salt"]), 65534):
            try:
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                return
            except OSError as exc:
                refusal = exc
        raise refusal

    def _filter_system_calls(self, listener: int) -> None:
        machine = linux.architecture()
        child_filter = linux.PreparedFilter(linux.child_filter(machine))
        try:
            fd = linux.PreparedFilter(linux.zygote_filter(machine, notify=True)).install(listen=True)
            os.dup2(fd, listener, inheritable=False)
            os.close(fd)
            self.has_listener = True
        except OSError:  # a listener of a container's runtime is in the way, or an old kernel
            linux.PreparedFilter(linux.zygote_filter(machine, notify=False)).install()
        self._prepare_child(child_filter)


def _wait_and_leave(zygote: int) -> NoReturn:
    os.closerange(0, 64)
    try:
        os.waitpid(zygote, 0)
    finally:
        os._exit(0)


def _entries(folders: list[str]) -> list[str]:
    """What lies in the folders, one by one: Landlock cannot except site-packages from a folder that it allows."""
    return [entry.path for folder in folders for entry in os.scandir(folder) if entry.name not in _HIDDEN]


def _mapped_bytes(statm: int) -> int:
    return int(os.pread(statm, 100, 0).split()[0]) * resource.getpagesize() if statm >= 0 else 1 << 30


def _others_can_enter(folder: str) -> bool:
    path = os.path.realpath(folder)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True
