import numpy as np
import pytest

from arcgym.data import Pair, Task, TaskLoader
from arcgym.data.contamination import overlap
from arcgym.data.synthetic.expressions import HEADER
from arcgym.data.synthetic.transplants import load_donors, transplant_tasks
from arcgym.errors import TaskError


def run(program, grid):
    namespace = {}
    exec(program, namespace)
    return namespace["transform"](grid)


def test_donors_share_nothing_with_arc_1_or_an_evaluation_set():
    donors = load_donors()
    assert len(donors) == 233
    for name, split in [("arc-agi-1", "train"), ("arc-agi-1", "evaluation"), ("arc-agi-2", "evaluation")]:
        assert not overlap(donors, TaskLoader().load(name, split))


def test_programs_give_the_outputs_and_inputs_are_those_of_a_donor():
    shapes = {pair.input.shape for task in load_donors() for pair in task.train}
    for task in transplant_tasks(30, seed=3, max_side=12):
        assert task.program.startswith(HEADER)
        for pair in (*task.train, *task.test):
            assert np.array_equal(run(task.program, pair.input), pair.output)
            assert pair.input.shape in shapes or pair.input.shape[::-1] in shapes


def test_what_a_task_is_depends_on_seed_and_number_alone():
    whole = [task.content_hash for task in transplant_tasks(6, seed=3, max_side=10)]
    rest = [task.content_hash for task in transplant_tasks(3, seed=3, start=3, max_side=10)]
    assert rest == whole[3:] != [task.content_hash for task in transplant_tasks(3, seed=4, start=3, max_side=10)]


def test_no_task_is_its_donor_in_disguise():
    rng = np.random.default_rng(0)
    pairs = tuple(Pair(grid, grid[:, ::-1]) for grid in (rng.integers(0, 10, size=(3, 4)) for _ in range(4)))
    donor = Task("mirrored", pairs[:3], pairs[3:])
    tasks = list(transplant_tasks(400, seed=0, donors=[donor], depths=(1.0,), pairs=(2, 2)))
    assert not overlap(tasks, [donor])
    assert any("= rotate_180(grid)" in task.program for task in tasks)


def test_donors_that_are_too_large_are_left_out():
    assert all(max(task.train[0].input.shape) <= 6 for task in transplant_tasks(10, seed=1, max_side=6))
    with pytest.raises(TaskError, match="Raise `max_side`"):
        next(transplant_tasks(1, seed=1, max_side=1))
