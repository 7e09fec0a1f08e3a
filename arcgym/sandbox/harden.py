"""What the zygote gives up before it serves, and its children before they run a program: each layer tried on its own.

A layer that cannot be had is noted with the kernel's reason and must not break the others. Notes are not proof: what
is in force is measured afterwards by a program that tries (see `layers`).
"""

import math
import os
import signal
import sys
from typing import Any, NoReturn

from arcgym.sandbox import linux

if sys.platform != "win32":
    import resource

CANARY = "/canary"
_HIDDEN = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")


class Hardening:
    """The layers of one zygote.

    Attributes:
        attempts: for each layer "" when it was put in force, else why it was not.
        has_listener: whether refused system calls are reported to the zygote.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._child_filter: linux.PreparedFilter | None = None
        self._in_pid_namespace = False
        self._cpu_limit = math.ceil(config["timeout_s"]) + 1
        self._address_space = 0
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
        self._limit_resources()
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
        resource.setrlimit(resource.RLIMIT_CPU, (self._cpu_limit, self._cpu_limit))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # the kernel does not hold root to it
        if self._child_filter is None:
            return
        if not self._in_pid_namespace:
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._child_filter.install()

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

    def _limit_resources(self) -> None:
        megabyte = 1 << 20
        limits = {"CORE": 0, "FSIZE": 0, "NOFILE": 64, "MEMLOCK": 0, "MSGQUEUE": 0}
        # BLAS and the C library map much more than they use, so the limit is on top of what is mapped already.
        limits["AS"] = _mapped_bytes() + self._config["memory_mb"] * megabyte
        failed = []
        for name, value in limits.items():
            try:
                number = getattr(resource, f"RLIMIT_{name}")
                resource.setrlimit(number, (value, value))
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
        self._child_filter = None
        child_filter = linux.PreparedFilter(linux.child_filter(machine))
        try:
            fd = linux.PreparedFilter(linux.zygote_filter(machine, notify=True)).install(listen=True)
            os.dup2(fd, listener, inheritable=False)
            os.close(fd)
            self.has_listener = True
        except OSError:  # a listener of a container's runtime is in the way, or an old kernel
            linux.PreparedFilter(linux.zygote_filter(machine, notify=False)).install()
        self._child_filter = child_filter


def _wait_and_leave(zygote: int) -> NoReturn:
    os.closerange(0, 64)
    try:
        os.waitpid(zygote, 0)
    finally:
        os._exit(0)


def _entries(folders: list[str]) -> list[str]:
    """What lies in the folders, one by one: Landlock cannot except site-packages from a folder that it allows."""
    return [entry.path for folder in folders for entry in os.scandir(folder) if entry.name not in _HIDDEN]


def _mapped_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30


def _others_can_enter(folder: str) -> bool:
    path = os.path.realpath(folder)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True
