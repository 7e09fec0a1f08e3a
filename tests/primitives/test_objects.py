import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    count_objects,
    drop_touching_border,
    fill_boxes,
    fill_each_hole,
    fill_holes,
    hollow,
    isolated_to,
    keep_largest,
    keep_smallest,
    keep_touching_border,
    largest_object,
    mirror_objects,
    most_common_object,
    object_with_most_colours,
    objects,
    odd_object,
    outline,
    outline_plus,
    pad,
    recolour_by_size,
    recolour_largest,
    recolour_smallest,
    remove_largest,
    remove_noise,
    remove_smallest,
    smallest_object,
    stack_objects_right,
    tallest_object,
    trim_zero,
    unique_colour_object,
    widest_object,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 0, 1, 2]))
EMPTY = [[0, 0], [0, 0]]
CROPS = [largest_object, smallest_object, tallest_object, widest_object, object_with_most_colours]
CROPS += [unique_colour_object, most_common_object, odd_object, stack_objects_right]


def flood(grid, start, diagonal, same_colour):
    """Grow one region from a cell until nothing changes: slow, and hard to get wrong."""
    region = {start}
    while True:
        grown = {
            (row, column)
            for row, column in np.ndindex(grid.shape)
            if grid[row, column] != 0
            and (not same_colour or grid[row, column] == grid[start])
            and any(
                max(abs(row - r), abs(column - c)) <= 1 and (diagonal or abs(row - r) + abs(column - c) <= 1)
                for r, c in region
            )
        }
        if grown == region:
            return region
        region = grown


@given(GRIDS, st.booleans(), st.booleans())
def test_objects_are_the_connected_regions_in_reading_order(grid, diagonal, same_colour):
    expected = []
    for row, column in np.ndindex(grid.shape):
        if grid[row, column] != 0 and not any((row, column) in region for region in expected):
            expected.append(flood(grid, (row, column), diagonal, same_colour))
    found = [set(map(tuple, np.argwhere(mask).tolist())) for mask in objects(grid, diagonal, same_colour)]
    assert found == expected


def test_objects_do_not_wrap_around_the_edges():
    assert count_objects([[0, 0, 1], [0, 0, 0], [1, 0, 0]]) == 2
    assert len(objects([[0, 0, 1], [1, 0, 0]], diagonal=False)) == 2


@given(GRIDS)
def test_kept_and_removed_objects_add_up(grid):
    assert (keep_largest(grid) + remove_largest(grid) == grid).all()
    assert (keep_smallest(grid) + remove_smallest(grid) == grid).all()
    assert (keep_touching_border(grid) + drop_touching_border(grid) == grid).all()
    if grid.any():
        assert (trim_zero(keep_largest(grid)) == largest_object(grid)).all()
        assert (trim_zero(keep_smallest(grid)) == smallest_object(grid)).all()


@given(GRIDS)
def test_size_decides_which_object_is_taken(grid):
    sizes = [int(mask.sum()) for mask in objects(grid)]
    assert np.count_nonzero(keep_largest(grid)) == max(sizes, default=0)
    assert np.count_nonzero(keep_smallest(grid)) == min(sizes, default=0)
    if sizes:
        assert (recolour_largest(grid, 7) == 7).sum() == max(sizes)
        assert (recolour_smallest(grid, 7) == 7).sum() == min(sizes)
        assert largest_object(grid).any()


def test_of_equal_objects_the_first_in_reading_order_is_taken():
    grid = [[0, 2, 0, 3], [1, 0, 0, 0]]
    assert keep_largest(grid).tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]
    assert keep_smallest(grid).tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("function", CROPS)
def test_crops_of_objects_refuse_an_empty_grid(function):
    with pytest.raises(ValueError):
        function(EMPTY)


def test_other_functions_leave_an_empty_grid_alone():
    for function in (keep_largest, keep_smallest, remove_largest, remove_smallest, remove_noise, recolour_by_size):
        assert function(EMPTY).tolist() == EMPTY
    for function in (recolour_largest, recolour_smallest, isolated_to, fill_holes, fill_boxes, outline, outline_plus):
        assert function(EMPTY, 5).tolist() == EMPTY
    for function in (fill_each_hole, hollow, drop_touching_border, keep_touching_border, mirror_objects):
        assert function(EMPTY).tolist() == EMPTY


def test_a_crop_leaves_out_what_is_not_the_object():
    grid = [[1, 1, 1], [1, 0, 2], [1, 2, 2]]
    assert largest_object(grid).tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_tallest_and_widest_count_rows_and_columns_not_cells():
    grid = [[1, 0, 0, 0, 0, 0], [1, 0, 2, 2, 0, 0], [1, 0, 2, 2, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 3, 3, 3, 0]]
    assert tallest_object(grid).tolist() == [[1], [1], [1]]
    assert widest_object(grid).tolist() == [[3, 3, 3]]
    assert largest_object(grid).tolist() == [[2, 2], [2, 2]]


def test_object_with_most_colours_joins_colours_that_touch():
    grid = [[1, 0, 4, 4], [2, 0, 4, 4], [3, 0, 5, 5]]
    assert object_with_most_colours(grid).tolist() == [[1], [2], [3]]


def test_unique_colour_object_needs_exactly_one():
    assert unique_colour_object([[3, 0, 4], [0, 0, 4], [3, 0, 0]]).tolist() == [[4], [4]]
    with pytest.raises(ValueError, match="found 0"):
        unique_colour_object([[3, 0, 3]])
    with pytest.raises(ValueError, match="found 2"):
        unique_colour_object([[3, 0, 4]])


def test_most_common_object_counts_equal_crops():
    grid = [[3, 0, 4, 0, 3], [0, 0, 4, 0, 0], [0, 0, 0, 0, 6], [5, 5, 0, 0, 0]]
    assert most_common_object(grid).tolist() == [[3]]


def test_most_common_object_tells_shapes_with_equal_bytes_apart():
    grid = [[1, 1, 0, 1, 0, 1], [0, 0, 0, 1, 0, 1]]
    assert most_common_object(grid).tolist() == [[1], [1]]


def test_odd_object_ignores_colours_and_needs_exactly_one():
    grid = [[1, 2, 0, 3, 3, 0], [0, 0, 0, 0, 0, 0], [4, 0, 5, 5, 0, 0], [4, 0, 0, 0, 0, 0]]
    assert odd_object(grid).tolist() == [[4], [4]]
    with pytest.raises(ValueError, match="found 2"):
        odd_object([[1, 0, 1, 1]])


@given(GRIDS)
def test_isolated_cells_have_no_neighbour_of_their_colour(grid):
    padded = np.pad(grid, 1)
    is_isolated = np.zeros(grid.shape, dtype=bool)
    for row, column in np.argwhere(grid != 0):
        window = padded[row : row + 3, column : column + 3]
        is_isolated[row, column] = (window == grid[row, column]).sum() == 1
    assert (isolated_to(grid, 7) == np.where(is_isolated, 7, grid)).all()
    assert (remove_noise(grid) == np.where(is_isolated, 0, grid)).all()


def test_ranks_by_size_are_shared_and_end_at_9():
    assert recolour_by_size([[4, 0, 4, 4, 0, 4]]).tolist() == [[2, 0, 1, 1, 0, 2]]
    staircase = np.zeros((23, 11), dtype=int)
    for size in range(1, 12):
        staircase[2 * size, :size] = 3
    assert sorted(set(recolour_by_size(staircase).ravel().tolist())) == list(range(10))
    assert (recolour_by_size(staircase)[2:8].max(axis=1) == [9, 0, 9, 0, 9, 0]).all()


@given(GRIDS)
def test_holes_are_the_zeros_that_the_outside_does_not_reach(grid):
    outside = np.zeros((grid.shape[0] + 2, grid.shape[1] + 2), dtype=bool)
    outside[0] = outside[-1] = outside[:, 0] = outside[:, -1] = True
    is_open = np.pad(grid, 1) == 0
    for _ in range(grid.size):
        reached = outside.copy()
        reached[1:] |= outside[:-1]
        reached[:-1] |= outside[1:]
        reached[:, 1:] |= outside[:, :-1]
        reached[:, :-1] |= outside[:, 1:]
        outside |= reached & is_open
    expected = np.where((grid == 0) & ~outside[1:-1, 1:-1], 7, grid)
    assert (fill_holes(grid, 7) == expected).all()
    assert ((fill_each_hole(grid) != grid) == (expected != grid)).all()


def test_a_diagonal_gap_does_not_open_a_hole():
    assert fill_holes([[0, 3, 0], [3, 0, 3], [0, 3, 0]], 4).tolist() == [[0, 3, 0], [3, 4, 3], [0, 3, 0]]


def test_each_hole_takes_the_colour_around_it():
    grid = [[1, 1, 1, 2, 2, 2], [1, 0, 1, 2, 0, 3], [1, 1, 1, 2, 2, 2]]
    assert fill_each_hole(grid).tolist() == [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 3], [1, 1, 1, 2, 2, 2]]


@given(GRIDS)
def test_outlines_colour_the_zeros_next_to_something(grid):
    padded = np.pad(grid != 0, 1)
    for function, steps in ((outline_plus, 1), (outline, 2)):
        expected = grid.copy()
        for row, column in np.argwhere(grid == 0):
            window = padded[row : row + 3, column : column + 3]
            near = [window[dy, dx] for dy, dx in np.ndindex(3, 3) if abs(dy - 1) + abs(dx - 1) <= steps]
            expected[row, column] = 7 if any(near) else 0
        assert (function(grid, 7) == expected).all()


@given(GRIDS)
def test_hollow_clears_cells_amid_their_own_colour(grid):
    expected = grid.copy()
    for row in range(1, grid.shape[0] - 1):
        for column in range(1, grid.shape[1] - 1):
            around = {grid[row - 1, column], grid[row + 1, column], grid[row, column - 1], grid[row, column + 1]}
            if around == {grid[row, column]}:
                expected[row, column] = 0
    assert (hollow(grid) == expected).all()


def test_fill_boxes_fills_only_zeros():
    grid = [[1, 0, 0, 0], [1, 0, 2, 0], [1, 1, 1, 0]]
    assert fill_boxes(grid, 4).tolist() == [[1, 4, 4, 0], [1, 4, 2, 0], [1, 1, 1, 0]]


@given(GRIDS)
def test_nothing_touches_the_border_of_a_padded_grid(grid):
    padded = pad(grid, 1)
    assert (drop_touching_border(padded) == padded).all()
    assert not keep_touching_border(padded).any()


def test_stacked_objects_stand_from_left_to_right():
    grid = [[0, 0, 0, 3], [0, 0, 0, 3], [5, 5, 0, 0], [5, 0, 0, 0]]
    assert stack_objects_right(grid).tolist() == [[5, 5, 3], [5, 0, 3]]
    with pytest.raises(ValueError, match="heights"):
        stack_objects_right([[1, 0, 2], [1, 0, 0]])


def test_mirrored_objects_stay_in_their_boxes():
    grid = [[1, 2, 2, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 6], [0, 0, 0, 5, 0]]
    assert mirror_objects(grid).tolist() == [[2, 2, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 6, 0], [0, 0, 0, 0, 5]]
