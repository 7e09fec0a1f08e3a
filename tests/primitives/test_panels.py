import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arcgym.primitives import complete_panels, flip_lr, flip_ud, paint_panels, repeat_panel

LINE = 5


def join(panels):
    """Put panels, in an array of shape (rows, columns, height, width), between lines of colour 5."""
    rows, columns, height, width = panels.shape
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), LINE, dtype=np.int8)
    for row, column in np.ndindex(rows, columns):
        grid[row * (height + 1) :, column * (width + 1) :][:height, :width] = panels[row, column]
    return grid


@st.composite
def panels(draw):
    """Two panels or more of one size, with colours 0 to 2."""
    rows, columns = draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (2, 3), (3, 3)]))
    shape = (rows, columns, draw(st.integers(2, 3)), draw(st.integers(2, 3)))
    parts = draw(arrays(np.int8, shape, elements=st.sampled_from([0, 0, 1, 2])))
    # a row or column of one colour would be a line
    grid = join(parts)
    lines = [line for line in (*grid, *grid.T) if line[0] not in (0, LINE) and len(np.unique(line)) == 1]
    assume(not lines)
    return parts


@given(panels())
def test_all_panels_become_the_fullest(parts):
    counts = np.count_nonzero(parts, axis=(2, 3)).ravel()
    fullest = parts.reshape(-1, *parts.shape[2:])[counts.argmax()]
    assert (repeat_panel(join(parts)) == join(np.broadcast_to(fullest, parts.shape))).all()


@given(panels())
def test_panels_are_completed_to_the_shape_of_all(parts):
    together = (parts != 0).any(axis=(0, 1))
    expected = np.where((parts == 0) & together, LINE, parts)
    completed = complete_panels(join(parts))
    assert (completed == join(expected)).all()
    for move in (flip_lr, flip_ud, np.transpose):
        assert (complete_panels(move(join(parts))) == move(completed)).all()


def test_panels_of_different_sizes_share_their_top_left_corner():
    grid = [[1, 5, 0, 2], [0, 5, 0, 0]]
    assert repeat_panel(grid).tolist() == [[1, 5, 1, 0], [0, 5, 0, 0]]
    assert complete_panels(grid).tolist() == [[1, 5, 5, 2], [0, 5, 0, 0]]


@given(panels(), st.data())
def test_painting_gives_each_panel_its_colour_and_keeps_the_lines(parts, data):
    colours = data.draw(arrays(np.int8, parts.shape[:2], elements=st.sampled_from([0, 3, 4])))
    painted = paint_panels(join(parts), colours)
    assert (painted == join(np.broadcast_to(colours[:, :, None, None], parts.shape))).all()


def test_painting_needs_a_colour_for_each_panel():
    with pytest.raises(ValueError, match="1 x 2 panels"):
        paint_panels([[1, 5, 0], [0, 5, 0]], [[1, 2, 3]])


@pytest.mark.parametrize("function", [repeat_panel, complete_panels])
def test_a_grid_without_lines_has_no_panels(function):
    with pytest.raises(ValueError, match="divide"):
        function([[1, 0], [0, 2]])
