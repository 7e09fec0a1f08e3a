import functools
import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym import primitives
from arcgym.data.synthetic import FAMILIES, generate_tasks, load_split
from arcgym.data.synthetic.expressions import evaluate, render
from arcgym.data.synthetic.generator import primitives_used
from arcgym.data.synthetic.scenes import SCENES
from arcgym.errors import TaskError


def run(program, grid):
    namespace = {}
    exec(program, namespace)
    return namespace["transform"](grid.copy())


def test_there_are_many_families_and_each_uses_known_primitives_and_scenes():
    assert len(FAMILIES) >= 50
    for family in FAMILIES.values():
        assert primitives_used(family.template) <= set(primitives.__all__)
        assert set(family.scenes) <= SCENES.keys()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_gives_tasks_that_its_program_explains(name):
    for task in generate_tasks(3, seed=11, families=[name], max_depth=1):
        pairs = (*task.train, *task.test)
        assert task.family == name
        assert all(np.array_equal(run(task.program, pair.input), pair.output) for pair in pairs)
        assert all(not np.array_equal(pair.input, pair.output) for pair in pairs)
        assert len({pair.output.tobytes() + bytes(pair.output.shape) for pair in pairs}) > 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 50))
def test_a_task_depends_on_its_seed_and_number_alone(seed, start):
    all_of_them = list(generate_tasks(start % 5 + 3, seed=seed))
    (last,) = generate_tasks(1, seed=seed, start=start % 5 + 2)
    assert last == all_of_them[-1]


@pytest.mark.parametrize("depth", [2, 3])
def test_composed_tasks_need_every_step(depth):
    for task in generate_tasks(30, seed=3, max_depth=depth, composed_share=1.0):
        steps = [line.removeprefix("    grid = ") for line in task.program.splitlines()[4:-1]]
        assert len(steps) == depth == task.family.count("+") + 1
        for fewer in itertools.combinations(steps, depth - 1):
            pairs = (*task.train, *task.test)
            assert not all(np.array_equal(safe(fewer, pair.input), pair.output) for pair in pairs)


def safe(steps, grid):
    try:
        return functools.reduce(lambda state, step: evaluate(step, state), steps, grid)
    except (ValueError, IndexError):
        return None


def test_the_evaluator_and_the_interpreter_agree_and_foreign_code_is_refused():
    grid = np.array([[1, 2], [0, 3]])
    step = "hconcat(shift(grid, -1, 0), flip_lr(grid))"
    assert np.array_equal(evaluate(step, grid), run(render([step]), grid))
    for foreign in ("__import__('os')", "grid.copy()", "open(grid)", "flip_lr(grid=grid)", "grid + 1", "flip_lr('x')"):
        with pytest.raises(ValueError, match="is not a call of a primitive"):
            evaluate(foreign, grid)


def test_unknown_families_are_named():
    with pytest.raises(TaskError, match="flip_sideways"):
        next(generate_tasks(1, seed=0, families=["flip_sideways"]))


def test_the_named_splits_are_fixed_and_disjoint():
    train, evaluation = load_split("train"), load_split("evaluation")
    assert (len(train), len(evaluation)) == (2000, 400)
    assert not {task.content_hash for task in train} & {task.content_hash for task in evaluation}
    with pytest.raises(TaskError, match="no split 'test'"):
        load_split("test")


@pytest.mark.parametrize(("split", "digest"), [("train", "b4712c858d6a3063"), ("evaluation", "9eb042891d22fd17")])
def test_the_named_splits_are_those_that_published_figures_are_of(split, digest):
    lines = [f"{task.task_id} {task.content_hash} {task.program}" for task in load_split(split)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("name", sorted(SCENES))
def test_scenes_give_small_grids_of_their_palette(name):
    rng = np.random.default_rng(0)
    for side in (3, 6, 10):
        for palette in ((3, 5), (1, 2, 4, 8)):
            grid = SCENES[name](rng, palette, side)
            assert grid.ndim == 2 and grid.size and max(grid.shape) <= 30
            assert set(np.unique(grid)) <= {0, *palette}
