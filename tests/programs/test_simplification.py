import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.errors import ProgramError
from arcgym.programs import normal_form, remove_dead_code
from arcgym.sandbox import CodeSandbox

INPUTS = [np.array([[1, 2], [3, 4]], np.int8), np.array([[0, 5, 6]], np.int8)]

WORDY = """
import math
import numpy as np

UNUSED = 3

def helper(grid):
    return grid * 2

def transform(grid):
    '''Flips.'''
    count = 0
    for row in grid:
        count += 1
        if count > 100:
            return helper(grid)
    result = grid[:, ::-1]
    if grid.shape == (7, 7):
        result = grid
    else:
        unused = np.zeros(3)
    return result
"""
SHORT = """def transform(grid):
    result = grid[:, ::-1]
    return result"""


class Runner:
    """Runs (harmless) programs here, and counts them."""

    def __init__(self, inputs=INPUTS):
        self.inputs = inputs
        self.count = 0

    def __call__(self, programs):
        self.count += len(programs)
        return [[self.output(program, grid) for grid in self.inputs] for program in programs]

    def output(self, program, grid):
        namespace = {}
        try:
            exec(compile(program, "<test>", "exec", dont_inherit=True), namespace)
            output = namespace["transform"](grid.copy())
        except Exception:
            return None
        return output if isinstance(output, np.ndarray) and output.ndim == 2 else None


@pytest.fixture(scope="module")
def sandbox():
    with CodeSandbox(workers=1, allow_weak=True) as opened:
        yield opened


def test_in_the_sandbox_a_wordy_program_comes_down_to_its_rule(sandbox):
    def run(programs):
        return [result.outputs for result in sandbox.run(programs, [INPUTS] * len(programs))]

    simplified = remove_dead_code(WORDY, run)
    assert simplified.program == SHORT
    assert simplified.is_minimal
    assert 2 < simplified.num_runs <= 256


STATEMENTS = (
    "x = 1",
    "x += 1",
    "y = x",
    "grid = grid + 1",
    "grid = grid[::-1]",
    "if x:\n        grid = grid * 2\n    else:\n        x = 0",
    "for i in range(2):\n        grid = grid + i",
    "return grid",
    "def f():\n        return grid",
    "grid = f()",
    "try:\n        grid = z\n    finally:\n        x = 3",
    "assert grid.shape",
    "pass",
)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(STATEMENTS), max_size=6), st.integers(2, 60))
def test_outputs_stay_the_budget_holds_and_nothing_more_can_go(lines, max_runs):
    source = "\n    ".join(["def transform(grid):\n    x = 0", *lines, "return grid + x"])
    run = Runner()
    simplified = remove_dead_code(source, run, max_runs=max_runs)
    assert run.count == simplified.num_runs <= max_runs
    before, after = Runner()([source, simplified.program])
    assert [None if g is None else g.tolist() for g in before] == [None if g is None else g.tolist() for g in after]
    assert simplified.program == normal_form(simplified.program)
    assert num_statements(simplified.program) <= num_statements(normal_form(source))
    if simplified.is_minimal:
        again = remove_dead_code(simplified.program, Runner())
        assert again.is_minimal
        assert again.program == simplified.program


def num_statements(source):
    return sum(isinstance(node, ast.stmt) and not isinstance(node, ast.Pass) for node in ast.walk(ast.parse(source)))


def test_statements_that_need_each_other_go_together():
    # Each of the two can go, but not both
    source = "def transform(grid):\n    x = 1\n    x = 1\n    y = 2\n    return grid + x"
    assert remove_dead_code(source, Runner()).program == "def transform(grid):\n    x = 1\n    return grid + x"


def test_a_case_that_the_inputs_do_not_show_goes():
    source = "def transform(grid):\n    if grid.shape[0] > 5:\n        grid = grid + 1\n    return grid"
    assert "if" not in remove_dead_code(source, Runner()).program
    shown = [np.zeros((1, 1), np.int8), np.zeros((6, 1), np.int8)]
    assert remove_dead_code(source, Runner(shown)).program == source


def test_inputs_that_fail_go_on_failing():
    source = "def transform(grid):\n    assert grid.shape[0] == 1\n    unused = 1\n    return grid"
    simplified = remove_dead_code(source, Runner())
    assert simplified.program == "def transform(grid):\n    assert grid.shape[0] == 1\n    return grid"


def test_a_program_that_gives_nothing_stays_as_it_is():
    source = "def transform(grid):\n    x = 1\n    return None"
    assert remove_dead_code(source, Runner()) == (normal_form(source), 2, False)


def test_a_program_that_gives_something_else_each_time_stays_as_it_is():
    source = "def transform(grid):\n    x = 1\n    return grid"
    calls = iter(range(100))

    def run(programs):
        return [[np.full((1, 1), next(calls) % 10, np.int8)] for _ in programs]

    assert remove_dead_code(source, run) == (normal_form(source), 2, False)


def test_without_runs_left_the_program_stays_and_is_not_called_minimal():
    source = "def transform(grid):\n    x = 1\n    return grid"
    assert remove_dead_code(source, Runner(), max_runs=2) == (normal_form(source), 2, False)


def test_a_budget_too_small_to_start_and_a_source_that_does_not_compile_are_refused():
    with pytest.raises(ValueError, match="max_runs is 1"):
        remove_dead_code("x = 1", Runner(), max_runs=1)
    with pytest.raises(ProgramError):
        remove_dead_code("x = (", Runner())
