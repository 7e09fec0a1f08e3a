"""Files of an evaluation: written whole or not at all, or a row at a time and readable after any interruption."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from arcgym.errors import ConfigError

PARTS = "part-*.jsonl"


def write_whole(path: str | Path, text: str) -> None:
    """Write a file; a reader sees the old one or the new one, never half of one.

    Args:
        path: Of the file; missing folders are made.
        text: Its content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Journal:
    """What processes of one evaluation have finished: a folder with one JSON Lines file per process.

    Every file begins with what the evaluation is of, so that rows of another one are not taken over. A row is either
    there with its line end, or does not count: a process that is killed while it writes leaves a torn last line.

    Args:
        folder: Made if missing.
        identity: Plain data that says what is evaluated, and how.
        process: Number of this process.

    Raises:
        ConfigError: The folder holds rows of another evaluation.
    """

    def __init__(self, folder: Path, identity: Any, process: int) -> None:
        self.folder = folder
        self._header = json.dumps({"identity": identity}, sort_keys=True)
        self._path = folder / f"part-{process}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def rows(self) -> list[Any]:
        """Read the whole rows of all processes, in no particular order.

        Raises:
            ConfigError: They are of another evaluation.
        """
        found: list[Any] = []
        for path in sorted(self.folder.glob(PARTS)):
            lines = list(_whole_lines(path))
            if lines and lines[0] != self._header:
                raise ConfigError(
                    f"{self.folder} holds the beginning of another evaluation: other tasks, policy, settings or code. "
                    "Remove the folder to begin anew, or name another file for the result."
                )
            found += [json.loads(line) for line in lines[1:]]
        return found

    def __enter__(self) -> Self:
        """Open this process's file for more rows, without its torn last line if it has one."""
        lines = list(_whole_lines(self._path)) if self._path.exists() else []
        write_whole(self._path, "".join(f"{line}\n" for line in (lines or [self._header])))
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, rows: list[Any]) -> None:
        """Add rows of plain data; they are on the disk on return."""
        self._file.write("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> Iterator[str]:
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield line[:-1].decode()
