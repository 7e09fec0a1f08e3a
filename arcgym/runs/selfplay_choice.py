"""The second half of a self-play round, before anything is trained: what to learn from.

Three kinds of samples. *Solved*: right programs for training tasks, of all rounds, a few differing ones of each, tasks
that are solved rarely more often. *Relabelled*: wrong programs as right ones for the tasks that their outputs make,
new ones each round. *Synthetic*: fresh tasks of the generator that the default policy was trained on, so that it does
not forget. Everything here follows from the database, the tallies and the seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from arcgym.data.contamination import without_overlap
from arcgym.data.formatting import TaskFormatter
from arcgym.data.synthetic import load_split
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError, TaskError
from arcgym.models.pretraining import TaskMix
from arcgym.sandbox import ExecutionResult, Status
from arcgym.selfplay import Relabeller, choose, find_refusal
from arcgym.selfplay.relabelling import SOURCE
from arcgym.solutions import Solution, SolutionDatabase, SolutionFilter, task_inputs
from arcgym.training.sft import Sample, priority_copies

_POOL = 64  # programs of a task to choose from, the best ones


@dataclass
class ChoiceArguments:
    """Which programs are learned, and how often."""

    per_task: int = field(default=8, metadata={"help": "Right programs of each task to learn from, at most."})
    diversity: bool = field(
        default=True,
        metadata={"help": "Choose programs that differ in tokens or outputs; otherwise the best ones, short first."},
    )
    replay_priority: float = field(
        default=0.5,
        metadata={
            "help": "How much more often programs of rarely solved tasks are learned, from 0 (each program once). A "
            "task with n programs that a share p of the samples solves counts n / p ** replay_priority."
        },
    )

    def __post_init__(self) -> None:
        if self.per_task < 1 or self.replay_priority < 0:
            raise ConfigError(
                f"`per_task` is {self.per_task} and `replay_priority` {self.replay_priority}; give at least 1, and at "
                "least 0."
            )


@dataclass
class RelabelArguments:
    """Hindsight relabelling and synthetic tasks."""

    relabel: Literal["none", "uniform", "greedy", "greedy_diverse"] = field(
        default="greedy_diverse",
        metadata={
            "help": "Which wrong programs become right ones for the tasks that their outputs make: `none` (right "
            "programs alone are learned), drawn (`uniform`), the nearest to right (`greedy`), or those that differ "
            "too (`greedy_diverse`)."
        },
    )
    relabel_per_task: int = field(default=2, metadata={"help": "Programs of each task that are relabelled per round."})
    relabel_per_program: int = field(
        default=2, metadata={"help": "In how many tasks the same program is relabelled per round."}
    )
    relabel_share: float = field(
        default=0.5,
        metadata={"help": "Largest share of relabelled samples among solved and relabelled ones, in [0, 1)."},
    )
    synthetic_samples: int = field(
        default=0,
        metadata={"help": "Fresh synthetic tasks with their programs to learn in each round, against forgetting."},
    )

    def __post_init__(self) -> None:
        if self.relabel_per_task < 1 or self.relabel_per_program < 1 or not 0 <= self.relabel_share < 1:
            raise ConfigError(
                f"`relabel_per_task` is {self.relabel_per_task}, `relabel_per_program` {self.relabel_per_program} and "
                f"`relabel_share` {self.relabel_share}, but must be 1 or more, 1 or more, and in [0, 1)."
            )
        if self.synthetic_samples < 0:
            raise ConfigError(f"`synthetic_samples` is {self.synthetic_samples}, but must be 0 or more.")


def relabel_round(
    database: SolutionDatabase,
    training: Sequence[Task],
    evaluation: Sequence[Task],
    settings: RelabelArguments,
    *,
    generation: int,
    seed: int,
) -> int:
    """Relabel wrong programs of one round, and store them as solutions of their new tasks.

    Args:
        database: Holds the programs; gets the new solutions, whose `parent` is the wrong one.
        training: The tasks that were sampled for.
        evaluation: Tasks that must have no part in it.
        settings: Which programs, and how many.
        generation: Number of the round.
        seed: Of the draw.

    Returns:
        How many programs were relabelled.

    Raises:
        TaskError: One of the training tasks is an evaluation task.
    """
    if settings.relabel == "none":
        return 0
    by_hash = {task.content_hash: task for task in training}
    wrong = SolutionFilter(
        task_hashes=list(by_hash), solved=False, statuses=[Status.OK.value], generations=(generation, generation)
    )
    pool = [
        solution
        for solution in database.iterate(wrong)
        if find_refusal(by_hash[solution.task_hash], solution.outputs) is None
    ]
    if settings.relabel == "greedy_diverse":
        pool = _first(pool, _POOL)
    chosen = choose(
        pool,
        settings.relabel_per_task,
        {"uniform": "uniform", "greedy": "greedy", "greedy_diverse": "greedy-diverse"}[settings.relabel],  # type: ignore[arg-type]
        per_program=settings.relabel_per_program,
        seed=seed,
    )
    earlier = [new.task for new in relabelled(database, training) if new.solution.generation < generation]
    relabeller = Relabeller(training, evaluation, earlier)
    new = []
    for solution in chosen:
        task = relabeller.relabel(by_hash[solution.task_hash], solution.program, solution.outputs)
        if task is not None:
            new.append(_relabelled_solution(task, solution, generation))
    database.add(new)
    return len(new)


def _relabelled_solution(task: Task, wrong: Solution, generation: int) -> Solution:
    return Solution.from_result(
        task,
        wrong.program,
        ExecutionResult(Status.OK, wrong.outputs),
        source_policy=wrong.source_policy,
        source_revision=wrong.source_revision,
        sampling=wrong.sampling,
        parent=wrong.key,
        generation=generation,
        created_at=wrong.created_at,
    )


class Relabelled(NamedTuple):
    """A relabelled solution with its task."""

    task: Task
    solution: Solution


def relabelled(database: SolutionDatabase, training: Sequence[Task]) -> list[Relabelled]:
    """Read what was relabelled from programs for these tasks, the newest round first, then by rank.

    The new task is its parent's inputs with the program's outputs, so it needs no place of its own.

    Args:
        database: Holds the solutions.
        training: The tasks that programs were written for; what comes from others is passed over.
    """
    by_hash = {task.content_hash: task for task in training}
    found = []
    for solution in database.iterate(SolutionFilter(solved=True, statuses=[Status.OK.value])):
        old = by_hash.get((solution.parent or "").split("/")[0])
        if old is None or solution.task_hash in by_hash or len(solution.outputs) != len(task_inputs(old)):
            continue
        pairs = [Pair(grid, output) for grid, output in zip(task_inputs(old), solution.outputs, strict=True)]
        shown = len(old.train)
        task = Task(solution.task_id, tuple(pairs[:shown]), tuple(pairs[shown:]), SOURCE, program=solution.program)
        if task.content_hash == solution.task_hash:  # else it is a repair, or of another kind
            found.append(Relabelled(task, solution))
    return sorted(found, key=lambda entry: -entry.solution.generation)


def solved_rates(database: SolutionDatabase, hashes: Sequence[str]) -> dict[str, float]:
    """Say of each task which share of its stored programs is right, where it is not known how often each was sampled.

    Args:
        database: Holds the programs.
        hashes: Content hashes of the tasks.

    Returns:
        Posterior means, so never 0.
    """
    counted = database.tasks(SolutionFilter(task_hashes=list(hashes)))
    return {count.task_hash: (count.solved + 1) / (count.programs + 2) for count in counted}


def solved_samples(
    database: SolutionDatabase,
    prompts: Mapping[str, Sample],
    settings: ChoiceArguments,
    rates: Mapping[str, float],
) -> list[Sample]:
    """Choose right programs, and repeat those of rarely solved tasks.

    Args:
        database: Holds the programs.
        prompts: Per content hash of a task its name and prompt, as a sample whose program is not used.
        settings: How many and which.
        rates: Per task that is solved the share of samples that are right, above 0; others count as 1.

    Returns:
        In the order of the hashes of the tasks.
    """
    wanted = SolutionFilter(task_hashes=sorted(prompts), solved=True, per_task=max(_POOL, settings.per_task))
    chosen = choose(
        database.iterate(wanted),
        settings.per_task,
        "greedy-diverse" if settings.diversity else "greedy",
        per_program=max(1, len(prompts)),  # what solves several tasks may be learned for all of them
    )
    by_task: dict[str, list[Solution]] = {}
    for solution in chosen:
        by_task.setdefault(solution.task_hash, []).append(solution)
    known = {task: len(programs) for task, programs in by_task.items()}
    copies = priority_copies(known, {task: rates.get(task, 1.0) for task in known}, settings.replay_priority)
    return [
        prompts[task]._replace(program=programs[number % len(programs)].program, kind="solved")
        for task, programs in by_task.items()
        for number in range(copies[task])
    ]


def relabelled_samples(
    database: SolutionDatabase, training: Sequence[Task], formatter: TaskFormatter, limit: int
) -> list[Sample]:
    """Take relabelled programs whose prompts fit, the newest first.

    Args:
        database: Holds them.
        training: Tasks that they come from.
        formatter: Writes the prompts.
        limit: At most so many.
    """
    samples: list[Sample] = []
    for task, solution in relabelled(database, training):
        if len(samples) == limit:
            break
        sample = _sample(task, solution.program, formatter, "relabelled")
        samples += [] if sample is None else [sample]
    return samples


def synthetic_samples(
    count: int, evaluation: Sequence[Task], formatter: TaskFormatter, *, seed: int, number: int
) -> list[Sample]:
    """Generate tasks with their programs, none of which is evaluated on.

    Args:
        count: How many; fewer where prompts do not fit.
        evaluation: Tasks that must have no part in it; those of the synthetic evaluation set have none anyway.
        formatter: Writes the prompts.
        seed: Of the generator.
        number: Of the round; each has tasks of its own.
    """
    mix = TaskMix(num_tasks=(number + 1) * count, seed=seed, max_side=12, transplant_share=0.35, donor_side=16)
    secret = [*evaluation, *_synthetic_evaluation()]
    drawn = without_overlap(list(mix.draw(number * count, (number + 1) * count)), secret) if count else []
    samples = [_sample(task, task.program, formatter, "synthetic") for task in drawn]
    return [sample for sample in samples if sample is not None]


@lru_cache(maxsize=1)
def _synthetic_evaluation() -> tuple[Task, ...]:
    return tuple(load_split("evaluation"))


def _sample(task: Task, program: str, formatter: TaskFormatter, kind: str) -> Sample | None:
    try:
        return Sample(task.task_id, formatter.format(task).prompt, program, kind)
    except TaskError:  # too long for a prompt
        return None


def _first(pool: Sequence[Solution], per_task: int) -> list[Solution]:
    """The first programs of each task."""
    counts: dict[str, int] = {}
    kept = []
    for solution in pool:
        counts[solution.task_hash] = counts.get(solution.task_hash, 0) + 1
        if counts[solution.task_hash] <= per_task:
            kept.append(solution)
    return kept
