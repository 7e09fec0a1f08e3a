import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    complete_diagonals,
    continue_right,
    denoise_rows,
    denoise_stripes,
    flip_lr,
    flip_ud,
    fractal,
    fractal_most_common,
    fractal_where,
    pad_edges,
    symmetrise_object,
    unfold_twice,
)

GRIDS = arrays(
    np.int8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5), elements=st.sampled_from([0, 1, 2])
)


@given(arrays(np.int8, (2, 3), elements=st.integers(1, 3)), st.integers(5, 8))
def test_a_pattern_goes_on_as_it_began(tile, shown):
    whole = np.tile(tile, (1, 4))
    begun = whole.copy()
    begun[:, shown:] = 0
    continued = continue_right(begun)
    assert (continued[:, :shown] == whole[:, :shown]).all()
    assert (continued[:, 1:] == continued[:, :-1]).all() or (continued != 0).all()
    with pytest.raises(ValueError, match="before the right edge"):
        continue_right(whole)


def test_what_does_not_repeat_is_refused():
    with pytest.raises(ValueError, match="no period"):
        continue_right([[1, 2, 3, 0]])


@given(st.permutations([1, 2, 3]), st.integers(0, 4))
def test_diagonals_repeat(colours, start):
    place = np.add.outer(np.arange(5), np.arange(4))
    whole = np.array(colours)[place % 3]
    shown = np.where((place >= start) & (place < start + 3), whole, 0)
    assert (complete_diagonals(shown) == whole).all()
    with pytest.raises(ValueError, match="no diagonals"):
        complete_diagonals([[1, 1], [2, 2]])


@given(GRIDS)
def test_a_completed_object_is_symmetric_in_its_box(grid):
    if not grid.any():
        return
    completed = symmetrise_object(np.pad(grid, 2))
    assert completed[completed != 0].size >= grid[grid != 0].size
    assert (symmetrise_object(completed) == completed).all()
    rows, columns = np.nonzero(completed)
    box = completed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] != 0
    assert (box == box[:, ::-1]).all() and (box == box[::-1]).all()


@given(GRIDS)
def test_fractals_differ_only_in_where_they_copy(grid):
    once = fractal_where(grid, 1)
    assert (np.maximum(once, fractal_where(grid, 2)) == fractal(grid)).all()
    assert (once == np.kron(grid == 1, grid)).all()
    most = int(np.bincount(grid.ravel()).argmax())
    assert (fractal_most_common(grid) == fractal_where(grid, most)).all()


@given(GRIDS)
def test_noise_in_rows_is_outvoted(grid):
    for row, before in zip(denoise_rows(grid), grid, strict=True):
        assert len(set(row.tolist())) == 1
        assert (before == row[0]).sum() == np.bincount(before).max()


@given(GRIDS)
def test_stripes_run_the_way_that_changes_less(grid):
    rows, columns = denoise_rows(grid), denoise_rows(grid.T).T
    changed = (denoise_stripes(grid) != grid).sum()
    assert changed == min((rows != grid).sum(), (columns != grid).sum())


@given(GRIDS)
def test_edges_are_repeated_and_corners_are_empty(grid):
    padded = pad_edges(grid)
    assert (padded[1:-1, 1:-1] == grid).all()
    assert (padded[0, 1:-1] == grid[0]).all() and (padded[1:-1, -1] == grid[:, -1]).all()
    assert not padded[[0, 0, -1, -1], [0, -1, 0, -1]].any()


@given(GRIDS)
def test_an_unfolded_grid_shows_it_upright_in_the_middle_and_upside_down_outside(grid):
    upper, middle, lower = np.split(unfold_twice(grid), 3)
    assert (middle == np.hstack([flip_lr(grid), grid])).all()
    assert (upper == flip_ud(middle)).all() and (lower == upper).all()
