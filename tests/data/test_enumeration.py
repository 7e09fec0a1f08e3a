import numpy as np
import pytest

from arcgym.data import Pair, Task
from arcgym.data.synthetic import FAMILIES
from arcgym.data.synthetic.enumeration import apply_step, enumerate_fits, random_fits, steps_for

RNG = np.random.default_rng(0)
GRIDS = [RNG.integers(0, 5, size=(3, 4)) for _ in range(4)]


def task_of(rule, grids=GRIDS):
    pairs = [Pair(grid, rule(grid)) for grid in grids]
    return Task("made", tuple(pairs[:-1]), (Pair(pairs[-1].input, None),))


def run(program, grid):
    namespace = {}
    exec(program, namespace)
    return namespace["transform"](grid)


def test_steps_are_filled_with_colours_of_the_task():
    steps = steps_for(task_of(lambda grid: grid[::-1] + 1))
    assert "flip_ud(grid)" in steps and "replace_colour(grid, 1, 5)" in steps
    assert "replace_colour(grid, 5, 1)" not in steps  # 5 is in outputs only
    assert not any(", 9)" in step for step in steps)
    assert len(steps) == len(set(steps)) > len(FAMILIES)


@pytest.mark.parametrize(
    ("rule", "steps"),
    [(np.fliplr, 1), (lambda grid: np.hstack([grid.T, grid.T]), 2)],
)
def test_the_first_fit_is_shallowest_and_right(rule, steps):
    fit = next(enumerate_fits(task_of(rule)))
    assert len(fit.steps) == steps
    assert np.array_equal(fit.outputs[0], rule(GRIDS[-1]))
    assert np.array_equal(run(fit.program, GRIDS[0]), rule(GRIDS[0]))


def test_enumeration_stops_at_its_budget():
    task = task_of(lambda grid: np.hstack([grid.T, grid.T]))
    needed = next(enumerate_fits(task)).executions
    assert next(enumerate_fits(task, max_executions=needed - 1), None) is None
    assert next(enumerate_fits(task, max_executions=needed)).executions == needed
    assert next(enumerate_fits(task, max_depth=1), None) is None


def test_random_programs_find_what_is_shallow_and_count_their_draws():
    fits = list(random_fits(task_of(np.fliplr), 3000, np.random.default_rng(1), max_depth=1))
    assert fits and all(np.array_equal(fit.outputs[0], GRIDS[-1][:, ::-1]) for fit in fits)
    assert all(fit.executions <= 3000 for fit in fits)
    assert not list(random_fits(task_of(lambda grid: grid * 0 + RNG.integers(1, 9)), 200, np.random.default_rng(1)))


def test_a_step_that_refuses_gives_nothing():
    assert apply_step("crop_colour(grid, 9)", np.ones((3, 3), dtype=np.int8)) is None
    assert apply_step("scale(grid, 3)", np.ones((20, 20), dtype=np.int8)) is None
    assert apply_step("flip_lr(grid)", None) is None
