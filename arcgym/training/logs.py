"""What a run appends to its directory, read back while it goes on: `metrics.jsonl` and `collapse.jsonl`.

A run that was cut off goes on from its last checkpoint, and one that is rolled back too; both log the steps after it
once more. The files keep everything and say where training began anew; what is out of date then is left out here.
Nothing in this module needs torch, so that a look at a run takes no longer than reading its files.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arcgym.errors import ConfigError

METRICS_FILE = "metrics.jsonl"
EVENTS_FILE = "collapse.jsonl"
_REMEDY = "Restore the file, or remove the line."


class JsonLines:
    """A growing file of one JSON object per line, of which each look reads what was added since the last one.

    Args:
        path: Of the file; it may be missing still.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._offset = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Read the whole lines that were added; a last line without its end waits for the next look.

        A line that was cut off when its process was killed is passed over.

        Raises:
            ConfigError: A line is something else than a JSON object, which no run writes.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            return
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            except UnicodeDecodeError as exc:
                raise ConfigError(f"{self.path} is damaged: {exc}. {_REMEDY}") from exc
            if not isinstance(row, dict):
                raise ConfigError(f"{self.path} is damaged: it holds {row!r:.40} where an object should be. {_REMEDY}")
            yield row


def take_row(rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """Add a line of `metrics.jsonl` to the rows before it, or drop those that it says are out of date.

    Args:
        rows: Changed in place.
        row: The next line.
    """
    if row.get("event") == "begin":
        rows[:] = [old for old in rows if old["step"] <= row["step"]]
    else:
        rows.append(row)


def take_event(events: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """Add a line of `collapse.jsonl` to the events before it; a new run in the same folder makes a new beginning.

    Args:
        events: Changed in place.
        event: The next line.
    """
    if event.get("action") == "start":
        events.clear()
    else:
        events.append(event)
