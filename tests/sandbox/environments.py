"""Environments in which the sandbox lacks some of its layers, made around the tests of one file.

Run as a script it gives up in its own process what the environment lacks, and becomes a new interpreter, which
measures the layers that are left and then runs the tests: `python environments.py NAME HOME TESTS`.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from arcgym.sandbox import describe_layers, linux

REPOSITORY = Path(__file__).resolve().parents[2]
DENIED = {"no-namespaces": ["unshare", "mount"], "no-landlock": ["landlock_create_ruleset"]}
NAMES = ("user", *DENIED)
CANNOT_BE_MADE = 77
USER = 61234  # has no rights, owns nothing, and is nobody else


def run(name: str, home: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run the attacks of a test file in the environment of this name.

    Args:
        name: one of `NAMES`; "user" needs to be called by root.
        home: an empty folder for what the tests write.
        tests: path of the file.

    Returns:
        The finished process; its exit status is `CANNOT_BE_MADE` where this machine does not allow it.
    """
    command = [sys.executable, __file__, name, str(home), tests]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"HOME": str(home), "TMPDIR": str(home)}
    return subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
    )


def enter(name: str, home: str) -> None:
    """Give up for good what the environment lacks; a new program must follow."""
    if name in DENIED:
        rules = linux.Filter(linux.architecture())
        for call in DENIED[name]:
            rules.when(call, linux.error(errno.EPERM))
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.PreparedFilter(rules.otherwise(linux.ALLOW)).install()
        return
    folders = [sys.prefix, sys.base_prefix, sys.base_exec_prefix, str(REPOSITORY), home]
    folders += [folder for folder in sys.path if os.path.isdir(folder)]
    os.chown(home, USER, USER)
    make_reachable(folders)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    closed = [folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK)]
    if closed:
        print(f"other users cannot be let into {closed}")
        sys.exit(CANNOT_BE_MADE)


def make_reachable(folders: Sequence[str]) -> None:
    """Let other users of a mount namespace of its own into these folders, whatever lies above them."""
    linux.unshare("mount")
    linux._mount(None, "/", None, linux._MS_REC | linux._MS_PRIVATE)
    os.umask(0o022)
    paths = {Path(folder).resolve() for folder in folders}
    outermost = {path for path in paths if not paths.intersection(path.parents)}
    for closed in sorted({first_closed(path) for path in outermost} - {None}):
        inside = {path: os.open(path, os.O_PATH) for path in outermost if closed in path.parents}
        linux._mount("reachable", str(closed), "tmpfs", linux._MS_NOSUID | linux._MS_NODEV, "mode=755")
        for path, fd in inside.items():
            path.mkdir(parents=True)
            linux._mount(f"/proc/self/fd/{fd}", str(path), None, linux._MS_BIND | linux._MS_REC)
            os.close(fd)


def first_closed(path: Path) -> Path | None:
    """The uppermost folder above `path` that other users cannot enter."""
    return next((above for above in reversed(path.parents) if not above.stat().st_mode & 0o001), None)


def check(name: str) -> None:
    """See that the environment is what it says."""
    active = {layer.name for layer in describe_layers() if layer.active}
    namespaces = {"root", "pid", "net", "ipc"}
    assert {"seccomp", "rlimits", "wall clock"} <= active, active
    if name == "user":
        rights = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
        assert os.geteuid() != 0 and int(rights, 16) == 0 and "uid" not in active, (rights, active)
        assert namespaces <= active or not namespaces_are_allowed(), active
    elif name == "no-namespaces":
        assert not namespaces & active and "landlock" in active, active
    else:
        assert "landlock" not in active and "root" in active, active


def namespaces_are_allowed() -> bool:
    """Whether a user without rights may have namespaces here, found without the sandbox."""
    child = os.fork()
    if child == 0:
        try:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare("user")
            linux.map_own_user(uid, gid)
            for kind in ("pid", "net", "ipc", "mount"):
                linux.unshare(kind)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    """Enter the environment, become a new interpreter, and run the tests."""
    name, home, tests, *inside = sys.argv[1:]
    if not inside:
        enter(name, home)
        # Anew, because a process that changed its user may not look into its own /proc.
        os.execv(sys.executable, [sys.executable, *sys.argv, "inside"])
    check(name)
    print(f"in {name}: as user {os.geteuid()}")
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", tests, "-k", "test_attack_is_contained"]))


if __name__ == "__main__":
    main()
