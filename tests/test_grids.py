import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from arcgym.errors import TaskError
from arcgym.grids import (
    LINE_COLOUR,
    MAX_SIDE,
    PALETTE,
    as_grid,
    grid_problems,
    grids_equal,
    render_ansi,
    render_rgb,
    render_svg,
)

grids = npst.arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 9))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["not a grid"]),
        ("12", ["not a grid"]),
        ({"0": 1}, ["not a grid"]),
        (7, ["not a grid"]),
        ([], ["0 rows"]),
        ([[]], ["row 0: 0 columns"]),
        ([[0]] * 31, ["31 rows"]),
        ([[0] * 31], ["row 0: 31 columns"]),
        ([[0, 1], [2]], ["row 1: 1 columns, but the rows before have 2"]),
        ([[0], 5], ["row 1: int 5 is not a row"]),
        ([["0"]], ["row 0, column 0: str '0' is not an integer"]),
        ([[0, True]], ["row 0, column 1: bool True is not an integer"]),
        ([[1.0]], ["row 0, column 0: float 1.0 is not an integer"]),
        ([[float("nan")]], ["row 0, column 0: float nan is not an integer"]),
        ([[None]], ["row 0, column 0: NoneType None is not an integer"]),
        ([[[1]]], ["row 0, column 0: list [1] is not an integer"]),
        ([[0, 10], [-1, 0]], ["row 0, column 1: int 10 is out of range", "row 1, column 0: int -1 is out of range"]),
        ([[0, 10]], ["row 0, column 1: int 10 is out of range"]),
        ([[200]], ["row 0, column 0: int 200 is out of range"]),
        ([[10**5000]], ["row 0, column 0: an integer of 16610 bits is out of range"]),
        (np.zeros((1, 2, 3), np.int8), ["an array of 3 dimensions"]),
        (np.zeros((2, 2)), ["an array of float64"]),
        (np.zeros((2, 2), bool), ["an array of bool"]),
        (np.zeros((0, 3), int), ["0 rows by 3 columns"]),
        (np.array([[0, 300]]), ["row 0, column 1: 300 is out of range"]),
        (np.array([[0, 200]], np.uint8), ["row 0, column 1: 200 is out of range"]),
        (np.array([[0], [-1]], np.int8), ["row 1, column 0: -1 is out of range"]),
        (np.array([[10, 9]], np.int8).T, ["row 0, column 0: 10 is out of range"]),
        (np.zeros((31, 30), np.int8), ["31 rows by 30 columns"]),
        (np.zeros((1, 0), np.int8), ["1 rows by 0 columns"]),
        (np.zeros(3, np.int8), ["an array of 1 dimensions"]),
        ([[1, 2], [1, True]], ["row 1, column 1: bool True is not an integer"]),
        ([[1, 2], (1, 10)], ["row 1, column 1: int 10 is out of range"]),
        ([[1, np.int8(2)], [1, 256]], ["row 1, column 1: int 256 is out of range"]),
    ],
)
def test_every_problem_is_named_once_with_its_place(value, expected):
    problems = grid_problems(value)
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert start in problem
    with pytest.raises(TaskError) as caught:
        as_grid(value)
    assert all(problem in str(caught.value) for problem in problems)


def test_all_problems_of_a_value_are_listed_together():
    assert [p.split(":")[0] for p in grid_problems([[0, 11], [True], [0.5, 3], "x"])] == [
        "row 0, column 1",
        "row 1",
        "row 1, column 0",
        "row 2, column 0",
        "row 3",
    ]


@given(grids)
def test_a_grid_is_a_read_only_copy_of_the_value_from_whatever_type(array):
    for value in (array, array.tolist(), array.astype(np.int64), tuple(map(tuple, array.tolist())), list(array)):
        grid = as_grid(value)
        assert grid.dtype == np.int8
        assert grid.shape == array.shape
        assert grid.tolist() == array.tolist()
        assert not grid.flags.writeable
        assert not np.shares_memory(grid, array)
    assert as_grid(grid) is grid


def test_a_read_only_view_of_a_writable_array_is_copied():
    base = np.zeros((2, 2), np.int8)
    view = base[:]
    view.setflags(write=False)
    grid = as_grid(view)
    base[0, 0] = 5
    assert grid[0, 0] == 0


def test_only_same_shape_and_same_colours_are_equal():
    a = as_grid([[1, 2]])
    assert grids_equal(a, as_grid([[1, 2]]))
    assert not grids_equal(a, as_grid([[1, 3]]))
    assert not grids_equal(a, as_grid([[1], [2]]))
    assert not grids_equal(as_grid([[1]]), as_grid([[1, 1]]))
    assert not grids_equal(a, None)
    assert not grids_equal(None, None)


def test_the_palette_is_the_official_one():
    assert len(set(PALETTE)) == 10
    assert PALETTE[0] == "#000000"
    assert PALETTE[5] == "#AAAAAA"
    assert PALETTE[9] == "#870C25"


@given(grids)
def test_all_drawings_show_every_cell_in_its_colour(array):
    grid = as_grid(array)
    colours = [[PALETTE[cell] for cell in row] for row in array.tolist()]

    ansi = [re.findall(r"\x1b\[48;2;(\d+);(\d+);(\d+)m {2}", line) for line in render_ansi(grid).split("\n")]
    assert [["#{:02X}{:02X}{:02X}".format(*map(int, cell)) for cell in row] for row in ansi] == colours
    assert all(line.endswith("\x1b[0m") for line in render_ansi(grid).split("\n"))

    svg = ElementTree.fromstring(render_svg(grid, cell_px=10))
    assert (svg.get("width"), svg.get("height")) == (str(10 * array.shape[1]), str(10 * array.shape[0]))
    runs = [
        (int(r.get("y")) // 10, int(r.get("x")) // 10, int(r.get("width")) // 10, r.get("fill"))
        for r in svg.iter()
        if r.tag.endswith("rect")
    ]
    drawn = [(y, x + i, fill) for y, x, length, fill in runs for i in range(length)]
    assert drawn == [(r, c, colour) for r, row in enumerate(colours) for c, colour in enumerate(row)]

    image = render_rgb(grid, cell_px=4)
    assert image.shape == (4 * array.shape[0] + 1, 4 * array.shape[1] + 1, 3)
    assert [["#{:02X}{:02X}{:02X}".format(*cell) for cell in row] for row in image[2::4, 2::4].tolist()] == colours
    lines = [*image[::4].reshape(-1, 3).tolist(), *image[:, ::4].reshape(-1, 3).tolist()]
    assert {"#{:02X}{:02X}{:02X}".format(*cell) for cell in lines} == {LINE_COLOUR}


def test_the_largest_grid_is_valid():
    assert grid_problems([[9] * MAX_SIDE] * MAX_SIDE) == []
