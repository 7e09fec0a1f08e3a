import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    cycle_rings,
    flip_lr,
    flip_ud,
    keep_closed,
    objects,
    recolour_by_rank,
    recolour_closed,
    recolour_columns,
    recolour_from_top,
    recolour_larger,
    recolour_odd_one,
    recolour_rows_by_first,
    recolour_sized,
    recolour_smaller,
    recolour_symmetric,
    recolour_to_nearest,
    recolour_to_odd_cell,
    recolour_touching_border,
    recolour_uniform_rows,
    reverse_rings,
    rotate_cw,
    swap_two_colours,
)

GRIDS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0, 0, 0, 1, 2]),
)


@given(GRIDS, st.integers(1, 5))
def test_each_object_is_larger_or_smaller_and_sized_is_what_both_borders_share(grid, n):
    both = recolour_larger(recolour_smaller(grid, n, 7), n, 8)
    expected = grid.copy()
    for mask in objects(grid):
        expected[mask] = 8 if mask.sum() > n else 7
    # recoloured neighbours may have grown together, so the two are applied to the grid itself
    small, large = recolour_smaller(grid, n, 7), recolour_larger(grid, n, 8)
    assert (np.where(small == 7, 7, large) == expected).all()
    assert both.shape == grid.shape
    exact = recolour_sized(grid, n, 9)
    assert (
        (exact == 9)
        == (
            (recolour_smaller(grid, n, 9) == 9)
            & (recolour_larger(grid, n, 9) != 9)
            & (n == 1 or recolour_smaller(grid, max(1, n - 1), 9) != 9)
        )
    ).all()


@given(GRIDS)
def test_ranks_fall_with_size_and_begin_at_one(grid):
    ranked = recolour_by_rank(grid)
    sizes = {int(ranked[mask][0]): int(mask.sum()) for mask in objects(grid)}
    assert sorted(sizes) == list(range(1, len(sizes) + 1))
    assert list(sizes[rank] for rank in sorted(sizes)) == sorted(sizes.values(), reverse=True)


@pytest.mark.parametrize("function", [recolour_closed, recolour_touching_border])
@given(grid=GRIDS)
def test_turning_first_or_last_makes_no_difference(function, grid):
    for move in (rotate_cw, flip_lr, flip_ud):
        assert (function(move(grid), 9) == move(function(grid, 9))).all()


def test_a_ring_is_closed_and_an_open_one_is_not():
    ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    gap = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 1]])
    pair = np.hstack([ring, np.zeros((3, 1), int), gap])
    assert keep_closed(pair).tolist() == np.hstack([ring, np.zeros((3, 4), int)]).tolist()
    assert (recolour_closed(pair, 5) == np.hstack([ring * 5, np.zeros((3, 1), int), gap])).all()


def test_one_shape_among_turned_copies_is_the_odd_one():
    grid = [[1, 1, 0, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1, 0, 1, 1]]
    assert recolour_odd_one(grid, 3).tolist() == [[1, 1, 0, 1, 0, 0, 3, 3], [1, 0, 0, 1, 1, 0, 3, 3]]
    with pytest.raises(ValueError, match="found 0"):
        recolour_odd_one([[1, 0, 1, 0, 1]], 3)


@given(GRIDS)
def test_symmetric_objects_stay_so_under_mirroring(grid):
    assert (recolour_symmetric(flip_lr(grid), 9) == flip_lr(recolour_symmetric(grid, 9))).all()


def test_the_nearest_colour_wins():
    assert recolour_to_nearest([[1, 0, 0], [0, 0, 0], [3, 0, 2]], 3).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 2]]
    with pytest.raises(ValueError, match="no colour but 0 and 3"):
        recolour_to_nearest([[3, 0]], 3)


def test_the_top_row_gives_its_colours_to_what_is_below():
    assert recolour_from_top([[0, 1, 1, 2], [5, 5, 5, 0]], 5).tolist() == [[0, 1, 1, 2], [1, 1, 1, 0]]
    assert recolour_from_top([[1, 0, 0], [0, 0, 5]], 5).tolist() == [[1, 0, 0], [0, 0, 5]]


@given(GRIDS)
def test_rows_follow_their_first_cell(grid):
    changed = recolour_rows_by_first(grid, 2)
    for row, before in zip(changed, grid, strict=True):
        assert row.tolist() == [before[0] if cell == 2 else cell for cell in before]


@given(GRIDS, st.integers(1, 3), st.integers(0, 3))
def test_columns_are_counted_from_the_first(grid, step, first):
    changed = recolour_columns(grid, step, first, 9)
    for column in range(grid.shape[1]):
        asked = column >= first and (column - first) % step == 0
        assert (changed[:, column] == np.where((grid[:, column] != 0) & asked, 9, grid[:, column])).all()


@given(GRIDS)
def test_uniform_rows_are_all_that_is_left(grid):
    marked = recolour_uniform_rows(grid, 5)
    for row, before in zip(marked, grid, strict=True):
        assert set(row.tolist()) == ({5} if len(set(before.tolist())) == 1 and before[0] else {0})


def test_the_odd_cell_colours_the_rest():
    with pytest.raises(ValueError, match="found 0"):
        recolour_to_odd_cell([[2, 2]])
    with pytest.raises(ValueError, match="found 2"):
        recolour_to_odd_cell([[2, 1]])


@given(GRIDS)
def test_swapping_twice_gives_the_grid(grid):
    if len(np.unique(grid[grid != 0])) == 2:
        assert (swap_two_colours(swap_two_colours(grid)) == grid).all()
        assert (swap_two_colours(grid)[grid != 0] != grid[grid != 0]).all()


def test_rings_reversed_twice_and_cycled_round_are_as_before():
    rings = np.pad(np.pad([[4]], 1, constant_values=0), 1, constant_values=7)
    assert (reverse_rings(reverse_rings(rings)) == rings).all()
    assert (cycle_rings(cycle_rings(cycle_rings(rings))) == rings).all()
    assert cycle_rings(rings)[0, 0] == 4 and reverse_rings(rings)[2, 2] == 7
