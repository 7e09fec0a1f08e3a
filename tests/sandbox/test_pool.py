"""`CodeSandbox`: what comes back for each kind of program, and what is left behind: nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sandbox_counts import GOOD, GRID, descendants, open_descriptors

from arcgym.errors import SandboxError
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status, client, pool


def run_one(sandbox: CodeSandbox, source: str, inputs=(GRID,)) -> ExecutionResult:
    (result,) = sandbox.run([source], [list(inputs)])
    return result


def test_outputs_come_back_in_order_as_read_only_int8_grids(sandbox):
    programs = [f"def transform(grid):\n    return (grid + {k}) % 10\n" for k in range(5)]
    results = sandbox.run(programs, [[GRID, GRID.T]] * 5)
    for k, result in enumerate(results):
        assert result.status is Status.OK and result.ok
        assert result.error_type == result.message == result.line_text == "" and result.line is None
        for given, output in zip((GRID, GRID.T), result.outputs, strict=True):
            assert output.dtype == np.int8 and not output.flags.writeable
            np.testing.assert_array_equal(output, (given + k) % 10)
        assert 0 < result.cpu_s < 1 and 0 < result.wall_s and 5e6 < result.peak_bytes < 3e8


@pytest.mark.parametrize(
    ("source", "status", "error_type", "line"),
    [
        ("def transform(grid:\n    return grid\n", "syntax_error", "SyntaxError", 1),
        ("x = 1\n\n  y = 2\n", "syntax_error", "IndentationError", 3),
        ("def transform(grid):\n    return '\0'\n", "syntax_error", None, None),
        ("def transform(grid):\n    return '\ud800'\n", "syntax_error", "SyntaxError", 1),
        ("#" * (1 << 21), "syntax_error", "SyntaxError", 1),
        ("x = 1\n", "runtime_error", "NameError", None),
        ("transform = 3\n", "runtime_error", "NameError", None),
        ("import nosuchmodule\n", "runtime_error", "ModuleNotFoundError", 1),
        (
            "def f(g):\n    return g[99]\n\ndef transform(grid):\n    return f(grid)\n",
            "runtime_error",
            "IndexError",
            2,
        ),
        ("def transform(grid):\n    return transform(grid)\n", "runtime_error", "RecursionError", 2),
        ("import sys\ndef transform(grid):\n    sys.exit(0)\n", "runtime_error", "SystemExit", 3),
        ("class E(BaseException): pass\ndef transform(grid):\n    raise E('x')\n", "runtime_error", "E", 3),
        ("def transform(grid):\n    raise KeyboardInterrupt\n", "runtime_error", "KeyboardInterrupt", 2),
        ("def transform(grid):\n    return bytearray(1 << 40)\n", "memory", "MemoryError", 2),
        ("def transform(grid):\n    while True:\n        print('x' * 999)\n", "output_limit", "OutputLimit", 3),
        ("def transform(grid):\n    return None\n", "invalid_output", "InvalidOutput", 1),
        ("def transform(grid):\n    while 1: pass\n", "timeout", "Timeout", 2),
        ("import time\ndef transform(grid):\n    time.sleep(60)\n", "timeout", "Timeout", 3),
        ("import os\ndef transform(grid):\n    os._exit(0)\n", "crashed", "Exit", 3),
        ("import ctypes\ndef transform(grid):\n    ctypes.memset(0, 0, 9)\n", "crashed", "SIGSEGV", 3),
        ("import os\ndef transform(grid):\n    open('/etc/passwd')\n", "security_violation", "SecurityViolation", 3),
    ],
)
def test_each_kind_of_failure_is_told_with_its_line(sandbox, source, status, error_type, line):
    result = run_one(sandbox, source)
    assert result.status == status, result
    assert result.outputs == (None,)
    assert error_type is None or result.error_type == error_type
    if line is not None:
        assert result.line == line, result
        assert result.line_text == source.encode("utf-8", "replace").decode().splitlines()[line - 1].strip()[:200] or (
            error_type == "SyntaxError"
        )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("grid.astype(float)", "float64"),
        ("grid > 1", "bool"),
        ("[[True]]", "bool"),
        ("[[1.0]]", "float"),
        ("[[1, 2], [3]]", "row 1"),
        ("[[10]]", "10"),
        ("[[-1]]", "-1"),
        ("[[10 ** 5000]]", "much too large"),
        ("type(type('M', (type,), {'__name__': property(lambda c: 1 // 0)})('Sly', (), {}))", "type"),
        ("type('M', (type,), {'__name__': property(lambda c: 1 // 0)})('Sly', (), {})()", "a Sly"),
        ("grid + 100", "100"),
        ("[]", "0 rows"),
        ("[[]]", "row 0"),
        ("np.zeros((31, 1), int)", "31 × 1"),
        ("np.zeros((1, 31), int)", "1 × 31"),
        ("np.zeros((0, 3), int)", "0 × 3"),
        ("np.zeros(3, int)", "1 dimension"),
        ("'12'", "str"),
        ("(row for row in grid)", "generator"),
        ("{1: 2}", "dict"),
        ("np.array([[None]])", "object"),
    ],
)
def test_what_is_no_grid_is_invalid_output_and_says_why(sandbox, value, says):
    result = run_one(sandbox, f"import numpy as np\ndef transform(grid):\n    return {value}\n")
    assert result.status is Status.INVALID_OUTPUT and says in result.message, result


@pytest.mark.parametrize(
    "value",
    [
        "grid.tolist()",
        "tuple(map(tuple, grid.tolist()))",
        "list(grid)",
        "[list(row) for row in grid]",
        "grid.astype('u8')",
    ],
)
def test_rows_and_integer_arrays_are_grids(sandbox, value):
    result = run_one(sandbox, f"def transform(grid):\n    return {value}\n")
    assert result.ok, result
    np.testing.assert_array_equal(result.outputs[0], GRID)


def test_later_inputs_are_tried_after_an_error_but_not_after_a_crash(sandbox):
    picky = "def transform(grid):\n    if grid[0, 0] == 0:\n        {}\n    return grid\n"
    one = np.ones((1, 1), np.int8)
    inputs = [one, GRID, one]
    raising = run_one(sandbox, picky.format("raise ValueError('no')"), inputs)
    assert raising.status is Status.RUNTIME_ERROR and [o is not None for o in raising.outputs] == [True, False, True]
    for fatal, status, first_counts in (
        ("bytearray(1 << 40)", "memory", True),
        ("while 1: pass", "timeout", False),  # the limit is for all inputs together
        ("import os; os._exit(1)", "crashed", True),
    ):
        result = run_one(sandbox, picky.format(fatal), inputs)
        assert result.status == status, result
        assert [o is not None for o in result.outputs] == [first_counts, False, False], result


def test_ordinary_python_works(sandbox):
    source = """
from __future__ import annotations
import collections, functools, itertools, math, re, random
from dataclasses import dataclass, field
from typing import NamedTuple
import numpy as np
import statistics, html.entities
from arcgym.primitives import *

@dataclass(order=True)
class Cell:
    row: int
    around: list[int] = field(default_factory=list)

class Point(NamedTuple):
    y: int
    x: int

@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def counter():
    count = 0
    def step():
        nonlocal count
        count += 1
        return count
    return step

def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)

def transform(grid):
    assert transform.__code__.co_argcount == 1 and deep(900) == 900 and fib(50) == 12586269025
    step = counter(); step()
    assert step() == 2 and Cell(1) < Cell(2) and Point(1, 2).x == 2
    assert collections.Counter(grid.ravel().tolist()).most_common(1)[0][0] in range(10)
    assert len(list(itertools.product(range(3), repeat=2))) == 9 and re.match("a+", "aa") and math.gcd(4, 6) == 2
    assert np.random.default_rng().integers(9) == np.random.default_rng().integers(9)
    return flip_lr(np.linalg.matrix_power(np.eye(len(grid), dtype=int), 2) @ grid)
"""
    result = run_one(sandbox, source)
    assert result.ok, result
    np.testing.assert_array_equal(result.outputs[0], GRID[:, ::-1])


def test_what_comes_after_the_time_is_up_does_not_count(sandbox):
    # The signal by which the zygote asks for the running line ends the pause.
    result = run_one(sandbox, "import signal\ndef transform(grid):\n    signal.pause()\n    return grid\n")
    assert result.status is Status.TIMEOUT and result.outputs == (None,) and result.line == 3


def test_one_input_may_have_a_limit_of_its_own():
    busy = (
        "import time\ndef transform(grid):\n    until = time.process_time() + {}\n"
        "    while time.process_time() < until:\n        pass\n    return grid\n"
    )
    wait = "import time\ndef transform(grid):\n    time.sleep(9 * (grid[0, 0] == 2))\n    return grid\n"
    grids = [GRID, GRID + 1, GRID + 2, GRID + 3]
    with CodeSandbox(timeout_s=20, input_timeout_s=0.3, workers=1) as limited:
        short, long, waiting = limited.run([busy.format(0.1), busy.format(9), wait], [grids] * 3)
    assert short.ok and short.cpu_s > 0.3  # together they may take longer than one of them
    for result, number, line in ((long, 0, 4), (waiting, 2, 3)):
        assert result.status is Status.TIMEOUT and result.outputs == (None,) * 4 and result.line == line
        assert f"input {number}; the limit for one input is 0.3 s" in result.message
    with pytest.raises(ValueError, match="input_timeout_s is 0"):
        CodeSandbox(input_timeout_s=0)


def test_inputs_begun_that_are_not_there_are_tampering(sandbox):
    forge = "import os\ndef transform(grid):\n    os.write(8, b'.' * 50)\n    return grid\n"
    with CodeSandbox(timeout_s=2, input_timeout_s=0.3, workers=1) as limited:
        assert run_one(limited, forge).status is Status.SECURITY_VIOLATION
    assert run_one(sandbox, forge).status is Status.SECURITY_VIOLATION


def test_programs_whose_two_runs_differ_are_flagged(sandbox):
    clock = "import time\ndef transform(grid):\n    return [[time.time_ns() // d % 10 for d in range(1, 30)]]\n"
    sometimes = "import os\nassert os.urandom(64)[0] < os.urandom(64)[0]\n" + GOOD
    fails = "def transform(grid):\n    return 1 // 0\n"
    with CodeSandbox(timeout_s=2, workers=2, check_determinism=True) as checking:
        results = checking.run([GOOD, clock, fails, "\ud800"] + [sometimes] * 20, [[GRID, GRID]] * 24)
    assert [result.is_deterministic for result in results[:4]] == [True, False, True, True]
    assert not all(result.is_deterministic for result in results[4:])
    assert run_one(sandbox, GOOD).is_deterministic is None


def test_runs_are_deterministic(sandbox):
    source = (
        "import random, numpy as np\nA = [random.randrange(10), hash('x') % 10, np.random.randint(10)]\n"
        "def transform(grid):\n    return [A + [random.randrange(10), np.random.default_rng().integers(10), "
        "list({'a', 'b', 'c', 'd'}).index('a')]]\n"
    )
    first, second = sandbox.run([source, source], [[GRID], [GRID]])
    with CodeSandbox(workers=1) as other:
        third = run_one(other, source)
    assert first.ok, first
    np.testing.assert_array_equal(first.outputs[0], second.outputs[0])
    np.testing.assert_array_equal(first.outputs[0], third.outputs[0])


def test_a_changed_input_is_flagged_and_the_callers_grid_is_not_touched(sandbox):
    before = GRID.copy()
    result = run_one(sandbox, "def transform(grid):\n    grid[0, 0] = 9\n    return grid\n")
    assert result.ok and result.mutated_input and result.outputs[0][0, 0] == 9
    np.testing.assert_array_equal(GRID, before)
    assert not run_one(sandbox, GOOD).mutated_input


def test_what_is_printed_is_kept_shortened_and_without_control_characters(sandbox):
    result = run_one(sandbox, "print('a\\x1b[2Jb')\ndef transform(grid):\n    print('y' * 100000)\n    return grid\n")
    assert result.ok and result.stdout.startswith("a�[2Jb\nyyy") and len(result.stdout) <= 4000


def test_nothing_of_one_program_reaches_the_next(sandbox):
    spoil = (
        "import sys, builtins, json, numpy as np, arcgym.primitives as p\n"
        "builtins.len = lambda x: 7\nnp.zeros = None\np.flip_lr = None\nsys.modules['math'] = None\nsys.path.clear()\n"
        "def transform(grid):\n    return grid\n"
    )
    check = (
        "import math, numpy as np\nfrom arcgym.primitives import flip_lr\n"
        "def transform(grid):\n    assert len([1]) == 1 and np.zeros((1, 1)).shape and flip_lr(grid) is not None\n"
        "    return grid\n"
    )
    assert sandbox.run([spoil, check], [[GRID], [GRID]])[1].ok


@pytest.mark.parametrize(
    "bad", [[[1, 2]], np.zeros((31, 2), int), np.full((2, 2), 10), np.zeros((2, 2)), np.zeros(3, int)]
)
def test_inputs_that_are_no_grids_are_refused_at_the_door(sandbox, bad):
    if isinstance(bad, list):
        assert run_one(sandbox, GOOD, [bad]).ok  # nested lists of ints are fine
    else:
        with pytest.raises(ValueError, match=r"inputs\[0\]\[0\]"):
            sandbox.run([GOOD], [[bad]])


def test_misuse_raises_at_once(sandbox):
    with pytest.raises(ValueError, match="2 programs but 1"):
        sandbox.run([GOOD, GOOD], [[GRID]])
    for options in ({"timeout_s": 0}, {"memory_mb": 1}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            CodeSandbox(**options)
    assert sandbox.run([], []) == []
    assert run_one(sandbox, GOOD, []).outputs == ()


def test_nothing_is_left_after_close():
    before = descendants(), open_descriptors()
    sandbox = CodeSandbox(timeout_s=0.3, workers=2)
    hostile = ["import os\ndef transform(g):\n    os._exit(1)\n", "def transform(g):\n    while 1: pass\n", GOOD]
    sandbox.run(hostile, [[GRID]] * 3)
    sandbox.close()
    sandbox.close()
    assert (descendants(), open_descriptors()) == before
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run([GOOD], [[GRID]])


def test_nothing_is_left_when_the_sandbox_is_dropped_or_an_exception_leaves_it():
    before = descendants(), open_descriptors()
    sandbox = CodeSandbox(workers=1)
    del sandbox
    with pytest.raises(ZeroDivisionError), CodeSandbox(workers=1):
        raise ZeroDivisionError
    assert (descendants(), open_descriptors()) == before


@pytest.fixture
def interruptible():
    """Take Ctrl-C also where this process was started with it ignored, as shells start background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_running_program_and_the_sandbox_lives_on(interruptible):
    others = descendants()
    with CodeSandbox(timeout_s=60, workers=1) as sandbox:
        before = open_descriptors()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run_one(sandbox, "def transform(g):\n    while 1: pass\n")
        assert descendants() == others
        assert run_one(sandbox, GOOD).ok
        assert len(open_descriptors()) == len(before)


def test_a_killed_worker_is_replaced_and_no_program_is_lost_or_doubled():
    with CodeSandbox(timeout_s=20, workers=2) as sandbox:
        programs = [f"import time\ndef transform(g):\n    time.sleep(0.1)\n    return g * 0 + {k}\n" for k in range(8)]
        victim = sandbox._workers[0]._process.pid
        threading.Timer(0.15, os.killpg, (victim, signal.SIGKILL)).start()
        results = sandbox.run(programs, [[GRID]] * 8)
        assert [(r.status, int(r.outputs[0][0, 0])) for r in results] == [(Status.OK, k) for k in range(8)]
        os.killpg(sandbox._workers[1]._process.pid, signal.SIGKILL)  # between calls
        assert all(r.ok for r in sandbox.run([GOOD] * 4, [[GRID]] * 4))


def test_a_worker_that_dies_twice_under_a_program_is_an_infrastructure_failure():
    with CodeSandbox(timeout_s=20, workers=1) as sandbox:
        done = threading.Event()

        def assassin():
            while not done.wait(0.02):
                process = sandbox._workers[0]._process
                if process is not None and sandbox._workers[0]._records_fd >= 0 and "sleep" in current:
                    os.killpg(process.pid, signal.SIGKILL)

        current = ["sleep"]
        thread = threading.Thread(target=assassin)
        # The measuring program of a fresh worker must not be hit: only runs of ours count.
        original, pool.measure = pool.measure, lambda worker, memory_mb: []
        requirement, pool.require = pool.require, lambda layers: []
        try:
            thread.start()
            result = run_one(sandbox, "import time\ndef transform(g):\n    time.sleep(10)\n    return g\n")
        finally:
            current.clear()
            done.set()
            thread.join()
            pool.measure, pool.require = original, requirement
        assert result.status is Status.INFRASTRUCTURE and result.outputs == (None,)
        assert run_one(sandbox, GOOD).ok


def test_a_worker_that_falls_silent_is_replaced(monkeypatch):
    monkeypatch.setattr(client, "WATCHDOG_S", 0.2)
    with CodeSandbox(timeout_s=0.1, workers=1) as sandbox:
        os.killpg(sandbox._workers[0]._process.pid, signal.SIGSTOP)
        started = time.monotonic()
        assert run_one(sandbox, GOOD).ok
        assert time.monotonic() - started > 2.0


def test_workers_are_recycled(monkeypatch):
    monkeypatch.setattr(pool, "RECYCLE_AFTER", 3)
    others = descendants()
    with CodeSandbox(workers=1) as sandbox:
        first = sandbox._workers[0]._process.pid
        assert all(r.ok for r in sandbox.run([GOOD] * 5, [[GRID]] * 5))
        assert sandbox._workers[0]._process.pid != first
        assert len(descendants() - others) <= 2  # launcher and zygote


def test_several_threads_share_one_sandbox():
    with CodeSandbox(timeout_s=5, workers=2) as sandbox:
        results: dict[int, list[ExecutionResult]] = {}

        def call(k: int) -> None:
            program = f"def transform(g):\n    return g * 0 + {k}\n"
            results[k] = [run_one(sandbox, program) for _ in range(3)] + sandbox.run([program] * 3, [[GRID]] * 3)

        threads = [threading.Thread(target=call, args=(k,)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for k in range(6):
            assert [int(r.outputs[0][0, 0]) for r in results[k]] == [k] * 6


def test_close_in_another_thread_stops_a_running_call():
    others = descendants()
    sandbox = CodeSandbox(timeout_s=60, workers=1)
    threading.Timer(0.3, sandbox.close).start()
    with pytest.raises(SandboxError, match="closed"):
        run_one(sandbox, "def transform(g):\n    while 1: pass\n")
    sandbox.close()
    assert descendants() == others


def test_a_fork_of_the_caller_gets_workers_of_its_own(sandbox):
    theirs = sandbox._workers[0]._process.pid
    assert run_one(sandbox, GOOD).ok
    child = os.fork()
    if child == 0:
        try:
            fine = run_one(sandbox, GOOD).ok and sandbox._workers[0]._process.pid != theirs
            sandbox.close()
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run_one(sandbox, GOOD).ok and sandbox._workers[0]._process.pid == theirs


def assert_ends(launcher: int) -> None:
    stat = Path(f"/proc/{launcher}/stat")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":  # ended, but nobody reaps orphans here
                return
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its caller")


def test_a_caller_that_is_killed_leaves_nothing():
    script = (
        "import os, signal, numpy as np\nfrom arcgym.sandbox import CodeSandbox\n"
        "s = CodeSandbox(timeout_s=60, workers=1)\n"
        "print(s._workers[0]._process.pid, flush=True)\n"
        "s.run(['def transform(g):\\n    while 1: pass\\n'], [[np.zeros((1, 1), int)]])\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    launcher = int(caller.stdout.readline())
    time.sleep(0.3)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    assert_ends(launcher)


def test_the_zygote_ends_with_its_launcher():
    others = descendants()
    with CodeSandbox(workers=1) as sandbox:
        launcher = sandbox._workers[0]._process.pid
        ours = descendants() - others - {launcher}
        os.kill(launcher, signal.SIGKILL)
        for zygote in ours:
            assert_ends(zygote)
        assert run_one(sandbox, GOOD).ok


def test_a_caller_that_leaves_without_reading_the_answer_leaves_nothing():
    # Its socket then fails with a reset instead of an orderly end.
    script = (
        "import os, time\nfrom arcgym.sandbox.client import Limits, Worker\n"
        "from arcgym.sandbox.protocol import PlainGrid\n"
        "w = Worker(Limits(1.0, 1.0, 512))\nw.start()\nw.greet()\nprint(w._process.pid, flush=True)\n"
        "w.begin(b'def transform(g):\\n    return g\\n', [PlainGrid(1, 1, b'\\0')])\ntime.sleep(1)\nos._exit(0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert_ends(int(ran.stdout))


def test_the_caller_is_not_copied_and_the_worker_inherits_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    inherited = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(inherited, True)
    probe = (
        "import os, sys\nprint(sorted(os.environ), sys.argv, os.getcwd())\n"
        "print([fd for fd in range(64) if not fails(lambda: os.fstat(fd))])\ndef transform(g):\n    return g\n"
    )
    helper = "def fails(f):\n    try:\n        f()\n    except OSError:\n        return True\n    return False\n"
    try:
        with CodeSandbox(workers=1) as sandbox:
            result = run_one(sandbox, helper + probe)
    finally:
        os.close(inherited)
    assert result.ok, result
    assert "HF_TOKEN" not in result.stdout and "secret-token" not in result.stdout
    assert "[0, 1, 2, 6, 8]" in result.stdout, result.stdout
