import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    count_cells,
    drop_objects,
    fit_inside,
    flip_lr,
    gather_by_colour,
    pull,
    pull_onto,
    push_left,
    push_right,
    raise_objects,
    rotate_ccw,
    rotate_cw,
    step_towards,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 0, 1, 2]),
)


def test_cells_are_pulled_along_rows_columns_and_diagonals():
    grid = np.zeros((6, 6), dtype=np.int8)
    grid[2:4, 2:4] = 2
    grid[0, 0] = grid[2, 5] = grid[5, 3] = 5
    pulled = pull(grid, 5)
    assert np.argwhere(pulled == 5).tolist() == [[1, 1], [2, 4], [4, 3]]
    assert (pulled[2:4, 2:4] == 2).all()


def test_pulled_cells_queue_and_what_faces_nothing_stays():
    assert pull([[2, 0, 0, 5, 0, 5]], 5).tolist() == [[2, 5, 5, 0, 0, 0]]
    grid = [[2, 0, 0, 5], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]]
    assert pull(grid, 5).tolist() == [[2, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]]


def test_colours_with_several_objects_do_not_pull_where_another_has_one():
    assert pull([[5, 0, 3, 0, 0, 2, 0, 3]], 5).tolist() == [[0, 0, 3, 0, 5, 2, 0, 3]]
    # without such a colour the nearest object pulls
    assert pull([[0, 5, 0, 3, 0, 3]], 5).tolist() == [[0, 0, 5, 3, 0, 3]]


def test_straight_ways_come_before_diagonal_ones_and_near_targets_before_far_ones():
    grid = [[5, 0, 0, 0, 2], [0, 0, 0, 0, 0], [0, 0, 3, 0, 0]]
    assert pull(grid, 5).tolist() == [[0, 0, 0, 5, 2], [0, 0, 0, 0, 0], [0, 0, 3, 0, 0]]
    assert pull([[2, 0, 5, 0, 0, 0, 3]], 5).tolist() == [[2, 5, 0, 0, 0, 0, 3]]


@given(GRIDS)
def test_pulling_keeps_every_cell_and_moves_one_colour_only(grid):
    try:
        pulled = pull(grid, 1)
    except ValueError:
        targets = np.argwhere(grid == 2)
        for row, column in np.argwhere(grid == 1):
            away = np.abs(targets - (row, column))
            assert not ((away == 0).any(axis=1) | (away[:, 0] == away[:, 1])).any()
        return
    assert count_cells(pulled, 1) == count_cells(grid, 1)
    assert ((pulled == 2) == (grid == 2)).all()


def test_single_cells_land_on_the_nearest_cell_of_the_block():
    grid = [[4, 0, 0, 0, 6], [0, 0, 8, 8, 0], [0, 0, 8, 8, 0], [7, 0, 0, 0, 0], [0, 0, 0, 9, 0]]
    assert pull_onto(grid).tolist() == [[0] * 5, [0, 0, 4, 6, 0], [0, 0, 7, 9, 0], [0] * 5, [0] * 5]


@given(st.sets(st.sampled_from([(0, 0), (0, 2), (0, 6), (0, 8), (4, 0), (4, 8), (8, 2), (8, 6)]), min_size=1))
def test_landing_is_the_same_from_every_side(singles):
    grid = np.zeros((9, 9), dtype=np.int8)
    grid[3:6, 3:6] = 8
    for place in singles:
        grid[place] = 5
    landed = pull_onto(grid)
    assert (pull_onto(rotate_cw(grid)) == rotate_cw(landed)).all()
    assert not (landed[3:6, 3:6] == 0).any()
    assert np.count_nonzero(landed) == 9
    assert (landed == 5).any()


@pytest.mark.parametrize("grid", [[[8, 8, 0]], [[1, 0, 2]], [[0, 0]]])
def test_landing_needs_a_single_cell_and_a_block(grid):
    with pytest.raises(ValueError, match="larger object"):
        pull_onto(grid)


def test_cells_gather_on_their_own_side_of_the_object_of_their_colour():
    grid = [[0, 0, 3, 0, 0], [3, 0, 3, 0, 3], [0, 2, 3, 0, 0], [0, 0, 3, 0, 0]]
    assert gather_by_colour(grid).tolist() == [[0, 0, 3, 0, 0], [0, 3, 3, 3, 0], [0, 0, 3, 0, 0], [0, 0, 3, 0, 0]]
    assert gather_by_colour(rotate_cw(grid)).tolist() == rotate_cw(gather_by_colour(grid)).tolist()


@pytest.mark.parametrize("grid", [[[3, 3, 0]], [[3, 0, 0], [3, 0, 0], [0, 0, 0], [0, 0, 3]], [[0, 0]]])
def test_gathering_needs_single_cells_that_face_their_object(grid):
    with pytest.raises(ValueError, match="single cell"):
        gather_by_colour(grid)


@pytest.mark.parametrize(
    ("target", "expected"), [((0, 0), (1, 1)), ((0, 4), (1, 3)), ((2, 4), (2, 3)), ((4, 2), (3, 2)), ((3, 4), (3, 3))]
)
def test_one_step_is_straight_or_diagonal(target, expected):
    grid = np.zeros((5, 5), dtype=np.int8)
    grid[2, 2], grid[target] = 3, 4
    stepped = step_towards(grid, 3)
    assert [tuple(place) for place in np.argwhere(stepped == 3).tolist()] == [expected]
    assert stepped[target] == 4


@pytest.mark.parametrize("grid", [[[4, 3, 4]], [[3, 4, 0]], [[3, 0], [0, 4]], [[3, 3], [3, 4]]])
def test_nothing_steps_onto_what_it_goes_to(grid):
    assert step_towards(grid, 3).tolist() == grid


@pytest.mark.parametrize("grid", [[[3, 0]], [[4, 0]], [[0, 0]]])
def test_a_step_needs_somewhere_to_go(grid):
    with pytest.raises(ValueError, match="colour"):
        step_towards(grid, 3)


@given(GRIDS)
def test_pushing_is_falling_on_a_turned_grid(grid):
    assert (push_left(grid) == rotate_cw(drop_objects(rotate_ccw(grid)))).all()
    assert (push_right(grid) == rotate_ccw(drop_objects(rotate_cw(grid)))).all()


def test_pushed_objects_stay_whole_and_stop_at_each_other():
    grid = [[0, 3, 3, 0, 5], [0, 3, 0, 0, 0], [0, 0, 0, 0, 5]]
    assert push_left(grid).tolist() == [[3, 3, 5, 0, 0], [3, 0, 0, 0, 0], [5, 0, 0, 0, 0]]
    assert push_right(flip_lr(grid)).tolist() == flip_lr(push_left(grid)).tolist()
    assert raise_objects(grid).tolist() == [[0, 3, 3, 0, 5], [0, 3, 0, 0, 5], [0, 0, 0, 0, 0]]


def test_a_piece_goes_to_the_middle_of_its_corners():
    grid = np.zeros((8, 5), dtype=np.int8)
    grid[np.ix_([0, 4], [0, 4])] = 1
    grid[5:8, 0:3] = [[0, 2, 0], [2, 3, 2], [0, 2, 0]]
    fitted = fit_inside(grid, 1)
    assert fitted[1:4, 1:4].tolist() == [[0, 2, 0], [2, 3, 2], [0, 2, 0]]
    assert not fitted[5:].any()
    assert (fitted[np.ix_([0, 4], [0, 4])] == 1).all()
    # already there: nothing moves
    assert (fit_inside(fitted, 1) == fitted).all()


def test_of_two_middles_the_left_one_is_taken_and_the_corners_stay_on_top():
    assert fit_inside([[1, 0, 0, 1, 0, 5]], 1).tolist() == [[1, 5, 0, 1, 0, 0]]
    assert fit_inside([[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 4, 4]], 1)[:, 3:].max() == 0
    assert fit_inside([[1, 1, 0, 1, 5, 6]], 1).tolist() == [[1, 1, 6, 1, 0, 0]]


@pytest.mark.parametrize("grid", [[[1, 0, 1]], [[0, 5, 0]], [[1, 0, 5, 5]]])
def test_a_piece_needs_corners_that_are_wide_enough(grid):
    with pytest.raises(ValueError, match="colour 1"):
        fit_inside(grid, 1)
