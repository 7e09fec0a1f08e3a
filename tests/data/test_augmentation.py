from dataclasses import replace

import datasets
import numpy as np
import pytest
from disguises import recolourings, symmetries
from hypothesis import given, settings
from hypothesis import strategies as st
from task_strategies import grids, tasks

from arcgym import primitives
from arcgym.data import Pair, Task
from arcgym.data.augmentation import (
    SYMMETRIES,
    Augmenter,
    Composition,
    Padding,
    PairOrder,
    Recolouring,
    Symmetry,
    Upscaling,
    augment_rows,
    parse_augmentation,
    restore_rows,
)
from arcgym.data.builder import TASK_FEATURES, task_row
from arcgym.data.synthetic import generate_tasks
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import grids_equal

widths = st.integers(0, 3)
GRID = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int8)
EVERYTHING = Augmenter(colours="all", max_padding=3, max_upscaling=4, seed=7)


@st.composite
def augmentations(draw, num_pairs):
    """Any augmentation, or several, of tasks with so many demonstrations, for grids of up to 5 × 5 cells."""
    orders = st.permutations(range(num_pairs)).map(lambda order: PairOrder(tuple(order)))
    paddings = st.builds(Padding, widths, widths, widths, widths, st.integers(0, 9))
    steps = [draw(symmetries), draw(recolourings), draw(orders), draw(paddings), Upscaling(draw(st.integers(1, 2)))]
    chosen = draw(st.permutations(steps))[: draw(st.integers(0, len(steps)))]
    return chosen[0] if len(chosen) == 1 else Composition(tuple(chosen))


@given(st.data(), tasks(max_side=5))
def test_what_is_applied_is_exactly_undone(data, task):
    augmentation = data.draw(augmentations(len(task.train)))
    view = augmentation.apply(task)
    assert view.task_id == f"{task.task_id}@{augmentation.name}"
    assert augmentation.invert_task(view) == task
    for pair in (*task.train, *task.test):
        assert grids_equal(augmentation.invert(augmentation.apply_grid(pair.input)), pair.input)


@given(st.data(), grids(max_side=8))
def test_a_grid_is_turned_back_only_if_it_can_have_come_from_one(data, grid):
    augmentation = data.draw(augmentations(1))
    inverted = augmentation.invert(grid)
    if inverted is not None:
        assert grids_equal(augmentation.apply_grid(inverted), grid)


def test_grids_that_no_grid_becomes_are_told():
    assert Upscaling(2).invert(np.ones((2, 3), dtype=np.int8)) is None
    assert Upscaling(2).invert(np.array([[1, 1], [1, 2]], dtype=np.int8)) is None
    assert Padding(1, 0, 0, 0).invert(GRID) is None
    assert Padding(1, 1, 0, 0).invert(np.zeros((2, 2), dtype=np.int8)) is None
    assert Composition((Upscaling(2), Symmetry("flip_lr"))).invert(GRID) is None


@pytest.mark.parametrize("kind", SYMMETRIES[1:])
def test_symmetries_are_the_primitives_of_their_names(kind):
    assert Symmetry(kind).apply_grid(GRID).tolist() == getattr(primitives, kind)(GRID).tolist()


def test_changes_by_hand():
    assert Recolouring((0, 2, 1, 3, 4, 5, 6, 7, 9, 8)).apply_grid(GRID).tolist() == [[2, 1, 3], [4, 5, 6]]
    assert Padding(1, 0, 0, 2, 7).apply_grid(GRID).tolist() == [[7] * 5, [1, 2, 3, 7, 7], [4, 5, 6, 7, 7]]
    assert Upscaling(2).apply_grid(GRID[:1, :2]).tolist() == [[1, 1, 2, 2]] * 2
    first_then = Composition((Symmetry("flip_lr"), Padding(0, 0, 1, 0)))
    assert first_then.apply_grid(GRID).tolist() == [[0, 3, 2, 1], [0, 6, 5, 4]]


def test_only_demonstrations_are_reordered():
    task = next(generate_tasks(1, seed=2, pairs=(3, 3)))
    view = PairOrder((2, 0, 1)).apply(task)
    assert view.train == (task.train[2], task.train[0], task.train[1])
    assert view.test == task.test
    with pytest.raises(TaskError, match="orders 2 demonstrations, but the task has 3"):
        PairOrder((1, 0)).apply(task)


def test_a_view_has_a_program_only_if_it_solves_it():
    task = next(generate_tasks(1, seed=2, pairs=(2, 2)))
    assert PairOrder((1, 0)).apply(task).program == task.program != ""
    assert Composition(()).apply(task).program == task.program
    assert Composition((PairOrder((1, 0)), Symmetry("transpose"))).apply(task).program == ""


def test_views_that_would_be_too_large_are_refused():
    task = Task("t", (Pair(np.ones((16, 1), dtype=np.int8), GRID),), (Pair(GRID, None),))
    for augmentation in (Upscaling(2), Padding(10, 5, 0, 0)):
        with pytest.raises(TaskError, match=r"\d+ × \d+ cells, but a side has at most 30"):
            augmentation.apply(task)


def test_what_is_no_view_is_refused():
    view = Upscaling(2).apply(Task("t", (Pair(GRID, GRID),), (Pair(GRID, None),)))
    with pytest.raises(TaskError, match="no view by 'flip_lr'"):
        Symmetry("flip_lr").invert_task(view)
    forged = Task(view.task_id, (Pair(GRID, GRID),), view.test)
    with pytest.raises(TaskError, match="2 × 3 cells cannot come of it"):
        Upscaling(2).invert_task(forged)


@given(st.data())
def test_a_name_is_enough_to_rebuild_an_augmentation(data):
    augmentation = data.draw(augmentations(3))
    again = parse_augmentation(augmentation.name)
    assert again.name == augmentation.name
    assert grids_equal(again.apply_grid(GRID), augmentation.apply_grid(GRID))
    assert again.arrange(tuple("abc")) == augmentation.arrange(tuple("abc"))


@pytest.mark.parametrize(
    "name",
    [
        *("", "flip", "flip_lr+", "order_", "order_0-2", "scale_0", "scale_1-1", "scale_x", "scale_" + "9" * 5000),
        *("colours_012345678", "colours_0123456788", "colours_0-1-2-3-4", "colours_٠١٢٣٤٥٦٧٨٩"),
        *("pad_1-1-1-1", "pad_1-1-1-1-10"),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError):
        parse_augmentation(name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Symmetry("flip"),
        lambda: Recolouring((1, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
        lambda: PairOrder(()),
        lambda: PairOrder((0, 2)),
        lambda: Padding(-1, 0, 0, 0),
        lambda: Upscaling(0),
        lambda: Augmenter(colours="some"),
        lambda: Augmenter(max_padding=-1),
        lambda: Augmenter(seed=-1),
    ],
)
def test_arguments_out_of_range_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@settings(max_examples=50)
@given(tasks(max_side=30), st.integers(0, 100))
def test_every_draw_suits_its_task_and_repeats(task, number):
    drawn = EVERYTHING.sample(task, number)
    assert drawn == EVERYTHING.sample(task, number)
    assert drawn.invert_task(drawn.apply(task)) == task


@given(tasks(max_side=4, secret_tests=False))
def test_draws_do_not_depend_on_test_outputs(task):
    secret = Task(task.task_id, task.train, tuple(Pair(pair.input, None) for pair in task.test))
    assert Augmenter().sample(task, 3) == Augmenter().sample(secret, 3)


def test_draws_differ_between_numbers_seeds_and_tasks_and_cover_every_kind():
    one, other = generate_tasks(2, seed=4, pairs=(3, 3))
    draws = [
        EVERYTHING.sample(one),
        EVERYTHING.sample(one, 1),
        replace(EVERYTHING, seed=8).sample(one),
        EVERYTHING.sample(other),
    ]
    recolourings_drawn = {step for drawn in draws for step in drawn.steps if isinstance(step, Recolouring)}
    assert len(recolourings_drawn) == 4
    drawn = [EVERYTHING.sample(one, number) for number in range(60)]
    kinds = {type(step) for augmentation in drawn for step in augmentation.steps}
    assert kinds == {Symmetry, Recolouring, PairOrder, Padding, Upscaling}
    assert {s.kind for a in drawn for s in a.steps if isinstance(s, Symmetry)} == set(SYMMETRIES[1:])


@pytest.mark.parametrize(("colours", "moves_zero"), [("none", False), ("keep_zero", False), ("all", True)])
def test_colours_are_permuted_as_far_as_wanted(colours, moves_zero):
    task = next(generate_tasks(1, seed=4))
    drawn = [Augmenter(symmetries=False, pair_order=False, colours=colours).sample(task, n) for n in range(20)]
    recoloured = [step for augmentation in drawn for step in augmentation.steps]
    assert bool(recoloured) == (colours != "none")
    assert any(step.colours[0] for step in recoloured) == moves_zero


def test_views_are_distinct_and_start_with_the_task_itself():
    task = next(generate_tasks(1, seed=4))
    views = Augmenter().views(task, 10)
    assert views[0].apply(task).train == task.train
    assert len({view.name for view in views}) == 10
    assert len(Augmenter(colours="none", pair_order=False).views(task, 20)) == 8


@pytest.fixture(scope="module")
def dataset():
    rows = [task_row(task) for task in generate_tasks(6, seed=9)]
    rows[2]["test"][0]["output"] = None
    return datasets.Dataset.from_list(rows, features=TASK_FEATURES)


def test_a_dataset_is_augmented_and_restored(dataset):
    views = dataset.map(augment_rows, batched=True, batch_size=4, fn_kwargs={"augmenter": EVERYTHING, "views": 3})
    assert len(views) == 18
    assert len(set(views["task_id"])) == 18
    assert views["train"] != [pairs for pairs in dataset["train"] for _ in range(3)]
    restored = views.map(restore_rows, batched=True).remove_columns("augmentation")
    assert restored.select(range(0, 18, 3)).remove_columns("program")[:] == dataset.remove_columns("program")[:]


def test_a_stream_and_access_give_the_same_views_as_a_dataset(dataset):
    arguments = {"augmenter": EVERYTHING, "views": 1, "first": 5}
    views = dataset.map(augment_rows, batched=True, fn_kwargs=arguments)
    stream = dataset.to_iterable_dataset().map(augment_rows, batched=True, batch_size=2, fn_kwargs=arguments)
    assert list(stream) == list(views)
    assert views[:] != dataset.map(augment_rows, batched=True, fn_kwargs=arguments | {"first": 4})[:]
    on_access = dataset.with_transform(lambda batch: augment_rows(batch, **arguments))
    assert on_access[3] == views[3]


def test_rows_that_are_formatted_already_are_refused(dataset):
    with pytest.raises(TaskError, match="Augment before formatting"):
        augment_rows({**dataset[:2], "prompt": ["", ""]}, Augmenter())
