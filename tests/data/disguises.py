"""Tasks in disguise, and a slow, obvious check of whether one is a copy of another."""

import itertools
from collections import Counter

import numpy as np
from hypothesis import strategies as st

from arcgym.data import Pair, Task
from arcgym.data.augmentation import SYMMETRIES, Composition, Recolouring, Symmetry

symmetries = st.sampled_from(SYMMETRIES).map(Symmetry)
recolourings = st.permutations(range(10)).map(lambda colours: Recolouring(tuple(colours)))


def small_grids(num_colours=3, max_side=2):
    sides = st.integers(1, max_side)
    return st.tuples(sides, sides).flatmap(
        lambda shape: st.lists(
            st.integers(0, num_colours - 1), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
        ).map(lambda cells: np.array(cells, dtype=np.int8).reshape(shape))
    )


def small_tasks(max_pairs=4, **grids):
    pairs = st.builds(Pair, small_grids(**grids), small_grids(**grids))
    return st.lists(pairs, min_size=2, max_size=max_pairs).map(task_of)


def task_of(pairs, name="a"):
    return Task(name, tuple(pairs[:-1]), (pairs[-1],))


@st.composite
def disguised(draw, task):
    """The task with all its pairs in another order, the shown ones and the asked ones alike, turned and recoloured."""
    moved = Composition((draw(symmetries), draw(recolourings))).apply(task)
    return task_of(draw(st.permutations([*moved.train, *moved.test])), name=f"{task.task_id}-disguised")


def most_shared(task_a, task_b):
    """The most of the different pairs of `task_b` that any symmetry and permutation turn into pairs of `task_a`."""
    held, wanted = (set(task.train + task.test) for task in (task_a, task_b))
    goals = [*colours_of(held), *(10 + spare for spare in range(len(colours_of(wanted))))]
    held_keys = set(keys(held))
    return max(len(held_keys.intersection(changed)) for changed in disguises_of(wanted, goals))


def is_copy(task_a, task_b):
    """Whether one symmetry and permutation turn the pairs of one task into those of the other, the order aside."""
    pairs_a, pairs_b = (task.train + task.test for task in (task_a, task_b))
    goals = colours_of(pairs_a)
    return len(goals) == len(colours_of(pairs_b)) and any(
        Counter(changed) == Counter(keys(pairs_a)) for changed in disguises_of(pairs_b, goals)
    )


def disguises_of(pairs, goals):
    """The keys of the pairs under every symmetry and every assignment of different `goals` to their colours."""
    colours = colours_of(pairs)
    for kind, chosen in itertools.product(SYMMETRIES, itertools.permutations(goals, len(colours))):
        renaming = dict(zip(colours, chosen, strict=True))
        turn = Symmetry(kind).apply_grid
        yield [
            tuple(tuple(tuple(renaming[cell] for cell in row) for row in turn(grid).tolist()) for grid in sides)
            for sides in ((pair.input, pair.output) for pair in pairs)
        ]


def keys(pairs):
    return [tuple(tuple(map(tuple, grid.tolist())) for grid in (pair.input, pair.output)) for pair in pairs]


def colours_of(pairs):
    return sorted({cell for pair in pairs for grid in (pair.input, pair.output) for cell in grid.ravel().tolist()})
