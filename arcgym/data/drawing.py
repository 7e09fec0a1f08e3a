"""Pictures of tasks: one layout, drawn as SVG, as PNG or as text for a terminal.

Each pair is a column, its input above its output, as on the official site. Where the output is secret, or not to be
shown, a question mark stands in its place. The layout is worked out once, in pixels, so that SVG and PNG agree.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from arcgym.grids import Grid, render_ansi, render_rgb, svg_cells

if TYPE_CHECKING:
    from arcgym.data.tasks import Task

_GRID_PX = 260  # what the longest side of the largest grid should take
_CELL_PX = (5, 24)  # but a cell is at least, and at most, so large
_WIDTH_PX = 1000  # columns beyond this width go into a new row
_GAP_PX = 24
_TEXT_PX = 12
_LINE_PX = 20
_INK = "#333333"


class Panel(NamedTuple):
    """A grid in a picture, with a line of text above it.

    Args:
        label: the text.
        grid: the grid; `None` for an output that is not shown.
        x: left edge in pixels.
        y: upper edge of the text in pixels; the grid begins a line lower.
    """

    label: str
    grid: Grid | None
    x: int
    y: int


class Picture(NamedTuple):
    """Where everything is in the picture of a task, in pixels."""

    title: str
    width: int
    height: int
    cell_px: int
    panels: list[Panel]


def lay_out(task: "Task", *, answers: bool = True) -> Picture:
    """Place the grids of a task.

    Args:
        task: the task.
        answers: whether the outputs of the test pairs are shown, where they are known.
    """
    pairs = list(_grids(task, answers))
    largest = max(max(grid.shape) for _, above, below in pairs for grid in (above, below) if grid is not None)
    cell_px = min(max(_GRID_PX // largest, _CELL_PX[0]), _CELL_PX[1])
    panels: list[Panel] = []
    x, y, right, bottom = _GAP_PX, _GAP_PX + _LINE_PX, 0, 0
    for name, above, below in pairs:
        labels = [f"{name}, {side} {describe_size(grid)}" for side, grid in (("input", above), ("output", below))]
        widths = [_extent(grid, 1) * cell_px for grid in (above, below)]
        width = max(*widths, *(len(label) * _TEXT_PX * 6 // 10 for label in labels))
        if x > _GAP_PX and x + width + _GAP_PX > _WIDTH_PX:
            x, y = _GAP_PX, bottom + _GAP_PX
        lower = y + _LINE_PX + _extent(above, 0) * cell_px + _GAP_PX // 2
        panels += [Panel(labels[0], above, x, y), Panel(labels[1], below, x, lower)]
        right = max(right, x + width)
        bottom = max(bottom, lower + _LINE_PX + _extent(below, 0) * cell_px)
        x += width + _GAP_PX
    return Picture(_title(task), right + _GAP_PX, bottom + _GAP_PX, cell_px, panels)


def task_svg(task: "Task", *, answers: bool = True) -> str:
    """Draw a task as a self-contained SVG document.

    Args:
        task: the task.
        answers: whether to draw the outputs of the test pairs, where they are known.
    """
    picture = lay_out(task, answers=answers)
    size = f'width="{picture.width}" height="{picture.height}" viewBox="0 0 {picture.width} {picture.height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="{_TEXT_PX}" '
        f'fill="{_INK}"><rect width="100%" height="100%" fill="#FFFFFF"/>',
        f'<text x="{_GAP_PX}" y="{_GAP_PX + _TEXT_PX // 2}" font-weight="bold">{escape(picture.title)}</text>',
    ]
    for panel in picture.panels:
        parts.append(f'<text x="{panel.x}" y="{panel.y + _TEXT_PX}">{escape(panel.label)}</text>')
        if panel.grid is not None:
            parts.append(svg_cells(panel.grid, panel.x, panel.y + _LINE_PX, picture.cell_px))
        else:
            parts.append(f'<text x="{panel.x}" y="{panel.y + _LINE_PX + _TEXT_PX}">?</text>')
    return "".join([*parts, "</svg>"])


def task_png(task: "Task", *, answers: bool = True) -> bytes:
    """Draw a task as a PNG file.

    Args:
        task: the task.
        answers: whether to draw the outputs of the test pairs, where they are known.
    """
    from PIL import Image, ImageDraw, ImageFont

    picture = lay_out(task, answers=answers)
    image = Image.new("RGB", (picture.width, picture.height), "#FFFFFF")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(_TEXT_PX)
    pen.text((_GAP_PX, _GAP_PX + _TEXT_PX // 2), picture.title, _INK, font, anchor="ls")
    for panel in picture.panels:
        pen.text((panel.x, panel.y + _TEXT_PX), panel.label, _INK, font, anchor="ls")
        if panel.grid is not None:
            cells = Image.fromarray(render_rgb(panel.grid, picture.cell_px))
            image.paste(cells, (panel.x, panel.y + _LINE_PX))
        else:
            pen.text((panel.x, panel.y + _LINE_PX + _TEXT_PX), "?", _INK, font, anchor="ls")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def task_text(task: "Task", *, answers: bool = True, colour: bool = True, columns: int = 80) -> str:
    """Draw a task for a terminal, input and output side by side where they fit.

    Args:
        task: the task.
        answers: whether to draw the outputs of the test pairs, where they are known.
        colour: draw cells in 24-bit colour, two characters wide; without it, as digits.
        columns: characters per line of the terminal.
    """
    blocks = [_title(task)]
    for name, above, below in _grids(task, answers):
        left, right = _block(f"{name}, input", above, colour), _block(f"{name}, output", below, colour)
        width = max(len(left.label), left.width) + 4
        if width + max(len(right.label), right.width) > columns:
            blocks.append("\n".join([left.label, *left.lines, right.label, *right.lines]))
            continue
        lines = [left.label.ljust(width) + right.label]
        for i in range(max(len(left.lines), len(right.lines))):
            cells = left.lines[i] if i < len(left.lines) else ""
            # Spaces by count: escape sequences have length but no width.
            gap = " " * (width - (left.width if cells else 0))
            lines.append((cells + gap + right.lines[i]) if i < len(right.lines) else cells)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def describe_size(grid: Grid | None) -> str:
    """Rows and columns as `3x5`; a question mark for a grid that is not known."""
    return "?" if grid is None else f"{grid.shape[0]}x{grid.shape[1]}"


class _Block(NamedTuple):
    label: str
    lines: list[str]
    width: int


def _block(name: str, grid: Grid | None, colour: bool) -> _Block:
    label = f"{name} {describe_size(grid)}"
    if grid is None:
        return _Block(label, ["?"], 1)
    if colour:
        return _Block(label, render_ansi(grid).split("\n"), 2 * grid.shape[1])
    return _Block(label, ["".join(map(str, row)) for row in grid.tolist()], grid.shape[1])


def _grids(task: "Task", answers: bool) -> Iterator[tuple[str, Grid, Grid | None]]:
    for i, pair in enumerate(task.train):
        yield f"train {i}", pair.input, pair.output
    for i, pair in enumerate(task.test):
        yield f"test {i}", pair.input, pair.output if answers else None


def _extent(grid: Grid | None, axis: int) -> int:
    return 1 if grid is None else grid.shape[axis]


def _title(task: "Task") -> str:
    origin = ", ".join(filter(None, (task.source, task.family)))
    return f"{task.task_id}  ({origin})" if origin else task.task_id
