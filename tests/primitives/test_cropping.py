import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    background,
    bottom_half,
    compress,
    crop,
    crop_colour,
    crop_inside,
    dedupe,
    dedupe_columns,
    dedupe_rows,
    drop_empty_columns,
    drop_empty_rows,
    first_column,
    first_row,
    frame,
    inner,
    last_column,
    last_row,
    left_half,
    pad,
    part,
    quarter,
    remove_grid_lines,
    right_half,
    rotate_180,
    stretch,
    top_half,
    top_left,
    transpose,
    trim,
    trim_zero,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 0, 1, 2, 9]))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


@given(GRIDS, st.integers(0, 4), st.integers(0, 9))
def test_crop_of_pad_is_identity(grid, n, colour):
    padded = pad(grid, n, colour)
    assert same(crop(padded, n, n, *grid.shape), grid)
    assert (padded == colour).sum() == (grid == colour).sum() + padded.size - grid.size


@given(GRIDS, st.integers(0, 9))
def test_inner_undoes_pad_and_ignores_frame(grid, colour):
    padded = pad(grid, 1, colour)
    assert same(inner(padded), grid)
    assert same(frame(pad(grid, 1, 0), colour), padded)


@pytest.mark.parametrize("box", [(0, 0, 3, 1), (0, 0, 1, 4), (-1, 0, 1, 1), (0, 0, 0, 1), (2, 0, 1, 1), (0, 3, 1, 1)])
def test_crops_that_leave_the_grid_are_refused(box):
    with pytest.raises(ValueError):
        crop([[1, 2, 3], [4, 5, 6]], *box)


@given(GRIDS)
def test_trim_leaves_content_at_all_four_edges(grid):
    ground = background(grid)
    trimmed = trim(grid)
    if (grid == ground).all():
        assert same(trimmed, grid)
    else:
        assert (trimmed != ground).sum() == (grid != ground).sum()
        assert all((edge != ground).any() for edge in (trimmed[0], trimmed[-1], trimmed[:, 0], trimmed[:, -1]))


@given(GRIDS, st.integers(0, 3))
def test_trim_zero_undoes_pad_and_is_idempotent(grid, n):
    assume(grid.any())
    assert same(trim_zero(pad(grid, n)), trim_zero(grid))
    assert same(trim_zero(trim_zero(grid)), trim_zero(grid))


@given(GRIDS)
def test_halves_and_their_middle_make_the_grid(grid):
    height, width = grid.shape
    if height > 1:
        top, bottom = top_half(grid), bottom_half(grid)
        assert same(np.concatenate([top, grid[height // 2 : (height + 1) // 2], bottom]), grid)
    else:
        with pytest.raises(ValueError):
            top_half(grid)
    if width > 1:
        assert same(left_half(grid), transpose(top_half(transpose(grid))))
        assert same(right_half(grid), transpose(bottom_half(transpose(grid))))


@given(GRIDS)
def test_quarters_are_the_corners(grid):
    assume(min(grid.shape) > 1)
    height, width = grid.shape[0] // 2, grid.shape[1] // 2
    assert same(quarter(grid, 0), grid[:height, :width])
    assert same(quarter(grid, 1), grid[:height, -width:])
    assert same(quarter(grid, 2), grid[-height:, :width])
    assert same(quarter(grid, 3), grid[-height:, -width:])


@pytest.mark.parametrize("index", [-1, 4])
def test_there_are_four_quarters(index):
    with pytest.raises(ValueError, match="quarters"):
        quarter([[1, 2], [3, 4]], index)


@given(GRIDS, st.integers(1, 4))
def test_parts_make_the_grid(grid, n):
    axis = 0 if grid.shape[0] >= grid.shape[1] else 1
    if grid.shape[axis] % n == 0:
        assert same(np.concatenate([part(grid, n, i) for i in range(n)], axis=axis), grid)
    with pytest.raises(ValueError, match="no strip"):
        part(grid, n, n)


@given(GRIDS, st.integers(1, 3), st.integers(1, 3))
def test_dedupe_undoes_stretch(grid, ky, kx):
    once = dedupe(grid)
    assert same(dedupe(stretch(grid, ky, kx)), once)
    assert same(dedupe_rows(stretch(grid, ky, 1)), dedupe_rows(grid))
    assert same(dedupe_columns(stretch(grid, 1, kx)), dedupe_columns(grid))


@given(GRIDS)
def test_compressed_grid_has_no_empty_line(grid):
    ground = background(grid)
    is_content = grid != ground
    assume(is_content.any())
    assert same(compress(grid), grid[is_content.any(axis=1)][:, is_content.any(axis=0)])
    assert same(drop_empty_rows(grid), grid[is_content.any(axis=1)])
    assert same(drop_empty_columns(grid), grid[:, is_content.any(axis=0)])


def test_grid_of_background_only_stays_whole():
    grid = np.full((2, 3), 4)
    for function in (trim, compress, drop_empty_rows, drop_empty_columns, remove_grid_lines):
        assert same(function(grid), grid)


@given(GRIDS)
def test_edge_lines_are_the_edges(grid):
    assert same(first_row(grid), grid[:1])
    assert same(first_column(grid), grid[:, :1])
    assert same(last_row(grid), rotate_180(first_row(rotate_180(grid))))
    assert same(last_column(grid), rotate_180(first_column(rotate_180(grid))))
    assert same(top_left(grid, 1, grid.shape[1]), first_row(grid))


@given(GRIDS, st.integers(0, 9))
def test_crop_colour_is_the_smallest_box_with_all_its_cells(grid, colour):
    if not (grid == colour).any():
        with pytest.raises(ValueError, match="no cell has colour"):
            crop_colour(grid, colour)
        return
    box = crop_colour(grid, colour) == colour
    assert box.sum() == (grid == colour).sum()
    assert all(edge.any() for edge in (box[0], box[-1], box[:, 0], box[:, -1]))


@given(GRIDS)
def test_crop_inside_a_frame_is_what_it_frames(grid):
    assert same(crop_inside(pad(pad(grid, 1, 5), 2), 5), grid)


@pytest.mark.parametrize("grid", [[[5, 5], [5, 5]], [[5, 5, 5]], [[1, 1]]])
def test_crop_inside_refuses_when_nothing_is_inside(grid):
    with pytest.raises(ValueError):
        crop_inside(grid, 5)


def test_remove_grid_lines_joins_the_pieces():
    grid = [[1, 0, 5, 0, 0], [0, 0, 5, 2, 0], [5, 5, 5, 5, 5], [0, 3, 5, 0, 0]]
    assert remove_grid_lines(grid).tolist() == [[1, 0, 0, 0], [0, 0, 2, 0], [0, 3, 0, 0]]


def test_single_cells_of_a_row_are_no_grid_lines():
    assert remove_grid_lines([[0, 5, 0]]).tolist() == [[0, 5, 0]]
