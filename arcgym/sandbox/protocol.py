"""The bytes between the three processes: bounded, length-prefixed plain data, never pickle.

Three streams, each one-way and with one kind of writer:

- *job* (caller → program's process): a nonce, the source and the input grids, in an anonymous file;
- *records* (program's process → caller): one record per input as soon as it is known, then an end record. The writer
  shares its process with the program, so the parser trusts nothing: lengths, order, count, nonce, sizes and cell
  values;
- *tickets and reports* (caller ↔ zygote): fixed structures with facts from the kernel; programs cannot reach this
  stream.

Only the standard library is imported, because the zygote loads this module too.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

MAX_SIDE = 30
MAX_CELL = 9
MAX_SOURCE_BYTES = 1 << 20
MAX_INPUTS = 1000
MAX_TEXT_BYTES = 2000
MAX_STDOUT_BYTES = 4000
NONCE_BYTES = 8

# Index of a failure that belongs to the program as a whole (it did not compile, or its top level failed).
WHOLE_PROGRAM = 0xFFFF

# Statuses that the program's process may claim; time-outs and infrastructure failures are never taken from it.
CLAIMABLE = (
    "syntax_error",
    "runtime_error",
    "memory",
    "output_limit",
    "invalid_output",
    "security_violation",
    "crashed",
)
# After these no further input is tried.
FATAL = ("memory", "output_limit", "crashed")

_JOB = struct.Struct(f"<{NONCE_BYTES}sIH")
_SIZE = struct.Struct("<BB")
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct(f"<c{NONCE_BYTES}sH")
_FAILURE = struct.Struct("<BiHH")
_END = struct.Struct("<BH")

TICKET = struct.Struct("<4sQI")
TICKET_RUN = b"RUN "
TICKET_KILL = b"KILL"
REPORT = struct.Struct("<QiBdddQIiIH")


class PlainGrid(NamedTuple):
    """A grid as bytes: `cells` has `height * width` bytes, row by row."""

    height: int
    width: int
    cells: bytes


# What a program's process is given: nonce, source, input grids.
Job: TypeAlias = tuple[bytes, str, list[PlainGrid]]


class Failure(NamedTuple):
    """Why an input, or the whole program, failed, as the program's process tells it."""

    status: str
    line: int | None
    error_type: str
    message: str


class Records(NamedTuple):
    """What could be read from a program's records.

    `fault` is "" when the stream is complete and well formed, "truncated" when it merely stops, and otherwise says
    what is wrong with it: such a stream was tampered with.
    """

    outputs: list[PlainGrid | None]
    failures: dict[int, Failure]
    mutated_input: bool
    stdout: str
    fault: str


class Report(NamedTuple):
    """What the zygote knows about a finished process; every field is from the kernel but `trace`, which is a label."""

    job_id: int
    wait_status: int
    reason: int
    wall_s: float
    cpu_s: float
    kernel_s: float
    peak_bytes: int
    violations: int
    system_call: int
    strays: int
    trace: bytes


EXITED, OUT_OF_TIME, INPUT_OUT_OF_TIME, CANCELLED, TAMPERED = range(5)


def encode_job(nonce: bytes, source: bytes, grids: Sequence[PlainGrid]) -> bytes:
    """Pack a job; the caller has checked the bounds."""
    parts = [_JOB.pack(nonce, len(source), len(grids)), source]
    for grid in grids:
        parts += (_SIZE.pack(grid.height, grid.width), grid.cells)
    return b"".join(parts)


def decode_job(data: bytes) -> Job:
    """Unpack a job, which comes from the caller and is trusted."""
    nonce, source_bytes, count = _JOB.unpack_from(data)
    at = _JOB.size + source_bytes
    source = data[_JOB.size : at].decode()
    grids = []
    for _ in range(count):
        height, width = data[at], data[at + 1]
        at += _SIZE.size + height * width
        grids.append(PlainGrid(height, width, data[at - height * width : at]))
    return nonce, source, grids


def encode_output(nonce: bytes, index: int, grid: PlainGrid) -> bytes:
    """Pack the record of an input that gave a grid."""
    return _frame(_HEAD.pack(b"G", nonce, index) + _SIZE.pack(grid.height, grid.width) + grid.cells)


def encode_failure(nonce: bytes, index: int, failure: Failure) -> bytes:
    """Pack the record of an input that failed."""
    error_type = _shorten(failure.error_type, 200)
    message = _shorten(failure.message, MAX_TEXT_BYTES)
    line = failure.line if failure.line is not None and 0 < failure.line < 2**31 else -1
    fixed = _FAILURE.pack(CLAIMABLE.index(failure.status), line, len(error_type), len(message))
    return _frame(_HEAD.pack(b"F", nonce, index) + fixed + error_type + message)


def encode_end(nonce: bytes, mutated_input: bool, stdout: str) -> bytes:
    """Pack the end record."""
    text = _shorten(stdout, MAX_STDOUT_BYTES)
    return _frame(_HEAD.pack(b"E", nonce, WHOLE_PROGRAM) + _END.pack(mutated_input, len(text)) + text)


def max_record_bytes(inputs: int) -> int:
    """Bound on the bytes that an honest process writes for `inputs` inputs."""
    one = _LENGTH.size + _HEAD.size + max(_SIZE.size + MAX_SIDE * MAX_SIDE, _FAILURE.size + 200 + MAX_TEXT_BYTES)
    return (inputs + 1) * one + _LENGTH.size + _HEAD.size + _END.size + MAX_STDOUT_BYTES


def parse_records(data: bytes, nonce: bytes, inputs: int) -> Records:
    """Read a record stream that a hostile program may have written.

    Args:
        data: all bytes that came.
        nonce: what each record must carry.
        inputs: how many inputs the job had.

    Returns:
        Everything up to the first fault, and the fault.
    """
    outputs: list[PlainGrid | None] = [None] * inputs
    failures: dict[int, Failure] = {}
    at, expected = 0, 0
    while True:
        if len(data) - at < _LENGTH.size:
            return Records(outputs, failures, False, "", "truncated")
        (length,) = _LENGTH.unpack_from(data, at)
        body = data[at + _LENGTH.size : at + _LENGTH.size + length]
        if len(body) < length:
            return Records(outputs, failures, False, "", "truncated")
        at += _LENGTH.size + length
        try:
            kind, index, content = _open_record(body, nonce)
            if kind == b"E":
                mutated, stdout = _read_end(content)
                _check_end(expected, inputs, failures, trailing=len(data) - at)
                return Records(outputs, failures, mutated, stdout, "")
            if kind == b"F" and index == WHOLE_PROGRAM and expected == 0 and not failures:
                failures[WHOLE_PROGRAM] = _read_failure(content)
                continue
            if index != expected or index >= inputs or WHOLE_PROGRAM in failures:
                raise _Fault(f"record {index} came where {expected} was due")
            if kind == b"G":
                outputs[index] = _read_grid(content)
            else:
                failures[index] = _read_failure(content)
            expected += 1
        except _Fault as fault:
            return Records(outputs, failures, False, "", str(fault))


class _Fault(Exception):
    """The stream is not what an honest process writes."""


def _open_record(body: bytes, nonce: bytes) -> tuple[bytes, int, bytes]:
    if len(body) < _HEAD.size:
        raise _Fault("a record is too short")
    kind, got, index = _HEAD.unpack_from(body)
    if got != nonce:
        raise _Fault("a record does not carry the nonce of this run")
    if kind not in (b"G", b"F", b"E"):
        raise _Fault("a record is of an unknown kind")
    return kind, index, body[_HEAD.size :]


def _read_grid(content: bytes) -> PlainGrid:
    if len(content) < _SIZE.size:
        raise _Fault("a grid record is too short")
    height, width = _SIZE.unpack_from(content)
    cells = content[_SIZE.size :]
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE) or len(cells) != height * width:
        raise _Fault("a grid record has a wrong size")
    if max(cells) > MAX_CELL:
        raise _Fault("a grid record has a cell that is no colour")
    return PlainGrid(height, width, cells)


def _read_failure(content: bytes) -> Failure:
    if len(content) < _FAILURE.size:
        raise _Fault("a failure record is too short")
    status, line, type_bytes, message_bytes = _FAILURE.unpack_from(content)
    if status >= len(CLAIMABLE) or len(content) != _FAILURE.size + type_bytes + message_bytes:
        raise _Fault("a failure record has a wrong status or length")
    split = _FAILURE.size + type_bytes
    error_type, message = _text(content[_FAILURE.size : split]), _text(content[split:])
    return Failure(CLAIMABLE[status], line if line > 0 else None, error_type, message)


def _read_end(content: bytes) -> tuple[bool, str]:
    if len(content) < _END.size:
        raise _Fault("the end record is too short")
    mutated, stdout_bytes = _END.unpack_from(content)
    if mutated > 1 or len(content) != _END.size + stdout_bytes:
        raise _Fault("the end record has a wrong flag or length")
    return bool(mutated), _text(content[_END.size :])


def _check_end(seen: int, inputs: int, failures: dict[int, Failure], trailing: int) -> None:
    if trailing:
        raise _Fault(f"{trailing} bytes follow the end record")
    stopped = WHOLE_PROGRAM in failures or (seen - 1 in failures and failures[seen - 1].status in FATAL)
    if seen < inputs and not stopped:
        raise _Fault(f"the end record came after {seen} of {inputs} inputs")


def _text(data: bytes) -> str:
    # Control characters (terminal escapes above all) must not reach logs; a line break may.
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _shorten(text: str, limit: int) -> bytes:
    data = text[:limit].encode("utf-8", "replace")
    return data[:limit]


def _frame(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


def encode_report(report: Report) -> bytes:
    """Pack a zygote's report."""
    return REPORT.pack(*report[:-1], len(report.trace)) + report.trace


def decode_report(data: bytes) -> Report:
    """Unpack a zygote's report, which is trusted."""
    facts = REPORT.unpack_from(data)
    return Report._make((*facts[:-1], data[REPORT.size : REPORT.size + facts[-1]]))
