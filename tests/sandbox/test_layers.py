"""Layers are measured, each missing one is named, and the required ones are required."""

import json
import os
import subprocess
import sys

import pytest

from arcgym.sandbox import Layer, describe_layers
from arcgym.sandbox.layers import refusal, require

NAMES = ["seccomp", "landlock", "root", "uid", "pid", "net", "ipc", "rlimits", "cgroup", "wall clock"]

# Takes system calls away from the caller, as an old kernel or a container does, before the sandbox is started.
DENY = """
import errno, json, logging, sys
from arcgym.sandbox import linux
rules = linux.Filter(linux.architecture())
for name in {names!r}:
    rules.when(name, linux.error(errno.{code}))
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
linux.PreparedFilter(rules.otherwise(linux.ALLOW)).install()
import numpy as np
from arcgym.errors import SandboxError
from arcgym.sandbox import CodeSandbox, describe_layers
GRID = np.zeros((2, 2), int)
good = "def transform(grid):\\n    return grid\\n"
"""
DESCRIBE = """
layers = describe_layers()
logging.basicConfig(level=logging.WARNING)
def start(**options):
    with CodeSandbox(timeout_s=0.3, workers=1, **options) as sandbox:
        loop = "def transform(grid):\\n    while True: pass\\n"
        bomb = "def transform(grid):\\n    return bytearray(1 << 40)\\n"
        dead = "import os\\nos._exit(3)\\n"
        return [r.status for r in sandbox.run([good, loop, bomb, dead, good], [[GRID]] * 5)]
try:
    strict = start()
except SandboxError as exc:
    strict = str(exc)
print(json.dumps({"active": [l.name for l in layers if l.active], "strict": strict, "weak": start(allow_weak=True)}))
"""
LEAVE_A_CHILD = """
leave = "import os\\nif os.fork() == 0:\\n    import time\\n    time.sleep(9)\\n    os._exit(0)\\n" + good
with CodeSandbox(timeout_s=1, workers=1, allow_weak=True) as sandbox:
    first = sandbox._workers[0]._process.pid
    left, after = sandbox.run([leave, good], [[GRID]] * 2)
    print(json.dumps({"statuses": [left.status, after.status], "replaced": sandbox._workers[0]._process.pid != first}))
"""
USUAL = ["ok", "timeout", "memory", "crashed", "ok"]


def with_denied(names: list[str], code: str = "EPERM", then: str = DESCRIBE) -> tuple[dict, str]:
    script = DENY.format(names=names, code=code) + then
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), ran.stderr


def test_every_layer_is_described_with_its_guarantee_and_remedy():
    layers = describe_layers()
    assert [layer.name for layer in layers] == NAMES
    for layer in layers:
        assert layer.guarantee
        assert bool(layer.remedy) is not layer.active


def test_without_namespaces_the_rest_holds_and_suffices():
    seen, log = with_denied(["unshare", "mount"])
    assert {"seccomp", "landlock", "rlimits", "wall clock"} <= set(seen["active"])
    assert not {"root", "pid", "net", "ipc"} & set(seen["active"])
    assert seen["strict"] == seen["weak"] == USUAL and log == ""


def test_without_landlock_a_root_of_its_own_suffices():
    seen, log = with_denied(["landlock_create_ruleset"], "ENOSYS")
    assert "landlock" not in seen["active"] and {"seccomp", "root"} <= set(seen["active"])
    assert seen["strict"] == seen["weak"] == USUAL and log == ""


def test_without_landlock_and_namespaces_it_refuses_and_names_what_is_lost():
    seen, log = with_denied(["landlock_create_ruleset", "unshare"], "ENOSYS")
    assert (
        "landlock" in seen["strict"] and "no file can be read but" in seen["strict"] and "allow_weak" in seen["strict"]
    )
    assert seen["weak"] == USUAL
    assert "without landlock" in log and "no file can be read but" in log


def test_without_seccomp_it_refuses_and_names_what_is_lost():
    seen, log = with_denied(["seccomp"])
    assert "seccomp" not in seen["active"] and {"landlock", "root", "pid"} <= set(seen["active"])
    assert "seccomp (no sockets" in seen["strict"]
    assert seen["weak"] == USUAL and "without seccomp" in log


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="without root, the limit on processes keeps programs from forking")
def test_a_worker_under_which_a_program_left_processes_is_replaced():
    seen, _ = with_denied(["seccomp", "setresuid"], then=LEAVE_A_CHILD)
    # As long as one of its processes lives, the program is not over.
    assert seen == {"statuses": ["timeout", "ok"], "replaced": True}


@pytest.mark.parametrize("missing", ["seccomp", "rlimits", "wall clock"])
def test_each_required_layer_is_required(missing):
    layers = [Layer(name, name != missing, f"what {name} gives", "") for name in NAMES]
    assert [layer.name for layer in require(layers)] == [missing]
    assert f"what {missing} gives" in refusal(require(layers))


def test_files_need_landlock_or_a_root_of_its_own():
    def active(*off: str) -> list[Layer]:
        return [Layer(name, name not in off, "", "") for name in NAMES]

    assert (
        require(active("landlock"))
        == require(active("root"))
        == require(active("uid", "pid", "net", "ipc", "cgroup"))
        == []
    )
    assert [layer.name for layer in require(active("landlock", "root"))] == ["landlock"]
