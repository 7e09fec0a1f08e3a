"""Hindsight relabelling: a program that is wrong for its task is right for the task that its own outputs make.

The new task has the inputs of the old one and, as outputs, what the program gave; the program solves it by
construction. That turns nearly every valid program into a training example, which is what a weak policy has most of.

What would teach nothing is refused: programs that are not wrong, outputs that are the input or all the same, tasks
that are known already in whatever disguise. And nothing that comes from an evaluation task is ever relabelled, not
even in disguise: that is an error and no refusal, because the caller has mixed up its tasks.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from arcgym.data.contamination import canonical_hash, overlap
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import Grid, grids_equal
from arcgym.programs import program_hash
from arcgym.rewards.shortcuts import trivial_answers

SOURCE = "relabelled"

_MARK = "~"


class Refusal(StrEnum):
    """Why a program makes no new task."""

    INVALID = "invalid"
    RIGHT = "right"
    FEW_INPUTS = "few_inputs"
    IDENTITY = "identity"
    CONSTANT = "constant"
    BLANK = "blank"
    KNOWN = "known"


def find_refusal(task: Task, outputs: Sequence[Grid | None]) -> Refusal | None:
    """Say why outputs make no new task, whatever tasks there are already.

    Args:
        task: What the program was written for.
        outputs: Of the program, one per train pair, or one per train and then per test pair.

    Returns:
        `INVALID`: an output is missing; `RIGHT`: every demonstration is reproduced, so that the new task would ask
        what the old one asks; `FEW_INPUTS`: fewer than three pairs, or all inputs are the same; `IDENTITY`: all are
        the input; `CONSTANT`: all are the same grid; `BLANK`: all cells of all outputs have one colour. None if it is
        none of these.

    Raises:
        ValueError: There is another number of outputs.
    """
    pairs = _pairs(task, outputs)
    if any(output is None for output in outputs):
        return Refusal.INVALID
    if all(grids_equal(pair.output, output) for pair, output in zip(task.train, outputs, strict=False)):
        return Refusal.RIGHT
    inputs = [pair.input for pair in pairs]
    if len(pairs) < 3 or all(grids_equal(grid, inputs[0]) for grid in inputs):
        return Refusal.FEW_INPUTS
    trivial = trivial_answers(inputs, outputs)
    if trivial is not None:
        return Refusal(trivial.value)
    colours = {int(colour) for output in outputs if output is not None for colour in output.flat}
    return Refusal.BLANK if len(colours) == 1 else None


def relabel(
    task: Task,
    program: str,
    outputs: Sequence[Grid | None],
    *,
    evaluation: Collection[str],
    known: Collection[str] = frozenset(),
) -> Task | None:
    """Make the task that a wrong program solves.

    Args:
        task: The training task that it was written for.
        program: The source, which compiles.
        outputs: What it gave, each of shape (height, width) or None: one per train pair, or one per train and then per
            test pair (`solutions.task_inputs`). Without those of the test pairs the last pair becomes the question.
        evaluation: Canonical hashes of all tasks to evaluate on; an empty set if there are none.
        known: Canonical hashes of tasks that are not wanted again.

    Returns:
        The task, named for the old one and the program, with source `relabelled`; None if it is refused, for one of
        the reasons of `find_refusal` or because it is known.

    Raises:
        TaskError: The task is one to evaluate on, or a copy.
        ProgramError: The program does not compile.
        ValueError: There is another number of outputs.

    Reference:
        Andrychowicz et al., Hindsight experience replay (2017); Butt et al., CodeIt (2024).
    """
    old_hash = canonical_hash(task)
    if old_hash in evaluation:
        raise _from_evaluation(task)
    if find_refusal(task, outputs) is not None:
        return None
    pairs = tuple(Pair(pair.input, output) for pair, output in zip(_pairs(task, outputs), outputs, strict=True))
    shown = len(task.train) if len(pairs) > len(task.train) else -1
    new = replace(
        task,
        task_id=f"{task.task_id.split(_MARK)[0]}{_MARK}{program_hash(program)[:12]}",
        train=pairs[:shown],
        test=pairs[shown:],
        source=SOURCE,
        program=program,
    )
    new_hash = canonical_hash(new)
    return None if new_hash == old_hash or new_hash in known or new_hash in evaluation else new


class Relabeller:
    """Relabels programs for a set of training tasks, makes each new task once, and counts what it refuses.

    Args:
        training: The tasks that may be relabelled, and are known.
        evaluation: All tasks to evaluate on.
        known: Other tasks that are not wanted again, such as those that were made before.

    Attributes:
        counts: How many programs were relabelled (`relabelled`) and refused, by `Refusal`.
    """

    def __init__(self, training: Sequence[Task], evaluation: Sequence[Task], known: Iterable[Task] = ()) -> None:
        tainted = {entry.id_a for entry in overlap(training, evaluation)}
        self._allowed = {task.content_hash for task in training if task.task_id not in tainted}
        self._tainted = {task.content_hash for task in training if task.task_id in tainted}
        self._evaluation = {canonical_hash(task) for task in evaluation}
        self._known = {canonical_hash(task) for task in (*training, *known)}
        self.counts: Counter[str] = Counter()

    def relabel(self, task: Task, program: str, outputs: Sequence[Grid | None]) -> Task | None:
        """Make the task that a wrong program solves, if it is a new one.

        Args:
            task: One of the training tasks.
            program: As for `relabelling.relabel`.
            outputs: As there.

        Raises:
            TaskError: The task is none of the training tasks, or is in the evaluation tasks as a copy or in part.
            ProgramError: The program does not compile.
            ValueError: There is another number of outputs.
        """
        if task.content_hash in self._tainted or canonical_hash(task) in self._evaluation:
            raise _from_evaluation(task)
        if task.content_hash not in self._allowed:
            raise TaskError(
                f"task {task.task_id!r} is none of the training tasks, so it is not known whether it may be trained "
                "on. Relabel programs that were written for training tasks only."
            )
        new = relabel(task, program, outputs, evaluation=self._evaluation, known=self._known)
        if new is None:
            self.counts[find_refusal(task, outputs) or Refusal.KNOWN] += 1
        else:
            self.counts[SOURCE] += 1
            self._known.add(canonical_hash(new))
        return new


def _pairs(task: Task, outputs: Sequence[Grid | None]) -> tuple[Pair, ...]:
    """The pairs that outputs belong to."""
    pairs = (*task.train, *task.test)
    if len(outputs) not in (len(task.train), len(pairs)):
        raise ValueError(
            f"{len(outputs)} outputs for the {len(task.train)} train and {len(task.test)} test pairs of task "
            f"{task.task_id!r}; give one per train pair, or one per pair"
        )
    return pairs[: len(outputs)]


def _from_evaluation(task: Task) -> TaskError:
    return TaskError(
        f"task {task.task_id!r} is one to evaluate on, or shares pairs with one: programs for it must not be "
        "relabelled and trained on. Sample programs for training tasks only, with `drop_contaminated: true`."
    )
