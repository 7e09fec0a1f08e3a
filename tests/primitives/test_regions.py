import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    box_around,
    fill_boxes,
    fill_even_holes,
    fill_holes,
    fill_holes_of_size,
    fill_matching_holes,
    fill_odd_holes,
    fill_own_boxes,
    mark_centres,
    objects,
    paint_commonest,
    paint_rarest,
    rotate_cw,
    swap_within,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 1, 2]),
)
FULL = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 1, 1, 1, 1]))


@given(FULL)
def test_odd_and_even_holes_are_all_holes(grid):
    odd, even = fill_odd_holes(grid, 7), fill_even_holes(grid, 7)
    assert ((odd == 7) | (even == 7)).tolist() == (fill_holes(grid, 7) == 7).tolist()
    assert not ((odd == 7) & (even == 7)).any()
    assert ((fill_holes_of_size(grid, 1, 7) == 7) <= (odd == 7)).all()
    assert ((fill_holes_of_size(grid, 2, 7) == 7) <= (even == 7)).all()


def test_a_piece_moves_into_the_hole_of_its_shape_as_it_stands():
    grid = [[5, 5, 5, 5, 0, 3], [5, 0, 0, 5, 0, 3], [5, 5, 5, 5, 0, 0], [0, 4, 4, 0, 0, 0]]
    moved = fill_matching_holes(grid)
    assert moved.tolist() == [[5, 5, 5, 5, 0, 3], [5, 4, 4, 5, 0, 3], [5, 5, 5, 5, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert fill_matching_holes(moved).tolist() == moved.tolist()


def test_of_pieces_that_fit_the_one_of_the_rarer_colour_moves():
    grid = [[7, 0, 7, 0, 5, 5, 5], [0, 0, 0, 0, 5, 0, 5], [0, 0, 6, 0, 5, 5, 5]]
    assert fill_matching_holes(grid)[1:].tolist() == [[0, 0, 0, 0, 5, 6, 5], [0, 0, 0, 0, 5, 5, 5]]


@given(GRIDS)
def test_own_boxes_are_the_boxes_of_one_colour_after_the_other(grid):
    filled = fill_own_boxes(grid)
    assert ((filled != 0) == (fill_boxes(grid, 9) != 0)).all()
    assert (filled[grid != 0] == grid[grid != 0]).all()
    if len(objects(grid)) == 1:
        assert (filled[filled != 0] == grid.max()).all()


@given(GRIDS)
def test_boxes_surround_everything_and_cover_nothing(grid):
    drawn = box_around(grid, 7)
    assert (drawn[grid != 0] == grid[grid != 0]).all()
    assert (box_around(rotate_cw(grid), 7) == rotate_cw(drawn)).all()
    expected = set()
    for mask in objects(grid, same_colour=False):
        rows, columns = np.nonzero(mask)
        top, bottom, left, right = rows.min() - 1, rows.max() + 1, columns.min() - 1, columns.max() + 1
        expected |= {(y, x) for y in (top, bottom) for x in range(left, right + 1)}
        expected |= {(y, x) for y in range(top, bottom + 1) for x in (left, right)}
    painted = {(y, x) for y, x in expected if 0 <= y < grid.shape[0] and 0 <= x < grid.shape[1] and not grid[y, x]}
    assert set(map(tuple, np.argwhere(drawn == 7).tolist())) == painted


def test_a_box_goes_around_the_cells_of_other_objects():
    drawn = box_around([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0]], 7)
    assert drawn.tolist() == [[1, 0, 7, 2], [0, 1, 7, 7], [0, 0, 1, 7]]


@pytest.mark.parametrize(
    ("height", "width", "middle"),
    [(3, 3, [(1, 1)]), (1, 4, [(0, 1), (0, 2)]), (2, 2, [(0, 0), (0, 1), (1, 0), (1, 1)]), (5, 1, [(2, 0)])],
)
def test_the_centre_has_one_two_or_four_cells(height, width, middle):
    marked = mark_centres(np.full((height, width), 3), 8)
    assert [tuple(place) for place in np.argwhere(marked == 8).tolist()] == middle


def test_colours_change_places_in_objects_of_two_colours_only():
    grid = [[1, 2, 0, 3, 0, 4, 5], [1, 1, 0, 3, 0, 6, 4]]
    assert swap_within(grid).tolist() == [[2, 1, 0, 3, 0, 4, 5], [2, 2, 0, 3, 0, 6, 4]]
    with pytest.raises(ValueError, match="two colours"):
        swap_within([[3, 0, 4]])


@given(GRIDS)
def test_swapping_twice_changes_nothing_and_painting_leaves_one_colour(grid):
    several = [mask for mask in objects(grid, same_colour=False) if len(np.unique(grid[mask])) > 1]
    for function in (swap_within, paint_rarest, paint_commonest):
        if not several:
            with pytest.raises(ValueError, match="two colours"):
                function(grid)
    if several:
        assert (swap_within(swap_within(grid)) == grid).all()
        rarest, commonest = paint_rarest(grid), paint_commonest(grid)
        for mask in several:
            counts = {colour: int((grid[mask] == colour).sum()) for colour in (1, 2)}
            assert set(rarest[mask].tolist()) == {2 if counts[2] <= counts[1] else 1}
            assert set(commonest[mask].tolist()) == {1 if counts[1] >= counts[2] else 2}
        untouched = ~np.logical_or.reduce(several)
        assert (rarest[untouched] == grid[untouched]).all()
