"""Grids that lines divide into panels: copy, complete, and paint the panels.

Dividing lines and panels are those of `cells`: whole rows and columns in one colour, and what is between them.
"""

from typing import NamedTuple

import numpy as np

from arcgym.primitives._arrays import Grid, GridLike, as_array
from arcgym.primitives.logic import _line_colour, _spans


class _Division(NamedTuple):
    """A grid, the rows and columns of its panels, and the colour of the lines between them, 0 without lines."""

    array: Grid
    rows: list[slice]
    columns: list[slice]
    line: int

    def panels(self) -> list[Grid]:
        """Return views of all panels, in reading order."""
        return [self.array[row, column] for row in self.rows for column in self.columns]

    def several_panels(self) -> list[Grid]:
        """Return the panels, of which there must be two or more."""
        panels = self.panels()
        if len(panels) < 2:
            raise ValueError("no whole rows or columns of one colour divide the grid into panels")
        return panels


def _divide(grid: GridLike) -> _Division:
    array = as_array(grid)
    line = _line_colour(array)
    if not line:
        return _Division(array, [slice(0, array.shape[0])], [slice(0, array.shape[1])], 0)
    is_line = array == line
    return _Division(array, _spans(is_line.all(axis=1)), _spans(is_line.all(axis=0)), line)


def repeat_panel(grid: GridLike) -> Grid:
    """Copy the panel with the most nonzero cells, of equals the first, over all other panels.

    A larger panel is empty beyond the copy, a smaller one holds its top left part. `ValueError` when no lines divide
    the grid.

    Example:
        >>> repeat_panel([[1, 0, 5, 0, 0], [0, 1, 5, 0, 0]]).tolist()
        [[1, 0, 5, 1, 0], [0, 1, 5, 0, 1]]
    """
    division = _divide(grid)
    panels = division.several_panels()
    picture = np.zeros_like(division.array)
    fullest = max(panels, key=np.count_nonzero)
    picture[: fullest.shape[0], : fullest.shape[1]] = fullest
    for panel in panels:
        panel[:] = picture[: panel.shape[0], : panel.shape[1]]
    return division.array


def complete_panels(grid: GridLike) -> Grid:
    """Paint in the colour of the lines what a panel lacks of the shape that all panels together show.

    Panels of different sizes are laid on each other at their top left corners. `ValueError` when no lines divide the
    grid.

    Example:
        >>> complete_panels([[2, 0, 5, 0, 0], [0, 2, 5, 0, 2]]).tolist()
        [[2, 0, 5, 5, 0], [0, 2, 5, 0, 2]]
    """
    division = _divide(grid)
    panels = division.several_panels()
    together = np.zeros(division.array.shape, dtype=np.bool_)
    for panel in panels:
        together[: panel.shape[0], : panel.shape[1]] |= panel != 0
    for panel in panels:
        panel[together[: panel.shape[0], : panel.shape[1]] & (panel == 0)] = division.line
    return division.array


def paint_panels(a: GridLike, b: GridLike) -> Grid:
    """Fill each panel of `a` with the colour of its cell of `b`; the lines stay.

    `ValueError` when `b` has not one cell for each panel.

    Example:
        >>> paint_panels([[1, 0, 5, 0, 0], [0, 1, 5, 0, 0]], [[0, 3]]).tolist()
        [[0, 0, 5, 3, 3], [0, 0, 5, 3, 3]]
    """
    division, colours = _divide(a), as_array(b)
    if colours.shape != (len(division.rows), len(division.columns)):
        raise ValueError(
            f"{len(division.rows)} x {len(division.columns)} panels need a grid of as many cells, got "
            f"{colours.shape[0]} x {colours.shape[1]}"
        )
    for panel, colour in zip(division.panels(), colours.ravel().tolist(), strict=True):
        panel[:] = colour
    return division.array
