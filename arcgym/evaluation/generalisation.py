"""Whether a program that solves a task knows its rule: it is asked again on grids that the task does not show.

Right on a test pair or two can be luck, or a rule that holds for these grids only. Where the task's own program is
known, as for synthetic families, that program says what is right for any grid: for turned, mirrored and recoloured
inputs of the task, and for fresh ones from the family's scenes. Both programs run in the sandbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arcgym.data.augmentation import Recolouring, symmetric_views
from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.scenes import SCENES
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.grids import Grid, as_grid, grids_equal
from arcgym.rewards import run_programs
from arcgym.sandbox import CodeSandbox

_TRIES = 4  # scenes drawn per fresh example: now and then the rule has no answer, or changes nothing


class Agreement(NamedTuple):
    """On how many examples a program agrees with the task's own.

    Attributes:
        passed: Examples with the same output.
        total: Examples for which the task's own program has an answer that differs from the input.
    """

    passed: int
    total: int


@dataclass(frozen=True)
class Generalisation:
    """How far one solution carries.

    Args:
        task_id: The task.
        augmented: On turned, mirrored and recoloured inputs of the task.
        fresh: On new inputs from the family's scenes; none where the family has no scenes.
    """

    task_id: str
    augmented: Agreement
    fresh: Agreement

    @property
    def is_general(self) -> bool:
        """Whether it is right on every example, of which there is at least one."""
        total = self.augmented.total + self.fresh.total
        return total > 0 and self.augmented.passed + self.fresh.passed == total


def generalise(
    solutions: Mapping[str, str],
    tasks: Sequence[Task],
    sandbox: CodeSandbox,
    *,
    num_augmented: int = 16,
    num_fresh: int = 16,
    seed: int = 0,
) -> list[Generalisation]:
    """Run solutions on examples that their tasks do not show.

    Args:
        solutions: By name of the task, a program that solves it, such as `TaskRecord.solving_program`.
        tasks: Their tasks; those without a program of their own are left out, since nobody knows what is right.
        sandbox: Runs both programs.
        num_augmented: Turned, mirrored and recoloured inputs per task.
        num_fresh: New inputs per task.
        seed: The same seed gives the same examples.

    Returns:
        One entry per task with a solution and a program of its own, in the order of `tasks`.

    Raises:
        TaskError: A solution is of none of the tasks.
    """
    unknown = sorted(solutions.keys() - {task.task_id for task in tasks})
    if unknown:
        raise TaskError(f"solutions of tasks that are not given: {', '.join(unknown[:5])}. Pass their tasks too.")
    asked = [task for task in tasks if task.program and solutions.get(task.task_id)]
    examples = []
    for task in asked:
        rng = np.random.default_rng((seed, int(task.content_hash[:16], 16)))
        examples.append((augmented_inputs(task, num_augmented, rng), fresh_inputs(task, num_fresh * _TRIES, rng)))
    inputs = [[*augmented, *fresh] for augmented, fresh in examples]
    truths = run_programs(sandbox, [task.program for task in asked], inputs)
    answers = run_programs(sandbox, [solutions[task.task_id] for task in asked], inputs)
    return [
        Generalisation(
            task.task_id,
            _agreement(augmented, truth.outputs[: len(augmented)], answer.outputs[: len(augmented)], num_augmented),
            _agreement(fresh, truth.outputs[len(augmented) :], answer.outputs[len(augmented) :], num_fresh),
        )
        for task, (augmented, fresh), truth, answer in zip(asked, examples, truths, answers, strict=True)
    ]


def general_share(found: Sequence[Generalisation]) -> float | None:
    """Return the share of solutions that are right on every example; `None` where no task could be asked about."""
    asked = [entry for entry in found if entry.augmented.total + entry.fresh.total]
    return sum(entry.is_general for entry in asked) / len(asked) if asked else None


def augmented_inputs(task: Task, count: int, rng: np.random.Generator) -> list[Grid]:
    """Turn, mirror and recolour inputs of a task; colours of its inputs stay among themselves, and so does black.

    Args:
        task: Any.
        count: Number of inputs.
        rng: Source of randomness.
    """
    inputs = [pair.input for pair in (*task.train, *task.test)]
    colours = sorted({int(colour) for grid in inputs for colour in np.unique(grid)} - {0})
    made = []
    for _ in range(count):
        grid = inputs[int(rng.integers(len(inputs)))]
        turned = as_grid(symmetric_views(grid)[int(rng.integers(8))])
        places = list(range(10))
        # A program may name the colours it looks for; others would only show what the demonstrations do not define.
        for colour, other in zip(colours, rng.permutation(colours).tolist(), strict=True):
            places[colour] = other
        made.append(Recolouring(tuple(places)).apply_grid(turned))
    return made


def fresh_inputs(task: Task, count: int, rng: np.random.Generator) -> list[Grid]:
    """Draw inputs from the scenes of a task's family, in the colours and up to the size of the task's own.

    Args:
        task: Of a synthetic family; of another, there are none.
        count: Number of inputs.
        rng: Source of randomness.
    """
    family = FAMILIES.get(task.family.split("+")[0])
    inputs = [pair.input for pair in (*task.train, *task.test)]
    palette = tuple(sorted({int(colour) for grid in inputs for colour in np.unique(grid)} - {0}))
    if family is None or len(palette) < 2:  # scenes need two colours
        return []
    side = max(2, *(max(grid.shape) for grid in inputs))  # scenes need room, as in the generator
    return [
        as_grid(SCENES[family.scenes[int(rng.integers(len(family.scenes)))]](rng, palette, side)) for _ in range(count)
    ]


def _agreement(
    inputs: Sequence[Grid], truths: Sequence[Grid | None], answers: Sequence[Grid | None], most: int
) -> Agreement:
    valid = [
        (truth, answer)
        for grid, truth, answer in zip(inputs, truths, answers, strict=True)
        if truth is not None and not grids_equal(truth, grid)
    ][:most]
    return Agreement(sum(grids_equal(truth, answer) for truth, answer in valid), len(valid))
