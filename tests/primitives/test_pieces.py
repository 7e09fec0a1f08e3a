import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from arcgym.primitives import (
    corner,
    crop_corners,
    crop_frame,
    fullest_frame,
    hidden_zeros,
    join_corners,
    join_pieces,
    kaleidoscope,
    least_common_colour,
    most_common_colour,
    most_common_shape,
    object_at,
    object_with,
    object_with_most_holes,
    objects,
    paint_by_corners,
    piece_with,
    recolour,
    recolour_to_corner,
    recolour_to_least_common,
    recolour_to_most_common,
    stack_at,
    stack_centred,
    transpose,
)

GRIDS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0, 1, 2, 7]))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


def test_pieces_that_meet_at_a_corner_are_apart():
    grid = [[8, 1, 0, 0], [1, 8, 0, 0], [0, 0, 1, 1], [0, 0, 1, 8]]
    assert piece_with(grid, 1).tolist() == [[1, 1], [1, 8]]
    assert object_with(grid, 1).shape == (4, 4)
    with pytest.raises(ValueError, match="holds colour 3"):
        piece_with(grid, 3)


@given(GRIDS, st.sampled_from([1, 2, 7]))
def test_no_piece_holds_more_of_the_colour(grid, colour):
    assume((grid == colour).any())
    most = max(int((grid[mask] == colour).sum()) for mask in objects(grid, diagonal=False, same_colour=False))
    assert (piece_with(grid, colour) == colour).sum() == most


def test_the_most_common_shape_is_that_of_one_colour():
    grid = [[1, 1, 2, 0], [0, 2, 0, 1], [2, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 3]]
    assert most_common_shape(grid).tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="no object"):
        most_common_shape([[0]])


def test_the_object_with_most_holes_is_found():
    grid = np.zeros((5, 9), dtype=np.int8)
    grid[:3, :3] = 4
    grid[1, 1] = 0
    grid[:, 4:7] = 6
    grid[[1, 3], 5] = [0, 2]  # what is in a hole does not matter
    found = object_with_most_holes(grid)
    assert found.tolist() == [[6, 6, 6], [6, 0, 6], [6, 6, 6], [6, 0, 6], [6, 6, 6]]
    grid[2, 5] = 0  # the two holes become one, and of equals the first counts
    assert (object_with_most_holes(grid) == [[4, 4, 4], [4, 0, 4], [4, 4, 4]]).all()
    grid[0, 1] = grid[0, 5] = 0  # open
    with pytest.raises(ValueError, match="encloses"):
        object_with_most_holes(grid)


@given(GRIDS, st.integers(0, 3))
def test_the_object_at_an_edge_is_nearest_to_it(grid, edge):
    masks = objects(grid, same_colour=False)
    assume(masks)
    nearest = object_at(grid, edge)
    for mask, turned in ((mask, np.rot90(mask, (0, 2, 3, 1)[edge])) for mask in masks):
        crop = np.where(mask, grid, 0)[np.ix_(mask.any(axis=1), mask.any(axis=0))]
        if turned[: min(int(np.argmax(other.any(axis=1))) for other in turned_all(masks, edge)) + 1].any():
            assert same(crop, nearest)
            return
    raise AssertionError("an object is nearest")


def turned_all(masks, edge):
    return [np.rot90(mask, (0, 2, 3, 1)[edge]) for mask in masks]


def test_there_are_four_edges_and_four_corners():
    assert object_at([[1, 0, 0], [0, 0, 2]], 2).tolist() == [[1]]
    assert object_at([[1, 0, 0], [0, 0, 2]], 3).tolist() == [[2]]
    with pytest.raises(ValueError, match="0 to 3"):
        object_at([[1]], 4)
    for n, i in ((3, 0), (1, 4)):
        with pytest.raises(ValueError, match="has no corner"):
            corner([[1, 2], [3, 4]], n, i)


@given(GRIDS, st.integers(1, 6))
def test_corners_are_cut_out(grid, n):
    assume(n <= min(grid.shape))
    for i in range(4):
        turned = np.flip(grid, [axis for axis, bit in ((0, i & 2), (1, i & 1)) if bit])
        expected = np.flip(turned[:n, :n], [axis for axis, bit in ((0, i & 2), (1, i & 1)) if bit])
        assert same(corner(grid, n, i), expected)


def brute_frames(grid):
    """List every rectangle of three or more cells a side whose ring has one colour other than 0."""
    height, width = grid.shape
    for top, left in itertools.product(range(height), range(width)):
        for bottom, right in itertools.product(range(top + 3, height + 1), range(left + 3, width + 1)):
            box = grid[top:bottom, left:right]
            ring = np.concatenate([box[0], box[-1], box[:, 0], box[:, -1]])
            if box[0, 0] and (ring == box[0, 0]).all():
                yield box


@given(arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([1, 1, 1, 1, 0, 2])))
def test_frames_are_those_that_a_search_of_all_rectangles_finds(grid):
    boxes = list(brute_frames(grid))
    around = [box for box in boxes if (box[1:-1, 1:-1] != box[0, 0]).any()]
    full = [box for box in boxes if ((box != 0) & (box != box[0, 0])).any()]
    for call, candidates in ((crop_frame, around), (fullest_frame, full)):
        if not candidates:
            with pytest.raises(ValueError, match="frame"):
                call(grid)
    if around:
        assert (crop_frame(grid).shape[0] + 2) * (crop_frame(grid).shape[1] + 2) == max(box.size for box in around)
        assert any(same(crop_frame(grid), box[1:-1, 1:-1]) for box in around)
    if full:
        counts = [int(((box != 0) & (box != box[0, 0])).sum()) for box in full]
        best = [box for box, count in zip(full, counts, strict=True) if count == max(counts)]
        assert any(same(fullest_frame(grid), box) for box in best)
        assert fullest_frame(grid).size == min(box.size for box in best)


@given(GRIDS)
def test_corners_of_one_colour_span_the_largest_rectangle(grid):
    height, width = grid.shape
    boxes = [
        grid[top:bottom, left:right]
        for top, left in itertools.product(range(height), range(width))
        for bottom, right in itertools.product(range(top + 3, height + 1), range(left + 3, width + 1))
        if grid[top, left] and len({int(grid[r, c]) for r in (top, bottom - 1) for c in (left, right - 1)}) == 1
    ]
    if not boxes:
        with pytest.raises(ValueError, match="corners of a rectangle"):
            crop_corners(grid)
        return
    assert crop_corners(grid).size == max(box.size for box in boxes)
    assert any(same(crop_corners(grid), box) for box in boxes)


@given(GRIDS)
def test_all_cells_take_a_colour_that_is_there(grid):
    assume(grid.any())
    assert same(recolour_to_most_common(grid), recolour(grid, most_common_colour(grid)))
    assert same(recolour_to_least_common(grid), recolour(grid, least_common_colour(grid)))
    if grid[0, 0]:
        assert same(recolour_to_corner(grid), recolour(grid, grid[0, 0]))
    else:
        with pytest.raises(ValueError, match="top left"):
            recolour_to_corner(grid)


@given(arrays(np.int8, (3, 3), elements=st.integers(1, 4)), st.integers(0, 3), st.integers(0, 1))
def test_zeros_hide_what_symmetry_or_period_tells(unit, top, left):
    whole = kaleidoscope(unit)
    grid = whole.copy()
    grid[top : top + 2, left : left + 2] = 0
    assert same(hidden_zeros(grid), whole[top : top + 2, left : left + 2])
    tiled = np.tile(unit[:2], (3, 2))
    grid = tiled.copy()
    grid[top : top + 1, left : left + 2] = 0
    assert hidden_zeros(grid).shape == (1, 2)
    with pytest.raises(ValueError, match="no colour 0"):
        hidden_zeros(whole)


def test_a_period_tells_what_symmetry_does_not():
    grid = np.tile([[1, 2, 3], [4, 5, 6]], (3, 3))
    grid[2:4, 3:5] = 0
    assert hidden_zeros(grid).tolist() == [[1, 2], [4, 5]]


def test_colours_are_stacked_about_one_centre():
    grid = np.full((9, 9), 3, dtype=np.int8)
    grid[0:5:4, 0:5:4] = 2  # the corners of a square of five
    grid[6:9, 7] = grid[7, 6:9] = 8
    grid[7, 1] = 1
    rings = [[2, 3, 3, 3, 2], [3, 3, 8, 3, 3], [3, 8, 1, 8, 3], [3, 3, 8, 3, 3], [2, 3, 3, 3, 2]]
    assert stack_centred(grid).tolist() == rings
    with pytest.raises(ValueError, match="no common centre"):
        stack_centred([[1, 1, 2, 0], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match="one colour only"):
        stack_centred([[1, 1]])


@given(st.integers(0, 2), st.integers(0, 2))
def test_objects_are_stacked_at_their_marks(down, right):
    grid = np.zeros((12, 12), dtype=np.int8)
    grid[down : down + 2, right : right + 2] = [[1, 1], [0, 5]]
    grid[6:8, 6 + right : 8 + right] = [[5, 2], [3, 0]]
    grid[11, 11] = 7
    assert stack_at(grid, 5).tolist() == [[1, 1, 0], [0, 5, 2], [0, 3, 0]]
    with pytest.raises(ValueError, match="colour 4"):
        stack_at(grid, 4)


@given(arrays(np.bool_, (3, 3)), st.integers(0, 3))
def test_two_parts_of_a_rectangle_are_joined_to_one(mask, turns):
    parts = [np.where(mask, 4, 0), np.where(mask, 0, 6)]
    assume(all(len(objects(part)) == 1 for part in parts))
    apart = np.hstack([np.pad(np.rot90(part, turns), 1) for part in parts])
    joined = join_pieces(apart)
    assert joined.shape == (3, 3) and joined.all()
    assert (joined == 4).sum() == mask.sum()
    assert len(objects(joined)) == 2


def test_only_a_few_objects_that_fit_are_joined():
    with pytest.raises(ValueError, match="two to four"):
        join_pieces([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match="no full rectangle"):
        join_pieces([[1, 0, 1, 0, 2], [1, 1, 1, 0, 2]])
    assert join_pieces([[1, 0, 2], [1, 0, 0], [0, 0, 3]]).tolist() == [[1, 2], [1, 3]]


def test_corner_pieces_make_a_picture():
    grid = [[1, 1, 0, 0, 2], [1, 0, 0, 2, 2], [0, 0, 0, 0, 0], [3, 3, 0, 4, 0], [0, 3, 0, 4, 4]]
    assert join_corners(grid).tolist() == [[1, 1, 3, 3], [1, 0, 0, 3], [4, 0, 0, 2], [4, 4, 2, 2]]
    assert same(join_corners(transpose(grid)), transpose(join_corners(grid)))
    assert join_corners([row[:2] for row in grid]).tolist() == [[1, 1, 3, 3], [1, 0, 0, 3], [0] * 4, [0] * 4]
    for refused in ([[0, 0]], [[1, 0, 1, 0, 1, 0, 1, 0, 1]]):
        with pytest.raises(ValueError, match="one to four"):
            join_corners(refused)
    assert join_corners([[1, 0, 2, 2], [0, 0, 2, 2], [3, 0, 0, 0], [0, 0, 4, 4]]).tolist() == [
        [1, 0, 2, 2],
        [0, 0, 2, 2],
        [0, 0, 0, 0],
        [3, 0, 4, 4],
    ]


@given(arrays(np.int8, (5, 6), elements=st.sampled_from([0, 9])), st.permutations([1, 2, 3, 4]))
def test_quarters_take_the_colours_of_their_corners(grid, colours):
    grid[[0, 0, -1, -1], [0, -1, 0, -1]] = colours
    painted = paint_by_corners(grid)
    assert same(painted != 0, grid != 0)
    assert same(painted[2], grid[2])
    for index, colour in enumerate(colours):
        rows, columns = slice(0, 2) if index < 2 else slice(3, 5), slice(0, 3) if index % 2 == 0 else slice(3, 6)
        assert set(painted[rows, columns].ravel().tolist()) <= {0, colour}
    grid[0, 0] = 0
    with pytest.raises(ValueError, match="every corner"):
        paint_by_corners(grid)


@pytest.mark.parametrize("call", [recolour_to_most_common, recolour_to_least_common])
def test_a_grid_without_colours_stays(call):
    assert call([[0, 0]]).tolist() == [[0, 0]]
