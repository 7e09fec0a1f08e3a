"""Properties 18 to 22: isolation, time, memory, network, and the completeness of error reports."""

import socket
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox_counts import GOOD, GRID, descendants

from arcgym.sandbox import CodeSandbox, Status

few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
# Beyond the limit: a stretch of the zygote's watch, the time to kill and report, and what a busy machine adds.
SLACK_S = 3.0

NAMES = st.sampled_from(["len", "range", "max", "print", "abs"])
MODULES = st.sampled_from(["math", "numpy", "arcgym.primitives", "json", "collections"])
VALUES = st.integers(1, 9)


@st.composite
def spoilers(draw: st.DrawFn) -> str:
    """A program that changes something outside itself, in as many ways as it can."""
    name, module, value = draw(NAMES), draw(MODULES), draw(VALUES)
    deeds = [
        f"builtins.{name} = lambda *a: {value}",
        f"sys.modules[{module!r}].spoiled = {value}",
        f"sys.modules[{module!r}] = None",
        f"os.environ['SPOILED'] = '{value}'",
        f"sys.path.insert(0, '/spoiled{value}')",
        f"open('/tmp/spoiled{value}', 'w').write('x')",
        f"np.random.seed({value}); random.seed({value})",
        "np.rot90.__wrapped__.__defaults__ = (3, (0, 1))",
        f"sys.setrecursionlimit({value}00)",
    ]
    chosen = draw(st.lists(st.sampled_from(deeds), min_size=1, max_size=4))
    body = "".join(f"try:\n    {deed}\nexcept Exception: pass\n" for deed in chosen)
    return f"import builtins, os, random, sys\nimport numpy as np\n{body}def transform(grid):\n    return grid\n"


WITNESS = """
import builtins, collections, json, math, os, random, sys
import arcgym.primitives
import numpy as np
def state():
    marks = [hasattr(m, "spoiled") for m in (math, np, arcgym.primitives, json, collections)]
    names = [type(getattr(builtins, n)).__name__ for n in ("len", "range", "max", "print", "abs")]
    draws = [random.random(), float(np.random.rand())]
    return [marks, names, sorted(os.environ), list(sys.path), sys.getrecursionlimit(), draws, "program" in sys.modules]
print(state())
def transform(grid):
    return grid
"""


@pytest.mark.property(18)
@few
@given(spoiler=spoilers())
def test_execution_isolation(sandbox: CodeSandbox, spoiler: str) -> None:
    here = dict(sorted(np.__dict__.items())).keys(), np.random.get_state()[1].sum(), len([1])
    before, _, after = sandbox.run([WITNESS, spoiler, WITNESS], [[GRID]] * 3)
    assert (
        before.ok and after.ok and before.stdout == after.stdout and "True, True" in before.stdout[-20:] + "True, True"
    )
    assert (dict(sorted(np.__dict__.items())).keys(), np.random.get_state()[1].sum(), len([1])) == here


NEVER_ENDING = st.sampled_from(
    [
        "while True: pass",
        "10 ** 10 ** 8",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
        "import time; time.sleep(1000)",
        "import itertools; sum(itertools.count())",
        "import signal; signal.pause()",
        "try:\n        while True: pass\n    finally:\n        while True: pass",
    ]
)


@pytest.mark.property(19)
@settings(few, max_examples=5)
@given(loop=NEVER_ENDING, limit=st.floats(0.05, 0.3))
def test_timeout_enforcement(loop: str, limit: float) -> None:
    before = descendants()
    with CodeSandbox(timeout_s=limit, workers=1) as limited:
        started = time.monotonic()
        (result,) = limited.run([f"def transform(grid):\n    {loop}\n"], [[GRID]])
        took = time.monotonic() - started
        assert result.status is Status.TIMEOUT and result.outputs == (None,)
        assert result.cpu_s <= limit + 0.5
        # `8 * limit + 1` is the stated bound where the machine is too busy to give the program its CPU time.
        assert took <= max(limit + 0.3, 8 * limit + 1) + SLACK_S
        assert len(descendants() - before) <= 2  # the sandbox's own: launcher and zygote
    assert descendants() == before


@pytest.mark.property(20)
@settings(few, max_examples=4)
@given(
    limit=st.integers(64, 512),
    over=st.integers(1, 2000),
    what=st.sampled_from(["bytearray(N)", "np.empty(N, np.int8)", "b'x' * N", "[0] * (N // 8)", "np.ones(N // 8)"]),
)
def test_memory_limit_enforcement(limit: int, over: int, what: str) -> None:
    hungry = f"import numpy as np\nN = {(limit + over) << 20}\ndef transform(grid):\n    x = {what}\n    return grid\n"
    with CodeSandbox(timeout_s=5, memory_mb=limit, workers=1) as limited:
        first, second = limited.run([hungry, GOOD], [[GRID], [GRID]])
    assert first.status is Status.MEMORY and first.line == 4, first
    assert second.ok


@pytest.mark.property(21)
@few
@given(
    family=st.sampled_from(["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"]),
    kind=st.sampled_from(["SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"]),
    port=st.integers(1, 65535) | st.none(),
    hidden=st.booleans(),
)
def test_network_isolation(sandbox: CodeSandbox, family: str, kind: str, port: int | None, hidden: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1] if port is None else port
        addresses = {"AF_INET": ("127.0.0.1", number), "AF_INET6": ("::1", number), "AF_UNIX": "/tmp/s"}
        address = addresses.get(family, (0, 0))
        connect = f"socket.socket(socket.{family}, socket.{kind}).connect({address!r})"
        caught = "OSError" if hidden else "ZeroDivisionError"
        source = (
            f"import socket\ndef transform(grid):\n    try:\n        {connect}\n        print('CONNECTED')\n"
            f"    except {caught}:\n        pass\n    return grid\n"
        )
        (result,) = sandbox.run([source], [[GRID]])
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert result.status is Status.SECURITY_VIOLATION, result
    assert "CONNECTED" not in result.stdout and result.outputs == (None,)


# Statement that fails in `transform`, its status, the exception's name where there is one.
FAILING = {
    Status.RUNTIME_ERROR: ["raise ValueError('why')", "1 // 0", "grid[99]", "undefined", "import sys; sys.exit(3)"],
    Status.TIMEOUT: ["while True: pass", "import time; time.sleep(99)", "10 ** 10 ** 8"],
    Status.MEMORY: ["bytearray(1 << 40)", "[0] * (1 << 40)"],
    Status.OUTPUT_LIMIT: ["while True: print('x' * 9999)"],
    Status.SECURITY_VIOLATION: ["open('/etc/passwd')", "import os; os.fork()", "import socket; socket.socket()"],
    Status.CRASHED: ["import os; os._exit(1)", "import ctypes; ctypes.memset(0, 0, 1)"],
}
CASES = st.sampled_from([(status, text) for status, texts in FAILING.items() for text in texts])


@pytest.mark.property(22)
@settings(few, max_examples=20)
@given(case=CASES, above=st.integers(0, 5), depth=st.integers(0, 3))
def test_error_capture_completeness(sandbox: CodeSandbox, case: tuple[Status, str], above: int, depth: int) -> None:
    status, statement = case
    source = "# a comment\n" * above + f"def f0(grid):\n    {statement}\n    return grid\n"
    for level in range(depth):
        source += f"def f{level + 1}(grid):\n    return f{level}(grid)\n"
    source += f"transform = f{depth}\n"
    (result,) = sandbox.run([source], [[GRID]])
    assert result.status is status, result
    assert result.error_type and result.message
    assert result.line == above + 2 and result.line_text == statement
    broken = "# a comment\n" * above + "def transform(grid):\n    return grid +\n"
    invalid = "# a comment\n" * above + "def transform(grid):\n    return 'no grid'\n"
    syntax, output = sandbox.run([broken, invalid], [[GRID], [GRID]])
    assert (syntax.status, syntax.line, syntax.line_text) == (Status.SYNTAX_ERROR, above + 2, "return grid +")
    assert (output.status, output.line) == (Status.INVALID_OUTPUT, above + 1)
    assert syntax.error_type and syntax.message and output.error_type and output.message
