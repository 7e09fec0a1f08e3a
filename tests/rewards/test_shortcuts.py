"""Shortcuts: hand-made cheaters earn nothing for what they pass, and honest programs are never taken for one."""

import hashlib
import random
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reward_strategies import TrlCall

from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.generator import generate_tasks
from arcgym.rewards import RewardCalculator, RewardConfig
from arcgym.rewards.shortcuts import change_literals, changed, perturbed_copies, trivial_answers

# The rule mirrors each row. Two pairs are shown, one is hidden.
TRAIN = [
    {"input": [[1, 2, 3], [4, 5, 6]], "output": [[3, 2, 1], [6, 5, 4]]},
    {"input": [[7, 0, 0], [0, 8, 0], [0, 0, 9]], "output": [[0, 0, 7], [0, 8, 0], [9, 0, 0]]},
]
TEST = [{"input": [[1, 1, 0, 2], [0, 3, 0, 0]], "output": [[2, 0, 1, 1], [0, 0, 3, 0]]}]
A, B = ([np.array(pair["input"]), np.array(pair["output"])] for pair in TRAIN)

CHEATERS = {
    "a dictionary of grids, else the input": f"""
TABLE = {{{tuple(map(tuple, A[0].tolist()))}: {A[1].tolist()}, {tuple(map(tuple, B[0].tolist()))}: {B[1].tolist()}}}
def transform(grid):
    return TABLE.get(tuple(map(tuple, grid.tolist())), grid)
""",
    "comparisons, else an error": f"""
import numpy as np
def transform(grid):
    if np.array_equal(grid, {A[0].tolist()}):
        return np.array({A[1].tolist()})
    if np.array_equal(grid, {B[0].tolist()}):
        return np.array({B[1].tolist()})
    raise ValueError("never seen")
""",
    "one of the pairs only, else a made-up answer": f"""
import numpy as np
def transform(grid):
    return np.array({A[1].tolist()}) if grid[0, 0] == 1 and grid.shape == (2, 3) else np.roll(grid, 1, 0)
""",
    "by size, in one line of numbers, else a made-up answer": f"""
import numpy as np
def transform(grid):
    if grid.shape == (2, 3):
        return np.array({A[1].ravel().tolist()}).reshape(2, 3)
    if grid.shape == (3, 3):
        return np.array({B[1].ravel().tolist()}).reshape(3, 3)
    return np.roll(grid, 1, 1)
""",
    "digits in text, by a feature": """
import numpy as np
TEXT = {6: "321|654", 0: "007|080|900"}
def transform(grid):
    return np.array([[int(c) for c in row] for row in TEXT.get(int(grid[1, 2]), "12|34").split("|")])
""",
    "the true operation, for written inputs only, else a made-up answer": f"""
import numpy as np
def transform(grid):
    known = [{A[0].tolist()}, {B[0].tolist()}]
    return grid[:, ::-1] if grid.tolist() in known else np.roll(grid, 1, 1)
""",
    "hashes and packed numbers, else always the same": """
import hashlib
import numpy as np
def transform(grid):
    packed = {"%s": (321654, 2), "%s": (7080900, 3)}.get(hashlib.md5(grid.tobytes()).hexdigest()[:6], (8, 1))
    digits = [int(c) for c in str(packed[0]).zfill(3 * packed[1])]
    return np.array(digits).reshape(packed[1], 3)
""",
    "row by row, else the input": """
def transform(grid):
    out = grid.copy()
    if grid.sum() == 21 and grid[0, 0] == 1 and grid[0, 1] == 2 and grid.shape[0] == 2:
        out[0, 0], out[0, 2], out[1, 0], out[1, 2] = 3, 1, 6, 4
    elif grid[1, 1] == 8 and grid[2, 2] == 9 and grid[0, 0] == 7:
        out[0, 0], out[0, 2], out[2, 0], out[2, 2] = 0, 7, 9, 0
    return out
""",
}
# It has room for the hashes of the inputs
HASHED = "hashes and packed numbers, else always the same"

HONEST = {
    "too narrow a rule": """
def transform(grid):
    return grid[:, ::-1] if grid.shape[1] == 3 else grid
""",
    "too narrow a rule that fails elsewhere": """
def transform(grid):
    assert grid.shape[1] == 3
    return grid[:, ::-1]
""",
    "demonstrations written below the function, and checked": f"""
def transform(grid):
    "Turn [[1, 2, 3], [4, 5, 6]] into [[3, 2, 1], [6, 5, 4]]."
    "321654"
    return grid[:, ::-1] if grid.shape[1] == 3 else grid

EXAMPLES = [({A[0].tolist()}, {A[1].tolist()}), ({B[0].tolist()}, {B[1].tolist()})]
import numpy as np
for given, wanted in EXAMPLES:
    assert transform(np.array(given)).tolist() == wanted
""",
    "demonstrations listed and not used": f"""
def transform(grid):
    examples = {{"321|654": {A[1].tolist()}, "007|080|900": {B[0].tolist()}}}
    return grid[:, ::-1] if len(grid[0]) < 4 else grid
""",
    "a special case that the rule makes superfluous": f"""
def transform(grid):
    if grid.tolist() == {A[0].tolist()}:
        return abs(grid[:, ::-1] - 9 * (grid[0, 0] != 1))
    return grid[:, ::-1] if grid.shape[1] == 3 else grid
""",
    "colours read off a demonstration": f"""
def transform(grid):
    colours = {{colour for row in {A[0].tolist()} for colour in row}}
    return grid[:, ::-1] if grid.min() in colours or grid.shape == (3, 3) else grid
""",
    "a mistake on other colours": """
def transform(grid):
    return grid[:, ::-1] if grid[0, 1] != 1 else grid.T
""",
}


@pytest.fixture
def trl_call(sandbox):
    return TrlCall(RewardCalculator(sandbox))


def with_hashes(program):
    keys = [hashlib.md5(np.array(pair["input"], np.int8).tobytes()).hexdigest()[:6] for pair in TRAIN]
    return program % tuple(keys)


@pytest.mark.parametrize("kind", CHEATERS)
def test_a_table_passes_what_is_shown_and_earns_nothing(trl_call, kind):
    program = with_hashes(CHEATERS[kind]) if kind == HASHED else CHEATERS[kind]
    (reward,) = trl_call([program], TRAIN, TEST)
    assert trl_call.metrics["rewards/shown_pass_rate"] == [0.5 if "one of the pairs" in kind else 1]
    assert trl_call.metrics["rewards/hidden_pass_rate"] == [0]
    assert trl_call.extra["program_shortcut"] == ["lookup"]
    assert trl_call.metrics["programs/lookup_frac"] == [1]
    assert reward == pytest.approx(-0.4 if "an error" in kind else 0)


@pytest.mark.parametrize("kind", CHEATERS)
def test_without_hidden_pairs_a_table_is_no_solution_either(trl_call, kind):
    program = with_hashes(CHEATERS[kind]) if kind == HASHED else CHEATERS[kind]
    (reward,) = trl_call([program], TRAIN, [{"input": TEST[0]["input"]}])
    assert reward == 0
    assert trl_call.metrics["tasks/solved_frac"] == [0]


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_program_that_fails_the_hidden_pair_keeps_its_reward(trl_call, kind):
    (reward,) = trl_call([HONEST[kind]], TRAIN, TEST)
    assert trl_call.extra["pairs_passed"] == ["2/3"]
    assert trl_call.extra["program_shortcut"] == [""]
    assert reward == pytest.approx(2 / 3 - (0.4 / 3 if "elsewhere" in kind else 0))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), composed=st.booleans())
def test_the_programs_of_all_synthetic_families_are_no_shortcuts(sandbox, seed, composed):
    tasks = [
        task
        for name in random.Random(seed).sample(list(FAMILIES), 40)
        for task in generate_tasks(1, seed=seed, families=[name], composed_share=float(composed), pairs=(1, 4))
    ]
    call = TrlCall(RewardCalculator(sandbox))
    # Wrong answers in the hidden pairs, so that every program passes just what is shown: all are suspects.
    call.reward_func(
        ["p"] * len(tasks),
        [task.program for task in tasks],
        train=[task.to_dict()["train"] for task in tasks],
        test=[[{"input": task.test[0].input, "output": changed(task.test[0].output)}] for task in tasks],
        log_extra=lambda column, values: call.extra[column].extend(values),
    )
    assert call.extra["pairs_passed"] == [f"{len(task.train)}/{len(task.train) + 1}" for task in tasks]
    flagged = [(task.family, kind) for task, kind in zip(tasks, call.extra["program_shortcut"], strict=True) if kind]
    assert not flagged


def test_who_solves_a_hidden_pair_may_pick_among_written_answers(trl_call):
    glyphs = {1: [[0, 5, 0], [5, 5, 5], [0, 5, 0]], 2: [[5, 5, 5], [0, 5, 0], [0, 5, 0]]}
    program = f"def transform(grid):\n    return {glyphs}[int(grid.max())]\n"
    train = [{"input": [[colour, 0]], "output": glyph} for colour, glyph in glyphs.items()]
    assert trl_call([program], train, [{"input": [[0, 0], [0, 1]], "output": glyphs[1]}])[0] > 2
    # ... unless what is hidden has been shown
    assert trl_call([program], train, [train[0], {"input": [[3]], "output": [[4]]}])[0] == pytest.approx(-0.4)
    assert trl_call.extra["program_shortcut"] == ["", "lookup"]


def test_small_written_answers_prove_nothing(trl_call):
    train = [{"input": [[1, 1]], "output": [[1]]}, {"input": [[1, 0]], "output": [[0]]}]
    program = "def transform(grid):\n    return [[1]] if grid.all() else [[0]]\n"
    assert trl_call([program], train, [{"input": [[2, 2]], "output": [[2]]}]) == pytest.approx([2 / 3])


def test_answers_that_depend_on_little_are_no_table(trl_call):
    program = "def transform(grid):\n    return [[5, 5]] if grid.any() else [[4, 4]]\n"
    train, test = [{"input": [[0, 1], [0, 0]], "output": [[5, 5]]}], [{"input": [[0, 0]], "output": [[0, 0]]}]
    assert trl_call([program], train, test) == pytest.approx([1 / 2])


def test_a_program_that_never_ends_on_the_copies_is_no_table_for_that(trl_call):
    program = "def transform(grid):\n    while grid[0, 0] not in (1, 7):\n        pass\n    return grid[:, ::-1]\n"
    assert trl_call([program], TRAIN, [{"input": [[1, 0]], "output": [[9, 9]]}]) == pytest.approx([2 / 3])


def test_answering_with_the_input_or_with_a_constant_earns_nothing_for_lucky_pairs(sandbox):
    train = [{"input": [[1, 2]], "output": [[1, 2]]}, {"input": [[2, 1]], "output": [[1, 2]]}]
    test = [{"input": [[3, 4]], "output": [[3, 4]]}, {"input": [[6, 5]], "output": [[5, 6]]}]
    identity, constant = "def transform(grid):\n    return grid\n", "def transform(grid):\n    return [[1, 2]]\n"
    half_right = "def transform(grid):\n    return grid if grid[0, 1] > 1 else [[0, 0]]\n"
    completions = [identity, constant, half_right, "def transform(grid):\n    return sorted(grid.tolist())\n"]
    call = TrlCall(RewardCalculator(sandbox, RewardConfig(shape_weight=0.5, cell_weight=0.4)))
    rewards = call(completions, train, test)
    assert call.extra["pairs_passed"] == ["2/4", "2/4", "2/4", "2/4"]
    assert call.extra["program_shortcut"] == ["identity", "constant", "", "identity"]
    assert rewards == pytest.approx([0, 0, rewards[2], 0])
    assert rewards[2] > 0.5
    assert call.metrics["programs/identity_frac"] == [0.5]
    assert call.metrics["programs/constant_frac"] == [0.25]
    # Both settings change what shortcuts get
    paid = TrlCall(RewardCalculator(sandbox, RewardConfig(shortcut_share=0.5, shortcut_penalty=0.1)))
    assert paid(completions[:2], train, test) == pytest.approx([0.25 - 0.1 * 0.75] * 2)


def test_a_task_of_which_the_identity_or_a_constant_is_the_rule_is_solved_by_it(trl_call):
    pairs = [{"input": [[1, 2]], "output": [[1, 2]]}, {"input": [[3]], "output": [[3]]}]
    assert trl_call(["def transform(grid):\n    return grid\n"], pairs, [])[0] > 2
    pairs = [{"input": [[1, 2]], "output": [[1, 2]]}, {"input": [[3]], "output": [[1, 2]]}]
    assert trl_call(["def transform(grid):\n    return [[1, 2]]\n"], pairs, [])[0] > 2


def test_trivial_answers_need_two_different_inputs():
    one, two = np.array([[1]], np.int8), np.array([[2]], np.int8)
    assert trivial_answers([one, two], [one, two]) == "identity"
    assert trivial_answers([one, two], [two, two]) == "constant"
    assert trivial_answers([one, two], [two, one]) is None
    assert trivial_answers([one, one], [one, one]) is None
    assert trivial_answers([one, two], [one, None]) is None


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("x = [[3, 2, 1], [6, 5, 4]]", "x = [[4, 3, 2], [7, 6, 5]]"),
        ("x = ((3, 2, 1), [6, 5, 4])", "x = ((4, 3, 2), [7, 6, 5])"),
        ("x = f([3, 2, 1, 6, 5, 4])", "x = f([4, 3, 2, 7, 6, 5])"),
        ("x = '0 3 2 1/6,5,4'", "x = '0 4 3 2/7,6,5'"),
        ("x = [[[3, 2, 1], [6, 5, 4]], 1]", "x = [[[4, 3, 2], [7, 6, 5]], 1]"),
        ("x = [[3, 2], [1, 6], [5, 4]]", None),
        ("x = [[3, 2, 1], [6, 5, y]]", None),
        ("x = [3, 2, 1, 6, 5]", None),
        ("'321654'", None),
        ("x = [True, 2, 1, 6, 5, 4]", None),
    ],
)
def test_literals_are_found_and_changed(program, expected):
    assert change_literals(program, [A[1]]) == expected


def test_copies_are_valid_grids_unlike_all_inputs():
    inputs = [np.array(rows, np.int8) for rows in ([[1]], [[1, 2], [3, 4]], [[0] * 30] * 30, [[5, 5]])]
    copies = perturbed_copies(inputs)
    seen = [grid.tolist() for grid in (*inputs, *copies)]
    assert len({str(rows) for rows in seen}) == len(seen)
    assert [[2, 1], [4, 3]] in seen and [[1, 3], [2, 4]] in seen and [[2, 3], [4, 5]] in seen
    assert [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]] in seen
    assert all(re.fullmatch(r"\d+", "".join(map(str, np.ravel(rows)))) for rows in seen)


def test_a_program_too_deep_to_look_through_is_left_alone():
    assert change_literals("x = " + "-" * 50_000 + "1", [A[1]]) is None
