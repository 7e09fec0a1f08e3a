import io
import re
from xml.etree import ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from task_strategies import tasks

from arcgym.data import Pair, Task
from arcgym.data.drawing import lay_out, task_png, task_svg, task_text
from arcgym.grids import PALETTE, render_ansi

TASK = Task(
    "a<b>", (Pair([[1, 2]], [[3], [4]]),), (Pair([[5]], [[6]]), Pair([[7]], None)), source="here", family="f&g"
)
SVG = "{http://www.w3.org/2000/svg}"
LINE_PX = 20


def grids_of(task, answers):
    shown = [(pair.input, pair.output) for pair in task.train]
    shown += [(pair.input, pair.output if answers else None) for pair in task.test]
    return [grid for pair in shown for grid in pair]


def boxes(picture):
    for panel in picture.panels:
        height, width = (1, 1) if panel.grid is None else panel.grid.shape
        yield panel.x, panel.y, panel.x + width * picture.cell_px, panel.y + LINE_PX + height * picture.cell_px


@given(tasks(max_side=30), st.booleans())
def test_every_grid_has_its_own_place_inside_the_picture(task, answers):
    picture = lay_out(task, answers=answers)
    assert [panel.grid is not None for panel in picture.panels] == [g is not None for g in grids_of(task, answers)]
    placed = list(boxes(picture))
    for left, top, right, bottom in placed:
        assert 0 <= left < right <= picture.width
        assert 0 <= top < bottom <= picture.height
    for i, (left, top, right, bottom) in enumerate(placed):
        for x, y, x2, y2 in placed[:i]:
            assert right <= x or x2 <= left or bottom <= y or y2 <= top


@given(tasks(max_side=8), st.booleans())
def test_svg_and_png_show_every_cell_in_its_colour(task, answers):
    picture = lay_out(task, answers=answers)
    svg = ElementTree.fromstring(task_svg(task, answers=answers))
    assert (svg.get("width"), svg.get("height")) == (str(picture.width), str(picture.height))
    image = np.asarray(Image.open(io.BytesIO(task_png(task, answers=answers))))
    assert image.shape == (picture.height, picture.width, 3)
    groups = iter(svg.findall(f"{SVG}g"))
    px = picture.cell_px
    for panel, grid in zip(picture.panels, grids_of(task, answers), strict=True):
        if grid is None:
            continue
        colours = [[PALETTE[cell] for cell in row] for row in grid.tolist()]
        drawn = {}
        for run in next(groups).findall(f"{SVG}rect"):
            x, y, width = (int(run.get(name)) for name in ("x", "y", "width"))
            assert int(run.get("height")) == px
            drawn |= {
                ((y - panel.y - LINE_PX) // px, (x - panel.x) // px + i): run.get("fill") for i in range(width // px)
            }
        assert drawn == {(r, c): colour for r, row in enumerate(colours) for c, colour in enumerate(row)}
        top, left = panel.y + LINE_PX + px // 2, panel.x + px // 2
        middles = image[top : top + grid.shape[0] * px : px, left : left + grid.shape[1] * px : px]
        assert [["#{:02X}{:02X}{:02X}".format(*cell) for cell in row] for row in middles.tolist()] == colours
    assert next(groups, None) is None


def test_labels_say_which_grid_it_is():
    texts = [text.text for text in ElementTree.fromstring(task_svg(TASK, answers=False)).findall(f"{SVG}text")]
    assert texts == [
        "a<b>  (here, f&g)",
        "train 0, input 1x2",
        "train 0, output 2x1",
        "test 0, input 1x1",
        "test 0, output ?",
        "?",
        "test 1, input 1x1",
        "test 1, output ?",
        "?",
    ]


def test_answers_are_not_in_a_picture_that_hides_them():
    other = Task("a<b>", TASK.train, (Pair([[5]], [[9, 9]]), TASK.test[1]), source="here", family="f&g")
    for draw in (task_svg, task_png, task_text):
        assert draw(TASK, answers=False) == draw(other, answers=False)
        assert draw(TASK, answers=True) != draw(other, answers=True)


def test_the_png_has_ink_for_its_labels():
    image = np.asarray(Image.open(io.BytesIO(task_png(TASK))).convert("L"))
    panel = lay_out(TASK).panels[0]
    assert (image[panel.y : panel.y + LINE_PX - 2, panel.x : panel.x + 60] < 128).sum() > 20


def test_a_notebook_shows_all_that_is_known():
    html = TASK._repr_html_()
    assert task_svg(TASK, answers=True) in html
    assert len(ElementTree.fromstring(html).findall(f"{SVG}svg")) == 1


@given(tasks(max_side=8), st.booleans())
def test_a_wide_terminal_shows_input_and_output_side_by_side(task, answers):
    coloured = task_text(task, answers=answers, columns=200).split("\n\n")[1:]
    pairs = zip(*[iter(grids_of(task, answers))] * 2, strict=True)
    for block, (above, below) in zip(coloured, pairs, strict=True):
        label, *lines = block.split("\n")
        column = label.index(", output") - len(label.split(",")[0])
        right = ["?"] if below is None else render_ansi(below).split("\n")
        for i, row in enumerate(render_ansi(above).split("\n")):
            assert lines[i].startswith(row)
        for i, row in enumerate(right):
            assert lines[i].endswith(row)
            assert len(re.sub(r"\x1b\[[0-9;]*m", "", lines[i].removesuffix(row))) == column
    blocks = task_text(task, answers=answers, colour=False, columns=200).split("\n\n")[1:]
    for block, pair in zip(blocks, [*task.train, *task.test], strict=True):
        label, *lines = block.split("\n")
        column = label.index(", output") - len(label.split(",")[0])
        left = [line[:column].strip() for line in lines if line[:column].strip()]
        assert left == ["".join(map(str, row)) for row in pair.input.tolist()]


def test_a_narrow_terminal_shows_one_above_the_other():
    assert task_text(TASK, colour=False, columns=20).split("\n\n")[1] == (
        "train 0, input 1x2\n12\ntrain 0, output 2x1\n3\n4"
    )
    wide = task_text(TASK, colour=False, columns=80).split("\n\n")[1]
    assert wide == "train 0, input 1x2    train 0, output 2x1\n12                    3\n                      4"
