"""A run as its directory shows it at this moment: how far it is, what it has logged, and its last programs.

Only files are read, and none is written: the run may be on another machine, over for years, or about to begin. A file
that is missing or half written is left for the next look.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from arcgym.errors import ConfigError
from arcgym.training.logs import EVENTS_FILE, METRICS_FILE, JsonLines, take_event, take_row

Phase = Literal["starting", "evaluating before training", "training", "evaluating after training", "finished"]

_MARKS = ("config.yaml", METRICS_FILE, "completions", "summary.json", "env.json")
_RATE_ROWS = 20  # of the last rows, how long a step takes
_SECONDS_APART = 5.0  # within which files that were copied count as equally old


class Solved(NamedTuple):
    """How many tasks of a set were solved."""

    solved: int
    tasks: int


@dataclass(frozen=True)
class RunState:
    """What a run directory held at one moment.

    Args:
        path: The run directory.
        now: When it was read, in Unix seconds.
        config: `config.yaml`; empty before it is there.
        rows: Those of `metrics.jsonl` that are up to date.
        begun: When training began, or went on, in Unix seconds; `None` before.
        first_step: The step that it began at.
        events: Of `collapse.jsonl`, those of this run.
        evaluations: By set of tasks, `before` and `after` training.
        programs: The rows of the newest file of completions.
        summary: `summary.json`; `None` before the run has finished.
    """

    path: Path
    now: float
    config: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[dict[str, Any], ...] = ()
    begun: float | None = None
    first_step: int = 0
    events: tuple[dict[str, Any], ...] = ()
    evaluations: Mapping[str, Mapping[str, Solved]] = field(default_factory=dict)
    programs: tuple[dict[str, Any], ...] = ()
    summary: Mapping[str, Any] | None = None

    @property
    def phase(self) -> Phase:
        """What the run is at."""
        if self.summary is not None:
            return "finished"
        if self.begun is None:
            return "evaluating before training" if self.config else "starting"
        if any("train_runtime" in row and row.get("time", 0) >= self.begun for row in self.rows):
            return "evaluating after training"
        return "training"

    @property
    def step(self) -> int:
        """The last step that is known of."""
        return max((row["step"] for row in self.rows), default=self.first_step)

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run; `None` where nothing tells."""
        if (most := self.config.get("max_steps") or 0) > 0:
            return int(most)
        epochs = self.config.get("num_train_epochs")
        done = next((row for row in reversed(self.rows) if row.get("epoch")), None)
        return math.ceil(done["step"] * epochs / done["epoch"]) if done and epochs else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last step, by the pace of the last rows; `None` where nothing tells."""
        if self.phase != "training" or self.total_steps is None or self.begun is None:
            return None
        points = [(self.first_step, self.begun)]
        points += [(row["step"], row["time"]) for row in self.rows if "loss" in row and row["time"] >= self.begun]
        (step, since), (last, until) = points[-_RATE_ROWS:][0], points[-1]
        if last <= step:
            return None
        return max(0.0, (until - since) / (last - step) * (self.total_steps - last) - (self.now - until))

    @property
    def seconds_silent(self) -> float | None:
        """Seconds since the last row; `None` before the first."""
        return max(0.0, self.now - self.rows[-1]["time"]) if self.rows else None

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return the values of a metric, each with its step."""
        return [(row["step"], row[name]) for row in self.rows if isinstance(row.get(name), int | float)]


class RunReader:
    """Reads a run directory again and again; what has not changed is not read twice.

    Args:
        path: The run directory; it may be empty still.
        clock: Gives Unix seconds.

    Raises:
        ConfigError: There is no such folder, or it is of something else.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        _require_run(self.path)
        self._metrics = JsonLines(self.path / METRICS_FILE)
        self._collapse = JsonLines(self.path / EVENTS_FILE)
        self._rows: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._begun: float | None = None
        self._first_step = 0
        self._kept: dict[Path, tuple[tuple[float, int], Any]] = {}

    def read(self) -> RunState:
        """Read what there is now."""
        config = self._unchanged(self.path / "config.yaml", _read_config) or {}
        self._take_new()
        summary = self._summary()
        if summary is not None:  # written last; what was written since the look at the rows is the end of them
            self._take_new()
        return RunState(
            path=self.path,
            now=self._clock(),
            config=config,
            rows=tuple(self._rows),
            begun=self._begun,
            first_step=self._first_step,
            events=tuple(self._events),
            evaluations=self._evaluations(),
            programs=self._programs(),
            summary=summary,
        )

    def _take_new(self) -> None:
        """Take in what was appended."""
        for row in self._metrics.new():
            if row.get("event") == "begin":
                self._begun, self._first_step = row["time"], row["step"]
            take_row(self._rows, row)
        for event in self._collapse.new():
            take_event(self._events, event)

    def _unchanged(self, path: Path, read: Callable[[Path], Any]) -> Any:
        """Read a file, or return what was read when it was the same; `None` while it is missing or half written."""
        try:
            stat = path.stat()
            stamp = (stat.st_mtime, stat.st_size)
            if path not in self._kept or self._kept[path][0] != stamp:
                self._kept[path] = (stamp, read(path))
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, pa.ArrowException):
            return None
        return self._kept[path][1]

    def _evaluations(self) -> dict[str, dict[str, Solved]]:
        found: dict[str, dict[str, Solved]] = {}
        for when in ("before", "after"):
            for path in sorted(self.path.glob(f"eval/{when}-*.json")):
                if (entry := self._unchanged(path, _read_evaluation)) is not None:
                    found.setdefault(entry[0], {})[when] = entry[1]
        return found

    def _programs(self) -> tuple[dict[str, Any], ...]:
        """Rows of the newest file that can be read: the very last may be about to be written."""
        for path in sorted(self.path.glob("completions/*.parquet"), reverse=True)[:2]:
            if rows := self._unchanged(path, _read_programs):
                return rows
        return ()

    def _summary(self) -> dict[str, Any] | None:
        """The summary, unless it is of an earlier run in the same folder."""
        path = self.path / "summary.json"
        summary = self._unchanged(path, _read_json)
        if summary is None:
            return None
        written = path.stat().st_mtime
        config = self.path / "config.yaml"
        is_old = config.exists() and config.stat().st_mtime > written + _SECONDS_APART
        return None if is_old or (self._begun or 0.0) > written else summary


def _require_run(path: Path) -> None:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ConfigError(f"{str(path)!r} {what}, but a run is a folder: the `output_dir` of a recipe.")
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    if names and not set(names) & set(_MARKS):
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        raise ConfigError(
            f"{str(path)!r} is no run: it holds {listed}, but none of {', '.join(_MARKS)}. Name the `output_dir` of a "
            "recipe."
        )


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_config(path: Path) -> dict[str, Any]:
    config = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return config if isinstance(config, dict) else {}


def _read_evaluation(path: Path) -> tuple[str, Solved]:
    report = _read_json(path)
    return report["name"], Solved(report["aggregates"]["solved"], report["aggregates"]["tasks"])


def _read_programs(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple(pq.read_table(path).to_pylist())
