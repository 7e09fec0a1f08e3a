import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    draw_falling_diagonal,
    draw_rising_diagonal,
    fill_last_row,
    flip_lr,
    flip_odd_columns,
    flip_odd_rows,
    flip_ud,
    keep_middle_column,
    keep_middle_row,
    symmetrise_around,
    symmetrise_turns,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 0, 1, 2]))
FULL = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(1, 9))
CENTRES = [[[3, 3], [3, 3]], [[0, 3, 0], [3, 3, 3], [0, 3, 0]], [[3, 0, 3], [0, 3, 0], [3, 0, 3]]]


@given(st.sampled_from(CENTRES), arrays(np.int8, (3, 3), elements=st.sampled_from([0, 0, 4])))
def test_everything_is_mirrored_about_the_symmetric_object(centre, corner):
    # an asymmetric corner, so that the middle is the only object to mirror at
    assume(not ((corner == corner[:, ::-1]).all() and (corner == corner[::-1]).all()))
    rows, columns = np.flatnonzero(corner.any(axis=1)), np.flatnonzero(corner.any(axis=0))
    box = corner[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assume(not ((box == box[:, ::-1]).all() and (box == box[::-1]).all()))
    side = len(centre)
    grid = np.zeros((6 + side, 9 + side), dtype=np.int8)
    grid[3 : 3 + side, 3 : 3 + side] = centre
    grid[:3, :3] = corner
    square = grid[:, : 6 + side].copy()
    square = np.maximum(square, square[:, ::-1])
    expected = np.zeros_like(grid)
    expected[:, : 6 + side] = np.maximum(square, square[::-1])
    assert (symmetrise_around(grid) == expected).all()


def test_images_beyond_the_border_are_left_out_and_content_stays():
    grid = [[0, 3, 0, 4, 4, 0, 4], [0, 0, 0, 0, 4, 0, 0]]
    assert symmetrise_around(grid).tolist() == [[0, 3, 0, 4, 4, 0, 4], [0, 0, 0, 0, 4, 0, 0]]
    grid = [[0, 0, 3, 0, 4, 4, 0, 4], [0, 0, 0, 0, 0, 4, 0, 0]]
    assert symmetrise_around(grid).tolist() == [[4, 0, 3, 0, 4, 4, 0, 4], [0, 0, 0, 0, 0, 4, 0, 0]]


def test_something_must_be_symmetric():
    with pytest.raises(ValueError, match="no colour is symmetric"):
        symmetrise_around([[4, 4], [4, 0]])


@given(GRIDS.filter(np.any))
def test_turns_leave_a_completed_picture_the_same(grid):
    try:
        turned = symmetrise_turns(grid)
    except ValueError as error:
        assert "no centre" in str(error)
        return
    assert (turned[grid != 0] == grid[grid != 0]).all()
    rows, columns = np.flatnonzero(turned.any(axis=1)), np.flatnonzero(turned.any(axis=0))
    box = turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert box.shape[0] == box.shape[1]
    assert (box == np.rot90(box)).all()
    assert (symmetrise_turns(turned) == turned).all()


def test_the_centre_that_needs_least_is_taken():
    ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    assert symmetrise_turns(ring).tolist() == [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_nothing_cannot_be_turned():
    with pytest.raises(ValueError, match="nothing to complete"):
        symmetrise_turns([[0, 0]])


@given(FULL)
def test_every_second_line_is_reversed(grid):
    columns, rows = flip_odd_columns(grid), flip_odd_rows(grid)
    for column in range(grid.shape[1]):
        assert (columns[:, column] == (grid[::-1, column] if column % 2 else grid[:, column])).all()
    assert (rows == transpose(flip_odd_columns(transpose(grid)))).all()
    assert (flip_odd_columns(columns) == grid).all()


@given(FULL)
def test_the_middle_is_one_line_or_two(grid):
    kept = keep_middle_column(grid)
    assert np.count_nonzero(kept.any(axis=0)) == (2 if grid.shape[1] % 2 == 0 else 1)
    assert (keep_middle_column(flip_lr(grid)) == flip_lr(kept)).all()
    assert (kept == np.where(kept != 0, grid, 0)).all()
    assert (keep_middle_row(grid) == transpose(keep_middle_column(transpose(grid)))).all()


@given(GRIDS, st.integers(3, 9))
def test_diagonals_and_the_last_row_spare_content(grid, colour):
    falling, last = draw_falling_diagonal(grid, colour), fill_last_row(grid, colour)
    for row, column in np.ndindex(grid.shape):
        is_free = grid[row, column] == 0
        assert falling[row, column] == (colour if is_free and row == column else grid[row, column])
        assert last[row, column] == (colour if is_free and row == len(grid) - 1 else grid[row, column])
    assert (draw_rising_diagonal(grid, colour) == flip_ud(draw_falling_diagonal(flip_ud(grid), colour))).all()
