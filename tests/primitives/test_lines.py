import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    checkerboard,
    connect,
    connect_columns,
    connect_rows,
    connect_with,
    draw_columns_of,
    draw_rows_of,
    flip_lr,
    flip_ud,
    grow,
    grow_diagonal,
    rotate_cw,
    shoot_cross,
    shoot_diagonal,
    shoot_down,
    shoot_horizontal,
    shoot_left,
    shoot_right,
    shoot_up,
    shoot_vertical,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 0, 0, 1, 2]))
SIDES = [(0, 1), (0, -1), (1, 0), (-1, 0)]
CORNERS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


def rays(grid, directions):
    """Walk from every nonzero cell until something is in the way; the highest colour stays."""
    painted = grid.copy()
    for row, column in np.argwhere(grid != 0).tolist():
        for dy, dx in directions:
            y, x = row + dy, column + dx
            while 0 <= y < grid.shape[0] and 0 <= x < grid.shape[1] and grid[y, x] == 0:
                painted[y, x] = max(painted[y, x], grid[row, column])
                y, x = y + dy, x + dx
    return painted


@pytest.mark.parametrize(
    ("shoot", "directions"),
    [
        (shoot_right, SIDES[:1]),
        (shoot_left, SIDES[1:2]),
        (shoot_down, SIDES[2:3]),
        (shoot_up, SIDES[3:]),
        (shoot_horizontal, SIDES[:2]),
        (shoot_vertical, SIDES[2:]),
        (shoot_cross, SIDES),
        (shoot_diagonal, CORNERS),
    ],
)
@given(grid=GRIDS)
def test_shots_reach_as_far_as_a_walk(shoot, directions, grid):
    assert (shoot(grid) == rays(grid, directions)).all()


@pytest.mark.parametrize("function", [shoot_cross, shoot_diagonal, connect, grow, grow_diagonal])
@given(grid=GRIDS)
def test_turning_first_or_last_makes_no_difference(function, grid):
    for move in (rotate_cw, flip_lr, flip_ud, transpose):
        assert (function(move(grid)) == move(function(grid))).all()


def join_rows(grid):
    """Fill between neighbouring nonzero cells of one colour on each row."""
    joined = grid.copy()
    for row in range(grid.shape[0]):
        stops = np.flatnonzero(grid[row]).tolist()
        for start, stop in itertools.pairwise(stops):
            if grid[row, start] == grid[row, stop]:
                joined[row, start:stop] = grid[row, start]
    return joined


@given(GRIDS)
def test_connecting_joins_neighbours_of_one_colour(grid):
    rows, columns = join_rows(grid), join_rows(grid.T).T
    assert (connect_rows(grid) == rows).all()
    assert (connect_columns(grid) == columns).all()
    assert (connect(grid) == np.where(grid != 0, grid, np.maximum(rows, columns))).all()


@given(GRIDS)
def test_connect_with_draws_where_connect_does(grid):
    is_new = (connect(grid) != 0) & (grid == 0)
    assert (connect_with(grid, 8) == np.where(is_new, 8, grid)).all()


def test_another_colour_between_two_cells_keeps_them_apart():
    assert connect_rows([[1, 0, 2, 0, 1]]).tolist() == [[1, 0, 2, 0, 1]]


@given(GRIDS, st.integers(0, 9))
def test_drawn_rows_and_columns_go_through_the_colour(grid, colour):
    drawn = draw_rows_of(grid, colour)
    for row in range(grid.shape[0]):
        assert (drawn[row] == (colour if colour in grid[row] else grid[row])).all()
    assert (draw_columns_of(grid, colour) == draw_rows_of(grid.T, colour).T).all()


@given(GRIDS, st.integers(0, 9))
def test_checkerboard_starts_top_left_and_spares_content(grid, colour):
    board = checkerboard(grid, colour)
    for row, column in np.ndindex(grid.shape):
        is_painted = grid[row, column] == 0 and (row + column) % 2 == 0
        assert board[row, column] == (colour if is_painted else grid[row, column])


@pytest.mark.parametrize(("function", "directions"), [(grow, SIDES), (grow_diagonal, SIDES + CORNERS)])
@given(grid=GRIDS)
def test_growth_takes_one_step_and_the_highest_colour(function, directions, grid):
    padded = np.pad(grid, 1)
    expected = grid.copy()
    for row, column in np.argwhere(grid == 0).tolist():
        expected[row, column] = max(padded[row + 1 + dy, column + 1 + dx] for dy, dx in directions)
    assert (function(grid) == expected).all()
