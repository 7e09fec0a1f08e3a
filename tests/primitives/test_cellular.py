import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    denoise,
    fill_between_corners,
    fill_boxes_of,
    fill_clear_lines,
    fill_empty_squares,
    fill_inside,
    fill_largest_rectangle,
    fill_largest_region,
    fill_smallest_region,
    fill_square_regions,
    flip_lr,
    flip_ud,
    hollow,
    keep_inside,
    keep_lone_colours,
    number_empty_regions,
    objects,
    paint_corners,
    remove_thin,
    rotate_cw,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 1, 2]))
SOLID = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 1, 1, 1, 2]))
EMPTYISH = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.sampled_from([0, 0, 0, 1]))


def at(grid, row, column):
    return int(grid[row, column]) if 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1] else 0


def rectangles(grid):
    """Yield every rectangle as top, bottom, left, right, the ends excluded."""
    for top, left in np.ndindex(grid.shape):
        for bottom in range(top + 1, grid.shape[0] + 1):
            for right in range(left + 1, grid.shape[1] + 1):
                yield top, bottom, left, right


@pytest.mark.parametrize(
    "function",
    [
        keep_inside,
        remove_thin,
        keep_lone_colours,
        lambda grid: fill_inside(grid, 7),
        lambda grid: paint_corners(grid, 7),
        lambda grid: denoise(grid, 2),
        lambda grid: fill_clear_lines(np.pad(grid, 1), 7),
        lambda grid: fill_square_regions(np.pad(grid, 1), 7),
        lambda grid: fill_largest_region(np.pad(grid, 1), 7),
        lambda grid: fill_smallest_region(np.pad(grid, 1), 7),
        lambda grid: number_empty_regions(np.pad(grid, 1)),
        lambda grid: fill_boxes_of(grid, 2, 7),
        lambda grid: fill_between_corners(grid, 7),
    ],
)
@given(grid=SOLID)
def test_turning_first_or_last_makes_no_difference(function, grid):
    for move in (rotate_cw, flip_lr, flip_ud, transpose):
        assert (function(move(grid)) == move(function(grid))).all()


@given(SOLID)
def test_insides_are_what_hollow_takes_away(grid):
    expected = np.zeros_like(grid)
    for row, column in np.argwhere(grid != 0).tolist():
        sides = [at(grid, row - 1, column), at(grid, row + 1, column), at(grid, row, column - 1)]
        if {*sides, at(grid, row, column + 1)} == {grid[row, column]}:
            expected[row, column] = grid[row, column]
    assert (keep_inside(grid) == expected).all()
    assert (hollow(grid) == np.where(expected != 0, 0, grid)).all()
    assert (fill_inside(grid, 7) == np.where(expected != 0, 7, grid)).all()


def test_corners_of_an_l_shape_include_the_inner_end_but_not_line_ends():
    assert paint_corners([[1, 0, 0], [1, 0, 0], [1, 1, 1]], 7).tolist() == [[1, 0, 0], [1, 0, 0], [7, 1, 1]]


@given(SOLID)
def test_a_cell_stays_if_a_block_of_four_covers_it(grid):
    expected = np.zeros_like(grid)
    for row in range(grid.shape[0] - 1):
        for column in range(grid.shape[1] - 1):
            block = grid[row : row + 2, column : column + 2]
            if len(np.unique(block)) == 1:
                expected[row : row + 2, column : column + 2] = block
    assert (remove_thin(grid) == expected).all()


@given(GRIDS)
def test_noise_takes_the_colour_that_two_sides_agree_on(grid):
    expected = grid.copy()
    for row, column in np.argwhere(grid == 2).tolist():
        sides = [at(grid, row - 1, column), at(grid, row + 1, column), at(grid, row, column - 1)]
        sides.append(at(grid, row, column + 1))
        expected[row, column] = 1 if sides.count(1) > 1 else 0
    assert (denoise(grid, 2) == expected).all()


def test_noise_between_two_pairs_takes_the_higher_colour():
    assert denoise([[0, 1, 0], [3, 2, 3], [0, 1, 0]], 2)[1, 1] == 3


@given(GRIDS)
def test_lone_colours_occur_once(grid):
    kept = keep_lone_colours(grid)
    lone = [colour for colour in (1, 2) if (grid == colour).sum() == 1]
    assert (kept == np.where(np.isin(grid, lone), grid, 0)).all()


@given(EMPTYISH.filter(lambda grid: min(grid.shape) > 2))
def test_clear_lines_hold_nothing_but_their_ends(grid):
    filled = fill_clear_lines(grid, 7)
    for row, column in np.ndindex(grid.shape):
        is_clear = not grid[row, 1:-1].any() or not grid[1:-1, column].any()
        assert filled[row, column] == (7 if is_clear and not grid[row, column] else grid[row, column])


def test_clear_lines_need_room():
    with pytest.raises(ValueError, match="3 x 3"):
        fill_clear_lines([[0, 0], [0, 0]], 7)


@given(EMPTYISH, st.integers(1, 3))
def test_squares_are_whole_and_none_is_left(grid, n):
    filled = fill_empty_squares(grid, n, 7)
    assert ((filled == 7) <= (grid == 0)).all()
    assert (filled == 7).sum() % (n * n) == 0
    assert ((filled == grid) | (filled == 7)).all()
    for row in range(len(grid) - n + 1):
        for column in range(grid.shape[1] - n + 1):
            assert filled[row : row + n, column : column + n].any()


@given(EMPTYISH)
def test_the_rectangle_is_a_largest_one(grid):
    filled = fill_largest_rectangle(grid, 7)
    sizes = [
        (bottom - top) * (right - left)
        for top, bottom, left, right in rectangles(grid)
        if bottom - top > 1 and right - left > 1 and not grid[top:bottom, left:right].any()
    ]
    rows, columns = np.nonzero(filled == 7)
    assert len(rows) == max(sizes, default=0)
    assert ((filled == grid) | (filled == 7)).all()
    if sizes:
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert not grid[rows, columns].any()


@given(EMPTYISH.filter(lambda grid: (grid == 0).any()))
def test_regions_are_ranked_by_size(grid):
    numbered = number_empty_regions(np.where(grid == 0, 0, 9))
    empty = [mask for mask in objects(grid == 0, False) if mask.any()]
    sizes = sorted({int(mask.sum()) for mask in empty}, reverse=True)
    for mask in empty:
        assert set(numbered[mask].tolist()) == {sizes.index(mask.sum()) + 1}
        is_first, is_last = mask.sum() == sizes[0], mask.sum() == sizes[-1]
        assert (fill_largest_region(grid, 7)[mask] == (7 if is_first else 0)).all()
        assert (fill_smallest_region(grid, 7)[mask] == (7 if is_last else 0)).all()


@given(EMPTYISH.filter(lambda grid: (grid == 0).any()))
def test_square_regions_fill_their_box(grid):
    filled = fill_square_regions(grid, 7)
    for mask in objects(grid == 0, False):
        height, width = mask.any(axis=1).sum(), mask.any(axis=0).sum()
        assert (filled[mask] == (7 if height == width and mask.sum() == height * width else 0)).all()


@pytest.mark.parametrize(
    "function",
    [number_empty_regions, lambda grid: fill_largest_region(grid, 1), lambda grid: fill_square_regions(grid, 1)],
)
def test_a_full_grid_has_no_regions(function):
    with pytest.raises(ValueError, match="no 0-cell"):
        function([[1, 2]])


@given(GRIDS)
def test_boxes_cover_groups_of_cells_up_to_two_apart(grid):
    expected = grid.copy()
    groups = [{tuple(cell)} for cell in np.argwhere(grid == 2).tolist()]
    for first in range(len(groups)):
        for second in range(first):
            pairs = itertools.product(groups[first], groups[second])
            if any(abs(a[0] - b[0]) < 3 and abs(a[1] - b[1]) < 3 for a, b in pairs):
                groups[first] |= groups[second]
                groups[second] = set()
    for group in filter(None, groups):
        rows, columns = zip(*group, strict=True)
        box = expected[min(rows) : max(rows) + 1, min(columns) : max(columns) + 1]
        box[box != 2] = 7
    assert (fill_boxes_of(grid, 2, 7) == expected).all()


def test_boxes_join_cells_with_one_cell_between_them_and_no_others():
    assert fill_boxes_of([[2, 0, 2, 0, 0, 2]], 2, 4).tolist() == [[2, 4, 2, 0, 0, 2]]


@st.composite
def marked_corners(draw):
    """A sparse grid of one colour in which four cells are the corners of an empty rectangle."""
    grid = draw(arrays(np.int8, st.tuples(*[st.integers(4, 6)] * 2), elements=st.sampled_from([0, 0, 0, 3])))
    top, left = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    bottom, right = draw(st.integers(top + 2, len(grid) - 1)), draw(st.integers(left + 2, grid.shape[1] - 1))
    grid[top : bottom + 1, left : right + 1] = 0
    grid[np.ix_([top, bottom], [left, right])] = 3
    return grid


@given(marked_corners())
def test_insides_of_four_corners_and_nothing_else_are_filled(grid):
    expected = grid.copy()
    for top, bottom, left, right in rectangles(grid):
        box = grid[top:bottom, left:right]
        if (
            min(box.shape) > 2
            and box[0, 0]
            and box[0, -1]
            and box[-1, 0]
            and box[-1, -1]
            and np.count_nonzero(box) == 4
        ):
            expected[top + 1 : bottom - 1, left + 1 : right - 1] = 7
    assert (expected == 7).any()
    assert (fill_between_corners(grid, 7) == expected).all()


@pytest.mark.parametrize("corners", [(4, 4, 4, 3), (4, 3, 4, 3), (4, 4, 3, 3)])
def test_corners_of_two_colours_make_no_rectangle(corners):
    grid = np.zeros((3, 3), dtype=np.int8)
    grid[[0, 0, 2, 2], [0, 2, 0, 2]] = corners
    assert (fill_between_corners(grid, 2) == grid).all()
    grid[grid == 3] = 4
    assert fill_between_corners(grid, 2)[1, 1] == 2
