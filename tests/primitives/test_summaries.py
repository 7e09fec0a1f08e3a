import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    agreeing_corners,
    asymmetric_panel,
    colour_cell,
    flip_lr,
    hconcat,
    keep_all_largest,
    line_crossings,
    line_order,
    list_by_column,
    list_by_row,
    object_bars,
    object_colours,
    objects,
    panel_with_most_colours,
    panels_and,
    panels_majority,
    pool,
    region_colours,
    scale,
    stack_corners,
    stack_panels,
    symmetric_panel,
    symmetry_cell,
    tally,
    tally_dots,
    transpose,
    unscale,
    wrap,
    wrap_snake,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0, 1, 2, 7]))
# with a 0 in each row and column, so that none of them is a line
SQUARES = arrays(np.int8, (3, 3), elements=st.sampled_from([0, 1, 2])).map(
    lambda panel: panel * (1 - np.eye(3, dtype=np.int8))
)
PANELS = st.lists(SQUARES, min_size=2, max_size=4)


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


def divided(panels):
    """Put panels side by side with lines of 9 between them."""
    line = np.full((3, 1), 9, dtype=np.int8)
    grid = panels[0]
    for panel in panels[1:]:
        grid = np.hstack([grid, line, panel])
    return grid


def cell_by_cell(panels, combine):
    return np.array([[combine([int(p[r, c]) for p in panels]) for c in range(3)] for r in range(3)])


@given(PANELS, st.data())
def test_panels_are_stacked_from_the_chosen_one_on(panels, data):
    first = data.draw(st.integers(0, len(panels) - 1))
    order = panels[first:] + panels[:first]
    expected = cell_by_cell(order, lambda colours: next((colour for colour in colours if colour), 0))
    assert same(stack_panels(divided(panels), first), expected)
    with pytest.raises(ValueError, match="no panel"):
        stack_panels(divided(panels), len(panels))


@given(PANELS, st.integers(1, 9))
def test_panels_are_combined_cell_by_cell(panels, colour):
    grid = divided(panels)
    assert same(panels_and(grid, colour), cell_by_cell(panels, lambda colours: colour if all(colours) else 0))
    most = cell_by_cell(panels, lambda colours: min(colours, key=lambda c: (-colours.count(c), c)))
    assert same(panels_majority(grid), most)


def test_panels_of_a_grid_without_lines_are_squares_along_it_or_quarters_without_the_middle():
    assert stack_panels([[1, 0, 0, 2], [0, 3, 4, 0]], 0).tolist() == [[1, 2], [4, 3]]
    assert stack_panels([[1, 0], [0, 3], [0, 2], [4, 0]], 1).tolist() == [[1, 2], [4, 3]]
    assert stack_panels([[1, 0, 0, 2], [0] * 4, [3, 0, 0, 4], [0, 5, 0, 0]], 0).tolist() == [[1, 2], [0, 5]]
    assert stack_panels([[0, 8, 5], [8, 8, 8], [6, 8, 7]], 3).tolist() == [[7]]
    with pytest.raises(ValueError, match="no panels"):
        stack_panels([[1]], 0)


def test_corners_are_stacked_and_may_overlap():
    assert stack_corners([[1, 0, 2], [0, 0, 0], [0, 3, 0]], 2).tolist() == [[1, 2], [3, 3]]
    assert stack_corners([[1, 0, 0, 2], [0, 0, 3, 0], [0] * 4, [0, 4, 5, 6]], 2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="corners of 3 x 3"):
        stack_corners([[1, 2], [3, 4]], 3)


@given(SQUARES, SQUARES)
def test_a_panel_is_found_by_its_symmetry(plain, other):
    def is_mirrored(panel):
        return any(same(panel, image) for image in (panel[:, ::-1], panel[::-1], panel.T, panel[::-1, ::-1].T))

    symmetric = np.maximum(other, other.T)
    assume(not is_mirrored(plain))
    for grid in (np.hstack([plain, symmetric, symmetric]), np.vstack([symmetric, plain])):
        assert same(asymmetric_panel(grid), plain)
    assert same(symmetric_panel(np.vstack([symmetric, plain, plain])), symmetric)
    with pytest.raises(ValueError, match="exactly one"):
        asymmetric_panel(np.vstack([plain, plain]))
    with pytest.raises(ValueError, match="exactly one"):
        symmetric_panel(np.vstack([plain, plain]))


def test_the_panel_with_most_colours_is_found_between_lines_of_any_colour_0_included():
    assert panel_with_most_colours([[1, 5, 2, 2], [0, 5, 3, 4], [1, 5, 3, 3]]).tolist() == [[2, 2], [3, 4], [3, 3]]
    blank = np.ones((5, 5), dtype=np.int8)
    blank[2] = blank[:, 2] = 0
    blank[4, 0] = 3
    assert panel_with_most_colours(blank).tolist() == [[1, 1], [3, 1]]


@given(GRIDS, st.integers(1, 4))
def test_unscale_undoes_scale_and_loses_nothing(grid, factor):
    small = unscale(grid)
    assert same(unscale(scale(grid, factor)), small)
    assert same(scale(small, grid.shape[0] // small.shape[0]), grid)


@given(GRIDS, st.integers(1, 4))
def test_pool_takes_the_most_frequent_colour_of_each_block(grid, size):
    pooled = pool(grid, size)
    assert pooled.shape == (math.ceil(grid.shape[0] / size), math.ceil(grid.shape[1] / size)) or size > max(grid.shape)
    for (row, column), colour in np.ndenumerate(pooled):
        block = grid[row * size : (row + 1) * size, column * size : (column + 1) * size]
        counts = Counter(block[block != 0].tolist())
        assert colour == (min(counts, key=lambda c: (-counts[c], c)) if counts else 0)


@given(arrays(np.int8, (2, 3), elements=st.sampled_from([1, 2, 3])), st.integers(2, 3))
def test_regions_between_empty_lines_shrink_to_their_colours(colours, size):
    blocks = scale(colours, size)
    grid = np.insert(np.insert(blocks, size, 0, axis=0), [size, 2 * size], 0, axis=1)
    assert same(region_colours(grid), colours)
    grid[0, 0] = 0  # a hole does not matter, and neither does a margin
    assert same(region_colours(np.pad(grid, 2)), colours)
    with pytest.raises(ValueError, match="no object"):
        region_colours(np.zeros_like(grid))


def test_crossings_of_lines_and_where_four_of_them_agree():
    grid = np.zeros((7, 7), dtype=np.int8)
    grid[1::2] = grid[:, 1::2] = 4
    grid[1:4:2, 1:6:2] = 8
    grid[5, 1] = 3
    assert line_crossings(grid).tolist() == [[8, 8, 8], [8, 8, 8], [3, 0, 0]]
    assert agreeing_corners(line_crossings(grid)).tolist() == [[8, 8], [0, 0]]
    with pytest.raises(ValueError, match="cross"):
        line_crossings([[4, 0, 4, 0], [4, 0, 4, 0]])
    with pytest.raises(ValueError, match="two rows"):
        agreeing_corners([[1, 1]])


@given(GRIDS)
def test_agreeing_corners_undo_lines_put_between_equal_cells(grid):
    assume(min(grid.shape) >= 2)
    agreed = agreeing_corners(scale(grid, 2))
    assert same(agreed[::2, ::2], grid)


@given(GRIDS)
def test_cells_are_listed_in_order(grid):
    cells = [int(colour) for row in grid for colour in row if colour]
    assume(cells)
    assert list_by_row(grid).tolist() == [cells]
    assert same(list_by_column(grid), list_by_row(transpose(grid)))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(1, 4))
def test_a_row_is_wrapped_into_a_square(row, side):
    if len(row) > side * side:
        for call in (wrap, wrap_snake):
            with pytest.raises(ValueError, match="do not fit"):
                call([row], side)
        return
    square = wrap([row], side)
    assert square.shape == (side, side)
    assert square.ravel().tolist() == row + [0] * (side * side - len(row))
    snake = wrap_snake([row], side)
    assert snake.shape == square.shape
    assert all(same(snake[index], square[index][:: -1 if index % 2 else 1]) for index in range(side))


@given(GRIDS)
def test_tallies_show_one_cell_for_each_piece(grid):
    count = len(objects(grid, diagonal=False))
    if not count:
        for call in (lambda: tally(grid, 5), lambda: tally_dots(grid, 4)):
            with pytest.raises(ValueError, match="no object"):
                call()
        return
    row = tally(grid, count + 2)
    assert row.tolist() == [[int(colour_cell(grid)[0, 0])] * count + [0, 0]]
    if count > 5:
        with pytest.raises(ValueError, match="up to 5"):
            tally_dots(grid, 4)
        return
    dots = tally_dots(grid, 4).ravel().tolist()
    assert dots == ([4, 0] * count + [0] * 9)[:9]
    if count > 1:
        with pytest.raises(ValueError, match="do not fit"):
            tally(grid, count - 1)


@given(GRIDS)
def test_objects_become_bars_and_colours(grid):
    masks = objects(grid)
    assume(masks)
    bars = object_bars(grid)
    assert bars.shape == (max(int(mask.sum()) for mask in masks), len(masks))
    assert sorted((int(bar.max()), int((bar != 0).sum())) for bar in bars.T) == sorted(
        (int(grid[mask][0]), int(mask.sum())) for mask in masks
    )
    assert all(bar.argmax() == len(bar) - np.count_nonzero(bar) for bar in bars.T)  # they stand on the bottom
    starts = sorted(int(np.flatnonzero(mask.any(axis=0))[0]) for mask in masks)
    firsts = [mask for mask in masks if np.flatnonzero(mask.any(axis=0))[0] == starts[0]]
    assert np.count_nonzero(bars[:, 0]) in [int(mask.sum()) for mask in firsts]
    ordered = sorted(masks, key=lambda mask: -int(mask.sum()))
    assert object_colours(grid).tolist() == [[int(grid[mask][0])] for mask in ordered]


@given(GRIDS)
def test_all_objects_of_the_largest_size_stay(grid):
    kept = keep_all_largest(grid)
    sizes = [int(mask.sum()) for mask in objects(grid)]
    for mask, size in zip(objects(grid), sizes, strict=True):
        assert same(kept[mask], grid[mask] if size == max(sizes) else grid[mask] * 0)


def test_lines_are_shown_in_their_order_even_behind_a_block():
    grid = np.zeros((7, 6), dtype=np.int8)
    grid[[0, 3, 5]] = np.array([[2], [8], [1]])
    grid[2:5, 1:3] = 5
    assert line_order(grid).tolist() == [[2] * 3, [8] * 3, [1] * 3]
    assert same(line_order(transpose(grid)), transpose(line_order(grid)))
    with pytest.raises(ValueError, match="straight line"):
        line_order([[1, 1], [1, 0]])


@given(GRIDS)
def test_one_cell_tells_a_colour_or_a_symmetry(grid):
    counts = Counter(grid[grid != 0].tolist())
    assume(counts)
    assert colour_cell(grid).tolist() == [[min(counts, key=lambda c: (-counts[c], c))]]
    assert symmetry_cell(hconcat(grid, flip_lr(grid)), 3, 4).tolist() == [[3]]
    assert symmetry_cell(grid, 3, 4).tolist() == [[3 if same(grid, flip_lr(grid)) else 4]]


@pytest.mark.parametrize("call", [list_by_row, list_by_column, object_bars, object_colours])
def test_an_empty_grid_has_nothing_to_list(call):
    with pytest.raises(ValueError):
        call([[0, 0]])
    assert colour_cell([[0, 0]]).tolist() == [[0]]


@pytest.mark.parametrize("call", [lambda grid: panels_and(grid, 3), panels_majority, panel_with_most_colours])
def test_a_single_cell_has_no_panels(call):
    with pytest.raises(ValueError, match="no panels"):
        call([[1]])
