"""The search for programs for one task: what was tried, what comes next, and when it is enough.

A `TaskSearch` decides; it neither generates nor runs anything. It is given what was generated, in any order within a
round, and its decisions depend on that alone: a search that is fed from the disk goes the same way as the first time.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from arcgym.data.augmentation import Augmentation, Augmenter
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ProgramError
from arcgym.grids import Grid, grids_equal
from arcgym.inference.config import REPAIR, Draw, SearchConfig
from arcgym.inference.journal import Row
from arcgym.inference.repair import Arm, choose_arms
from arcgym.inference.voting import Candidate, answer_key, choose_attempts, rank_candidates
from arcgym.models.sampling import row_seed
from arcgym.programs import program_hash
from arcgym.sandbox import ExecutionResult


@dataclass(frozen=True, eq=False)
class TaskSolution:
    """What the solver has to say about one task.

    Args:
        task_id: The task's name.
        candidates: The distinct programs of each view, best first.
        attempts: Per test input at most two distinct grids, best first.
        num_samples: Completions drawn, repairs included; 0 when the task could not be tried.
        num_without_program: How many of them held no program.
        reason: Why the task could not be tried; empty when it was.
        num_tokens: Tokens of the completions.
        num_repairs: How many of the completions were repairs.
        ended: Why the search ended: `samples` (all were drawn), `agreed`, `repaired`, `tokens`, `seconds`, or `time`
            (of the whole run, so that another run may go on); empty when the task could not be tried.
    """

    task_id: str
    candidates: tuple[Candidate, ...]
    attempts: tuple[tuple[Grid, ...], ...]
    num_samples: int
    num_without_program: int
    reason: str = ""
    num_tokens: int = 0
    num_repairs: int = 0
    ended: str = ""


def with_fallback(solution: TaskSolution, task: Task) -> TaskSolution:
    """Answer test inputs for which there is no attempt with the input itself, a guess that needs no program.

    Args:
        solution: Of the task.
        task: The task.

    Returns:
        The solution; itself where every test input has an attempt.
    """
    if all(solution.attempts):
        return solution
    filled = (grids or (pair.input,) for grids, pair in zip(solution.attempts, task.test, strict=True))
    return replace(solution, attempts=tuple(filled))


class View(NamedTuple):
    """A task as it is or changed by an augmentation, with the way back.

    Args:
        augmentation: The change.
        task: The changed task, without test outputs.
        ids: Tokens of its prompt.
    """

    augmentation: Augmentation
    task: Task
    ids: Sequence[int] = ()

    @property
    def name(self) -> str:
        """Name of the augmentation."""
        return self.augmentation.name


def make_views(task: Task, config: SearchConfig, seed: int) -> list[View]:
    """Draw the views of a task, the first of which is the task as it is. Test outputs play no part.

    Args:
        task: The task.
        config: How many views, and what they change.
        seed: The same seed gives the same views.
    """
    blind = without_outputs(task)
    augmenter = Augmenter(colours=config.view_colours, pair_order=config.view_pair_order, seed=seed)
    itself, *others = augmenter.views(blind, config.views)
    return [View(itself, blind), *(View(augmentation, augmentation.apply(blind)) for augmentation in others)]


def without_outputs(task: Task) -> Task:
    """Return the task without its test outputs: knowing them must change nothing."""
    return replace(task, test=tuple(Pair(pair.input, None) for pair in task.test))


@dataclass
class Tried:
    """A distinct program for one view, and what it did there.

    Attributes:
        view: Index of the view.
        program: Its source.
        result: On the view's demonstrations, then its questions.
        num_passed: Demonstrations that it reproduces.
        count: Completions that gave it.
        log_prob: Of the most probable of them.
        repairs: Completions that were asked for to repair it.
    """

    view: int
    program: str
    result: ExecutionResult
    num_passed: int
    count: int = 0
    log_prob: float | None = None
    repairs: int = 0


@dataclass
class TaskSearch:
    """The state of the search for one task.

    Args:
        task: The task; its test outputs are not looked at.
        views: Its views.
        rounds: What is to be drawn, from `plan`.
        config: When it is enough.
        seed: Of the choice of repairs.
        name: The task's name for random draws.
        max_new_tokens: Longest completion.
        reason: Why it cannot be tried; empty when it can.
    """

    task: Task
    views: list[View]
    rounds: Sequence[Sequence[Draw]]
    config: SearchConfig
    seed: int
    name: str
    max_new_tokens: int
    reason: str = ""
    ended: str = ""
    seconds: float = 0.0
    num_samples: int = 0
    num_without_program: int = 0
    num_tokens: int = 0
    num_repairs: int = 0
    tried: dict[tuple[int, str], Tried] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pending = [list(draws) for draws in self.rounds]
        self._repair_rounds = 0

    def next_round(self) -> list[Draw]:
        """Say what to draw now; nothing once the search has ended, and `ended` says why."""
        if self.reason or self.ended:
            return []
        if self.config.stop_agreeing and self.most_agreeing() >= self.config.stop_agreeing:
            self.ended = "agreed"
        elif self.config.task_seconds and self.seconds >= self.config.task_seconds:
            self.ended = "seconds"
        elif self.config.task_tokens and self._tokens_left() < self.max_new_tokens:
            self.ended = "tokens"
        if self.ended:
            return []
        if self._pending:
            return self._affordable(self._pending.pop(0))
        if self._repair_rounds < self.config.repair_rounds and not self.is_solved():
            if draws := self._repairs():
                self._repair_rounds += 1
                return draws
        self.ended = "repaired" if self.num_repairs and self.is_solved() else "samples"
        return []

    def add(self, row: Row, result: ExecutionResult | None) -> None:
        """Take in one completion.

        Args:
            row: The completion.
            result: What came of its program on its view; needed for the first of equal programs of a view.
        """
        self.num_samples += 1
        self.num_tokens += row.num_tokens
        if row.parent:
            self.num_repairs += 1
            self.tried[row.view, row.parent].repairs += 1
        if row.program is None:
            self.num_without_program += 1
            return
        key = (row.view, row.program)
        if key not in self.tried:
            if result is None:
                raise ValueError(f"there is no result of a program for {self.task.task_id!r} that was not run before")
            train = self.views[row.view].task.train
            passed = sum(grids_equal(output, pair.output) for output, pair in zip(result.outputs, train, strict=False))
            self.tried[key] = Tried(row.view, row.program, result, passed)
        tried = self.tried[key]
        tried.count += 1
        if row.log_prob is not None:
            tried.log_prob = row.log_prob if tried.log_prob is None else max(tried.log_prob, row.log_prob)

    def inputs(self, view: int) -> list[Grid]:
        """Return what programs for a view are run on: its demonstrations, then its questions."""
        task = self.views[view].task
        return [pair.input for pair in (*task.train, *task.test)]

    def candidates(self) -> list[Candidate]:
        """Return what was tried, with answers to the task itself."""
        return [self._candidate(tried) for tried in self.tried.values()]

    def most_agreeing(self) -> int:
        """Count the distinct programs behind the answer that most programs which fit every demonstration give.

        Programs that differ in names and formatting alone are one; answers have a grid for every test input.
        """
        supporters = defaultdict(set)
        for candidate in self.candidates():
            if candidate.is_train_fit and all(output is not None for output in candidate.outputs):
                supporters[answer_key(candidate.outputs)].add(_identity(candidate.program))
        return max(map(len, supporters.values()), default=0)

    def solution(self) -> TaskSolution:
        """Rank what was tried, and vote."""
        candidates = self.candidates()
        return TaskSolution(
            task_id=self.task.task_id,
            candidates=rank_candidates(candidates),
            attempts=choose_attempts(candidates, len(self.task.test)),
            num_samples=self.num_samples,
            num_without_program=self.num_without_program,
            reason=self.reason,
            num_tokens=self.num_tokens,
            num_repairs=self.num_repairs,
            ended=self.ended,
        )

    def _candidate(self, tried: Tried) -> Candidate:
        view = self.views[tried.view]
        num_train = len(self.task.train)
        outputs = tried.result.outputs[num_train:]
        return Candidate(
            program=tried.program,
            count=tried.count,
            status=tried.result.status,
            train_passed=tried.num_passed,
            train_total=num_train,
            outputs=tuple(None if output is None else view.augmentation.invert(output) for output in outputs),
            log_prob=tried.log_prob,
            view=view.name,
        )

    def is_solved(self) -> bool:
        """Tell whether a program fits every demonstration."""
        return any(tried.num_passed == len(self.task.train) for tried in self.tried.values())

    def _tokens_left(self) -> int:
        return self.config.task_tokens - self.num_tokens

    def _affordable(self, draws: list[Draw]) -> list[Draw]:
        """Return as much of the draws as tokens allow in any case; the rest waits for what is left then.

        Beams that are too many are left out: they cannot be searched apart.
        """
        if not self.config.task_tokens:
            return draws
        room = self._tokens_left() // self.max_new_tokens
        taken, waiting = [], []
        for draw in draws:
            if draw.is_whole and draw.num > room:
                continue
            count = min(draw.num, room)
            room -= count
            if count:
                taken.append(draw._replace(num=count))
            if count < draw.num:
                waiting.append(draw._replace(first=draw.first + count, num=draw.num - count))
        if waiting:
            self._pending.insert(0, waiting)
        return taken

    def _repairs(self) -> list[Draw]:
        order = sorted(self.tried)
        arms = [
            Arm(tried.num_passed / len(self.task.train), tried.repairs) for tried in map(self.tried.__getitem__, order)
        ]
        seed = row_seed(self.seed, f"{self.name}\0repair", self._repair_rounds)
        chosen = choose_arms(arms, self.config.repair_size, self.config.repair_greed, np.random.default_rng(seed))
        first = self._repair_rounds * self.config.repair_size
        draws = [
            Draw(REPAIR, order[index][0], first + place, 1, order[index][1]) for place, index in enumerate(chosen)
        ]
        return self._affordable(draws)


def _identity(program: str) -> str:
    try:
        return program_hash(program)
    except ProgramError:  # nested so deeply that it can be run, but not hashed
        return program
