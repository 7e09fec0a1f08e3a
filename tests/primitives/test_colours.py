import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    background,
    canvas,
    count_cells,
    count_colours,
    fill_all,
    fill_most_common,
    fill_zero,
    invert_colours,
    keep_colour,
    keep_least_common,
    keep_most_common,
    least_common_colour,
    most_common_colour,
    paint_columns,
    paint_rows,
    recolour,
    remove_colour,
    replace_colour,
    swap_colours,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0, 1, 2, 3, 9]))
COLOURS = st.integers(0, 9)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [([[0, 7, 7]], 0), ([[0, 7, 7, 7]], 7), ([[5, 5, 3, 3]], 3), ([[0, 0, 0]], 0), ([[0, 1, 1, 2, 2, 2]], 2)],
)
def test_background_prefers_0_from_a_third_on(grid, expected):
    assert background(grid) == expected


@given(GRIDS)
def test_counts_agree_with_counting_by_hand(grid):
    values = grid.ravel().tolist()
    nonzero = sorted({value for value in values if value})
    assert count_colours(grid) == len(nonzero)
    assert all(count_cells(grid, colour) == values.count(colour) for colour in range(10))
    # max and min take the first, and so the smallest colour, of equals
    assert most_common_colour(grid) == (max(nonzero, key=values.count) if nonzero else 0)
    assert least_common_colour(grid) == (min(nonzero, key=values.count) if nonzero else 0)


@given(GRIDS, COLOURS, COLOURS)
def test_replaced_colour_is_gone_and_the_rest_stays(grid, old, new):
    replaced = replace_colour(grid, old, new)
    assert (replaced[grid == old] == new).all()
    assert (replaced[grid != old] == grid[grid != old]).all()


@given(GRIDS, COLOURS, COLOURS)
def test_swap_twice_is_identity(grid, a, b):
    swapped = swap_colours(grid, a, b)
    assert count_cells(swapped, a) == count_cells(grid, b)
    assert (swap_colours(swapped, a, b) == grid).all()


@given(GRIDS, COLOURS)
def test_kept_and_removed_colour_add_up(grid, colour):
    assert (keep_colour(grid, colour) + remove_colour(grid, colour) == grid).all()


@given(GRIDS, COLOURS)
def test_recolour_and_fill_zero_split_the_cells(grid, colour):
    assert (recolour(grid, colour) == np.where(grid != 0, colour, 0)).all()
    assert (fill_zero(grid, colour) == np.where(grid != 0, grid, colour)).all()


@given(GRIDS, COLOURS)
def test_fill_all_is_a_canvas_of_the_same_size(grid, colour):
    assert (fill_all(grid, colour) == canvas(*grid.shape, colour)).all()
    assert fill_all(grid, colour).shape == grid.shape
    assert (fill_most_common(grid) == fill_all(grid, most_common_colour(grid))).all()


@given(GRIDS)
def test_keeping_a_colour_by_rank_keeps_only_that(grid):
    assert (keep_most_common(grid) == keep_colour(grid, most_common_colour(grid))).all()
    assert (keep_least_common(grid) == keep_colour(grid, least_common_colour(grid))).all()


@given(arrays(np.int8, (3, 4), elements=st.sampled_from([4, 7])))
def test_invert_colours_needs_two_colours(grid):
    if len(np.unique(grid)) == 2:
        assert (invert_colours(grid) == 11 - grid).all()
    else:
        with pytest.raises(ValueError, match="two colours"):
            invert_colours(grid)


@given(GRIDS)
def test_painted_columns_take_their_first_colour(grid):
    painted = paint_columns(grid)
    for column in range(grid.shape[1]):
        head = grid[0, column]
        expected = [head if cell and head else cell for cell in grid[:, column]]
        assert painted[:, column].tolist() == expected
    assert (paint_rows(transpose(grid)) == transpose(painted)).all()


def test_canvas_needs_a_side():
    with pytest.raises(ValueError, match="height"):
        canvas(0, 2, 1)
