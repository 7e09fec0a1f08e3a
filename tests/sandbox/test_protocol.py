"""The record parser: an honest stream comes back whole, any other is recognised, none makes it raise."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from arcgym.sandbox import protocol
from arcgym.sandbox.protocol import Failure, PlainGrid

NONCE = b"12345678"
texts = st.text(max_size=30)


@st.composite
def plain_grids(draw: st.DrawFn) -> PlainGrid:
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    cell = draw(st.binary(min_size=1, max_size=7))
    cells = bytes(c % 10 for c in cell) * (height * width)
    return PlainGrid(height, width, cells[: height * width])


failures = st.builds(
    Failure,
    st.sampled_from([status for status in protocol.CLAIMABLE if status not in protocol.FATAL]),
    st.none() | st.integers(1, 10**6),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)
outcomes = st.lists(plain_grids() | failures, max_size=5)


def stream(items: list[PlainGrid | Failure], mutated: bool = False, stdout: str = "") -> bytes:
    data = b""
    for index, item in enumerate(items):
        encode = protocol.encode_output if isinstance(item, PlainGrid) else protocol.encode_failure
        data += encode(NONCE, index, item)
    return data + protocol.encode_end(NONCE, mutated, stdout)


@given(outcomes, st.booleans(), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50))
def test_an_honest_stream_comes_back_whole(items, mutated, stdout):
    data = stream(items, mutated, stdout)
    records = protocol.parse_records(data, NONCE, len(items))
    assert records.fault == "" and records.mutated_input is mutated and records.stdout == stdout
    assert records.outputs == [item if isinstance(item, PlainGrid) else None for item in items]
    assert records.failures == {i: item for i, item in enumerate(items) if isinstance(item, Failure)}
    assert len(data) <= protocol.max_record_bytes(len(items))


@given(outcomes, st.data())
def test_a_cut_stream_is_truncated_and_keeps_what_was_whole(items, data):
    whole = stream(items)
    cut = data.draw(st.integers(0, len(whole) - 1))
    records = protocol.parse_records(whole[:cut], NONCE, len(items))
    assert records.fault == "truncated"
    for output, item in zip(records.outputs, items, strict=True):
        assert output is None or output == item


@given(st.binary(max_size=200), st.integers(0, 3), st.booleans())
def test_no_bytes_make_it_raise_or_pass_without_the_nonce(data, inputs, framed):
    if framed:
        data = struct.pack("<I", len(data)) + data
    records = protocol.parse_records(data, NONCE, inputs)
    assert records.fault
    assert len(records.outputs) == inputs and not any(records.outputs)


@given(st.binary(max_size=40), st.sampled_from([b"G", b"F", b"E", b"X"]), st.integers(0, 3), st.integers(0, 2))
def test_no_content_under_the_right_nonce_makes_it_raise(content, kind, index, inputs):
    body = kind + NONCE + struct.pack("<H", index) + content
    records = protocol.parse_records(struct.pack("<I", len(body)) + body, NONCE, inputs)
    for output in records.outputs:
        assert output is None or (len(output.cells) == output.height * output.width and max(output.cells) <= 9)


def fault(*parts: bytes, inputs: int = 1) -> str:
    return protocol.parse_records(b"".join(parts), NONCE, inputs).fault


def test_forgeries_are_named():
    grid = protocol.encode_output(NONCE, 0, PlainGrid(1, 1, b"\1"))
    end = protocol.encode_end(NONCE, False, "")
    fatal = protocol.encode_failure(NONCE, 0, Failure("memory", 1, "MemoryError", "x"))
    mild = protocol.encode_failure(NONCE, 0, Failure("runtime_error", 1, "E", "x"))
    assert fault(grid, end) == fault(fatal, end, inputs=3) == ""
    assert "nonce" in fault(protocol.encode_output(b"guess!!!", 0, PlainGrid(1, 1, b"\1")), end)
    assert "record 0 came" in fault(grid, grid, end, inputs=2)  # repeated
    assert "record 1 came" in fault(protocol.encode_output(NONCE, 1, PlainGrid(1, 1, b"\1")), end, inputs=2)
    assert "record 0 came" in fault(grid, end, inputs=0)
    assert "after 1 of 3" in fault(mild, end, inputs=3)  # early
    assert "follow" in fault(grid, end, end)
    assert "wrong size" in fault(protocol.encode_output(NONCE, 0, PlainGrid(31, 1, bytes(31))), end)
    assert "wrong size" in fault(protocol.encode_output(NONCE, 0, PlainGrid(2, 2, bytes(3))), end)
    assert "no colour" in fault(protocol.encode_output(NONCE, 0, PlainGrid(1, 1, b"\x0a")), end)
    assert fault(struct.pack("<I", 2**31)) == "truncated"


@given(st.binary(max_size=50), st.lists(plain_grids(), max_size=3), st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_job_comes_back_whole(nonce, grids, source):
    nonce = nonce[:8].ljust(8, b"n")
    job = protocol.decode_job(protocol.encode_job(nonce, source.encode(), grids))
    assert job == (nonce, source, grids)


def test_texts_are_shortened_and_carry_no_control_characters():
    failure = Failure("crashed", None, "E" * 999, "\x1b[31m" + "é" * 9999)
    data = protocol.encode_failure(NONCE, 0, failure) + protocol.encode_end(NONCE, False, "")
    records = protocol.parse_records(data, NONCE, 1)
    assert records.fault == ""
    assert len(records.failures[0].error_type) == 200 and records.failures[0].message.startswith("�[31mé")
    assert len(data) <= protocol.max_record_bytes(1)
