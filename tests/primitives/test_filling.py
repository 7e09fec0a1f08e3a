import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    corners_around,
    fill_colour_boxes,
    fill_columns_with_content,
    fill_gaps,
    fill_holes,
    fill_holes_of_size,
    fill_marked_crossings,
    fill_outside,
    fill_regions_larger,
    fill_square_holes,
    fill_with_seed,
    flip_lr,
    flood,
    plus_around,
    ring_around,
    rotate_cw,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 1, 2]),
)


@given(GRIDS)
def test_outside_and_holes_are_all_that_is_empty(grid):
    filled = fill_outside(grid, 7)
    assert (fill_holes(filled, 8) == np.where(filled == 0, 8, filled)).all()
    assert ((fill_holes(grid, 8) == 8) == (filled == 0)).all()


@given(GRIDS)
def test_holes_of_all_sizes_are_the_holes(grid):
    by_size = grid
    for size in range(1, grid.size + 1):
        by_size = np.where(fill_holes_of_size(grid, size, 8) == 8, 8, by_size)
    assert (by_size == fill_holes(grid, 8)).all()
    assert set(np.unique(fill_square_holes(grid, 8) != fill_holes(grid, 8))) <= {False, True}
    assert ((fill_square_holes(grid, 8) == 8) <= (fill_holes(grid, 8) == 8)).all()


@given(GRIDS, st.integers(1, 4))
def test_regions_are_filled_whole_or_not_at_all(grid, n):
    filled = fill_regions_larger(grid, n, 7)
    again = fill_regions_larger(filled, n, 8)
    assert (again == filled).all()  # what is left is small
    assert (fill_regions_larger(grid, grid.size, 7) == grid).all()


@given(GRIDS)
def test_a_flood_stops_at_everything_else(grid):
    wet = flood(grid, 2)
    assert (wet[grid != 0] == grid[grid != 0]).all()
    padded = np.pad(wet, 1, constant_values=1)
    for row, column in np.argwhere(wet == 0).tolist():
        around = padded[row : row + 3, column : column + 3]
        assert 2 not in (around[0, 1], around[1, 0], around[1, 2], around[2, 1])


@pytest.mark.parametrize("function", [ring_around, plus_around, corners_around])
@given(grid=GRIDS)
def test_surroundings_turn_with_the_grid(function, grid):
    for move in (rotate_cw, flip_lr):
        assert (function(move(grid), 2, 9) == move(function(grid, 2, 9))).all()


@given(GRIDS)
def test_a_ring_is_its_sides_and_its_corners(grid):
    ring = ring_around(grid, 2, 9) == 9
    assert (ring == ((plus_around(grid, 2, 9) == 9) | (corners_around(grid, 2, 9) == 9))).all()


@given(GRIDS)
def test_boxes_hold_their_colour_and_the_highest_is_on_top(grid):
    filled = fill_colour_boxes(grid)
    rows, columns = np.nonzero(grid == 2)
    if len(rows):
        assert (filled[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 2).all()
    assert ((filled == 0) <= (grid == 0)).all()


def test_a_seed_fills_its_room_and_two_do_not():
    room = np.pad(np.zeros((2, 3), int), 1, constant_values=1)
    one, two = room.copy(), room.copy()
    one[1, 1] = two[1, 1] = 3
    two[2, 3] = 4
    assert (fill_with_seed(one)[1:-1, 1:-1] == 3).all()
    assert (fill_with_seed(two) == two).all()
    assert (fill_with_seed(room) == room).all()


@given(GRIDS)
def test_gaps_have_equal_neighbours(grid):
    for row, before in zip(fill_gaps(grid, 9), grid, strict=True):
        for place in range(len(row)):
            inside = 0 < place < len(row) - 1
            gap = inside and before[place] == 0 and before[place - 1] == before[place + 1] != 0
            assert row[place] == (9 if gap else before[place])


@given(GRIDS)
def test_columns_with_content_are_filled(grid):
    filled = fill_columns_with_content(grid, 9)
    for column, before in zip(filled.T, grid.T, strict=True):
        assert (column == np.where((before == 0) & before.any(), 9, before)).all()


@given(GRIDS)
def test_crossings_need_both_marks(grid):
    crossed = fill_marked_crossings(grid, 9)
    for row, column in np.ndindex(grid.shape):
        asked = grid[row, column] == 0 and grid[0, column] and grid[row, -1]
        assert crossed[row, column] == (9 if asked else grid[row, column])
