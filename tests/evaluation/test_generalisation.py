"""Programs that know a rule, and programs that only know the pairs, on examples that the tasks do not show."""

import numpy as np
import pytest

from arcgym.data.synthetic import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation.generalisation import augmented_inputs, fresh_inputs, general_share, generalise

RULE = "def transform(grid):\n    return grid[:, ::-1]\n"


def look_up(task):
    """A program that has learned a task's pairs by heart."""
    table = {str(pair.input.tolist()): pair.output.tolist() for pair in (*task.train, *task.test)}
    return f"def transform(grid):\n    return {table}[str(grid.tolist())]\n"


@pytest.fixture(scope="module")
def flips():
    return list(generate_tasks(3, seed=3, families=["flip_lr"], max_depth=1))


def test_the_rule_carries_and_the_pairs_learned_by_heart_do_not(flips, sandbox):
    knows, heart, own = flips
    found = generalise({knows.task_id: RULE, heart.task_id: look_up(heart), own.task_id: own.program}, flips, sandbox)
    assert [entry.task_id for entry in found] == [task.task_id for task in flips]
    assert [entry.is_general for entry in found] == [True, False, True]
    assert found[0].fresh.total == found[0].augmented.total == found[0].fresh.passed == 16
    assert found[1].fresh.passed < 16
    assert general_share(found) == pytest.approx(2 / 3)


def test_the_same_seed_asks_the_same_and_other_counts_ask_others(flips, sandbox):
    solutions = {flips[0].task_id: look_up(flips[0])}
    first = generalise(solutions, flips, sandbox, num_augmented=5, num_fresh=0)
    assert first == generalise(solutions, flips, sandbox, num_augmented=5, num_fresh=0)
    assert (first[0].augmented.total, first[0].fresh.total) == (5, 0)


def test_a_task_whose_rule_is_not_known_is_not_asked_about(flips, sandbox):
    real = Task(flips[0].task_id, flips[0].train, flips[0].test)
    assert generalise({real.task_id: RULE}, [real], sandbox) == []
    assert general_share([]) is None
    with pytest.raises(TaskError, match="tasks that are not given: other"):
        generalise({"other": RULE}, flips, sandbox)


def test_examples_stay_within_the_colours_of_the_task(flips):
    task = flips[0]
    colours = {int(cell) for pair in (*task.train, *task.test) for cell in np.unique(pair.input)}
    rng = np.random.default_rng(0)
    for grid in (*augmented_inputs(task, 20, rng), *fresh_inputs(task, 20, rng)):
        assert {int(cell) for cell in np.unique(grid)} <= colours | {0}
    assert len({grid.tobytes() for grid in fresh_inputs(task, 20, rng)}) > 10
    assert fresh_inputs(Task("other", task.train, task.test, family="unknown"), 20, rng) == []
