"""Does a program know the rule, or only the pairs? Run it where nobody has looked.

Two measurements, both shares in [0, 1] of the examples that it gets right:

- *augmented views*: the pairs of the task, moved by symmetries of the square and permutations of the colours. A right
  program need not pass (gravity has a direction), but one that passes is tied to less of what the pairs look like.
- *fresh examples*: other pairs of the same rule, from a generator of synthetic tasks or held-out demonstrations.
"""

from collections.abc import Iterable, Mapping, Sequence

from arcgym.data.augmentation import Augmenter
from arcgym.data.tasks import Pair, Task
from arcgym.grids import grids_equal
from arcgym.sandbox import CodeSandbox, Status
from arcgym.solutions.database import Generality
from arcgym.solutions.records import Solution


def measure_generality(
    solutions: Sequence[Solution],
    tasks: Iterable[Task],
    sandbox: CodeSandbox,
    *,
    num_views: int = 8,
    fresh: Mapping[str, Sequence[Pair]] | None = None,
    seed: int = 0,
) -> list[Generality]:
    """Run solutions on augmented views of their tasks and on fresh examples, in one batch.

    Args:
        solutions: Whose tasks are among `tasks`; others are passed over.
        tasks: The tasks.
        sandbox: Runs the programs, each on one view at a time.
        num_views: Views per task beside the task itself, up to as many as differ; 0 for none.
        fresh: Per `Task.content_hash` pairs with outputs that are not in the task.
        seed: Draws the views; the same for all programs of a task, so that they can be compared.

    Returns:
        One record per solution that could be run, for `SolutionDatabase.set_generality`.

    Raises:
        ValueError: A fresh pair has no output.
    """
    by_hash = {task.content_hash: task for task in tasks}
    augmenter = Augmenter(pair_order=False, seed=seed)
    views: dict[str, list[list[Pair]]] = {}
    jobs: list[tuple[int, bool, Sequence[Pair]]] = []
    for index, solution in enumerate(solutions):
        task = by_hash.get(solution.task_hash)
        if task is not None and solution.task_hash not in views:
            views[solution.task_hash] = _view_pairs(task, augmenter, num_views)
        jobs += [(index, False, pairs) for pairs in views.get(solution.task_hash, [])]
        jobs += [(index, True, [pair]) for pair in (fresh or {}).get(solution.task_hash, ())]
    if any(pair.output is None for _, _, pairs in jobs for pair in pairs):
        raise ValueError("a fresh pair has no output; measure on pairs whose output is known")
    results = sandbox.run(
        [solutions[index].program for index, _, _ in jobs], [[pair.input for pair in pairs] for _, _, pairs in jobs]
    )
    right: dict[tuple[int, bool], list[bool]] = {}
    for (index, is_fresh, pairs), result in zip(jobs, results, strict=True):
        if result.status is not Status.INFRASTRUCTURE:
            equal = all(grids_equal(got, pair.output) for got, pair in zip(result.outputs, pairs, strict=True))
            right.setdefault((index, is_fresh), []).append(equal)
    measured = sorted({index for index, _ in right})
    return [
        Generality(
            solutions[index].task_hash,
            solutions[index].program_hash,
            _share(right.get((index, False))),
            _share(right.get((index, True))),
        )
        for index in measured
    ]


def _view_pairs(task: Task, augmenter: Augmenter, num_views: int) -> list[list[Pair]]:
    """Per view the pairs with known outputs; the first draw is the task itself, which says nothing new."""
    views = [view.apply(task) for view in augmenter.views(task, num_views + 1)[1:]]
    return [[pair for pair in (*view.train, *view.test) if pair.output is not None] for view in views]


def _share(right: Sequence[bool] | None) -> float | None:
    return sum(right) / len(right) if right else None
