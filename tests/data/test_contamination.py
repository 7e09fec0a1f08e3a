import random

import numpy as np
import pytest
from disguises import disguised, is_copy, most_shared, small_tasks, symmetries, task_of
from hypothesis import event, given, settings
from hypothesis import strategies as st

from arcgym.data import Pair, Task, TaskLoader
from arcgym.data.augmentation import Composition, Recolouring, Symmetry
from arcgym.data.contamination import canonical_hash, overlap, overlap_lines, refuse_overlap, without_overlap
from arcgym.data.synthetic import generate_tasks, load_split
from arcgym.errors import ConfigError

DISGUISE = Composition((Symmetry("rotate_cw"), Recolouring((3, 7, 1, 0, 2, 9, 5, 8, 6, 4))))


def grid(*rows):
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.int8)


def renamed(task, name, train=None, test=None):
    return Task(name, train or task.train, test or task.test)


def kinds(found):
    return [(entry.id_a, entry.id_b, entry.kind) for entry in found]


@pytest.fixture(scope="module")
def arc():
    names = [(source, split) for source in ("arc-agi-1", "arc-agi-2") for split in ("train", "evaluation")]
    return {f"{source}/{split}": TaskLoader().load(source, split) for source, split in names}


@given(st.data(), small_tasks(num_colours=10, max_side=3, max_pairs=5))
def test_a_task_in_disguise_has_the_same_hash(data, task):
    assert canonical_hash(data.draw(disguised(task))) == canonical_hash(task)


@settings(max_examples=200)
@given(st.data(), small_tasks())
def test_equal_hashes_are_those_of_copies_and_of_nothing_else(data, task):
    """Against a search of all symmetries and permutations; mostly, the other task is a copy but for one cell."""
    other = data.draw(disguised(task) | small_tasks())
    first, *rest = other.train + other.test
    changed = first.output.copy()
    changed.flat[0] = data.draw(st.sampled_from([first.output.flat[-1], first.input.flat[0], first.output.flat[0]]))
    other = task_of([Pair(first.input, changed), *rest])
    event("copy" if is_copy(task, other) else "no copy")
    assert (canonical_hash(task) == canonical_hash(other)) == is_copy(task, other)


def test_pairs_are_counted_and_outputs_that_are_secret_are_not_the_known_ones():
    task = next(generate_tasks(1, seed=3, pairs=(2, 2)))
    assert canonical_hash(renamed(task, "b", train=(*task.train, task.train[0]))) != canonical_hash(task)
    secret = renamed(task, "b", test=tuple(Pair(pair.input, None) for pair in task.test))
    assert canonical_hash(secret) != canonical_hash(task)
    assert canonical_hash(DISGUISE.apply(secret)) == canonical_hash(secret)


def test_one_symmetry_and_one_permutation_have_to_serve_all_pairs():
    one, other = Pair(grid("120"), grid("12")), Pair(grid("331", "120"), grid("1"))
    for change in (Symmetry("flip_lr"), Recolouring((0, 2, 1, 3, 4, 5, 6, 7, 8, 9))):
        half_changed = task_of([Pair(change.apply_grid(one.input), change.apply_grid(one.output)), other])
        assert canonical_hash(half_changed) != canonical_hash(task_of([one, other]))


def test_many_pairs_that_differ_in_colour_alone_are_no_puzzle():
    """Ten factorial orders of them are alike, or nearly so: all would have to be tried, were they not told apart."""
    single = [Pair(grid([colour]), grid([colour])) for colour in range(10)]
    ring = [Pair(grid([colour]), grid([(colour + 1) % 10])) for colour in range(10)]
    rings = [Pair(grid([start]), grid([end])) for start, end in zip("0123456", "1204563", strict=True)]
    couples = [Pair(grid([colour]), grid([colour ^ 1])) for colour in range(10)]
    for pairs in (
        single,
        ring,
        [*ring, *single],
        [*ring, Pair(grid("0"), grid("5"))],
        couples,
        [*couples, *single],
        rings,
    ):
        hashes = set()
        for seed in range(8):
            shuffled = random.Random(seed).sample(pairs, len(pairs))
            colours = Recolouring(tuple(random.Random(seed).sample(range(10), 10)))
            hashes.add(canonical_hash(colours.apply(task_of(shuffled))))
        assert hashes == {canonical_hash(task_of(pairs))}


def test_what_two_sets_share_is_told_apart():
    tasks = list(generate_tasks(3, seed=21, pairs=(3, 3)))
    others = [
        renamed(tasks[0], "same", train=tasks[0].train[::-1]),
        renamed(DISGUISE.apply(tasks[1]), "turned"),
        renamed(tasks[2], "some", train=(tasks[2].train[0], *tasks[1].train[:1]), test=tasks[2].test),
    ]
    ids = [task.task_id for task in tasks]
    found = overlap(tasks, others)
    assert kinds(found) == [(ids[0], "same", "identical"), (ids[1], "turned", "copy"), (ids[2], "some", "part")]
    assert [(entry.shared, entry.pairs) for entry in found] == [(4, 4), (4, 4), (2, 3)]
    assert kinds(overlap(others, tasks[:1])) == [("same", ids[0], "identical")]


def test_a_part_in_disguise_is_found_and_so_is_a_fragment():
    task = next(generate_tasks(1, seed=21, pairs=(5, 5)))
    fragment = renamed(DISGUISE.apply(task), "fragment", train=DISGUISE.apply(task).train[:1])
    assert kinds(overlap([fragment], [task])) == [("fragment", task.task_id, "part")]
    stranger = next(generate_tasks(1, seed=22))
    mixed = renamed(fragment, "mixed", train=(*fragment.train, *stranger.train[:1]))
    assert overlap([mixed], [task]) == []  # two of six pairs, and not all that it has


def test_pairs_in_common_under_different_disguises_do_not_add_up():
    task = next(generate_tasks(1, seed=21, pairs=(3, 3)))
    turned = DISGUISE.apply(task)
    stranger = next(generate_tasks(1, seed=22))
    mixed = renamed(task, "mixed", train=(task.train[0], turned.train[1]), test=stranger.test)
    assert overlap([mixed], [task]) == []


def test_a_pair_that_leads_astray_does_not_hide_the_others():
    astray, *others = (grid("1102", "0000"), grid("1000", "0210"), grid("1000", "2000", "1200"))
    task = task_of([Pair(figure, grid("1")) for figure in (astray, *others)], name="task")
    swapped = Recolouring((0, 2, 1, 3, 4, 5, 6, 7, 8, 9)).apply_grid(astray)
    held = task_of(
        [Pair(swapped, grid("2")), *(Pair(figure, grid("1")) for figure in others), Pair(grid("7"), grid("7"))]
    )
    assert [(entry.kind, entry.shared, entry.pairs) for entry in overlap([held], [task])] == [("part", 2, 3)]


def test_one_small_picture_in_two_disguises_is_chance():
    corner = [Pair(grid("00", "01"), grid("11", "10")), Pair(grid("00", "02"), grid("22", "20"))]
    task = task_of([*corner, Pair(grid("000", "011"), grid("111", "100"))], name="task")
    other = [Pair(grid("30", "00"), grid("03", "33")), Pair(grid("40", "00"), grid("04", "44"))]
    assert overlap([task_of([*other, Pair(grid("505"), grid("050"))])], [task]) == []
    assert kinds(overlap([task_of([*corner, Pair(grid("505"), grid("050"))])], [task])) == [("a", "task", "part")]


@settings(max_examples=60)
@given(small_tasks(max_pairs=4), small_tasks(max_pairs=3), symmetries)
def test_the_number_of_shared_pairs_is_the_most_that_any_disguise_gives(task, other, symmetry):
    """Against a search of all symmetries and permutations."""
    moved = symmetry.apply(task)
    mixed = task_of([*moved.train, *other.train, *other.test])
    for entry in overlap([mixed], [task]):
        assert entry.shared == most_shared(mixed, task)


def test_secret_outputs_hide_nothing():
    task = next(generate_tasks(1, seed=21, pairs=(2, 2)))
    questions = [task.test[0].input, grid("01"), grid("012")]
    secret = renamed(task, "secret", test=tuple(Pair(question, None) for question in questions))
    assert kinds(overlap([DISGUISE.apply(task)], [secret])) == [(DISGUISE.apply(task).task_id, "secret", "part")]


def test_every_shared_task_is_named_and_can_be_left_out():
    tasks = list(generate_tasks(12, seed=1))
    leaked = [renamed(DISGUISE.apply(task), f"leak-{task.task_id}") for task in tasks[:11]]
    with pytest.raises(ConfigError, match="11 evaluation tasks are in the training data") as caught:
        refuse_overlap(tasks, leaked)
    for task, leak in zip(tasks, leaked, strict=False):
        assert f"{leak.task_id} (copy: {task.task_id})" in str(caught.value)
    assert without_overlap(tasks, leaked) == tasks[11:]
    refuse_overlap(tasks[11:], leaked)


def test_arc_agi_2_holds_most_of_arc_agi_1(arc):
    """The published counts are of names; two tasks more come to light that have another name."""
    for evaluation, training, by_name, further in (
        ("arc-agi-1/evaluation", "arc-agi-2/train", 376, set()),
        ("arc-agi-1/train", "arc-agi-2/train", 391, {("070dd51e", "40853293")}),
        ("arc-agi-1/evaluation", "arc-agi-2/evaluation", 6, {("db695cfb", "55783887")}),
    ):
        found = overlap(arc[training], arc[evaluation])
        names = {task.task_id for task in arc[training]} & {task.task_id for task in arc[evaluation]}
        assert {entry.id_b for entry in found if entry.id_a == entry.id_b} == names
        assert len(names) == by_name
        assert {(entry.id_a, entry.id_b) for entry in found if entry.id_a != entry.id_b} == further


def test_each_arc_set_and_the_synthetic_one_is_free_of_copies(arc):
    for tasks in (*arc.values(), load_split("train"), load_split("evaluation")):
        assert len({canonical_hash(task) for task in tasks}) == len(tasks)


def test_the_splits_share_one_task_of_arc_agi_1_and_none_of_the_other_sets(arc):
    assert kinds(overlap(arc["arc-agi-1/train"], arc["arc-agi-1/evaluation"])) == [
        ("40853293", "070dd51e", "identical")
    ]
    assert overlap(arc["arc-agi-2/train"], arc["arc-agi-2/evaluation"]) == []
    assert overlap(load_split("train"), load_split("evaluation")) == []


def test_the_table_counts_tasks_by_kind():
    tasks = list(generate_tasks(2, seed=1))
    *rows, last = overlap_lines(overlap(tasks, [tasks[0], renamed(DISGUISE.apply(tasks[1]), "turned")]))
    assert len(rows) == 2
    assert "turned" in rows[1] and tasks[1].task_id in rows[1]
    assert last == "2 tasks overlap: 1 identical, 1 copy, 0 part"
