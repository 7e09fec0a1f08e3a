import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    align_rows,
    drop_objects,
    flip_lr,
    flip_ud,
    gather_at_lines,
    objects,
    raise_objects,
    rotate_cw,
    slide,
    stamp,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 0, 1, 2]),
)


@given(GRIDS)
def test_nothing_is_lost_in_a_fall_and_everything_rests(grid):
    fallen = drop_objects(grid)
    assert (np.bincount(fallen.ravel(), minlength=3) == np.bincount(grid.ravel(), minlength=3)).all()
    for mask in objects(fallen):
        below = np.zeros_like(mask)
        below[1:] = mask[:-1]
        assert mask[-1].any() or (fallen[below & ~mask] != 0).any()


@given(GRIDS)
def test_rising_is_falling_upside_down(grid):
    assert (raise_objects(grid) == flip_ud(drop_objects(flip_ud(grid)))).all()


@given(GRIDS)
def test_a_slide_keeps_its_shape_and_ends_at_something(grid):
    try:
        slid = slide(grid, 2)
    except ValueError:
        return
    assert (slid == 1).sum() == (grid == 1).sum() and ((slid == 1) == (grid == 1)).all()
    assert (slid == 2).sum() == (grid == 2).sum()
    padded = np.pad(slid, 1, constant_values=1)  # the border stops it too
    height, width = slid.shape
    beside = [
        padded[1 + dy : height + 1 + dy, 1 + dx : width + 1 + dx] for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    assert any(((slid == 2) & (neighbour == 1)).any() for neighbour in beside)


@pytest.mark.parametrize("turns", range(4))
def test_a_slide_goes_to_wherever_the_other_is(turns):
    before = np.rot90([[0, 2, 0, 0, 0], [2, 2, 0, 0, 1], [0, 0, 0, 0, 1]], turns)
    after = np.rot90([[0, 0, 0, 2, 0], [0, 0, 2, 2, 1], [0, 0, 0, 0, 1]], turns)
    assert (slide(before, 2) == after).all()
    with pytest.raises(ValueError, match="something of another colour"):
        slide([[2, 0]], 2)


def test_objects_line_up_with_the_one_that_was_named():
    grid = [[0, 0, 0, 4], [1, 0, 0, 4], [1, 0, 2, 0]]
    assert align_rows(grid, 1).tolist() == [[0, 0, 0, 0], [1, 0, 2, 4], [1, 0, 0, 4]]
    with pytest.raises(ValueError, match="too tall"):
        align_rows(grid, 2)


def test_points_gather_at_the_line_of_their_colour_on_their_side():
    grid = np.array([[0, 0, 3, 0, 5], [3, 0, 3, 0, 0], [0, 0, 3, 0, 3]])
    assert gather_at_lines(grid).tolist() == [[0, 0, 3, 0, 0], [0, 3, 3, 0, 0], [0, 0, 3, 3, 0]]
    for move in (rotate_cw, flip_lr):
        assert (gather_at_lines(move(grid)) == move(gather_at_lines(grid))).all()


def test_a_picture_stamped_outside_is_refused():
    assert stamp([[0, 8, 0, 0], [0, 0, 0, 0], [3, 4, 0, 0]], 8).tolist() == [[0, 3, 4, 0], [0] * 4, [0] * 4]
    with pytest.raises(ValueError, match="does not fit"):
        stamp([[3, 4, 0, 8]], 8)
