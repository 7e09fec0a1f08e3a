"""What holds for every primitive: exports, examples, and the promise to leave the input alone."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import arcgym.primitives
from arcgym.primitives._arrays import Grid, as_array

PACKAGE = Path(arcgym.primitives.__file__).parent
TOPICS = sorted(info.name for info in pkgutil.iter_modules([str(PACKAGE)]) if not info.name.startswith("_"))
FUNCTIONS = {name: getattr(arcgym.primitives, name) for name in arcgym.primitives.__all__}
# Grids come out of all functions but these.
RETURNS_NO_GRID = {"count_objects", "count_cells", "count_colours", "background", "most_common_colour"}
RETURNS_NO_GRID |= {"least_common_colour", "is_symmetric_lr", "is_symmetric_ud", "objects", "cells", "split2"}
GRID_FUNCTIONS = sorted(set(FUNCTIONS) - RETURNS_NO_GRID)
GRID_PARAMETERS = ("grid", "a", "b")

COLOURS = st.integers(0, 9)
ARGUMENTS = {
    "c": COLOURS,
    "a": COLOURS,  # swap_colours
    "b": COLOURS,
    "old": COLOURS,
    "new": COLOURS,
    "colour": COLOURS,
    "fill": COLOURS,
    "dy": st.integers(-7, 7),
    "dx": st.integers(-7, 7),
    "top": st.integers(0, 1),
    "left": st.integers(0, 1),
    "diagonal": st.booleans(),
    "same_colour": st.booleans(),
    "i": st.integers(0, 2),
} | dict.fromkeys(("k", "ky", "kx", "ny", "nx", "n", "h", "w", "height", "width"), st.integers(1, 3))


def is_grid_parameter(parameter: inspect.Parameter) -> bool:
    # `a` and `b` are grids in some functions and colours in others, so the annotation decides
    return parameter.name in GRID_PARAMETERS and parameter.annotation is not typing.SupportsIndex


@st.composite
def calls(draw: st.DrawFn, function: Callable[..., Any]) -> dict[str, Any]:
    """Draw arguments for one call; all grids of a call have one size, and few colours so that shapes appear."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)) | st.integers(2, 6).map(lambda side: (side, side)))
    palette = draw(st.sampled_from([[0, 1], [0, 0, 0, 2, 3], [0, 5], list(range(10))]))
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if is_grid_parameter(parameter):
            arguments[name] = draw(arrays(np.int8, shape, elements=st.sampled_from(palette)))
            arguments[name].setflags(write=False)
        else:
            # mostly a colour that is there, so that functions which look for one find it
            strategy = ARGUMENTS[name]
            arguments[name] = draw(st.sampled_from(palette) | strategy if strategy is COLOURS else strategy)
    return arguments


def grids_of(result: object) -> list[Grid]:
    return list(result) if isinstance(result, list | tuple) else [result]  # type: ignore[list-item]


def test_all_lists_every_public_function_in_order() -> None:
    public = {
        node.name
        for topic in TOPICS
        for node in ast.parse((PACKAGE / f"{topic}.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert arcgym.primitives.__all__ == sorted(public)
    assert all(inspect.isfunction(function) for function in FUNCTIONS.values())
    assert len(public) >= 110


def test_star_import_gives_all_functions_and_nothing_else() -> None:
    namespace: dict[str, Any] = {}
    exec("from arcgym.primitives import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(FUNCTIONS)


def test_modules_import_only_numpy_the_standard_library_and_each_other() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                is_own = module == "arcgym.primitives" or module.startswith("arcgym.primitives.")
                assert is_own or module.split(".")[0] in {"numpy", *sys.stdlib_module_names}, (path.name, module)


def test_package_works_where_the_rest_of_arcgym_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "parent = types.ModuleType('arcgym'); parent.__path__ = [sys.argv[1]]; sys.modules['arcgym'] = parent\n"
        "from arcgym.primitives import *\n"
        "assert flip_lr([[1, 2]]).tolist() == [[2, 1]]\n"
        "assert len(objects([[1, 0, 2]])) == 2\n"
        "assert {name for name in sys.modules if name.startswith('arcgym.')} <= {\n"
        "    name for name in sys.modules if name.startswith('arcgym.primitives')}\n"
    )
    (tmp_path / "arcgym").mkdir()
    (tmp_path / "arcgym" / "primitives").symlink_to(PACKAGE)
    command = [sys.executable, "-I", "-c", code, str(tmp_path / "arcgym")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("topic", TOPICS)
def test_examples_in_docstrings_are_right(topic: str) -> None:
    result = doctest.testmod(importlib.import_module(f"arcgym.primitives.{topic}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_docstring_has_an_example(name: str) -> None:
    documentation = inspect.getdoc(FUNCTIONS[name])
    assert documentation is not None
    assert f"{name}(" in documentation.split("Example:\n")[1]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_input_stays_and_output_is_new_and_valid(name: str) -> None:
    function = FUNCTIONS[name]
    n_results = 0

    # the same examples every time: whether some of them give a result must not depend on luck
    @settings(max_examples=25, derandomize=True)
    @given(calls(function))
    def check(arguments: dict[str, Any]) -> None:
        nonlocal n_results
        inputs = [value for value in arguments.values() if isinstance(value, np.ndarray)]
        before = [value.copy() for value in inputs]
        try:
            result = function(**arguments)
        except ValueError:
            return
        n_results += 1
        for value, copy in zip(inputs, before, strict=True):
            assert np.array_equal(value, copy)
        if name in RETURNS_NO_GRID - {"objects", "cells", "split2"}:
            assert type(result) in (int, bool)
            return
        for grid in grids_of(result):
            assert isinstance(grid, np.ndarray)
            assert grid.ndim == 2
            assert grid.size > 0
            assert grid.dtype == (np.bool_ if name == "objects" else np.int8)
            assert grid.flags.writeable
            assert 0 <= grid.min() <= grid.max() <= 9
            assert not any(np.shares_memory(grid, value) for value in inputs)

    check()
    assert n_results > 0


@pytest.mark.parametrize("name", GRID_FUNCTIONS)
def test_lists_and_wider_integers_give_the_same_result(name: str) -> None:
    function = FUNCTIONS[name]

    @settings(max_examples=5)
    @given(calls(function))
    def check(arguments: dict[str, Any]) -> None:
        try:
            expected = function(**arguments)
        except ValueError:
            return
        for convert in (np.ndarray.tolist, np.int64, np.uint8, np.asfortranarray):
            converted = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
            assert np.array_equal(function(**converted), expected)

    check()


@pytest.mark.parametrize(
    "name", sorted(name for name in FUNCTIONS if "c" in inspect.signature(FUNCTIONS[name]).parameters)
)
@pytest.mark.parametrize("colour", [-1, 10])
def test_colours_outside_0_to_9_are_refused(name: str, colour: int) -> None:
    arguments: dict[str, Any] = {"grid": [[0, 0, 0], [1, 0, 1], [1, 1, 1]], "n": 2, "height": 2, "width": 2}
    arguments |= {"a": 1, "i": 0}
    names = inspect.signature(FUNCTIONS[name]).parameters
    with pytest.raises(ValueError, match="colours are 0 to 9"):
        FUNCTIONS[name](**{key: arguments[key] for key in names if key != "c"}, c=colour)


@pytest.mark.parametrize("grid", [[], [[]], [1, 2], 3, [[[1]]], [[1.0]], [["a"]], [[-1]], [[10]], [[1], [2, 3]]])
def test_what_is_not_a_grid_is_refused(grid: Any) -> None:
    with pytest.raises(ValueError):
        as_array(grid)


def test_numbers_that_int8_cannot_hold_are_refused_not_wrapped() -> None:
    with pytest.raises(ValueError, match="256"):
        as_array(np.array([[256]]))


def test_masks_are_grids_of_0_and_1() -> None:
    assert as_array(np.array([[True, False]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"fractal", "inverse_fractal"}))
def test_no_function_takes_long_on_the_largest_grid(name: str) -> None:
    # a hundred times what is typical, because this is about a wrong order of growth and not about speed
    limit_s = 0.1
    rng = np.random.default_rng(0)
    numbers = {"n": 30, "top": 3, "left": 3, "height": 9, "width": 9, "h": 9, "w": 9, "i": 0, "c": 0}
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    for share_filled in (0.05, 0.5, 1.0):
        grid = rng.integers(1, 10, (30, 30)) * (rng.random((30, 30)) < share_filled)
        arguments = {
            key: grid if is_grid_parameter(parameter) else numbers.get(key, 2) for key, parameter in parameters.items()
        }
        start = time.process_time()
        try:
            FUNCTIONS[name](**arguments)
        except ValueError:
            continue
        assert time.process_time() - start < limit_s
