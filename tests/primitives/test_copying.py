import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    complete_copies,
    copy_to,
    flip_lr,
    flip_objects,
    flip_ud,
    mirror_objects,
    move_to_copies,
    objects,
    reflect_across,
    rotate_cw,
    transpose,
    trim_zero,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 1, 2]),
)


def test_a_picture_is_copied_with_its_middle_on_each_mark():
    grid = np.zeros((7, 7), dtype=np.int8)
    grid[0:3, 0:3] = [[0, 2, 0], [2, 3, 4], [0, 2, 0]]
    grid[5, 5] = grid[1, 5] = 1
    copied = copy_to(grid, 1)
    for row, column in ((1, 1), (5, 5), (1, 5)):
        assert copied[row - 1 : row + 2, column - 1 : column + 2].tolist() == [[0, 2, 0], [2, 3, 4], [0, 2, 0]]
    assert np.count_nonzero(copied) == 15


def test_copies_are_cut_off_at_the_border():
    assert copy_to([[2, 3, 4, 0, 0, 1]], 1).tolist() == [[2, 3, 4, 0, 2, 3]]


def test_the_middle_of_an_even_side_is_the_upper_or_left_one():
    assert copy_to([[2, 3, 0, 0, 1, 0]], 1).tolist() == [[2, 3, 0, 0, 2, 3]]
    assert copy_to([[2], [3], [0], [0], [1], [0]], 1).tolist() == [[2], [3], [0], [0], [2], [3]]


@pytest.mark.parametrize("grid", [[[1, 0]], [[2, 0]], [[0, 0]]])
def test_copying_needs_a_picture_and_a_mark(grid):
    with pytest.raises(ValueError, match="colour 1"):
        copy_to(grid, 1)


def test_each_cell_is_reflected_across_the_line_that_is_nearest():
    grid = np.zeros((8, 3), dtype=np.int8)
    grid[2], grid[6] = 2, 2
    grid[1, 0] = grid[0, 1] = grid[5, 2] = 5
    reflected = reflect_across(grid, 2)
    assert np.argwhere(reflected == 5).tolist() == [[3, 0], [4, 1], [7, 2]]
    assert ((reflected == 2) == (grid == 2)).all()


def test_brackets_count_as_their_longest_line_and_the_border_swallows():
    grid = [[5, 0, 0, 0], [2, 2, 2, 2], [2, 0, 0, 2], [0, 0, 0, 0], [0, 5, 0, 0]]
    expected = [[0, 0, 0, 0], [2, 2, 2, 2], [2, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    # the image of the first cell meets the bracket, that of the second is outside of the grid
    assert reflect_across(grid, 2).tolist() == expected


@given(GRIDS)
def test_reflection_does_not_depend_on_the_orientation(grid):
    line = np.full((1, grid.shape[1]), 7, dtype=np.int8)
    below = np.zeros_like(grid)
    joined = np.vstack([grid, line, below])
    if grid.any() and grid.shape[1] > 1:
        assert (reflect_across(joined, 7) == np.vstack([below, line, grid[::-1]])).all()
        assert (reflect_across(transpose(joined), 7) == transpose(reflect_across(joined, 7))).all()
    else:
        with pytest.raises(ValueError, match="line"):
            reflect_across(joined, 7)


@given(GRIDS)
def test_flipped_objects_stay_in_their_boxes(grid):
    for mask in objects(grid, same_colour=False):
        alone = np.where(mask, grid, 0).astype(np.int8)
        flipped = flip_objects(alone)
        assert (trim_zero(flipped) == flip_ud(trim_zero(alone))).all()
        assert (flipped.any(axis=0) == alone.any(axis=0)).all()
        assert np.flatnonzero(flipped.any(axis=1)).tolist()[0] == np.flatnonzero(alone.any(axis=1)).tolist()[0]
        assert (flip_objects(transpose(alone)) == transpose(mirror_objects(alone))).all()


def model_with(*others):
    grid = np.zeros((9, 9), dtype=np.int8)
    grid[0:2, 0:3] = [[4, 4, 2], [0, 4, 3]]
    for rows, columns, patch in others:
        grid[rows, columns] = patch
    return grid


@pytest.mark.parametrize("turn", [lambda patch: patch, flip_lr, flip_ud, rotate_cw, transpose])
def test_a_beginning_is_completed_however_it_is_turned(turn):
    whole, begun = turn(np.array([[4, 4, 2], [0, 4, 3]])), turn(np.array([[4, 4, 2], [0, 4, 0]]))
    place = (slice(4, 4 + whole.shape[0]), slice(4, 4 + whole.shape[1]))
    assert (complete_copies(model_with((*place, begun))) == model_with((*place, whole))).all()


def test_copies_do_not_cover_other_colours():
    grid = [[4, 8, 4, 3, 0, 0, 0, 8, 0, 0]]
    assert complete_copies(grid).tolist() == [[4, 8, 4, 3, 0, 0, 4, 8, 4, 3]]
    grid[0][9] = 5
    assert complete_copies(grid).tolist() == [[4, 8, 4, 3, 0, 3, 4, 8, 4, 5]]  # turned, since there is no room for it
    grid[0][8] = 5
    with pytest.raises(ValueError, match="no beginning"):
        complete_copies(grid)


def test_the_place_with_most_agreeing_cells_is_taken():
    grid = [[8, 2, 8, 0, 0, 0, 8, 0, 8, 0, 0]]
    assert complete_copies(grid).tolist() == [[8, 2, 8, 0, 0, 0, 8, 2, 8, 0, 0]]


def test_models_can_vanish():
    moved = move_to_copies(model_with((slice(5, 7), slice(5, 8), [[0, 4, 2], [0, 4, 0]])))
    assert not moved[:4].any()
    assert moved[5:7, 5:8].tolist() == [[4, 4, 2], [0, 4, 3]]


@pytest.mark.parametrize("grid", [[[1, 0, 1]], [[0, 0]], [[1, 2, 0, 0, 0]]])
def test_completing_needs_a_model_and_a_beginning(grid):
    for function in (complete_copies, move_to_copies):
        with pytest.raises(ValueError):
            function(grid)


@given(GRIDS)
def test_completing_only_adds(grid):
    try:
        completed = complete_copies(grid)
    except ValueError:
        return
    assert (completed[grid != 0] == grid[grid != 0]).all()
    assert np.count_nonzero(completed) > np.count_nonzero(grid)
    assert (np.where(move_to_copies(grid) != 0, completed, 0) == move_to_copies(grid)).all()
