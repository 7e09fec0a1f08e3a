import json
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.data import Pair, Task
from arcgym.errors import CheckpointError, ConfigError
from arcgym.programs import normal_form, program_hash, token_distance
from arcgym.sandbox import ExecutionResult, Status
from arcgym.selfplay import (
    DiversityTracker,
    choose,
    choose_diverse,
    correct_only,
    greedy,
    measure_diversity,
    uniform,
)
from arcgym.solutions import Solution, quality_key

GRID = np.array([[1, 2], [3, 4]], np.int8)
CHOICES = ("correct-only", "uniform", "greedy", "greedy-diverse")


def make_task(number):
    return Task(f"t{number}", (Pair(GRID, GRID), Pair(GRID[:1], GRID[:1])), (Pair(GRID + number, GRID),))


def make_solution(program, task=0, right=3, shade=5, **values):
    """A solution of which the first `right` of three outputs are right, and the others of one shade."""
    task = make_task(task)
    known = [pair.output for pair in (*task.train, *task.test)]
    outputs = [*known[:right], *[np.full((1, 1), shade, np.int8)] * (3 - right)]
    return Solution.from_result(task, program, ExecutionResult(Status.OK, tuple(outputs)), created_at=0.0, **values)


RULES = ("grid", "grid[::-1]", "grid.T", "grid * 2 % 10", "np.rot90(grid)", "np.where(grid > {y}, {y}, grid)")
SHAPES = (
    "import numpy as np\ndef transform({x}):\n    {y} = 3\n    return {rule}\n",
    "import numpy as np  # why\n\n\ndef transform({x}: list):\n    '''Do it.'''\n    {y} = (3)\n    return ({rule})",
)


@st.composite
def programs(draw):
    """One of six programs, with names and formatting of its own."""
    x, y = draw(st.permutations(["grid", "g", "image", "n"]))[:2]
    rule = draw(st.sampled_from(RULES)).replace("{y}", y)
    return draw(st.sampled_from(SHAPES)).format(x=x, y=y, rule=rule.replace("grid", x))


SOLUTIONS = st.builds(
    make_solution,
    programs(),
    task=st.integers(0, 2),
    right=st.integers(0, 3),
    shade=st.integers(0, 1),
    log_prob=st.none() | st.floats(-9, 0),
)


SOLUTIONS_OF_ONE = st.builds(make_solution, programs(), right=st.integers(0, 3), shade=st.integers(0, 1))


def reference_form(source):
    """The normal form with names numbered as they come: good enough for programs without scopes that clash."""
    words, numbers = [], {}
    for word in (
        normal_form(source).replace("(", " ( ").replace(")", " ) ").replace("[", " [ ").replace(".", " . ").split()
    ):
        bare = word.strip(",:")
        words.append(word.replace(bare, f"#{numbers.setdefault(bare, len(numbers))}") if bare in NAMES else word)
    return " ".join(words)


NAMES = frozenset({"grid", "g", "image", "n"})


@pytest.mark.property(33)
@settings(max_examples=60)
@given(
    st.lists(SOLUTIONS, max_size=12),
    st.integers(1, 3),
    st.sampled_from(CHOICES),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_the_chosen_set_holds_no_doubles_and_respects_the_cap_per_task(pool, per_task, how, per_program, rng):
    chosen = choose(pool, per_task, how, per_program=per_program)
    assert all(any(solution is candidate for candidate in pool) for solution in chosen)
    forms = defaultdict(list)
    for solution in chosen:
        forms[reference_form(solution.program)].append(solution.task_hash)
    # No program more often than asked for, which by default is once, and never twice for a task
    assert all(len(tasks) == len(set(tasks)) <= per_program for tasks in forms.values())
    assert max(Counter(solution.task_hash for solution in chosen).values(), default=0) <= per_task
    if how == "correct-only":
        assert all(solution.is_solved for solution in chosen)
    shuffled = rng.sample(pool, len(pool))
    assert [s.key for s in choose(shuffled, per_task, how, per_program=per_program)] == [s.key for s in chosen]


def test_without_shared_programs_greedy_takes_the_best_of_each_task():
    pool = [
        make_solution(f"def transform(g):\n    return g + {10 * task + i}", task, right=i % 4, log_prob=-float(i))
        for task in range(3)
        for i in range(7)
    ]
    for how, candidates in (("greedy", pool), ("correct-only", [s for s in pool if s.is_solved])):
        expected = []
        for key in sorted({s.task_hash for s in pool}):
            expected += sorted((s for s in candidates if s.task_hash == key), key=quality_key)[:2]
        assert choose(pool, 2, how) == expected


def test_a_program_that_two_tasks_want_goes_to_the_one_with_less_to_choose_from():
    shared, own = "def transform(g):\n    return g", "def transform(g):\n    return g.T * 1"
    pool = [make_solution(shared, 0), make_solution(own, 0), make_solution(shared.replace("g", "h"), 1)]
    assert {s.key for s in greedy(pool, 1)} == {pool[1].key, pool[2].key}
    assert len(greedy(pool, 2)) == 2
    assert len(greedy(pool, 2, per_program=2)) == 3
    # The one that was given away does not keep others from being chosen
    assert {s.key for s in choose_diverse(pool, 2, min_distance=0.9)} == {pool[1].key, pool[2].key}


def test_the_better_record_of_the_same_program_is_chosen():
    one = make_solution("def transform(g):\n    return g", log_prob=-5.0)
    other = make_solution("def transform(x):\n    return x", log_prob=-1.0)
    for how in CHOICES:
        assert choose([one, other], 3, how) == choose([other, one], 3, how) == [other]


def test_the_draw_is_even_and_follows_its_seed():
    pool = [make_solution(f"def transform(g):\n    return g + {i}", right=i % 4) for i in range(4)]
    first = [uniform(pool, 1, seed=seed)[0].program for seed in range(200)]
    assert first == [uniform(pool[::-1], 1, seed=seed)[0].program for seed in range(200)]
    counts = Counter(first)
    assert len(counts) == 4
    assert all(25 <= count <= 80 for count in counts.values())  # 50 expected, standard deviation 6


LONG = "def transform(grid):\n    a = grid[::-1]\n    b = a.T\n    return b + {} - {}"


def test_diverse_programs_are_preferred_to_variations_of_the_best():
    best, near = (make_solution(LONG.format(i, i), log_prob=-float(i)) for i in (1, 2))
    other = make_solution(f"import numpy as np\n\ndef transform(grid):\n    return {'np.flipud(' * 6}grid{')' * 6}")
    assert greedy([best, near, other], 2) == [best, near]
    assert choose_diverse([best, near, other], 2) == [best, other]


def test_marginal_relevance_by_hand():
    pool = [
        make_solution("def transform(g):\n    return g", right=3),
        make_solution("def transform(g):\n    return g + 1", right=2, shade=0),
        make_solution("def transform(g):\n    return g * 3 % 7 + 2", right=0, shade=0),
        make_solution("def transform(g):\n    return g.T", right=3),
    ]
    best = pool[0]

    def gain(solution, weight):
        differs = solution.output_signature != best.output_signature
        distance = (token_distance(solution.program, best.program) + differs) / 2
        return (1 - weight) * solution.pass_share + weight * distance

    for weight in (0.0, 0.3, 0.5, 1.0):
        expected = max(pool[1:], key=lambda solution: gain(solution, weight))
        chosen = choose_diverse(pool, 2, diversity=weight, min_distance=0.0)
        if weight < 1:  # else all are alike to begin with, and the best goes first all the same
            assert chosen[0] is best
        assert chosen == [best, expected]
    assert choose_diverse(pool, 2, diversity=0.0, min_distance=0.0)[1] is pool[3]
    assert choose_diverse(pool, 2, diversity=1.0, min_distance=0.0)[1] is pool[2]


@settings(max_examples=30)
@given(st.lists(SOLUTIONS_OF_ONE, min_size=4, max_size=9), st.sampled_from([0.2, 0.5, 0.9]))
def test_the_order_is_that_of_the_slow_rule(pool, weight):
    def distance(a, b):
        return (token_distance(a.program, b.program) + (a.output_signature != b.output_signature)) / 2

    left, expected = greedy(pool, 100), []
    while left:
        gains = [(1 - weight) * s.pass_share + weight * min([1, *(distance(s, e) for e in expected)]) for s in left]
        # Equal gains may differ in the last bit, so those within rounding count as equal, and the better one is first
        expected.append(left.pop(next(i for i, gain in enumerate(gains) if gain > max(gains) - 1e-12)))
    chosen = choose_diverse(pool, 100, diversity=weight, min_distance=0.0)
    assert [s.key for s in chosen] == [s.key for s in expected]


def test_near_doubles_are_left_out_even_where_there_is_room():
    pool = [make_solution(LONG.format(i, i)) for i in range(5)]
    assert len(choose_diverse(pool, 5)) == 1
    assert len(choose_diverse(pool, 5, min_distance=0.0)) == 5
    # Near in tokens, but with other outputs
    assert len(choose_diverse([pool[0], make_solution(LONG.format(9, 9), right=0)], 5)) == 2


def test_nothing_gives_nothing():
    assert [choose([], 3, how) for how in CHOICES] == [[], [], [], []]
    assert correct_only([make_solution("x = 1", right=1)], 3) == []


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="greedy-diverse"):
        choose([], 3, "best")
    for call in (
        lambda: greedy([], 0),
        lambda: uniform([], 1, per_program=0),
        lambda: choose_diverse([], 1, diversity=1.5),
        lambda: choose_diverse([], 1, min_distance=-1),
        lambda: DiversityTracker(floor=2),
        lambda: DiversityTracker(patience=0),
    ):
        with pytest.raises(ValueError, match="is"):
            call()


@settings(max_examples=50)
@given(st.lists(SOLUTIONS, max_size=12))
def test_the_figures_equal_a_recount(sampled):
    measured = measure_diversity(sampled)
    assert measured.programs == len(sampled)
    assert measured.distinct_programs == len({(s.task_hash, program_hash(s.program)) for s in sampled})
    assert measured.distinct_signatures == len({(s.task_hash, s.output_signature) for s in sampled})
    entropies, largest = [], []
    for task in {s.task_hash for s in sampled}:
        own = [s.program_hash for s in sampled if s.task_hash == task]
        shares = [own.count(key) / len(own) for key in set(own)]
        entropies.append(sum(share * math.log(1 / share) for share in shares))
        largest.append(math.log(len(own)))
    assert measured.entropy == pytest.approx(sum(entropies) / max(1, len(entropies)))
    if sum(largest) > 0:
        assert measured.relative_entropy == pytest.approx(sum(entropies) / sum(largest))
        assert 0 <= measured.relative_entropy <= 1
    else:
        assert measured.relative_entropy is None


def rounds_of(*nums_distinct):
    """Rounds of four samples of a task, with so many distinct programs."""
    return [[make_solution(f"x = {i % distinct}") for i in range(4)] for distinct in nums_distinct]


@pytest.mark.parametrize(
    ("distinct", "is_below"),
    [((4, 1, 1), True), ((4, 4, 1), False), ((1, 1, 4), False), ((1,), False), ((), False), ((2, 1, 2), False)],
)
def test_it_is_time_to_stop_after_rounds_below_the_floor(distinct, is_below):
    tracker = DiversityTracker(floor=0.4, patience=2)
    for sampled in rounds_of(*distinct):
        tracker.add_round(sampled)
    assert tracker.is_below_floor == is_below


def test_rounds_that_cannot_be_measured_are_not_below_the_floor():
    tracker = DiversityTracker(floor=1.0, patience=1)
    assert tracker.add_round([make_solution("x = 1")]).relative_entropy is None
    assert not tracker.is_below_floor


@settings(max_examples=25)
@given(st.lists(st.lists(SOLUTIONS, max_size=4), max_size=3))
def test_a_restored_tracker_goes_on_as_if_it_had_never_stopped(rounds):
    one = DiversityTracker(floor=0.6)
    for sampled in rounds:
        one.add_round(sampled)
    other = DiversityTracker(floor=0.6)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.rounds == one.rounds
    for tracker in (one, other):
        tracker.add_round(rounds_of(1)[0])
    assert (other.rounds, other.is_below_floor) == (one.rounds, one.is_below_floor)


@pytest.mark.parametrize("state", [{}, {"rounds": [{"programs": 1}]}, {"rounds": 3}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(CheckpointError):
        DiversityTracker().load_state_dict(state)
