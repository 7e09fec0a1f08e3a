import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    anti_transpose,
    checker_tile,
    crop,
    downscale,
    flip_lr,
    flip_ud,
    fractal,
    hconcat,
    inverse_fractal,
    kaleidoscope,
    left_half,
    mirror_down,
    mirror_left,
    mirror_right,
    mirror_up,
    pad,
    quarter,
    roll,
    rotate_180,
    rotate_ccw,
    rotate_cw,
    rotate_mosaic,
    scale,
    shift,
    stretch,
    tile,
    transpose,
    vconcat,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 9))
SQUARES = st.integers(1, 5).flatmap(lambda side: arrays(np.int8, (side, side), elements=st.integers(0, 9)))
FACTORS = st.integers(1, 4)
MOVES = st.integers(-8, 8)


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


@given(GRIDS)
@pytest.mark.parametrize("mirror", [flip_lr, flip_ud, rotate_180, transpose, anti_transpose])
def test_mirrors_twice_are_identity(mirror, grid):
    assert same(mirror(mirror(grid)), grid)


@given(GRIDS)
@pytest.mark.parametrize("turn", [rotate_cw, rotate_ccw])
def test_four_quarter_turns_are_identity_and_two_a_half_turn(turn, grid):
    assert same(turn(turn(grid)), rotate_180(grid))
    assert same(turn(turn(turn(turn(grid)))), grid)


@given(GRIDS)
def test_turns_and_mirrors_compose(grid):
    assert same(rotate_ccw(rotate_cw(grid)), grid)
    assert same(flip_lr(transpose(grid)), rotate_cw(grid))
    assert same(flip_ud(flip_lr(grid)), rotate_180(grid))
    assert same(rotate_180(transpose(grid)), anti_transpose(grid))


@given(GRIDS, MOVES, MOVES, st.integers(0, 9))
def test_shift_is_a_window_on_the_padded_grid(grid, dy, dx, fill):
    assert same(shift(grid, dy, dx, fill), crop(pad(grid, 8, fill), 8 - dy, 8 - dx, *grid.shape))


@given(GRIDS, MOVES, MOVES)
def test_roll_back_is_identity(grid, dy, dx):
    assert same(roll(roll(grid, dy, dx), -dy, -dx), grid)
    assert roll(grid, dy, dx)[dy % grid.shape[0], dx % grid.shape[1]] == grid[0, 0]


@given(GRIDS, FACTORS, FACTORS)
def test_stretch_repeats_every_cell(grid, ky, kx):
    stretched = stretch(grid, ky, kx)
    assert stretched.shape == (grid.shape[0] * ky, grid.shape[1] * kx)
    rows, columns = np.indices(stretched.shape)
    assert same(stretched, grid[rows // ky, columns // kx])


@given(GRIDS, FACTORS)
def test_downscale_undoes_scale(grid, k):
    assert same(scale(grid, k), stretch(grid, k, k))
    assert same(downscale(scale(grid, k), k), grid)


def test_downscale_rounds_sides_up():
    assert downscale([[1, 2, 3]], 2).tolist() == [[1, 3]]


@given(GRIDS, FACTORS, FACTORS)
def test_every_crop_of_a_tiling_at_a_tile_is_the_grid(grid, ny, nx):
    height, width = grid.shape
    tiled = tile(grid, ny, nx)
    assert tiled.shape == (height * ny, width * nx)
    assert same(crop(tiled, (ny - 1) * height, (nx - 1) * width, height, width), grid)
    assert same(crop(tiled, 0, 0, height, width), grid)


@given(GRIDS, FACTORS, FACTORS)
def test_checker_tile_mirrors_every_second_row_of_tiles(grid, ny, nx):
    height, width = grid.shape
    tiled = checker_tile(grid, ny, nx)
    assert tiled.shape == (height * ny, width * nx)
    for row in range(ny):
        for column in range(nx):
            piece = crop(tiled, row * height, column * width, height, width)
            assert same(piece, flip_lr(grid) if row % 2 else grid)


@given(GRIDS, GRIDS)
def test_concatenations_hold_both_parts_or_refuse(a, b):
    if a.shape[0] == b.shape[0]:
        joined = hconcat(a, b)
        assert same(joined[:, : a.shape[1]], a)
        assert same(joined[:, a.shape[1] :], b)
        assert same(transpose(joined), vconcat(transpose(a), transpose(b)))
    else:
        with pytest.raises(ValueError, match="heights"):
            hconcat(a, b)
        with pytest.raises(ValueError, match="widths"):
            vconcat(transpose(a), transpose(b))


@given(GRIDS)
def test_mirrors_keep_the_grid_on_their_side(grid):
    assert same(left_half(mirror_right(grid)), grid)
    assert same(flip_lr(mirror_left(grid)), mirror_left(grid))
    assert same(mirror_left(grid), mirror_right(flip_lr(grid)))
    assert same(mirror_down(grid), flip_ud(mirror_down(grid)))
    assert same(mirror_down(grid)[: grid.shape[0]], grid)
    assert same(mirror_up(grid), flip_ud(mirror_up(grid)))
    assert same(mirror_up(grid)[grid.shape[0] :], grid)


@given(GRIDS)
def test_kaleidoscope_is_symmetric_and_starts_with_the_grid(grid):
    image = kaleidoscope(grid)
    assert same(quarter(image, 0), grid)
    assert same(flip_lr(image), image)
    assert same(flip_ud(image), image)


@given(SQUARES)
def test_rotate_mosaic_holds_the_four_turns(grid):
    turns = [grid, rotate_cw(grid), rotate_ccw(grid), rotate_180(grid)]
    for index, turn in enumerate(turns):
        assert same(quarter(rotate_mosaic(grid), index), turn)
    assert same(rotate_cw(rotate_mosaic(grid)), rotate_mosaic(grid))


def test_rotate_mosaic_refuses_what_is_not_square():
    with pytest.raises(ValueError, match="1 x 2"):
        rotate_mosaic([[1, 2]])


@given(GRIDS)
def test_fractal_and_its_inverse_add_up_to_the_tiling(grid):
    assert same(fractal(grid) + inverse_fractal(grid), tile(grid, *grid.shape))
    height, width = grid.shape
    for row, column in np.argwhere(grid == 0):
        assert not fractal(grid)[row * height : (row + 1) * height, column * width : (column + 1) * width].any()


@pytest.mark.parametrize("k", [0, -1])
def test_factors_below_one_are_refused(k):
    for call in (lambda: scale([[1]], k), lambda: downscale([[1]], k), lambda: tile([[1]], k, 1)):
        with pytest.raises(ValueError, match="at least 1"):
            call()


def test_sizes_read_from_a_grid_do_not_overflow():
    grid = np.full((20, 20), 9, dtype=np.int8)
    assert scale(grid, grid[0, 0]).shape == (180, 180)
