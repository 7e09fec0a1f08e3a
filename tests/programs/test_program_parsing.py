import ast
import importlib.util
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.errors import ArcGymError, ProgramError
from arcgym.programs import format_program, normal_form, parse_program

MESSY = '''
"""What this does."""
from typing import List
import numpy as np  # arrays

def transform( grid : "List[List[int]]", k:int=2 ) -> np.ndarray:
    """Flip.

    Nothing else.
    """
    n: int
    x: int = (k
        + 1)
    ...
    def inner(*a: int, **b: str) -> None: "only a docstring"
    pass
    try:
        y = 1
    finally:
        "nothing"
    return grid[ : , ::-1 ]
'''

NORMAL = """from typing import List
import numpy as np

def transform(grid, k=2):
    x = k + 1

    def inner(*a, **b):
        pass
    try:
        y = 1
    finally:
        pass
    return grid[:, ::-1]"""

STATEMENTS = (
    "x = 1",
    "x: int = 2",
    "'text'",
    "pass",
    "import math",
    "y = [v for v in range(3)]  # squares",
    "f = lambda a, b=1: a + b",
    "s = f'{1:>3}{\"a\"!r}'",
    "if True:\n    'text'\nelse:\n    pass",
    "for i in range(2):\n    pass\nelse:\n    x = 3",
    "try:\n    pass\nexcept ValueError as e:\n    'text'\nfinally:\n    pass",
    "def transform(grid: list) -> list:\n    '''doc'''\n    return grid",
    "class A:\n    '''doc'''\n    x: int\n    y: int = 1\n    def f(self, a: int): a: int = 2; return a",
    "match 3:\n    case {'a': 1, **r}: pass\n    case [1, *_] | 5: 'text'",
)


def test_the_normal_form_has_no_comments_docstrings_annotations_and_idle_statements():
    assert normal_form(MESSY) == NORMAL


@given(st.lists(st.sampled_from(STATEMENTS), max_size=6).map("\n".join))
def test_the_normal_form_is_a_fixed_point_that_compiles_and_says_the_same(source):
    normal = normal_form(source)
    assert normal_form(normal) == normal
    before, after = {}, {}
    exec(compile(source, "<before>", "exec", dont_inherit=True), before)
    exec(compile(normal, "<after>", "exec", dont_inherit=True), after)
    names = {name for name, value in before.items() if isinstance(value, int | str | list)} - {"__doc__"}
    assert {name: before[name] for name in names} == {name: after[name] for name in names}
    assert before.keys() - after.keys() <= {"__annotations__", "__doc__"}


def test_attributes_of_a_dataclass_survive():
    source = (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    def f(self): y: int = 1; return y\n"
    )
    namespace = {"__name__": "program"}
    exec(normal_form(source), namespace)
    assert namespace["P"](3).x == 3
    assert "y = 1" in normal_form(source)


def test_a_local_annotation_is_no_assignment():
    assert "n" not in normal_form("def transform(grid):\n    n: int\n    return grid\n").split()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def transform(grid):\n    return )", "line 2"),
        ("return 1", "'return' outside function"),
        ("def f(a, a): pass", "duplicate argument"),
        ("x = '\ud800'", "surrogates"),
        ("x = \x00", "null bytes"),
        ("-" * 100_000 + "1", "too deeply"),
        ("x = " + "+".join("1" * 2000), "too deeply"),
    ],
)
@pytest.mark.parametrize("function", [normal_form, format_program])
def test_what_does_not_compile_is_refused_with_the_reason(function, source, reason):
    with pytest.raises(ProgramError, match=reason) as caught:
        function(source)
    assert isinstance(caught.value, ArcGymError)


def test_warnings_of_the_compiler_are_no_refusal():
    assert isinstance(parse_program("x = '\\d' is 1"), ast.Module)


def test_for_people_a_program_keeps_its_comments():
    assert format_program("def transform( grid ): # flip\n  return grid [ : , ::-1 ]") == (
        "def transform(grid):  # flip\n    return grid[:, ::-1]\n"
    )


def test_without_ruff_people_get_the_normal_form(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ruff" else find(name))
    assert format_program(MESSY) == NORMAL + "\n"


def test_what_ruff_refuses_comes_in_normal_form(monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")  # ends with status 1, whatever it is given
    assert format_program(MESSY) == NORMAL + "\n"
