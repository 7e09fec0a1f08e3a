import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    colours_by_count,
    count_cells,
    count_row,
    flip_ud,
    gravity_down,
    gravity_left,
    gravity_right,
    gravity_up,
    histogram,
    rotate_cw,
    sort_columns,
    sort_columns_descending,
    sort_rows,
    sort_rows_descending,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 1, 2, 9]))


@given(GRIDS)
def test_fallen_columns_keep_their_cells_in_order_below_the_zeros(grid):
    fallen = gravity_down(grid)
    for before, after in zip(grid.T.tolist(), fallen.T.tolist(), strict=True):
        content = [cell for cell in before if cell]
        assert after == [0] * (len(before) - len(content)) + content


@pytest.mark.parametrize("fall", [gravity_down, gravity_up, gravity_left, gravity_right])
@given(grid=GRIDS)
def test_gravity_is_idempotent(fall, grid):
    assert (fall(fall(grid)) == fall(grid)).all()


@given(GRIDS)
def test_gravity_turns_with_the_grid(grid):
    assert (gravity_up(grid) == flip_ud(gravity_down(flip_ud(grid)))).all()
    assert (rotate_cw(gravity_down(grid)) == gravity_left(rotate_cw(grid))).all()
    assert (rotate_cw(gravity_up(grid)) == gravity_right(rotate_cw(grid))).all()


@given(GRIDS)
def test_rows_are_sorted_by_content_and_stay_in_order_otherwise(grid):
    rows = grid.tolist()
    assert sort_rows(grid).tolist() == sorted(rows, key=np.count_nonzero)
    # sorted keeps the order of equals with `reverse` as well
    assert sort_rows_descending(grid).tolist() == sorted(rows, key=np.count_nonzero, reverse=True)
    assert (sort_columns(grid) == sort_rows(grid.T).T).all()
    assert (sort_columns_descending(grid) == sort_rows_descending(grid.T).T).all()


@given(GRIDS)
def test_histogram_counts_every_nonzero_colour(grid):
    assume(grid.any())
    bars = histogram(grid)
    colours = bars[-1].tolist()
    assert set(colours) == set(grid.ravel().tolist()) - {0}
    heights = np.count_nonzero(bars, axis=0).tolist()
    assert heights == [count_cells(grid, colour) for colour in colours] == sorted(heights, reverse=True)
    assert bars.shape == (heights[0], len(colours))
    assert (gravity_down(bars) == bars).all()
    assert count_row(grid).tolist() == [colours]
    assert colours_by_count(grid).ravel().tolist() == colours


def test_equally_common_colours_come_in_their_own_order():
    assert count_row([[9, 2, 2, 9, 1]]).tolist() == [[2, 9, 1]]


@pytest.mark.parametrize("function", [histogram, count_row, colours_by_count])
def test_counting_colours_refuses_an_empty_grid(function):
    with pytest.raises(ValueError, match="no colour"):
        function([[0, 0]])
