import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    cells,
    densest_cell,
    halves_and,
    halves_diff,
    halves_nor,
    halves_or,
    halves_overlay,
    halves_xor,
    hconcat,
    mask_with,
    nth_cell,
    odd_cell,
    overlay,
    overlay_cells,
    sparsest_cell,
    split2,
    transpose,
    vconcat,
)

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=5)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[arrays(np.int8, shape, elements=st.sampled_from([0, 0, 1, 2]))] * 2))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


@given(PAIRS)
def test_overlay_and_mask_go_cell_by_cell(pair):
    a, b = pair
    for index in np.ndindex(a.shape):
        assert overlay(a, b)[index] == (b[index] or a[index])
        assert mask_with(a, b)[index] == (a[index] if b[index] else 0)


@pytest.mark.parametrize("function", [overlay, mask_with])
def test_grids_of_different_size_are_refused(function):
    with pytest.raises(ValueError, match="one size"):
        function([[1, 2]], [[1], [2]])


def has_divider(grid):
    """Tell whether the middle row of an odd height is one nonzero colour."""
    middle = grid[len(grid) // 2]
    return len(grid) % 2 == 1 and len(grid) > 1 and middle[0] != 0 and len(set(middle.tolist())) == 1


@given(PAIRS)
def test_split_undoes_joining_with_a_dividing_line(pair):
    a, b = pair
    whole = hconcat(hconcat(a, np.full((len(a), 1), 5)), b)
    assert all(map(same, split2(whole), pair))
    # of two dividing lines the column is taken, and here that would be one in the content
    assume(not has_divider(whole))
    top, bottom = split2(transpose(whole))
    assert same(top, transpose(a))
    assert same(bottom, transpose(b))


@given(PAIRS)
def test_without_a_divider_the_longer_side_is_halved(pair):
    a, b = pair if pair[0].shape[0] <= pair[0].shape[1] else map(transpose, pair)
    assume(not has_divider(hconcat(a, b)))
    assert all(map(same, split2(hconcat(a, b)), (a, b)))
    assume(a.shape[0] < a.shape[1])
    assert all(map(same, split2(vconcat(transpose(a), transpose(b))), (transpose(a), transpose(b))))


def test_split_takes_the_column_before_the_row_and_the_height_of_a_square():
    cross = [[1, 5, 2], [5, 5, 5], [3, 5, 4]]
    assert [half.tolist() for half in split2(cross)] == [[[1], [5], [3]], [[2], [5], [4]]]
    assert [half.tolist() for half in split2([[1, 2], [3, 4]])] == [[[1, 2]], [[3, 4]]]
    # a middle line of 0 divides nothing
    assert [half.tolist() for half in split2([[1, 0, 2], [1, 0, 2], [3, 0, 4]])] == [[[1, 0, 2]], [[3, 0, 4]]]
    with pytest.raises(ValueError):
        split2([[1]])


@given(PAIRS, st.integers(1, 9))
def test_halves_combine_as_booleans(pair, colour):
    a, b = pair
    whole = hconcat(hconcat(a, np.full((len(a), 1), 5)), b)
    first, second = a != 0, b != 0
    assert same(halves_and(whole, colour), (first & second) * colour)
    assert same(halves_or(whole, colour), (first | second) * colour)
    assert same(halves_xor(whole, colour), (first ^ second) * colour)
    assert same(halves_nor(whole, colour), ~(first | second) * colour)
    assert same(halves_diff(whole, colour), (first & ~second) * colour)
    assert same(halves_overlay(whole), overlay(a, b))


@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_cells_undo_joining_with_dividing_lines(n_rows, n_columns, data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=3))
    pieces = [data.draw(arrays(np.int8, shape, elements=st.integers(0, 4))) for _ in range(n_rows * n_columns)]
    height, width = shape
    whole = np.full((n_rows * (height + 1) + 1, n_columns * (width + 1) + 1), 8)
    for index, piece in enumerate(pieces):
        top, left = divmod(index, n_columns)[0] * (height + 1) + 1, index % n_columns * (width + 1) + 1
        whole[top : top + height, left : left + width] = piece
    for framed in (whole, whole[1:-1, 1:-1]) if n_rows > 1 and n_columns > 1 else (whole,):
        found = cells(framed)
        assert len(found) == len(pieces)
        assert all(map(same, found, pieces))
        assert same(nth_cell(framed, len(pieces) - 1), pieces[-1])
    with pytest.raises(ValueError, match="no sub-grid"):
        nth_cell(whole, len(pieces))


@pytest.mark.parametrize("grid", [[[1, 2], [3, 4]], [[5, 5], [5, 5]], [[1, 5, 2]], [[1], [5], [2]], [[0, 0], [1, 2]]])
def test_without_lines_or_cells_the_grid_is_its_only_cell(grid):
    assert [cell.tolist() for cell in cells(grid)] == [grid]


def test_cells_of_unequal_size_come_in_reading_order():
    grid = [[1, 2, 8, 3], [0, 2, 8, 3], [8, 8, 8, 8], [4, 0, 8, 7]]
    assert [cell.tolist() for cell in cells(grid)] == [[[1, 2], [0, 2]], [[3], [3]], [[4, 0]], [[7]]]
    with pytest.raises(ValueError, match="one size"):
        overlay_cells(grid)


def test_cells_are_chosen_by_their_content():
    grid = [[1, 0, 8, 0, 0, 8, 2, 2], [0, 3, 8, 0, 0, 8, 2, 0]]
    assert densest_cell(grid).tolist() == [[2, 2], [2, 0]]
    assert sparsest_cell(grid).tolist() == [[0, 0], [0, 0]]
    assert overlay_cells(grid).tolist() == [[2, 2], [2, 3]]


def test_odd_cell_needs_exactly_one():
    assert odd_cell([[1, 8, 1, 8, 2], [0, 8, 0, 8, 0]]).tolist() == [[2], [0]]
    with pytest.raises(ValueError, match="found 3"):
        odd_cell([[1, 8, 3, 8, 2], [0, 8, 0, 8, 0]])
    with pytest.raises(ValueError, match="found 0"):
        odd_cell([[1, 8, 1], [0, 8, 0]])
