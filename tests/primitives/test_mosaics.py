import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    canvas_by_colours,
    count_colours,
    double_canvas,
    extend_down,
    extend_right,
    extend_to_square,
    fit_in_frame,
    fractal,
    halves_product,
    insert_lines,
    outline_corners,
    paint_blocks,
    paint_by_key,
    recolour,
    recolour_to_lines,
    reflect_around,
    reflect_down,
    reflect_right,
    scale,
    scale_by_cells,
    shoot_down_right,
    staircase,
    tile_by_cells,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0, 1, 2, 7]))
COLOURED = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.integers(1, 4))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


@given(COLOURED, st.integers(2, 4), st.integers(1, 3))
def test_a_pattern_goes_on_as_it_began(unit, times, halves):
    grid = np.tile(unit, (times, 1))
    extended = extend_down(grid, halves)
    assert same(extended, np.tile(unit, (3 * times, 1))[: len(grid) + len(grid) * halves // 2])
    assert same(extend_right(transpose(grid), halves), transpose(extended))


def test_a_pattern_that_moves_sideways_goes_on_moving():
    stairs = [[1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0]]
    expected = [[1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0]]
    expected += [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1]]
    assert extend_to_square(stairs).tolist() == expected
    assert extend_to_square(transpose(stairs)).tolist() == transpose(expected).tolist()
    assert extend_down([[0, 2], [2, 0]], 2).tolist() == [[0, 2], [2, 0], [0, 0], [0, 0]]
    for extend in (extend_down, extend_right):
        with pytest.raises(ValueError, match="do not repeat"):
            extend([[1, 2], [3, 4]], 1)
    assert extend_to_square([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="do not repeat"):
        extend_to_square([[1, 2, 3], [4, 5, 6]])


@given(GRIDS)
def test_reflections_share_the_middle_and_are_symmetric(grid):
    wide = reflect_right(grid)
    assert wide.shape == (grid.shape[0], 2 * grid.shape[1] - 1)
    assert same(wide[:, : grid.shape[1]], grid) and same(wide, wide[:, ::-1])
    assert same(reflect_down(grid), transpose(reflect_right(transpose(grid))))
    assert same(reflect_around(grid), reflect_right(reflect_down(grid)))


@given(GRIDS)
def test_a_canvas_holds_the_grid_at_its_top_left_and_nothing_else(grid):
    canvases = [double_canvas(grid)]
    assert canvases[0].shape == (2 * grid.shape[0], 2 * grid.shape[1])
    if not grid.any():
        with pytest.raises(ValueError, match="number of colours"):
            canvas_by_colours(grid)
    else:
        canvases.append(canvas_by_colours(grid))
        assert canvases[1].shape == (max(grid.shape) * count_colours(grid),) * 2
    for canvas in canvases:
        assert same(canvas[: grid.shape[0], : grid.shape[1]], grid)
        assert np.count_nonzero(canvas) == np.count_nonzero(grid)


@given(GRIDS)
def test_rays_go_down_and_right_until_the_next_cell(grid):
    shot = shoot_down_right(grid)
    for (row, column), colour in np.ndenumerate(shot):
        behind = [int(grid[row - k, column - k]) for k in range(min(row, column) + 1)]
        assert colour == next((c for c in behind if c), 0)


@given(GRIDS)
def test_copies_and_sizes_follow_the_number_of_cells(grid):
    count, empty = np.count_nonzero(grid), int((grid == 0).sum())
    if 0 < count and count * max(grid.shape) <= 30:
        assert same(scale_by_cells(grid), scale(grid, count))
    else:
        with pytest.raises(ValueError):
            scale_by_cells(grid)
    if not 0 < count <= empty**2 or empty * max(grid.shape) > 30:
        with pytest.raises(ValueError):
            tile_by_cells(grid)
        return
    height, width = grid.shape
    tiled = tile_by_cells(grid)
    assert tiled.shape == (height * empty, width * empty)
    for place in range(empty**2):
        row, column = divmod(place, empty)
        copy = tiled[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert same(copy, grid if place < count else np.zeros_like(grid))


@given(st.integers(2, 12), st.integers(1, 12), st.integers(1, 9))
def test_a_staircase_grows_by_one_cell_a_row(width, start, colour):
    assume(start <= width)
    stairs = staircase([[colour] * start + [0] * (width - start)])
    lengths = [min(start + step, width) for step in range(width // 2)]
    assert stairs.tolist() == [[colour] * length + [0] * (width - length) for length in lengths]


def test_a_staircase_starts_from_a_coloured_cell():
    assert staircase([[3, 5, 0, 5], [1, 1, 1, 1]]).tolist() == [[3, 5, 0, 5], [3, 3, 0, 5]]
    for grid in ([[0, 1]], [[1]]):
        with pytest.raises(ValueError, match="staircase"):
            staircase(grid)


@given(arrays(np.bool_, (3, 3)), arrays(np.int8, (3, 3), elements=st.sampled_from([0, 1, 2])))
def test_a_product_of_halves_draws_the_shape_in_each_colour(shape, picture):
    shape[0, 0], picture[1, 1:] = True, [1, 2]
    for halves in ([shape * np.int8(8), picture], [picture, shape * np.int8(8)]):
        grid = np.hstack(halves)
        assert same(halves_product(grid), np.kron(picture, shape))


def test_a_product_of_halves_needs_a_picture_and_a_shape():
    for grid in ([[1, 2, 3, 4]], [[1, 1, 0, 0]], [[1, 1, 2, 2]]):
        with pytest.raises(ValueError, match="one part"):
            halves_product(grid)
    assert same(fractal([[1, 0], [0, 1]]), recolour(halves_product([[1, 0, 8, 0], [0, 2, 0, 8]]), 1))


@given(arrays(np.bool_, (4, 4)), st.permutations([1, 2, 3, 4]))
def test_the_smallest_panel_is_a_key_to_the_largest(shape, key):
    grid = np.zeros((7, 7), dtype=np.int8)
    shape &= ~np.eye(4, dtype=np.bool_)  # so that no row or column of the shape is a line
    shape[0, 1] = True
    grid[:2, :2] = np.reshape(key, (2, 2))
    grid[2] = grid[:, 2] = 8
    grid[3:, 3:] = shape * np.int8(6)
    expected = np.where(shape, scale(grid[:2, :2], 2), 0)
    for turns in range(4):
        assert same(paint_by_key(np.rot90(grid, turns)), np.rot90(expected, turns))


def test_a_key_must_divide_what_it_paints():
    with pytest.raises(ValueError, match="cannot be enlarged"):
        paint_by_key([[1, 8, 0, 3, 4, 0], [0, 8, 6, 0, 0, 3], [1, 8, 0, 0, 3, 3]][:1])
    with pytest.raises(ValueError, match="cannot be enlarged"):
        paint_by_key([[1, 2, 8, 0, 0, 3], [8] * 6, [0, 0, 8, 3, 0, 0], [0, 0, 8, 0, 0, 3]])


@given(arrays(np.bool_, (3, 3)), st.integers(1, 3), st.integers(1, 3))
def test_a_shape_of_blocks_cuts_a_picture(shape, factor, gap):
    assume(shape.any(axis=1)[[0, 2]].all() and shape.any(axis=0)[[0, 2]].all())
    picture = np.array([[1, 2, 3], [4, 5, 6], [7, 1, 2]], dtype=np.int8)
    large = scale(shape * np.int8(8), factor)
    parts = [large, np.zeros((len(large), gap), dtype=np.int8), np.pad(picture, ((0, len(large) - 3), (0, 0)))]
    for grid in (np.hstack(parts), np.hstack(parts[::-1])):
        assert same(paint_blocks(grid), np.where(shape, picture, 0))
    with pytest.raises(ValueError, match="a picture and a shape"):
        paint_blocks(picture)


@given(arrays(np.int8, (2, 3), elements=st.sampled_from([0, 1, 2])), st.integers(1, 3), st.integers(0, 1))
def test_a_picture_fills_the_frame(picture, factor, margin):
    assume(picture.any(axis=1).all() and picture.any(axis=0)[[0, 2]].all())
    enlarged = np.pad(scale(picture, factor), margin)
    framed = np.pad(enlarged, 1, constant_values=5)
    empty = np.pad(np.zeros_like(enlarged), 1, constant_values=5)
    gap = np.zeros((1, framed.shape[1]), dtype=np.int8)
    beside = np.pad(picture, ((0, 0), (0, framed.shape[1] - 3)))
    assume(margin == 0 or factor == 3)  # else the margin has room for a larger picture
    assert same(fit_in_frame(np.vstack([empty, gap, beside])), framed)
    with pytest.raises(ValueError, match="frame and a picture"):
        fit_in_frame(empty)
    with pytest.raises(ValueError, match="does not fit"):
        fit_in_frame([[5, 5, 5, 0, 1], [5, 0, 5, 0, 1], [5, 5, 5, 0, 1]])


def test_lines_give_their_colour_to_all():
    assert recolour_to_lines([[1, 0, 3], [4, 4, 4], [0, 2, 0]]).tolist() == [[4, 0, 4], [4, 4, 4], [0, 4, 0]]
    assert recolour_to_lines([[1, 4], [0, 4]]).tolist() == [[4, 4], [0, 4]]
    for grid in ([[0, 0], [1, 2]], [[3]]):
        with pytest.raises(ValueError, match="no row or column"):
            recolour_to_lines(grid)


@given(GRIDS, st.integers(0, 9))
def test_corners_of_cells_are_outlined(grid, colour):
    outlined = outline_corners(grid, colour)
    height, width = grid.shape
    for (row, column), value in np.ndenumerate(outlined):
        around = [(row + dy, column + dx) for dy in (-1, 1) for dx in (-1, 1)]
        touches = any(0 <= r < height and 0 <= c < width and grid[r, c] for r, c in around)
        assert value == (colour if touches and grid[row, column] == 0 else grid[row, column])


@given(GRIDS, st.integers(0, 9))
def test_inserted_lines_lie_between_the_cells(grid, colour):
    lined = insert_lines(grid, colour)
    assert same(lined[::2, ::2], grid)
    assert (lined[1::2] == colour).all() and (lined[:, 1::2] == colour).all()
    assert lined.shape == (2 * grid.shape[0] - 1, 2 * grid.shape[1] - 1)
