import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    count_as_row,
    count_colours,
    count_objects,
    diagonal_of,
    scale,
    scale_by_colours,
    size_square,
    tile,
    tile_by_colours,
    unit_row,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.sampled_from([0, 0, 1, 2, 7]))


@given(GRIDS, st.integers(1, 9))
def test_sizes_follow_the_counts(grid, colour):
    if not grid.any():
        for call in (scale_by_colours, tile_by_colours, lambda g: count_as_row(g, 1), lambda g: size_square(g, 1)):
            with pytest.raises(ValueError, match="at least 1"):
                call(grid)
        return
    n_colours, n_objects = count_colours(grid), count_objects(grid)
    assert (scale_by_colours(grid) == scale(grid, n_colours)).all()
    assert (tile_by_colours(grid) == tile(grid, n_colours, n_colours)).all()
    assert count_as_row(grid, colour).tolist() == [[colour] * n_objects]
    assert size_square(grid, colour).tolist() == [[colour] * n_objects] * n_objects


@given(st.integers(1, 30), st.integers(0, 9))
def test_rows_and_diagonals_have_n_cells_of_the_colour(n, colour):
    assert unit_row(n, colour).tolist() == [[colour] * n]
    expected = [[colour if row == column else 0 for column in range(n)] for row in range(n)]
    assert diagonal_of(n, colour).tolist() == expected


@pytest.mark.parametrize("make", [unit_row, diagonal_of])
def test_nothing_can_be_made_of_no_cells(make):
    with pytest.raises(ValueError, match="at least 1"):
        make(0, 3)
