import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.data import Pair, Task
from arcgym.data.augmentation import symmetric_views
from arcgym.data.contamination import canonical_hash
from arcgym.errors import ProgramError, TaskError
from arcgym.grids import grids_equal
from arcgym.sandbox import CodeSandbox
from arcgym.selfplay import Refusal, Relabeller, find_refusal, relabel
from arcgym.solutions import Solution, task_inputs

FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"
TURN = "def transform(grid):\n    return grid[::-1]\n"


def random_grid(rng):
    return rng.integers(0, 10, rng.integers(2, 5, 2)).astype(np.int8)


def make_task(seed=0, num_train=3, num_test=1, rule=lambda grid: grid[:, ::-1], **values):
    rng = np.random.default_rng(seed)
    pairs = [Pair(grid, rule(grid)) for grid in (random_grid(rng) for _ in range(num_train + num_test))]
    values = {"source": "training set", "family": "flips", "licence": "Apache-2.0"} | values
    return Task(f"task{seed}", tuple(pairs[:num_train]), tuple(pairs[num_train:]), **values)


def turned(task):
    return [grid[::-1] for grid in task_inputs(task)]


def disguised(task):
    """The same task, turned and recoloured, with pairs in another order."""
    colours = np.arange(10, dtype=np.int8)[::-1]

    def other(grid):
        return colours[list(symmetric_views(grid))[3]]

    pairs = [Pair(other(pair.input), other(pair.output)) for pair in (*task.train, *task.test)]
    return Task("disguise", tuple(pairs[1:]), tuple(pairs[:1]))


def test_the_new_task_has_the_old_inputs_and_the_outputs_of_the_program():
    task = make_task()
    new = relabel(task, TURN, turned(task), evaluation=set())
    assert (len(new.train), len(new.test)) == (3, 1)
    for old, pair in zip((*task.train, *task.test), (*new.train, *new.test), strict=True):
        assert grids_equal(pair.input, old.input)
        assert grids_equal(pair.output, old.input[::-1])
    assert new.program == TURN
    assert (new.source, new.family, new.licence) == ("relabelled", "flips", "Apache-2.0")
    assert new.task_id.startswith("task0~")


def test_the_program_solves_the_new_task_in_the_sandbox():
    task = make_task()
    with CodeSandbox(workers=1, allow_weak=True) as sandbox:
        (before,) = sandbox.run([TURN], [task_inputs(task)])
        new = relabel(task, TURN, before.outputs, evaluation=set())
        (after,) = sandbox.run([new.program], [task_inputs(new)])
    assert not Solution.from_result(task, TURN, before).is_solved
    assert Solution.from_result(new, TURN, after).is_solved


def test_without_outputs_of_test_pairs_the_last_pair_becomes_the_question():
    task = make_task()
    new = relabel(task, TURN, turned(task)[:3], evaluation=set())
    assert [grids_equal(pair.input, old.input) for pair, old in zip(new.train, task.train, strict=False)] == [True] * 2
    assert grids_equal(new.test[0].input, task.train[2].input)
    assert not any(grids_equal(pair.input, task.test[0].input) for pair in (*new.train, *new.test))


def test_names_differ_by_program_and_do_not_grow():
    task = make_task()
    first = relabel(task, TURN, turned(task), evaluation=set())
    renamed = relabel(task, TURN.replace("grid", "g"), turned(task), evaluation=set())
    second = relabel(first, FLIP, [grid[::-1, ::-1] for grid in task_inputs(task)], evaluation=set())
    assert first.task_id == renamed.task_id != second.task_id
    assert second.task_id.count("~") == 1


GREY = np.full((2, 2), 5, np.int8)


@pytest.mark.parametrize(
    ("outputs_of", "refusal"),
    [
        (turned, None),
        (lambda task: [*turned(task)[:3], None], Refusal.INVALID),
        (lambda task: [pair.output for pair in (*task.train, *task.test)], Refusal.RIGHT),
        (lambda task: [pair.output for pair in task.train], Refusal.RIGHT),
        (lambda task: [*(pair.output for pair in task.train), *turned(task)[len(task.train) :]], Refusal.RIGHT),
        (task_inputs, Refusal.IDENTITY),
        (lambda task: [np.eye(2, dtype=np.int8)] * 4, Refusal.CONSTANT),
        (lambda task: [np.full_like(grid, 5) for grid in task_inputs(task)], Refusal.BLANK),
        (lambda task: [np.full_like(grid, i) for i, grid in enumerate(task_inputs(task))], None),
    ],
)
def test_what_teaches_nothing_is_refused(outputs_of, refusal):
    task = make_task()
    assert find_refusal(task, outputs_of(task)) is refusal
    assert (relabel(task, TURN, outputs_of(task), evaluation=set()) is None) == (refusal is not None)


def test_few_pairs_and_equal_inputs_are_refused():
    small = make_task(num_train=1)
    assert find_refusal(small, turned(small)) is Refusal.FEW_INPUTS
    same = Pair(np.eye(2, dtype=np.int8), GREY)
    task = Task("same", (same, same), (same,))
    assert find_refusal(task, [np.eye(2, dtype=np.int8)[::-1]] * 3) is Refusal.FEW_INPUTS


def test_a_task_that_is_known_in_disguise_is_not_made_again():
    task = make_task()
    new = relabel(task, TURN, turned(task), evaluation=set())
    assert relabel(task, TURN, turned(task), evaluation=set(), known={canonical_hash(disguised(new))}) is None


def test_outputs_that_make_the_old_task_in_disguise_are_refused():
    # The inputs do not tell the colours 1 and 2 apart, and the program swaps them
    swap = np.array([0, 2, 1, *range(3, 10)], np.int8)
    inputs = [np.array(rows, np.int8) for rows in ([[0, 3]], [[3, 0]], [[0, 0, 3]])]
    outputs = [np.array(rows, np.int8) for rows in ([[1, 2]], [[2, 1]], [[1, 1, 2]])]
    pairs = tuple(map(Pair, inputs, outputs))
    task = Task("swapped", pairs[:2], pairs[2:])
    assert find_refusal(task, [swap[output] for output in outputs]) is None
    assert relabel(task, TURN, [swap[output] for output in outputs], evaluation=set()) is None


def test_a_task_to_evaluate_on_is_never_made_from_one_to_train_on():
    task = make_task()
    new = relabel(task, TURN, turned(task), evaluation=set())
    assert relabel(task, TURN, turned(task), evaluation={canonical_hash(disguised(new))}) is None


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_nothing_is_made_of_an_evaluation_task(seed, in_disguise, train_only):
    task = make_task(seed)
    evaluation = [disguised(task) if in_disguise else task]
    outputs = turned(task)[:3] if train_only else turned(task)
    with pytest.raises(TaskError, match="evaluate"):
        relabel(task, TURN, outputs, evaluation={canonical_hash(other) for other in evaluation})
    with pytest.raises(TaskError, match="evaluate"):
        Relabeller([task], evaluation).relabel(task, TURN, outputs)
    with pytest.raises(TaskError, match="evaluate"):
        Relabeller([], evaluation).relabel(task, TURN, outputs)


def test_a_part_of_an_evaluation_task_is_not_relabelled():
    whole = make_task(num_train=4)
    part = Task("part", whole.train[:3], whole.train[3:])  # the evaluation task less its question
    with pytest.raises(TaskError, match="shares pairs"):
        Relabeller([part], [whole]).relabel(part, TURN, turned(part))


def test_only_training_tasks_are_relabelled():
    one, other = make_task(1), make_task(2)
    with pytest.raises(TaskError, match="none of the training tasks"):
        Relabeller([one], [make_task(3)]).relabel(other, TURN, turned(other))


def test_each_task_is_made_once_and_everything_is_counted():
    task, other = make_task(1), make_task(2)
    before = relabel(other, TURN, turned(other), evaluation=set())
    relabeller = Relabeller([task, other], [make_task(3)], known=[disguised(before)])
    assert relabeller.relabel(task, TURN, turned(task)) == relabel(task, TURN, turned(task), evaluation=set())
    assert relabeller.relabel(task, TURN + "# again", turned(task)) is None
    assert relabeller.relabel(other, TURN, turned(other)) is None
    assert relabeller.relabel(task, FLIP, task_inputs(task)) is None
    assert relabeller.counts == {"relabelled": 1, Refusal.KNOWN: 2, Refusal.IDENTITY: 1}


def test_misuse_is_refused():
    task = make_task()
    with pytest.raises(ValueError, match="2 outputs for the 3 train and 1 test pairs"):
        relabel(task, TURN, turned(task)[:2], evaluation=set())
    with pytest.raises(ProgramError):
        relabel(task, "x = (", turned(task), evaluation=set())
