"""What runs in a program's own process: read the job, run `transform` on every input, write records, leave.

Everything here shares its process with the program and may be subverted by it, so nothing here is relied on for
safety: the kernel contains the process, the zygote accounts for it, and the caller parses its records strictly. What
this module does is tell an honest program's outcome well: which error, in which line.
"""

import io
import operator
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from arcgym.sandbox import protocol

if sys.platform != "win32":
    import resource

FILENAME = "<program>"
MAX_PRINTED = 1 << 20
# The interpreter has specialised a function's code after eight calls and a few more.
REHEARSALS = 20
_VIOLATING_EVENTS = frozenset(
    "os.chflags os.chmod os.chown os.exec os.fork os.forkpty os.kill os.killpg os.link os.lockf os.mkdir"
    " os.posix_spawn os.remove os.removexattr os.rename os.rmdir os.setxattr os.spawn os.symlink os.system os.truncate"
    " os.utime pty.spawn resource.setrlimit resource.prlimit signal.pthread_kill subprocess.Popen"
    " _thread.start_new_thread ctypes.dlopen ctypes.dlsym ctypes.call_function ctypes.string_at fcntl.ioctl"
    " fcntl.fcntl mmap.__new__ shutil.rmtree urllib.Request".split()
)
_VIOLATING_FAMILIES = ("socket.", "ftplib.", "http.", "imaplib.", "poplib.", "smtplib.", "telnetlib.", "nntplib.")
_PATH_EVENTS = frozenset(["open", "os.listdir", "os.scandir", "os.chdir", "os.walk"])
_real_exit = os._exit


class OutputLimitError(BaseException):
    """The program printed more than any log can hold."""


class _Printed(io.TextIOBase):
    """Takes what the program prints: keeps the beginning, and stops a flood."""

    def __init__(self) -> None:
        self.kept = ""
        self.total = 0
        self.line: int | None = None

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if type(text) is not str:
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.total += len(text)
        if len(self.kept) < protocol.MAX_STDOUT_BYTES:
            self.kept += text[: protocol.MAX_STDOUT_BYTES]
        if self.total > MAX_PRINTED:
            self.line = _line_of_frame(sys._getframe(1))
            raise OutputLimitError(f"more than {MAX_PRINTED} characters were printed")
        return len(text)


class InvalidOutputError(Exception):
    """What `transform` returned is not a grid."""


class Runner:
    """Runs one program; its process ends with it. Made in the zygote, since what is made there costs no child time.

    Args:
        result_fd: where the records go.
        progress_fd: where a byte goes at the start of each input, -1 for nowhere.
        readable: folders that a program may look into.
    """

    def __init__(self, result_fd: int, progress_fd: int, readable: tuple[str, ...]) -> None:
        self._nonce = bytes(protocol.NONCE_BYTES)
        self._result_fd = result_fd
        self._progress_fd = progress_fd
        self._readable = readable
        self._printed = _Printed()
        self._violation: protocol.Failure | None = None
        self._mutated = False
        self._current = protocol.WHOLE_PROGRAM

    def run(self, job: protocol.Job) -> NoReturn:
        """Run the program, write its records and leave the process."""
        self._nonce, source, grids = job
        os._exit = self._exit
        sys.stdout = sys.stderr = self._printed
        sys.addaudithook(self._audit)
        self._run_all(source, grids)
        self._finish()

    def rehearse(self, job: protocol.Job) -> None:
        """Run a trusted program in the zygote, so that what Python makes at first use is there before forks."""
        main = sys.modules["__main__"]
        _, source, grids = job
        for _ in range(REHEARSALS):
            self._run_all(source, grids)
            protocol.encode_end(self._nonce, self._mutated, self._printed.kept)
        sys.modules["__main__"] = main
        del sys.modules["program"]

    def _run_all(self, source: str, grids: list[protocol.PlainGrid]) -> None:
        transform = self._load(source)
        if transform is None:
            return
        for index, grid in enumerate(grids):
            self._current = index
            if self._progress_fd >= 0:
                os.write(self._progress_fd, b".")
            output, failure = self._apply(transform, grid)
            if failure is None:
                _write(self._result_fd, protocol.encode_output(self._nonce, index, output))
                continue
            self._fail(failure)
            if failure.status in protocol.FATAL:
                break

    def _load(self, source: str) -> Callable[[Any], Any] | None:
        """The program's `transform`, or None after the failure was written."""
        try:
            code = compile(source, FILENAME, "exec", dont_inherit=True)
        except BaseException as exc:  # SyntaxError, ValueError, OverflowError, RecursionError, MemoryError
            line = exc.lineno if isinstance(exc, SyntaxError) else None
            message = (exc.msg if isinstance(exc, SyntaxError) else str(exc)) or "the compiler gave up on it"
            self._fail(protocol.Failure("syntax_error", line, type(exc).__name__, message))
            return None
        # dataclasses, pickle and typing look the module up by name; its name is not __main__, so that a guarded main
        # block does not run.
        module = types.ModuleType("program")
        sys.modules["program"] = sys.modules["__main__"] = module
        try:
            exec(code, module.__dict__)
            transform = module.__dict__.get("transform")
            if callable(transform):
                return transform
            what = "is not callable" if "transform" in module.__dict__ else "is not defined"
            self._fail(
                protocol.Failure("runtime_error", None, "NameError", f"`transform` {what}; define transform(grid)")
            )
        except BaseException as exc:
            self._fail(self._failure(exc))
        return None

    def _apply(
        self, transform: Callable[[Any], Any], grid: protocol.PlainGrid
    ) -> tuple[protocol.PlainGrid, protocol.Failure | None]:
        """The output for one input, or the input itself and why there is no output."""
        array: np.ndarray | None = None
        output = grid
        try:
            height, width, cells = grid
            array = np.frombuffer(cells, np.int8).reshape(height, width).copy()
            output = plain_grid(transform(array))
            failure = self._violation
        except InvalidOutputError as exc:
            failure = self._violation or protocol.Failure(
                "invalid_output", _first_line(transform), "InvalidOutput", str(exc)
            )
        except BaseException as exc:
            failure = self._failure(exc)
        self._mutated = self._mutated or (array is not None and array.tobytes() != grid[2])
        if self._printed.total > MAX_PRINTED:
            failure = protocol.Failure("output_limit", self._printed.line, "OutputLimit", "too much was printed")
        return output, failure

    def _failure(self, exc: BaseException) -> protocol.Failure:
        if self._violation is not None:
            return self._violation
        status = "runtime_error"
        if isinstance(exc, MemoryError):
            status = "memory"
            most = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (most, most))  # room to report
        elif isinstance(exc, OutputLimitError):
            status = "output_limit"
        elif isinstance(exc, PermissionError):
            status = "security_violation"
        try:
            message = str(exc) or "no message was given"
        except BaseException:  # a hostile __str__
            message = "the exception's text could not be made"
        if status == "memory":
            message = f"memory ran out ({message})"
        if isinstance(exc, SystemExit):
            message = f"the program asked to exit ({message})"
        return protocol.Failure(status, _line_of(exc), _class_name(exc), message)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        # Records only: whether the attempt succeeds is the kernel's decision.
        if self._violation is not None:
            return
        what = ""
        if event in _PATH_EVENTS:
            path = args[0]
            if isinstance(path, bytes):
                path = os.fsdecode(path)
            if isinstance(path, str) and not path.startswith(self._readable):
                what = f"{event} of {path!r}"
        elif event in _VIOLATING_EVENTS or event.startswith(_VIOLATING_FAMILIES):
            what = event
        if what:
            line = _line_of_frame(sys._getframe(1))
            self._violation = protocol.Failure("security_violation", line, "SecurityViolation", f"{what} is forbidden")

    def _fail(self, failure: protocol.Failure) -> None:
        _write(self._result_fd, protocol.encode_failure(self._nonce, self._current, failure))

    def _exit(self, status: int = 0) -> NoReturn:
        # Stands in for os._exit, only so that the line is known; the real one and raw system calls are accounted for
        # as a crash by the caller.
        line = _line_of_frame(sys._getframe(1))
        failure = protocol.Failure("crashed", line, "Exit", f"os._exit({status!r}) was called")
        self._fail(failure)
        self._finish()

    def _finish(self) -> NoReturn:
        _write(self._result_fd, protocol.encode_end(self._nonce, self._mutated, self._printed.kept))
        _real_exit(0)


def plain_grid(value: object) -> protocol.PlainGrid:
    """Turn what `transform` returned into bytes.

    Accepted are two-dimensional NumPy arrays of an integer type, and lists or tuples of rows (lists, tuples or
    one-dimensional integer arrays) of integers. Booleans and floats are refused, whole floats too: a grid holds
    colours, not quantities, and 1.0 is the sign of a program that works by accident.

    Raises:
        InvalidOutputError: it is no grid; the text says why.
    """
    if isinstance(value, np.ndarray):
        array = np.ndarray.view(value, np.ndarray)
    else:
        array = _array_of_rows(value)
    if array.dtype.kind not in "iu":
        raise InvalidOutputError(f"the cells are {array.dtype.name}; integers are allowed")
    if array.ndim != 2:
        raise InvalidOutputError(f"the result has {array.ndim} dimensions; a grid has 2")
    height, width = array.shape
    limit = protocol.MAX_SIDE
    if not (1 <= height <= limit and 1 <= width <= limit):
        raise InvalidOutputError(f"the result is {height} × {width}; sides from 1 to {limit} are allowed")
    # Plain Python on purpose: the first reduction in a fresh fork copies pages for two milliseconds.
    cells = [cell for row in array.tolist() for cell in row]
    if min(cells) < 0 or max(cells) > protocol.MAX_CELL:
        raise InvalidOutputError(f"cells go from {min(cells)} to {max(cells)}; 0 to {protocol.MAX_CELL} are allowed")
    return protocol.PlainGrid(height, width, bytes(cells))


def _array_of_rows(value: object) -> np.ndarray:
    # Exact types: a subclass may have an __iter__ that never ends.
    if type(value) not in (list, tuple):
        raise InvalidOutputError(f"the result is {_kind(value)}; a 2-D integer array or a list of rows is allowed")
    rows: Any = value
    if not 1 <= len(rows) <= protocol.MAX_SIDE:
        raise InvalidOutputError(f"the result has {len(rows)} rows; 1 to {protocol.MAX_SIDE} are allowed")
    plain = []
    for number, row in enumerate(rows):
        if type(row) is np.ndarray and row.ndim == 1 and row.dtype.kind in "iu":
            row = row.tolist()
        if type(row) not in (list, tuple):
            raise InvalidOutputError(f"row {number} is {_kind(row)}; a list of integers is allowed")
        if len(row) != len(rows[0]) or not row:
            raise InvalidOutputError(f"row {number} has {len(row)} cells, row 0 has {len(rows[0])}")
        plain.append([_cell(cell, number, column) for column, cell in enumerate(row)])
    return np.array(plain, dtype=np.int64)


def _cell(cell: object, row: int, column: int) -> int:
    if type(cell) is int or (isinstance(cell, int | np.integer) and not isinstance(cell, bool)):
        number = operator.index(cell)
        if 0 <= number <= protocol.MAX_CELL:
            return number
        shown = number if number.bit_length() < 64 else "a number that is much too large"
        raise InvalidOutputError(f"the cell in row {row}, column {column} is {shown}; 0 to 9 are allowed")
    raise InvalidOutputError(f"the cell in row {row}, column {column} is {_kind(cell)}; integers are allowed")


def _kind(value: object) -> str:
    return "None (is a return missing?)" if value is None else f"a {_class_name(value)}"


def _class_name(value: object) -> str:
    """Name of the real class, past what a metaclass of the program's says."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def _first_line(function: object) -> int | None:
    return function.__code__.co_firstlineno if type(function) is types.FunctionType else None


def _line_of(exc: BaseException) -> int | None:
    """Line of the program's innermost frame in the traceback."""
    line = None
    trace = exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _line_of_frame(frame: types.FrameType | None) -> int | None:
    while frame is not None:
        if frame.f_code.co_filename == FILENAME:
            return frame.f_lineno
        frame = frame.f_back
    return None


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
