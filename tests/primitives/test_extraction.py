import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arcgym.primitives import (
    asymmetric_object,
    crop_between,
    fill_panels,
    flip_lr,
    fold_lr,
    fold_ud,
    hidden_patch,
    keep_fullest_panel,
    mark_fullest_panels,
    object_with,
    object_without,
    panel_colours,
    rarest_object,
    remove_most_common,
    rotate_cw,
    stripe_order,
    symmetric_object,
    transpose,
)

CELLS = st.sampled_from([0, 0, 1, 2])


@given(arrays(np.int8, (5, 5), elements=st.integers(1, 4)), st.integers(0, 4), st.integers(0, 3))
def test_a_patch_of_a_symmetric_picture_is_found_again(corner, top, left):
    corner = np.maximum(corner, corner.T)
    half = np.hstack([corner, corner[:, ::-1]])
    whole = np.vstack([half, half[::-1]])
    masked = whole.copy()
    masked[top : top + 3, left : left + 2] = 9
    assert (hidden_patch(masked, 9) == whole[top : top + 3, left : left + 2]).all()
    with pytest.raises(ValueError, match="no colour 8"):
        hidden_patch(whole, 8)


def test_a_patch_of_a_periodic_picture_is_found_by_its_period():
    whole = np.tile([[1, 2, 3], [4, 5, 7]], (4, 3))
    masked = whole.copy()
    masked[2:4, 3:5] = 8
    assert (hidden_patch(masked, 8) == whole[2:4, 3:5]).all()


def test_objects_are_told_apart_by_symmetry():
    grid = [[1, 2, 1, 0, 1, 2], [0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]]
    assert symmetric_object(grid).tolist() == [[1, 2, 1]]
    assert asymmetric_object(grid).tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="found 0"):
        asymmetric_object([[1, 1]])


def test_objects_are_told_apart_by_a_colour():
    grid = [[8, 1, 0, 8, 8], [1, 1, 0, 1, 8], [0, 0, 0, 0, 0], [3, 3, 0, 0, 0]]
    assert object_with(grid, 1).tolist() == [[8, 1], [1, 1]]
    assert object_without(grid, 8).tolist() == [[3, 3]]
    with pytest.raises(ValueError, match="no object holds colour 5"):
        object_with(grid, 5)
    with pytest.raises(ValueError, match="found 3"):
        object_without(grid, 5)


def test_the_rarest_object_is_alone():
    assert rarest_object([[1, 0, 1, 0, 2], [1, 0, 1, 0, 2]]).tolist() == [[2], [2]]
    with pytest.raises(ValueError, match="found 2"):
        rarest_object([[1, 0, 2]])


def test_what_is_between_marks_is_cut_out():
    assert crop_between([[4, 1, 4], [4, 2, 4], [4, 3, 4]], 4).tolist() == [[2]]
    with pytest.raises(ValueError, match="height"):
        crop_between([[4, 0, 4]], 4)


PANELS = np.array([[1, 0, 5, 2, 2], [0, 0, 5, 0, 1], [5, 5, 5, 5, 5], [0, 0, 5, 3, 3], [0, 0, 5, 3, 3]])


def test_panels_are_summed_up():
    assert panel_colours(PANELS).tolist() == [[1, 2], [0, 3]]
    assert mark_fullest_panels(PANELS, 7).tolist() == [[0, 0], [0, 7]]
    assert fill_panels(PANELS)[:2, 3:].tolist() == [[2, 2], [2, 2]]
    assert keep_fullest_panel(PANELS)[:2].tolist() == [[0, 0, 5, 0, 0], [0, 0, 5, 0, 0]]
    with pytest.raises(ValueError, match="divides the grid"):
        panel_colours([[0, 1], [1, 0]])


@pytest.mark.parametrize("function", [panel_colours, fill_panels, keep_fullest_panel])
def test_panels_turn_with_the_grid(function):
    for move in (rotate_cw, flip_lr, transpose):
        assert (function(move(PANELS)) == move(function(PANELS))).all()


@given(arrays(np.int8, (3, 5), elements=CELLS))
def test_folding_keeps_the_near_half_on_top(grid):
    folded = fold_lr(grid)
    assert (folded == np.where(grid[:, :2] != 0, grid[:, :2], grid[:, :2:-1])).all()
    assert (fold_ud(grid.T) == folded.T).all()


def test_stripes_are_read_across_or_down():
    assert stripe_order([[1, 1, 2], [1, 2, 2]]).tolist() == [[1, 2]]
    assert stripe_order([[1, 1, 2], [1, 2, 2]][::-1]).tolist() == [[1, 2]]
    assert stripe_order(transpose([[3, 4, 6]])).tolist() == [[3], [4], [6]]


@given(arrays(np.int8, (3, 4), elements=CELLS))
def test_the_most_common_colour_goes(grid):
    if not grid.any():
        return
    left = remove_most_common(grid)
    counts = np.bincount(grid.ravel(), minlength=3)
    gone = 1 if counts[1] >= counts[2] else 2
    assert (left == np.where(grid == gone, 0, grid)).all()
