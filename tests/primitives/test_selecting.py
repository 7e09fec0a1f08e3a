import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    flip_lr,
    flip_ud,
    keep_sized,
    keep_touching,
    lone_to,
    objects,
    recolour_by_holes,
    recolour_flat,
    recolour_holed,
    recolour_in_order,
    recolour_like,
    recolour_parts_larger,
    recolour_repeated,
    recolour_sized,
    recolour_touching,
    recolour_upright,
    remove_touching,
    rotate_cw,
    transpose,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 1, 2]),
)
TWO_HOLES = [[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]]


@given(GRIDS)
def test_an_object_touches_a_colour_when_a_step_to_a_side_leads_to_it(grid):
    expected = grid.copy()
    for mask in objects(grid):
        steps = [(row + dy, column + dx) for row, column in np.argwhere(mask) for dy, dx in ((0, 1), (1, 0))]
        steps += [(row - dy, column - dx) for row, column in np.argwhere(mask) for dy, dx in ((0, 1), (1, 0))]
        inside = [(y, x) for y, x in steps if 0 <= y < grid.shape[0] and 0 <= x < grid.shape[1]]
        if grid[mask][0] != 2 and any(grid[place] == 2 for place in inside):
            expected[mask] = 7
    assert (recolour_touching(grid, 2, 7) == expected).all()
    # what is removed and what is kept add up, and colour 2 itself is never removed
    removed, kept = remove_touching(grid, 2), keep_touching(grid, 2)
    assert (removed == np.where(expected == 7, 0, grid)).all()
    assert (kept == np.where((expected == 7) | (grid == 2), grid, 0)).all()


def test_corners_do_not_touch_but_hold_an_object_together():
    assert recolour_touching([[2, 0], [0, 3]], 2, 7).tolist() == [[2, 0], [0, 3]]
    assert recolour_touching([[2, 3, 0], [0, 0, 3]], 2, 7).tolist() == [[2, 7, 0], [0, 0, 7]]


@given(GRIDS)
def test_upright_objects_are_the_flat_ones_of_the_turned_grid(grid):
    assert (recolour_upright(grid, 7) == transpose(recolour_flat(transpose(grid), 7))).all()
    heights = [(np.ptp(np.nonzero(mask)[0]), np.ptp(np.nonzero(mask)[1]), mask) for mask in objects(grid)]
    upright = [mask for height, width, mask in heights if height > width]
    expected = np.logical_or.reduce(upright) if upright else np.zeros(grid.shape, dtype=bool)
    assert ((recolour_upright(grid, 7) == 7) == expected).all()


@given(GRIDS)
def test_lone_cells_are_the_parts_of_one_cell(grid):
    larger = recolour_parts_larger(grid, 1, 7)
    assert ((lone_to(grid, 8) == 8) == ((grid != 0) & (larger != 7))).all()
    assert (lone_to(rotate_cw(grid), 8) == rotate_cw(lone_to(grid, 8))).all()


def test_parts_end_at_corners_and_objects_do_not():
    grid = [[3, 3, 0], [0, 0, 3]]
    assert recolour_parts_larger(grid, 2, 8).tolist() == grid
    assert recolour_parts_larger(grid, 1, 8).tolist() == [[8, 8, 0], [0, 0, 3]]


@given(GRIDS)
def test_order_runs_from_left_to_right_then_downwards(grid):
    masks = objects(grid)
    if len(masks) > 9:
        with pytest.raises(ValueError, match="nine colours"):
            recolour_in_order(grid)
        return
    ranked = recolour_in_order(grid)
    starts = [tuple(np.argwhere(ranked == rank).min(axis=0)[::-1].tolist()) for rank in range(1, len(masks) + 1)]
    assert starts == sorted(starts)
    assert sorted({int(value) for value in np.unique(ranked[ranked != 0])}) == list(range(1, len(masks) + 1))


def test_holes_are_counted_inside_the_object():
    assert recolour_by_holes(TWO_HOLES).max() == 2
    assert recolour_holed(TWO_HOLES, 2, 6).max() == 6
    assert recolour_holed(TWO_HOLES, 1, 6).tolist() == TWO_HOLES
    # a gap at the border of the grid is no hole
    assert not recolour_by_holes([[1, 0, 1], [1, 1, 1]]).any()
    assert recolour_holed([[1, 0, 1], [1, 1, 1]], 0, 4).tolist() == [[4, 0, 4], [4, 4, 4]]
    # and what is open at a corner only is one
    assert recolour_by_holes([[1, 1, 1], [1, 0, 1], [1, 1, 0]]).max() == 1


@given(GRIDS)
def test_objects_with_n_holes_are_those_that_get_colour_n(grid):
    numbered = recolour_by_holes(grid)
    for number in (1, 2):
        assert ((recolour_holed(grid, number, 9) == 9) == (numbered == number)).all()


def test_repeated_shapes_may_be_turned_and_coloured_otherwise():
    grid = [[1, 1, 0, 0, 2, 0], [1, 0, 0, 0, 2, 2], [0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]]
    assert recolour_repeated(grid, 5).tolist() == [[5, 5, 0, 0, 5, 0], [5, 0, 0, 0, 5, 5], [0] * 6, [3, 0, 0, 0, 0, 0]]
    mirrored = [[1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 0, 1, 1]]
    assert recolour_repeated(mirrored, 5).tolist() == (5 * np.array(mirrored)).tolist()


@given(GRIDS)
def test_repeated_shapes_do_not_depend_on_the_side_from_which_one_looks(grid):
    for turn in (flip_lr, flip_ud, rotate_cw):
        assert (recolour_repeated(turn(grid), 7) == turn(recolour_repeated(grid, 7))).all()


def test_likeness_to_a_model_counts_however_it_is_turned():
    grid = [[2, 2, 0, 1, 0, 1], [2, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0]]
    expected = [[2, 2, 0, 1, 0, 1], [2, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0]]
    # the cell at the corner belongs to the second shape, which therefore is another one
    assert recolour_like(grid, 1).tolist() == expected
    grid[0][5] = 0
    expected[0], expected[1] = [2, 2, 0, 2, 0, 0], [2, 0, 0, 2, 2, 0]
    assert recolour_like(grid, 1).tolist() == expected


def test_only_framed_models_count_where_there_are_any():
    frame = [[5, 5, 5, 0, 0, 3, 3, 0], [5, 4, 5, 0, 0, 0, 0, 0], [5, 5, 5, 0, 1, 0, 1, 1]]
    assert recolour_like(frame, 1)[2].tolist() == [5, 5, 5, 0, 4, 0, 1, 1]
    open_frame = [[5, 0, 5, 0, 0, 3, 3, 0], *frame[1:]]
    assert recolour_like(open_frame, 1)[2].tolist() == [5, 5, 5, 0, 4, 0, 3, 3]


def test_what_reaches_the_border_of_a_frame_is_not_framed_and_the_first_of_equal_models_counts():
    grid = [[5, 4, 5, 5, 0, 3, 0, 1], [5, 5, 0, 5, 0, 0, 0, 0], [0, 5, 5, 5, 0, 2, 2, 0], [1, 1, 0, 0, 0, 0, 0, 0]]
    recoloured = recolour_like(grid, 1)
    assert recoloured[0, 7] == 4
    assert recoloured[3].tolist() == [2, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("grid", [[[1, 0]], [[2, 0]], [[0, 0]]])
def test_likeness_needs_a_model_and_a_follower(grid):
    with pytest.raises(ValueError, match="needed"):
        recolour_like(grid, 1)


@given(GRIDS, st.integers(1, 5))
def test_sized_objects_are_kept_and_no_others(grid, n):
    assert (keep_sized(grid, n) == np.where(recolour_sized(grid, n, 9) == 9, grid, 0)).all()
