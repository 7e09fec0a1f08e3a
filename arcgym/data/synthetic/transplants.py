"""Synthetic tasks on real inputs: the input grids of ARC training tasks, answered by other programs.

Scenes of our own look like ARC only so far. Here a donor gives its inputs, turned and recoloured at random, and a
program of the families' grammar gives the outputs, so that the rule is known and the pictures are real. The donors
are the training tasks of ARC-AGI-2 that are neither in ARC-AGI-1 nor in an evaluation set, modulo symmetries and
colours; a program that answers its donor as ARC does is dropped, so no ARC task comes out.

Reference:
    Hindsight relabelling of program outputs: Butt et al. (2024), CodeIt.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from arcgym.data.augmentation import SYMMETRIES, Composition, Recolouring, Symmetry
from arcgym.data.contamination import without_overlap
from arcgym.data.loader import TaskLoader
from arcgym.data.synthetic.checks import explains, gives, is_degenerate, is_superfluous, run_steps, same_grid
from arcgym.data.synthetic.expressions import render
from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.family import Family
from arcgym.data.tasks import Pair, Task
from arcgym.errors import TaskError
from arcgym.grids import Grid

_ATTEMPTS = 4000
_DONORS_PER_PROGRAM = 8
_EVALUATED = (("arc-agi-1", "train"), ("arc-agi-1", "evaluation"), ("arc-agi-2", "evaluation"))
_INKS = np.arange(1, 10)


@lru_cache
def load_donors() -> tuple[Task, ...]:
    """The ARC-AGI-2 training tasks that share nothing with ARC-AGI-1 or an evaluation set, modulo D4 and colours."""
    loader = TaskLoader()
    tasks = loader.load("arc-agi-2", "train")
    for name, split in _EVALUATED:
        tasks = without_overlap(tasks, loader.load(name, split))
    return tuple(tasks)


def transplant_tasks(
    n: int,
    *,
    seed: int,
    start: int = 0,
    donors: Sequence[Task] | None = None,
    depths: Sequence[float] = (0.5, 0.35, 0.15),
    max_side: int = 30,
    pairs: tuple[int, int] = (2, 4),
) -> Iterator[Task]:
    """Yield `n` tasks, each with its program, on the inputs of donors.

    Args:
        n: Number of tasks.
        seed: Seed of the whole sequence.
        start: Number of the first task in the sequence of that seed.
        donors: Tasks that give inputs; by default those of `load_donors`.
        depths: Chance of a program of one step, of two steps, and so on.
        max_side: Donors with a larger input are left out.
        pairs: Lowest and highest number of train pairs, as far as the donor has inputs. One test pair is added.

    Raises:
        TaskError: No donor is small enough, or no acceptable task comes out within many attempts.
    """
    usable = [
        task
        for task in (load_donors() if donors is None else donors)
        if max(max(pair.input.shape) for pair in task.train) <= max_side
    ]
    if not usable:
        raise TaskError(f"No donor has inputs of at most {max_side} cells a side. Raise `max_side`.")
    for index in range(start, start + n):
        yield _one_task(index, seed, usable, depths, pairs)


def _one_task(index: int, seed: int, donors: Sequence[Task], depths: Sequence[float], pairs: tuple[int, int]) -> Task:
    rng = np.random.default_rng((seed, index))
    families = list(FAMILIES.values())
    chosen: list[Family] = []
    for attempt in range(_ATTEMPTS):
        if attempt % _DONORS_PER_PROGRAM == 0:  # else rules that few inputs show would be rare
            depth = 1 + int(rng.choice(len(depths), p=depths))
            chosen = [families[int(rng.integers(len(families)))] for _ in range(depth)]
        donor = donors[int(rng.integers(len(donors)))]
        shown = int(rng.integers(pairs[0], pairs[1] + 1))
        examples = _disguise(rng, donor)[: shown + 1]
        made = _answer(rng, examples, chosen)
        if made is None:
            continue
        steps, answered = made
        name = "+".join(family.name for family in chosen)
        return Task(
            f"arc-{seed}-{index:06d}",
            tuple(answered[:-1]),
            (answered[-1],),
            source="synthetic",
            family=name,
            program=render(steps),
        )
    raise TaskError(f"No acceptable task in {_ATTEMPTS} attempts on {len(donors)} donors. Allow more of them.")


def _disguise(rng: np.random.Generator, donor: Task) -> list[tuple[Grid, Grid]]:
    """The donor's train pairs in random order, turned and recoloured alike; the background 0 stays."""
    colours = (0, *rng.permutation(_INKS).tolist())
    symmetry = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))]
    disguise = Composition((Symmetry(symmetry), Recolouring(colours)))
    pairs = [
        (disguise.apply_grid(pair.input), disguise.apply_grid(pair.output))
        for pair in donor.train
        if pair.output is not None
    ]
    return [pairs[place] for place in rng.permutation(len(pairs))]


def _answer(
    rng: np.random.Generator, examples: list[tuple[Grid, Grid]], families: list[Family]
) -> tuple[tuple[str, ...], list[Pair]] | None:
    """Fill the families for these inputs and run them; `None` where that gives no task, or the donor itself."""
    colours = np.unique(np.concatenate([grid.ravel() for grid, _ in examples]))
    palette: list[int] = rng.permutation(colours[colours > 0]).tolist()
    if len(examples) < 3 or len(palette) < 2:
        return None
    steps = tuple(family.fill(rng, palette) for family in families)
    pairs = []
    for grid, _ in examples:
        output = run_steps(steps, grid)
        if output is None or not np.count_nonzero(output) or same_grid(grid, output):
            return None
        pairs.append(Pair(grid, output))
    if is_degenerate(pairs) or is_superfluous(steps, pairs):
        return None
    if all(gives(steps, Pair(grid, output)) for grid, output in examples):
        return None
    return (steps, pairs) if explains(render(steps), pairs) else None
