"""What a program's run comes to: one frozen record, never an exception.

The status and the outputs are what rewards are computed from; error type, message and line are for logs, repair
prompts and detectors. Whether an output is *right* is not known here: expected outputs stay with the caller.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

Grid: TypeAlias = np.ndarray


class Status(StrEnum):
    """How a program ended; all but `INFRASTRUCTURE` are the program's own doing."""

    OK = "ok"
    SYNTAX_ERROR = "syntax_error"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    INVALID_OUTPUT = "invalid_output"
    SECURITY_VIOLATION = "security_violation"
    CRASHED = "crashed"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class ExecutionResult:
    """The outcome of one program on all its inputs.

    Attributes:
        status: `OK` only if every input gave a valid grid; else the status of the first input that failed.
        outputs: one grid (int8, read-only, sides 1 to 30, values 0 to 9) per input, None where that input failed.
        error_type: name of the exception, or a short word where there was none; "" when ok.
        message: the exception's text, shortened; "" when ok.
        line: line of the program's source, from 1, that was running when it failed; None when unknown.
        line_text: the text of that line, stripped; "" when unknown.
        wall_s: seconds from the fork of the program's process to its end.
        cpu_s: seconds of CPU time that the process used, in user and kernel mode.
        peak_bytes: peak resident memory, the warm interpreter with NumPy (some 30 MB) included.
        mutated_input: whether the program changed a grid that it was given.
        is_deterministic: whether a second run ended the same way with the same outputs; None when there was none.
        stdout: what the program printed (standard output and error), shortened.
    """

    status: Status
    outputs: tuple[Grid | None, ...]
    error_type: str = ""
    message: str = ""
    line: int | None = None
    line_text: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    mutated_input: bool = False
    is_deterministic: bool | None = None
    stdout: str = ""

    @property
    def ok(self) -> bool:
        """Whether every input gave a valid grid."""
        return self.status is Status.OK
