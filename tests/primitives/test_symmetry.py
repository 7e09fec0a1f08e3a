import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    complete_period,
    complete_symmetry,
    crop,
    is_symmetric_lr,
    is_symmetric_ud,
    kaleidoscope,
    mirror_down,
    mirror_right,
    rotate_mosaic,
    symmetrise_all,
    symmetrise_diagonal,
    symmetrise_lr,
    symmetrise_ud,
    tile,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0, 1, 2]))
SQUARES = st.integers(1, 5).flatmap(lambda side: arrays(np.int8, (side, side), elements=st.integers(0, 2)))
FULL = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.integers(1, 7))


@given(GRIDS)
def test_mirrored_grids_are_symmetric(grid):
    assert is_symmetric_lr(mirror_right(grid))
    assert is_symmetric_ud(mirror_down(grid))
    assert is_symmetric_lr(grid) == (grid[:, ::-1].tolist() == grid.tolist())
    assert is_symmetric_ud(grid) == (grid[::-1].tolist() == grid.tolist())


@pytest.mark.parametrize(
    ("symmetrise", "mirror"),
    [(symmetrise_lr, np.fliplr), (symmetrise_ud, np.flipud), (symmetrise_diagonal, np.transpose)],
)
@given(grid=SQUARES)
def test_gaps_take_the_mirrored_colour(symmetrise, mirror, grid):
    assert (symmetrise(grid) == np.where(grid == 0, mirror(grid), grid)).all()
    assert (symmetrise(symmetrise(grid)) == symmetrise(grid)).all()


@given(arrays(np.int8, (5, 5), elements=st.sampled_from([0, 0, 0, 3])))
def test_one_colour_becomes_symmetric_in_every_way(grid):
    whole = symmetrise_all(grid)
    assert is_symmetric_lr(whole)
    assert is_symmetric_ud(whole)
    assert (whole == whole.T).all()
    assert (whole[grid != 0] == 3).all()


def test_symmetrise_all_leaves_the_diagonal_out_unless_square():
    assert symmetrise_all([[1, 0, 0], [0, 0, 0]]).tolist() == [[1, 0, 1], [1, 0, 1]]


def test_symmetrise_diagonal_refuses_what_is_not_square():
    with pytest.raises(ValueError, match="1 x 2"):
        symmetrise_diagonal([[1, 2]])


@given(FULL, st.integers(2, 4), st.integers(2, 4), st.data())
def test_one_gap_in_a_tiling_is_completed(piece, ny, nx, data):
    whole = tile(piece, ny, nx)
    broken = whole.copy()
    broken[data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, len(whole[0]) - 1))] = 0
    # one gap leaves the true period as the smallest unless the gap hides all that contradicts a smaller one
    completed = complete_period(broken)
    assert (completed != 0).all()
    assert (completed[broken != 0] == whole[broken != 0]).all()


def test_a_cut_off_tiling_with_many_gaps_is_completed():
    rng = np.random.default_rng(0)
    piece = rng.integers(1, 10, (3, 4))
    whole = tile(piece, 5, 5)[:13, :18]
    broken = np.where(rng.random(whole.shape) < 0.3, 0, whole)
    assert (complete_period(broken) == whole).all()


@given(GRIDS)
def test_completing_a_period_keeps_the_nonzero_cells(grid):
    completed = complete_period(grid)
    assert (completed[grid != 0] == grid[grid != 0]).all()
    assert (complete_period(completed)[completed != 0] == completed[completed != 0]).all()


def test_without_a_period_the_grid_stays():
    grid = [[1, 2, 3], [0, 4, 5], [6, 7, 8]]
    assert complete_period(grid).tolist() == grid


@given(FULL, st.data())
def test_a_hidden_box_in_a_symmetric_grid_is_uncovered(piece, data):
    whole = kaleidoscope(piece)
    hidden = whole.copy()
    height, width = piece.shape
    # in the top left quarter, so that every hidden cell has an image that is not hidden
    top, left = data.draw(st.integers(0, height // 2)), data.draw(st.integers(0, width // 2))
    hidden[top : top + (height + 1) // 2, left : left + (width + 1) // 2] = 9
    restored = complete_symmetry(hidden, 9)
    assert (restored[hidden != 9] == whole[hidden != 9]).all()
    assert not (restored == 9).any()


@given(st.integers(2, 4).flatmap(lambda side: arrays(np.int8, (side, side), elements=st.integers(1, 7))))
def test_a_hidden_cell_under_turns_is_uncovered(piece):
    whole = rotate_mosaic(piece)
    hidden = whole.copy()
    hidden[0, 0] = 9
    assert (complete_symmetry(hidden, 9)[1:] == whole[1:]).all()
    assert (complete_symmetry(hidden, 9) != 9).all()


def test_symmetry_off_the_centre_is_found():
    rng = np.random.default_rng(1)
    whole = kaleidoscope(rng.integers(1, 9, (10, 10)))
    cut = crop(whole, 2, 3, 18, 17)
    hidden = cut.copy()
    hidden[4:8, 6:10] = 0
    assert (complete_symmetry(hidden, 0) == cut).all()


def test_symmetry_that_does_not_hold_is_not_used():
    rng = np.random.default_rng(2)
    grid = rng.integers(1, 9, (8, 8))
    grid[3, 3] = 0
    assert (complete_symmetry(grid, 0) == grid).all()


@pytest.mark.parametrize("grid", [[[4, 4], [4, 4]], [[1, 2], [3, 5]]])
def test_all_or_nothing_hidden_leaves_the_grid(grid):
    assert complete_symmetry(grid, 4).tolist() == grid
