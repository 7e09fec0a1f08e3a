import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    bounce_up,
    connect_diagonals,
    connect_elbow,
    cross_lines,
    elbow_rays,
    extend_lines,
    extend_tails,
    flip_lr,
    flip_ud,
    meet_halfway,
    project_markers,
    rotate_cw,
    shoot_dashed,
    shoot_from_corners,
    transpose,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 0, 0, 1, 2]),
)


@pytest.mark.parametrize("function", [extend_tails, connect_diagonals])
@given(grid=GRIDS)
def test_what_was_there_stays(function, grid):
    assert (function(grid)[grid != 0] == grid[grid != 0]).all()


@pytest.mark.parametrize("size", [2, 5])
def test_a_diagonal_joins_two_points_in_both_directions(size):
    grid = np.zeros((size, size + 1), dtype=int)
    grid[0, 0] = grid[-1, size - 1] = 4
    for move in (rotate_cw, flip_lr, flip_ud, transpose):
        joined = connect_diagonals(move(grid))
        assert (joined == 4).sum() == size
        assert (joined == move(connect_diagonals(grid))).all()


def test_a_tail_goes_on_away_from_its_body():
    grid = np.zeros((5, 5), dtype=int)
    grid[1:3, 1:3] = 3
    grid[3, 3] = 3
    tail = extend_tails(grid)
    assert tail[4, 4] == 3 and (tail != grid).sum() == 1
    assert (extend_tails(flip_lr(grid)) == flip_lr(tail)).all()


def test_corners_shoot_outwards():
    grid = np.zeros((5, 5), dtype=int)
    grid[2, 2] = 6
    assert (shoot_from_corners(grid) == 6).sum() == 9


@given(GRIDS)
def test_crossed_lines_cover_rows_and_columns_with_content(grid):
    crossed = cross_lines(grid, 9)
    covered = (grid != 0).any(axis=1)[:, None] | (grid != 0).any(axis=0)[None, :]
    assert ((crossed != 0) == covered).all()


def test_segments_go_on_and_cross_in_the_colour_asked_for():
    grid = np.zeros((4, 5), dtype=int)
    grid[1, :2], grid[:2, 3] = 2, 8
    extended = extend_lines(grid, 4)
    assert extended[1].tolist() == [2, 2, 2, 4, 2] and extended[:, 3].tolist() == [8, 4, 8, 8]
    with pytest.raises(ValueError, match="no straight object"):
        extend_lines([[1, 0, 1]], 4)


def test_an_elbow_leaves_the_lower_colour_along_its_row():
    assert connect_elbow([[0, 0, 3], [0, 0, 0], [2, 0, 0]], 8).tolist() == [[0, 0, 3], [0, 0, 8], [2, 8, 8]]
    with pytest.raises(ValueError, match="found 3"):
        connect_elbow([[1, 2, 3]], 8)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(5, 9))
def test_halves_meet_in_the_middle(gap, left, right):
    row = meet_halfway([[left, *[0] * gap, right]], 0)[0].tolist()
    half = (gap + 2) // 2
    assert row[:half] == [left] * half and row[-half:] == [right] * half
    assert len(row) == gap + 2


def test_dashes_alternate_up_to_the_next_colour():
    assert shoot_dashed([[8, 0, 0, 0, 2, 0, 0]], 5).tolist() == [[8, 5, 8, 5, 2, 5, 2]]


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 5))
def test_a_bouncing_line_moves_one_column_per_row(width, height, start):
    grid = np.zeros((height, width), dtype=int)
    grid[-1, start % width] = 1
    columns = bounce_up(grid).argmax(axis=1)[::-1]
    assert (bounce_up(grid).sum(axis=1) == 1).all()
    assert (np.abs(np.diff(columns)) == (1 if width > 1 else 0)).all()


def test_an_elbow_ray_ends_where_the_next_begins():
    grid = np.zeros((4, 3), dtype=int)
    grid[0, 1], grid[2, 0] = 8, 7
    assert elbow_rays(grid)[:, -1].tolist() == [8, 8, 7, 7]


def test_markers_land_on_the_side_that_they_face():
    grid = np.zeros((5, 5), dtype=int)
    grid[2:4, 2:4] = 8
    grid[0, 2], grid[3, 0] = 4, 6
    marked = project_markers(grid)
    assert (marked[2, 2], marked[3, 2]) == (4, 6) and (marked != grid).sum() == 2
    assert (project_markers(rotate_cw(grid)) == rotate_cw(marked)).all()
