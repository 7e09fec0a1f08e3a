import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    connect_across,
    connect_borders,
    connect_columns,
    connect_columns_with,
    connect_rows,
    connect_rows_with,
    cut_stripes,
    flip_lr,
    flip_ud,
    repeat_across,
    repeat_down,
    repeat_runs,
    ring_crossings,
    rotate_180,
    rotate_cw,
    shoot_at_largest,
    spiral,
    swap_crossings,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 0, 0, 1, 2]))
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)


@given(GRIDS)
def test_lines_of_a_colour_go_where_lines_of_the_cells_colours_do(grid):
    for with_colour, plain in ((connect_rows_with, connect_rows), (connect_columns_with, connect_columns)):
        is_new = (plain(grid) != 0) & (grid == 0)
        assert (with_colour(grid, 8) == np.where(is_new, 8, grid)).all()


@given(GRIDS)
def test_lines_across_reach_from_first_to_last_and_columns_are_on_top(grid):
    expected = grid.copy()
    for canvas, source in ((expected, grid), (expected.T, grid.T)):
        for row, line in enumerate(source):
            for colour in (1, 2):
                places = np.flatnonzero(line == colour)
                if len(places) > 1:
                    canvas[row, places[0] : places[-1] + 1] = colour
    assert (connect_across(grid) == expected).all()


@given(GRIDS.filter(lambda grid: min(grid.shape) > 2))
def test_border_lines_join_equal_ends(grid):
    rows = [row for row in range(1, len(grid) - 1) if grid[row, 0] == grid[row, -1] != 0]
    columns = [column for column in range(1, grid.shape[1] - 1) if grid[0, column] == grid[-1, column] != 0]
    if not rows and not columns:
        with pytest.raises(ValueError, match="face each other"):
            connect_borders(grid)
        return
    expected = np.zeros_like(grid)
    for row in rows:
        expected[row] = grid[row, 0]
    for column in columns:
        expected[:, column] = grid[0, column]
    assert (connect_borders(grid) == expected).all()


def test_shots_reach_the_object_they_face_and_nothing_else():
    grid = np.array([[0, 1, 0, 0, 4], [0, 0, 3, 3, 0], [1, 0, 3, 3, 0], [0, 0, 0, 0, 0], [0, 0, 0, 2, 0]])
    expected = [[0, 1, 0, 0, 4], [0, 0, 3, 3, 0], [1, 1, 3, 3, 0], [0, 0, 0, 2, 0], [0, 0, 0, 2, 0]]
    assert shoot_at_largest(grid).tolist() == expected
    # a background of another colour changes nothing
    tinted = np.where(grid == 0, 8, grid)
    assert shoot_at_largest(tinted).tolist() == np.where(np.array(expected) == 0, 8, expected).tolist()


def test_a_cell_in_between_stops_the_shot():
    assert shoot_at_largest([[1, 0, 2, 0, 3, 3]]).tolist() == [[1, 0, 2, 2, 3, 3]]


def test_there_must_be_an_object_to_shoot_at():
    with pytest.raises(ValueError, match="two cells"):
        shoot_at_largest([[1, 0, 2]])


@st.composite
def crossings(draw):
    """A grid with one row and one column of different colours over each other."""
    height, width = draw(st.tuples(st.integers(3, 7), st.integers(3, 7)))
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    grid = np.zeros((height, width), dtype=np.int8)
    grid[row], grid[:, column] = 1, 2
    grid[row, column] = draw(st.sampled_from([1, 2]))
    return grid, row, column


@given(crossings())
def test_crossings_change_their_top_or_get_a_ring(crossing):
    grid, row, column = crossing
    swapped = swap_crossings(grid)
    assert swapped[row, column] == 3 - grid[row, column]
    assert (swap_crossings(swapped) == grid).all()
    assert (swapped != grid).sum() == 1
    ringed = ring_crossings(grid, 4)
    for place in np.ndindex(grid.shape):
        distance = max(abs(place[0] - row), abs(place[1] - column))
        assert ringed[place] == (4 if distance == 1 else grid[place])


@pytest.mark.parametrize("grid", [[[0, 1, 0], [0, 1, 0]], [[1, 1], [1, 1]], [[0, 0], [1, 1]]])
def test_without_a_crossing_there_is_nothing_to_do(grid):
    for function in (swap_crossings, lambda grid: ring_crossings(grid, 4)):
        with pytest.raises(ValueError, match="without 0"):
            function(grid)


@given(st.lists(st.integers(2, 4), min_size=1, max_size=3), st.integers(6, 9), st.data())
def test_stripes_are_cut_through_at_each_hole(heights, width, data):
    grid = np.repeat(np.arange(1, len(heights) + 1, dtype=np.int8), heights)[:, None].repeat(width, axis=1)
    row, column = data.draw(st.integers(0, len(grid) - 1)), data.draw(st.integers(0, width - 1))
    whole, colour = grid.copy(), grid[row, column]
    grid[row, column] = 0
    expected = np.where((whole == colour) & (np.arange(width) == column), 0, whole)
    assert (cut_stripes(grid) == expected).all()
    if len(heights) > 1:
        assert (cut_stripes(grid.T) == expected.T).all()


def walk(shape):
    """Draw a spiral as one walks it: on, as long as the next cell is free and the one after it is no line."""
    drawn = np.zeros(shape, dtype=int)
    row, column, dy, dx = 0, 0, 0, 1
    drawn[0, 0] = 3
    turned = False

    def is_line(y, x):
        return 0 <= y < shape[0] and 0 <= x < shape[1] and drawn[y, x] != 0

    while True:
        y, x = row + dy, column + dx
        if 0 <= y < shape[0] and 0 <= x < shape[1] and not drawn[y, x] and not is_line(y + dy, x + dx):
            row, column, turned = y, x, False
            drawn[row, column] = 3
        elif turned:
            return drawn
        else:
            dy, dx, turned = dx, -dy, True


@given(SHAPES)
def test_a_spiral_is_one_long_walk(shape):
    assert (spiral(np.zeros(shape, dtype=np.int8), 3) == walk(shape)).all()


@given(GRIDS.filter(np.any))
def test_repetition_has_the_period_of_the_content_and_keeps_it(grid):
    rows = np.flatnonzero(grid.any(axis=1))
    period = rows[-1] - rows[0] + 1
    repeated = repeat_down(grid)
    assert (repeated[period:] == repeated[:-period]).all()
    assert (repeated[rows[0] : rows[-1] + 1] == grid[rows[0] : rows[-1] + 1]).all()
    assert (repeat_across(grid) == transpose(repeat_down(transpose(grid)))).all()
    assert (repeat_down(flip_ud(grid)) == flip_ud(repeated)).all()


@pytest.mark.parametrize("function", [repeat_down, repeat_across])
def test_nothing_cannot_be_repeated(function):
    with pytest.raises(ValueError, match="nothing to repeat"):
        function([[0, 0]])


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(0, 3), st.integers(4, 12))
def test_a_run_goes_on_to_both_edges(run, start, width):
    grid = np.zeros((3, start + max(width, len(run))), dtype=np.int8)
    grid[1, start : start + len(run)] = run
    expected = grid.copy()
    expected[1] = [run[(column - start) % len(run)] for column in range(grid.shape[1])]
    assert (repeat_runs(grid) == expected).all()
    assert (repeat_runs(rotate_cw(grid)) == rotate_cw(expected)).all()


@given(GRIDS)
def test_runs_keep_what_is_there(grid):
    repeated = repeat_runs(grid)
    assert (repeated[grid != 0] == grid[grid != 0]).all()
    for move in (flip_lr, flip_ud, rotate_180):
        assert (repeat_runs(move(grid)) == move(repeated)).all()
