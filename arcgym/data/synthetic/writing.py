"""Writing generated tasks to a file that any loader reads: JSON Lines, a task per line, with its program.

Which tasks come out depends on the settings alone. A task that equals an earlier one of the file, or an ARC task, in
any disguise (turned, recoloured, reordered), is passed over and the next one drawn. Writing goes to `<file>.part`, and
a call that was cut off is taken up there by the next with the same settings; the file appears when it is complete.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from arcgym.data.contamination import canonical_hash
from arcgym.data.difficulty import DifficultyAnalyzer
from arcgym.data.synthetic.generator import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError

_CHUNK = 256  # tasks between two writes
_MOST_REPEATED = 50  # tasks passed over for each kept one, after which the settings have no more to give


@dataclass(frozen=True)
class GeneratorSettings:
    """What is drawn.

    Args:
        seed: Of the whole sequence.
        families: Names of families; empty for all.
        max_depth: Most steps of a program, 1 to 3.
        composed_share: Chance of a further step after each, where `max_depth` allows it.
        max_side: Largest height and width of an input; scenes that need more room for their rule take it.
        pairs: Lowest and highest number of demonstrations.
    """

    seed: int = 0
    families: tuple[str, ...] = ()
    max_depth: int = 2
    composed_share: float = 0.3
    max_side: int = 10
    pairs: tuple[int, int] = field(default=(2, 4))

    def __post_init__(self) -> None:
        problems = []
        if self.max_depth not in (1, 2, 3):
            problems.append(f"`max_depth` is {self.max_depth}, but has to be 1, 2 or 3")
        if not 0 <= self.composed_share <= 1:
            problems.append(f"`composed_share` is {self.composed_share}, but has to be in [0, 1]")
        if not 3 <= self.max_side <= 30:
            problems.append(f"`max_side` is {self.max_side}, but has to be in [3, 30]")
        if not 1 <= self.pairs[0] <= self.pairs[1]:
            problems.append(f"`pairs` is {self.pairs}, but has to rise from 1 or more")
        if problems:
            raise ConfigError("; ".join(problems) + ".")

    def draw(self, start: int) -> Iterator[Task]:
        """Yield tasks for ever, from number `start` of the sequence."""
        for first in count(start, _CHUNK):
            yield from generate_tasks(
                _CHUNK,
                seed=self.seed,
                start=first,
                families=self.families or None,
                max_depth=self.max_depth,
                composed_share=self.composed_share,
                max_side=self.max_side,
                pairs=self.pairs,
            )


class Written(NamedTuple):
    """What `write_tasks` did.

    Attributes:
        tasks: In the file.
        resumed: Of these, written by an earlier call.
        repeated: Drawn in this call, and passed over since the file has them.
        known: Passed over since they are among the tasks to leave out.
    """

    tasks: int
    resumed: int
    repeated: int
    known: int


def write_tasks(file: str | Path, n: int, settings: GeneratorSettings, leave_out: Sequence[Task] = ()) -> Written:
    """Generate `n` different tasks and write them to a `.jsonl` file.

    Each line has `task_id`, `family` (those of composed tasks are joined by `+`), `depth`, `program`, `difficulty` (as
    `DifficultyAnalyzer` scores it), `train` and `test`.

    Args:
        file: Where to; folders are made, and a file that is there is replaced in the end.
        n: Number of tasks, 1 or more.
        settings: What is drawn.
        leave_out: Tasks of which no copy is to be written.

    Raises:
        ConfigError: `n` is below 1, or a part of the file was written with other settings.
        TaskError: A family is unknown, or the settings do not give so many different tasks.
    """
    if n < 1:
        raise ConfigError(f"`n` is {n}, but has to be at least 1.")
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(file.with_name(file.name + ".part"), settings)
    left_out = {canonical_hash(task) for task in leave_out}
    seen = {canonical_hash(task) for task in part.tasks}
    resumed = len(part.tasks)
    kept, repeated, known = resumed, 0, 0
    analyzer = DifficultyAnalyzer()
    rows: list[str] = []
    if kept < n:
        for task in settings.draw(part.next_number):
            key = canonical_hash(task)
            if key in left_out:
                known += 1
            elif key in seen:
                repeated += 1
            else:
                seen.add(key)
                rows.append(json.dumps(_row(task, analyzer), separators=(",", ":")))
                kept += 1
            if repeated + known > _MOST_REPEATED * (kept - resumed + 20):
                raise TaskError(
                    f"These settings gave only {kept} different tasks of {n}. Allow more families, larger grids or "
                    "more steps."
                )
            if len(rows) == _CHUNK or kept == n:
                part.append(rows)
                rows = []
            if kept == n:
                break
    part.finish(file, n)
    return Written(n, min(resumed, n), repeated, known)


class _Part:
    """A file under way: settings in the first line, then tasks."""

    def __init__(self, file: Path, settings: GeneratorSettings) -> None:
        self.file = file
        self.tasks: list[Task] = []
        self.next_number = 0
        head = json.dumps(asdict(settings))
        if not file.exists():
            file.write_text(head + "\n")
            return
        lines = file.read_text(encoding="utf-8").split("\n")
        if lines[0] != head:
            raise ConfigError(
                f"{file} was begun with other settings ({lines[0]}). Repeat them to go on, or remove the file."
            )
        whole = lines[1:-1]  # what stands behind the last line feed was cut off
        if lines[-1]:
            file.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
        for line in whole:
            row = json.loads(line)
            self.tasks.append(Task.from_dict(row, task_id=row["task_id"], source="synthetic"))
        if self.tasks:
            self.next_number = int(self.tasks[-1].task_id.rsplit("-", 1)[1]) + 1

    def append(self, rows: Sequence[str]) -> None:
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{row}\n" for row in rows))
            stream.flush()
            os.fsync(stream.fileno())

    def finish(self, file: Path, n: int) -> None:
        lines = self.file.read_text(encoding="utf-8").split("\n")[1 : n + 1]
        ready = file.with_name(f".{file.name}.tmp")
        ready.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ready.rename(file)
        self.file.unlink()


def _row(task: Task, analyzer: DifficultyAnalyzer) -> dict[str, Any]:
    (analyzed,) = analyzer.analyze([task])
    return {
        "task_id": task.task_id,
        "family": task.family,
        "depth": task.family.count("+") + 1,
        "difficulty": round(analyzed.score, 4),
        "program": task.program,
        **task.to_dict(),
    }
