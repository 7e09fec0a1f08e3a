import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_strategies import grids

from arcgym.data.encodings import COLOUR_WORDS, ENCODINGS, with_size
from arcgym.errors import TaskError
from arcgym.grids import as_grid

GRID = as_grid([[0, 0, 0], [0, 7, 7]])
WRITTEN = {
    "digits": "000\n077\n",
    "spaced": "0 0 0\n0 7 7\n",
    "numpy": "[[0 0 0]\n [0 7 7]]\n",
    "ascii": "|0|0|0|\n|0|7|7|\n",
    "sparse": "2x3 of 0\n1,1=7 1,2=7\n",
    "words": "black black black\nblack orange orange\n",
    "runs": "0x3\n0 7x2\n",
}
names = st.sampled_from(sorted(ENCODINGS))


def test_every_encoding_has_its_example():
    assert WRITTEN.keys() == ENCODINGS.keys()
    assert len(set(COLOUR_WORDS)) == 10


@pytest.mark.parametrize("name", WRITTEN)
def test_an_encoding_looks_like_this(name):
    assert ENCODINGS[name].write(GRID) == WRITTEN[name]
    assert with_size(ENCODINGS[name]).write(GRID) == "2x3\n" + WRITTEN[name]


def test_numpy_text_is_what_numpy_prints():
    assert WRITTEN["numpy"].strip() == str(np.array(GRID))


@given(grid=grids(), name=names, is_sized=st.booleans())
def test_parse_inverts_write(grid, name, is_sized):
    encoding = with_size(ENCODINGS[name]) if is_sized else ENCODINGS[name]
    text = encoding.write(grid)
    for read in (text, text.removesuffix("\n")):
        back = encoding.parse(read)
        assert back.dtype == np.int8
        assert np.array_equal(back, grid)


@given(grid=grids(), name=names, is_sized=st.booleans(), data=st.data())
def test_text_with_one_changed_character_is_refused_or_is_another_grid_written_so(grid, name, is_sized, data):
    encoding = with_size(ENCODINGS[name]) if is_sized else ENCODINGS[name]
    text = encoding.write(grid)
    at = data.draw(st.integers(0, len(text) - 2))
    other = text[:at] + data.draw(st.sampled_from("0123456789 |,=x\n[]ab٣")) + text[at + 1 :]
    try:
        back = encoding.parse(other)
    except TaskError:
        return
    assert encoding.write(back).removesuffix("\n") == other.removesuffix("\n")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("digits", "01\n0a\n", "row 1, column 1: 'a'"),
        ("digits", "01\n0\n", "row 1"),
        ("spaced", "0  1\n", "row 0, column 1: ''"),
        ("numpy", "[0 1]\n", r"between '\[\['"),
        ("ascii", "0|1|\n", "row 0"),
        ("sparse", "2x2\n", "should be like '3x4 of 0'"),
        ("sparse", "2x2 of 0\n2,0=1\n", "'2,0=1' is not a cell of 2x2"),
        ("sparse", "31x2 of 0\n", "larger than 30x30"),
        ("words", "black purple\n", "'purple' is not one of black, blue"),
        ("runs", "0x2 0\n", "longest runs"),
        ("runs", "0xx\n", "'0xx' is not a run"),
        ("digits", "", "row 0"),
    ],
)
def test_a_text_that_is_no_grid_is_refused_with_its_place(name, text, message):
    with pytest.raises(TaskError, match=message):
        ENCODINGS[name].parse(text)


def test_a_size_that_is_not_the_grids_is_refused():
    with pytest.raises(TaskError, match="1x2 cells, not 2x2"):
        with_size(ENCODINGS["digits"]).parse("2x2\n01\n")
    with pytest.raises(TaskError, match="is not a size"):
        with_size(ENCODINGS["digits"]).parse("01\n01\n")
