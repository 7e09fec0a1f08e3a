"""From what came back to an `ExecutionResult`: facts from the kernel outrank what the program's process claims."""

import os
import re
import signal

import numpy as np

from arcgym.sandbox import protocol
from arcgym.sandbox.client import Finished, Limits
from arcgym.sandbox.linux import system_call_name
from arcgym.sandbox.results import ExecutionResult, Grid, Status

_TRACE_LINE = re.compile(rb'File "<program>", line (\d{1,9})')


def judge(source: str, finished: Finished, limits: Limits) -> ExecutionResult:
    """Decide how a program ended.

    Args:
        source: the program, for the text of the line.
        finished: its records and the zygote's report.
        limits: what it was held to.
    """
    records, report = finished.records, finished.report
    outputs = tuple(_grid(plain) for plain in records.outputs)
    status, error = _decide(finished, limits)
    # What it computed may come from where it was not allowed to look, or have come after its time was up: the signal
    # that asks for the running line may wake a program that waits.
    if status in (Status.SECURITY_VIOLATION, Status.TIMEOUT):
        outputs = (None,) * len(outputs)
    return ExecutionResult(
        status=status,
        outputs=outputs,
        error_type=error.error_type,
        message=error.message,
        line=error.line,
        line_text=_line_text(source, error.line),
        wall_s=report.wall_s,
        cpu_s=report.cpu_s,
        peak_bytes=report.peak_bytes,
        mutated_input=records.mutated_input,
        stdout=records.stdout,
    )


def refuse_source(reason: str, inputs: int) -> ExecutionResult:
    """The result of a text that cannot even be handed to a compiler."""
    return ExecutionResult(Status.SYNTAX_ERROR, (None,) * inputs, "SyntaxError", reason, line=1)


def infrastructure_failure(reason: str, inputs: int) -> ExecutionResult:
    """The result of a program that could not be run: says nothing about it, so no reward may come of it."""
    return ExecutionResult(Status.INFRASTRUCTURE, (None,) * inputs, "Infrastructure", reason)


def _decide(finished: Finished, limits: Limits) -> tuple[Status, protocol.Failure]:
    records, report = finished.records, finished.report
    tampering = _tampering(finished)
    if tampering:
        line = next((f.line for f in records.failures.values() if f.line is not None), _traced_line(report.trace))
        return Status.SECURITY_VIOLATION, protocol.Failure("", line, "SecurityViolation", tampering)
    out_of_time = report.reason in (protocol.OUT_OF_TIME, protocol.INPUT_OUT_OF_TIME)
    if out_of_time and not records.fault:
        return _timeout(report, limits)  # the signal that asks for the line may wake a program that waits
    # A violation noticed on a later input outranks an ordinary error on an earlier one.
    for failure in records.failures.values():
        if failure.status == Status.SECURITY_VIOLATION:
            return Status.SECURITY_VIOLATION, failure
    if records.failures:
        first = records.failures.get(protocol.WHOLE_PROGRAM) or records.failures[min(records.failures)]
        return Status(first.status), first
    if finished.flooded:
        return Status.OUTPUT_LIMIT, protocol.Failure("", None, "OutputLimit", "more was written than any result needs")
    if out_of_time:
        return _timeout(report, limits)
    if records.fault == "" and report.wait_status == 0:
        return Status.OK, protocol.Failure("", None, "", "")
    return _abnormal_end(report, limits)


def _tampering(finished: Finished) -> str:
    """What shows that the program reached for what it must not have; "" if nothing does."""
    records, report = finished.records, finished.report
    if report.violations:
        return f"the system call {system_call_name(report.system_call)} was refused"
    # A trace is due when the time is up or on a crash; from a process that simply left, the program wrote it.
    inputs_begun, trace = _split_trace(report.trace)
    unasked = trace and report.reason == protocol.EXITED and os.WIFEXITED(report.wait_status)
    if report.reason == protocol.TAMPERED or unasked or inputs_begun > len(records.outputs):
        return "something was written to a descriptor of the sandbox"
    if os.WIFSIGNALED(report.wait_status) and os.WTERMSIG(report.wait_status) == signal.SIGSYS:
        return "a system call of another architecture was refused"
    if records.fault not in ("", "truncated") and not finished.flooded:
        return f"the result was tampered with: {records.fault}"
    return ""


def _timeout(report: protocol.Report, limits: Limits) -> tuple[Status, protocol.Failure]:
    message = f"stopped after {report.cpu_s:.2f} s of CPU time and {report.wall_s:.2f} s"
    if report.reason == protocol.INPUT_OUT_OF_TIME:
        inputs_begun, _ = _split_trace(report.trace)
        message += f", at input {inputs_begun - 1}; the limit for one input is {limits.input_timeout_s:g} s"
    else:
        message += f"; the limit is {limits.timeout_s:g} s"
    return Status.TIMEOUT, protocol.Failure("", _traced_line(report.trace), "Timeout", message)


def _split_trace(trace: bytes) -> tuple[int, bytes]:
    """How many inputs the program's process says it began, and what faulthandler wrote."""
    text = trace.lstrip(b".")
    return len(trace) - len(text), text


def _abnormal_end(report: protocol.Report, limits: Limits) -> tuple[Status, protocol.Failure]:
    line = _traced_line(report.trace)
    if os.WIFEXITED(report.wait_status):
        code = os.WEXITSTATUS(report.wait_status)
        return Status.CRASHED, protocol.Failure("", line, "Exit", f"the process ended by itself with exit code {code}")
    number = os.WTERMSIG(report.wait_status)
    if number == signal.SIGKILL and report.cpu_s >= limits.timeout_s:
        return _timeout(report, limits)  # RLIMIT_CPU was faster than the zygote
    # The kernel kills those that exhaust the machine or their cgroup; the zygote those that closed their descriptors.
    if number == signal.SIGKILL and report.peak_bytes >= limits.memory_mb << 19:
        return Status.MEMORY, protocol.Failure("", line, "MemoryError", "the kernel killed the process")
    name = signal.Signals(number).name
    return Status.CRASHED, protocol.Failure("", line, name, f"the process was killed by {name}")


def _traced_line(trace: bytes) -> int | None:
    match = _TRACE_LINE.search(trace)
    return int(match[1]) if match else None


def _line_text(source: str, line: int | None) -> str:
    lines = source.splitlines()
    return lines[line - 1].strip()[:200] if line is not None and 0 < line <= len(lines) else ""


def _grid(plain: protocol.PlainGrid | None) -> Grid | None:
    if plain is None:
        return None
    return np.frombuffer(plain.cells, dtype=np.int8).reshape(plain.height, plain.width)  # read-only, as bytes are
