"""Curriculum: which tasks a run trains on next, from their difficulty and from how often they have been solved.

Tasks are divided into bands of equal size by difficulty. Training starts in the easiest; when the moving success rate
in the highest open band passes a threshold, the next one opens. Tasks of earlier bands stay in the mix, against
forgetting. `frontier` goes by success alone: tasks come first whose pass rate is near `curriculum_target`; near one
half a group of programs teaches most.

The scheduler is plain data and decides from what it is told, so every process that is told the same decides the same,
and a checkpoint can hold it. `CurriculumSampler` puts its choices into the order that TRL's trainers expect, and works
for any Trainer, with no repetition, too.

Reference:
    Bengio et al., "Curriculum Learning", 2009; Florensa et al., "Automatic Goal Generation", 2018 (goals of
    intermediate difficulty).
"""

import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import Sampler

from arcgym.errors import ConfigError

_MEMORY = 0.5  # weight of what a task's programs did before the last rollout it was in: the policy has changed since


@dataclass
class CurriculumConfig:
    """In which order tasks are trained on."""

    curriculum: Literal["none", "bands", "frontier"] = field(
        default="none",
        metadata={
            "help": "`none`: all tasks, shuffled. `bands`: from easy to hard, by success. `frontier`: tasks whose "
            "pass rate is near `curriculum_target` first."
        },
    )
    curriculum_target: float = field(
        default=0.5,
        metadata={
            "help": "Pass rate that `frontier` looks for, in (0, 1). Below one half it leaves tasks alone that are "
            "solved often enough, and works on those that are solved rarely."
        },
    )
    curriculum_bands: int = field(default=4, metadata={"help": "Number of bands of equal size, 2 or more."})
    curriculum_threshold: float = field(
        default=0.3,
        metadata={"help": "Moving success rate in the highest open band at which the next one opens, in (0, 1]."},
    )
    curriculum_window: int = field(
        default=256,
        metadata={
            "help": "Programs of the highest open band that the moving success rate is taken over; all of them "
            "have to be there before a band opens."
        },
    )
    curriculum_review: float = field(
        default=0.3, metadata={"help": "Share of each rollout's tasks that come from earlier bands, in [0, 1)."}
    )
    curriculum_level: int | None = field(
        default=None,
        metadata={
            "help": "Highest open band, from 0, by hand: it stays there. A file `curriculum_level` with a number in "
            "the run directory does the same during the run; remove it to let the curriculum go on."
        },
    )

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.curriculum_target < 1:
            problems.append(f"`curriculum_target` is {self.curriculum_target}, but has to be in (0, 1)")
        if self.curriculum_bands < 2:
            problems.append(f"`curriculum_bands` is {self.curriculum_bands}, but has to be at least 2")
        if not 0 < self.curriculum_threshold <= 1:
            problems.append(f"`curriculum_threshold` is {self.curriculum_threshold}, but has to be in (0, 1]")
        if self.curriculum_window < 1:
            problems.append(f"`curriculum_window` is {self.curriculum_window}, but has to be at least 1")
        if not 0 <= self.curriculum_review < 1:
            problems.append(f"`curriculum_review` is {self.curriculum_review}, but has to be in [0, 1)")
        if self.curriculum_level is not None:
            if self.curriculum != "bands":
                problems.append("`curriculum_level` is set, but only `curriculum: bands` has levels")
            if not 0 <= self.curriculum_level < self.curriculum_bands:
                problems.append(
                    f"`curriculum_level` is {self.curriculum_level}, but there are the bands 0 to "
                    f"{self.curriculum_bands - 1}"
                )
        if problems:
            raise ConfigError("; ".join(problems) + ".")


class CurriculumScheduler:
    """Chooses the tasks of each rollout.

    Args:
        difficulties: Of each task, any scale; the bands are equal in size, so only their order counts.
        config: How to go on; `curriculum` is `bands` or `frontier`.
        seed: The same seed and the same results give the same choices.

    `level` is the highest open band, from 0. It never falls but by hand.
    """

    def __init__(self, difficulties: Sequence[float], config: CurriculumConfig, seed: int = 0) -> None:
        if len(difficulties) < config.curriculum_bands:
            raise ConfigError(
                f"There are {len(difficulties)} tasks to train on, fewer than `curriculum_bands`, which is "
                f"{config.curriculum_bands}. Lower it, or name more tasks in `train_tasks`."
            )
        self.config = config
        self.seed = seed
        self.bands = divide(difficulties, config.curriculum_bands)
        self._band_of = {task: band for band, tasks in enumerate(self.bands) for task in tasks}
        self.level = 0
        self._by_hand: int | None = config.curriculum_level
        self._window: deque[bool] = deque(maxlen=config.curriculum_window)
        # Of programs of earlier rollouts a part is counted
        self._tries = [0.0] * len(difficulties)
        self._solved = [0.0] * len(difficulties)
        self._seen = [0] * len(difficulties)  # how often each task was chosen
        # Choices of the epoch under way: a resumed run repeats them, since what led to them is gone
        self._epoch = 0
        self._chosen: list[list[int]] = []
        self.override(self._by_hand)

    # --- Choosing ---

    def choose(self, count: int) -> list[int]:
        """Choose `count` different tasks for the next rollout; the least often chosen come first.

        Returns:
            Their indices; fewer only if there are fewer tasks.
        """
        draw = random.Random(f"{self.seed}/{self._epoch}/{len(self._chosen)}")
        chosen = self._frontier(count, draw) if self.config.curriculum == "frontier" else self._in_bands(count, draw)
        draw.shuffle(chosen)
        for task in chosen:
            self._seen[task] += 1
        self._chosen.append(chosen)
        return chosen

    def _in_bands(self, count: int, draw: random.Random) -> list[int]:
        earlier = [task for band in self.bands[: self.level] for task in band]
        review = min(round(self.config.curriculum_review * count), len(earlier))
        chosen = self._least_seen(self.bands[self.level], count - review, draw)
        # Where the band is smaller than a rollout, earlier tasks fill it, then later ones
        chosen += self._least_seen(earlier, count - len(chosen), draw)
        for band in self.bands[self.level + 1 :]:
            chosen += self._least_seen(band, count - len(chosen), draw)
        return chosen

    def _least_seen(self, tasks: Sequence[int], count: int, draw: random.Random) -> list[int]:
        return sorted(tasks, key=lambda task: (self._seen[task], draw.random()))[:count]

    def _frontier(self, count: int, draw: random.Random) -> list[int]:
        """Thompson sampling: a pass rate is drawn from each task's posterior, Beta(1 + solved, 1 + failed).

        Distances are those of log-odds, or 0 and 0.1 would be as near to 0.05.
        """
        rates = [
            draw.betavariate(1 + solved, 1 + tries - solved)
            for solved, tries in zip(self._solved, self._tries, strict=True)
        ]
        target = _log_odds(self.config.curriculum_target)
        return sorted(range(len(rates)), key=lambda task: abs(_log_odds(rates[task]) - target))[:count]

    def batches(self, count: int, epoch: int) -> Iterator[list[int]]:
        """Yield the tasks of each rollout of an epoch: as many rollouts as all tasks make.

        The choices that a restored scheduler has made in this epoch come first, unchanged.

        Args:
            count: Tasks of a rollout.
            epoch: From 0.
        """
        if epoch != self._epoch:
            self._epoch, self._chosen = epoch, []
        repeated = list(self._chosen)
        for number in range(len(self._band_of) // count):
            yield repeated[number] if number < len(repeated) else self.choose(count)

    # --- Learning from results ---

    def record(self, results: Iterable[tuple[int, bool]]) -> None:
        """Take in how the programs of a rollout went, and open the next band when it is time.

        Args:
            results: Of each program the index of its task and whether it solved it.
        """
        results = list(results)
        for task in {task for task, _ in results}:
            self._tries[task] *= _MEMORY
            self._solved[task] *= _MEMORY
        for task, is_solved in results:
            self._tries[task] += 1
            self._solved[task] += is_solved
            if self._band_of[task] == self.level:
                self._window.append(is_solved)
        is_last = self.level + 1 == len(self.bands)
        if self._by_hand is not None or is_last or self.config.curriculum != "bands":
            return
        if len(self._window) == self._window.maxlen and self.success_rate >= self.config.curriculum_threshold:
            self._open(self.level + 1)

    @property
    def success_rate(self) -> float:
        """Moving success rate in the highest open band, in [0, 1]; 0 before there are results."""
        return sum(self._window) / len(self._window) if self._window else 0.0

    def override(self, level: int | None) -> None:
        """Set the level by hand, where it stays; None lets the curriculum go on from there.

        Raises:
            ConfigError: There is no such level.
        """
        if level is not None and not 0 <= level < len(self.bands):
            raise ConfigError(f"The curriculum has the levels 0 to {len(self.bands) - 1}, not {level}.")
        self._by_hand = level
        if level is not None and level != self.level:
            self._open(level)

    def _open(self, level: int) -> None:
        self.level = level
        self._window.clear()  # hysteresis: the new band has to earn the next one from the start

    def metrics(self) -> dict[str, float]:
        """Return what is logged of each rollout."""
        last = self._chosen[-1] if self._chosen else []
        posterior = [(1 + self._solved[task]) / (2 + self._tries[task]) for task in last]
        return {
            "curriculum/level": float(self.level),
            "curriculum/success_rate": self.success_rate,
            "curriculum/tasks_seen_frac": sum(seen > 0 for seen in self._seen) / len(self._seen),
            "curriculum/expected_pass_rate": sum(posterior) / len(posterior) if posterior else 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs, as plain data."""
        return {
            "level": self.level,
            "by_hand": self._by_hand,
            "window": list(self._window),
            "tries": list(self._tries),
            "solved": list(self._solved),
            "seen": list(self._seen),
            "epoch": self._epoch,
            "chosen": [list(tasks) for tasks in self._chosen],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state; a level set by hand in this run stays in force."""
        if len(state["tries"]) != len(self._tries):
            raise ValueError(f"the curriculum was of {len(state['tries'])} tasks, and is of {len(self._tries)} now")
        self.level = state["level"]
        self._window.clear()
        self._window.extend(state["window"])
        self._tries, self._solved, self._seen = list(state["tries"]), list(state["solved"]), list(state["seen"])
        self._epoch, self._chosen = state["epoch"], [list(tasks) for tasks in state["chosen"]]
        self.override(self._by_hand)


class CurriculumSampler(Sampler[int]):
    """The scheduler's choices in the structure that TRL expects: as `trl.trainer.utils.RepeatSampler`.

    Args:
        scheduler: Chooses.
        batch_size: Different tasks of a rollout.
        mini_repeat_count: Completions of each.
        repeat_count: How often a rollout's indices come again, for its updates.
        epoch: Tells the number of the epoch that begins.
    """

    def __init__(
        self,
        scheduler: CurriculumScheduler,
        batch_size: int,
        mini_repeat_count: int = 1,
        repeat_count: int = 1,
        epoch: Callable[[], int] = int,
    ) -> None:
        self.scheduler = scheduler
        self.batch_size = batch_size
        self.mini_repeat_count = mini_repeat_count
        self.repeat_count = repeat_count
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch; each rollout is chosen when its first index is asked for."""
        for tasks in self.scheduler.batches(self.batch_size, self.epoch()):
            for _ in range(self.repeat_count):
                for task in tasks:
                    yield from [task] * self.mini_repeat_count

    def __len__(self) -> int:
        """Indices of one epoch."""
        tasks = sum(map(len, self.scheduler.bands))
        return tasks // self.batch_size * self.batch_size * self.mini_repeat_count * self.repeat_count


def _log_odds(rate: float) -> float:
    rate = min(max(rate, 1e-9), 1 - 1e-9)  # a draw can round to 0 or 1
    return math.log(rate / (1 - rate))


def divide(difficulties: Sequence[float], bands: int) -> list[list[int]]:
    """Divide tasks into bands of equal size (up to one), the easiest first; ties in the order of the tasks.

    Args:
        difficulties: One of each task; at least as many as bands.
        bands: 1 or more.

    Returns:
        Of each band the indices of its tasks.
    """
    order = sorted(range(len(difficulties)), key=lambda task: difficulties[task])
    edges = [round(len(order) * band / bands) for band in range(bands + 1)]
    return [order[start:end] for start, end in itertools.pairwise(edges)]


def read_override(file: str | Path, levels: int) -> int | None:
    """Read a level that somebody has written to a file of the run directory; None if there is no such file.

    Args:
        file: May be missing.
        levels: How many levels there are.

    Raises:
        ConfigError: It holds something else than a level.
    """
    try:
        text = Path(file).read_text().strip()
    except FileNotFoundError:
        return None
    if not text.isdecimal() or int(text) >= levels:
        raise ConfigError(
            f"{file} holds {text!r}, but should hold a level, 0 to {levels - 1}. Correct it, or remove the file."
        )
    return int(text)
