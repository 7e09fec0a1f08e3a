"""Programs that no policy sampled: those of a file, and the floors that a policy has to beat.

Whatever proposes programs, they go the way of a policy's: each distinct one runs once in the sandbox on all inputs,
two attempts are voted, and the evaluator alone sees the expected test outputs.
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcgym.data.contamination import canonical_hash
from arcgym.data.difficulty import DifficultyAnalyzer, predictors
from arcgym.data.synthetic.enumeration import enumerate_fits, steps_for
from arcgym.data.synthetic.expressions import render
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import grids_equal
from arcgym.inference import Candidate, TaskSolution, choose_attempts, rank_candidates
from arcgym.rewards import run_programs
from arcgym.sandbox import CodeSandbox

IDENTITY = "def transform(grid):\n    return grid\n"
Proposer = Callable[[Task], Sequence[str]]


@dataclass(frozen=True)
class ProgramSampling:
    """Where programs come from.

    Args:
        origin: What proposes them, and with which settings, so that results can be told apart.
        num_samples: Programs per task, at most.
        seed: Of what is drawn.
    """

    origin: str
    num_samples: int
    seed: int = 0


class ProgramSolver:
    """Solve tasks with proposed programs; to be evaluated like a `Solver`.

    Args:
        propose: Gives the programs for a task, doubles counting as votes. It must not read test outputs.
        sandbox: Runs them. Stays the caller's.
        sampling: Says where they come from.
    """

    def __init__(self, propose: Proposer, sandbox: CodeSandbox, sampling: ProgramSampling) -> None:
        self._propose = propose
        self._sandbox = sandbox
        self.sampling = sampling

    def solve(self, tasks: Sequence[Task]) -> list[TaskSolution]:
        """Propose programs, run them and vote; a task without any is reported with the reason.

        Args:
            tasks: Any number; test outputs may be missing.
        """
        counts = [Counter(self._propose(blind(task))) for task in tasks]
        jobs = [
            (task, program, count) for task, its in zip(tasks, counts, strict=True) for program, count in its.items()
        ]
        results = run_programs(
            self._sandbox,
            [program for _, program, _ in jobs],
            [[pair.input for pair in (*task.train, *task.test)] for task, _, _ in jobs],
        )
        ran = iter(
            _candidate(task, program, count, result)
            for (task, program, count), result in zip(jobs, results, strict=True)
        )
        return [
            _solution(task, list(itertools.islice(ran, len(its)))) for task, its in zip(tasks, counts, strict=True)
        ]


def from_programs(
    programs: Mapping[str, Sequence[str]], sandbox: CodeSandbox, origin: str = "programs"
) -> ProgramSolver:
    """Make a solver of programs that exist already.

    Args:
        programs: By name of the task; tasks may be missing, and count 0.
        sandbox: Runs them.
        origin: What to call them, such as the name of the file.

    Raises:
        TaskError: There are no programs.
    """
    if not any(programs.values()):
        raise TaskError("there are no programs to evaluate; give at least one for one task.")
    digest = hashlib.sha256(json.dumps({name: list(programs[name]) for name in sorted(programs)}).encode()).hexdigest()
    most = max(map(len, programs.values()))
    return ProgramSolver(
        lambda task: programs.get(task.task_id, ()), sandbox, ProgramSampling(f"{origin} {digest[:16]}", most)
    )


def load_programs(path: str | Path) -> dict[str, list[str]]:
    """Read programs from JSON Lines of `task_id` and `source`, several lines for a task being several samples.

    Args:
        path: Of the file; other keys are ignored.

    Returns:
        The sources by name of the task, in the order of the file.

    Raises:
        TaskError: The file cannot be read; or lines are malformed, and the message lists them.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise TaskError(f"{path} cannot be read as JSON Lines of programs: {exc}.") from exc
    programs: dict[str, list[str]] = defaultdict(list)
    faults = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            task_id, source = row["task_id"], row["source"]
        except (ValueError, KeyError, TypeError) as exc:
            faults.append(f"line {number} has no `task_id` and `source` ({type(exc).__name__}: {exc})")
            continue
        if not isinstance(task_id, str) or not isinstance(source, str):
            faults.append(f"line {number}: `task_id` and `source` must be texts")
            continue
        programs[task_id].append(source)
    if faults:
        more = f", and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise TaskError(f"{path}: " + "; ".join(faults[:10]) + f"{more}. Write one object per line.")
    return dict(programs)


def identity(sandbox: CodeSandbox) -> ProgramSolver:
    """The floor that answers with the input."""
    return ProgramSolver(lambda task: [IDENTITY], sandbox, ProgramSampling("identity", 1))


def most_common_output(sandbox: CodeSandbox) -> ProgramSolver:
    """The floor that answers with the outputs of the demonstrations, the most common one first."""
    return ProgramSolver(
        lambda task: [constant_program(pair) for pair in task.train], sandbox, ProgramSampling("most common output", 1)
    )


def random_programs(sandbox: CodeSandbox, num_samples: int, *, seed: int = 0, max_depth: int = 2) -> ProgramSolver:
    """The floor that draws programs of the synthetic families' grammar: a depth, then each step, all uniformly.

    Args:
        sandbox: Runs them.
        num_samples: Programs per task, 1 or more.
        seed: The same seed draws the same programs for a task, whatever the other tasks.
        max_depth: Most steps of a program.
    """

    def propose(task: Task) -> list[str]:
        steps = steps_for(task)
        rng = np.random.default_rng((seed, int(task.content_hash[:16], 16)))
        depths = rng.integers(1, max_depth + 1, size=num_samples)
        return [render([steps[index] for index in rng.integers(len(steps), size=depth)]) for depth in depths]

    return ProgramSolver(propose, sandbox, ProgramSampling(f"random, depth {max_depth}", num_samples, seed))


def enumeration(sandbox: CodeSandbox, max_executions: int, *, max_depth: int = 2, keep: int = 8) -> ProgramSolver:
    """The floor that tries the grammar's programs, shallow ones first, and answers with those that fit.

    Args:
        sandbox: Runs those that fit; the search itself needs none, since its steps are arcgym's own.
        max_executions: Programs tried per task, 1 or more.
        max_depth: Most steps of a program.
        keep: Fitting programs that take part in the vote, the first ones.
    """

    def propose(task: Task) -> list[str]:
        fits = enumerate_fits(task, max_depth=max_depth, max_executions=max_executions)
        return [fit.program for fit in itertools.islice(fits, keep)]

    origin = f"enumeration, depth {max_depth}, {max_executions} programs"
    return ProgramSolver(propose, sandbox, ProgramSampling(origin, keep))


def nearest_neighbour(
    sandbox: CodeSandbox, programs: Mapping[str, Sequence[str]], known: Sequence[Task], num_samples: int
) -> ProgramSolver:
    """The floor that answers with the programs of the tasks that look most alike.

    Tasks are compared by the features of `DifficultyAnalyzer`, each in units of its standard deviation over the known
    ones. Copies of the task itself, turned and recoloured too, do not count as neighbours.

    Args:
        sandbox: Runs them.
        programs: Programs of known tasks, by name.
        known: The tasks they are of, and any others.
        num_samples: Programs per task, 1 or more.

    Raises:
        TaskError: There is no program of any known task.
    """
    library = [task for task in known if programs.get(task.task_id)]
    if not library:
        raise TaskError("no program is of a known task; name the set that the programs are of.")
    analyzer = DifficultyAnalyzer()
    features = np.array([predictors(analyzer.features(task)) for task in library])
    scale = features.std(axis=0)
    scale[scale == 0] = 1.0
    hashes = [canonical_hash(blind(task)) for task in library]

    def propose(task: Task) -> list[str]:
        distances = (((features - predictors(analyzer.features(task))) / scale) ** 2).sum(axis=1)
        own = canonical_hash(task)
        order = [index for index in np.argsort(distances, kind="stable") if hashes[index] != own]
        found = itertools.chain.from_iterable(programs[library[index].task_id] for index in order)
        return list(itertools.islice(dict.fromkeys(found), num_samples))

    return ProgramSolver(propose, sandbox, ProgramSampling("nearest neighbour", num_samples))


def constant_program(pair: Pair) -> str:
    """Write the program that always gives a pair's output."""
    rows = [] if pair.output is None else pair.output.tolist()
    return f"def transform(grid):\n    return {rows}\n"


def blind(task: Task) -> Task:
    """Return a task without its test outputs and its program, which whoever solves it must not know."""
    return Task(task.task_id, task.train, tuple(Pair(pair.input, None) for pair in task.test), source=task.source)


def _candidate(task: Task, program: str, count: int, result: Any) -> Candidate:
    on_train, on_test = result.outputs[: len(task.train)], result.outputs[len(task.train) :]
    passed = sum(grids_equal(output, pair.output) for output, pair in zip(on_train, task.train, strict=True))
    return Candidate(program, count, result.status, passed, len(task.train), on_test)


def _solution(task: Task, candidates: list[Candidate]) -> TaskSolution:
    return TaskSolution(
        task_id=task.task_id,
        candidates=rank_candidates(candidates),
        attempts=choose_attempts(candidates, len(task.test)),
        num_samples=sum(candidate.count for candidate in candidates),
        num_without_program=0,
        reason="" if candidates else "there is no program for this task",
    )
