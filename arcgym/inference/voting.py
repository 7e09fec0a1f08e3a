"""Which programs to believe: ranking candidates and choosing two attempts per test input.

Programs vote with what they say about all test inputs of the task together, since grids from two different rules do
not make one answer. Answers of programs that fit more train pairs come first; among equals the frequent one wins.
Expected outputs of test inputs are not known here.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from arcgym.grids import Grid, grids_equal
from arcgym.sandbox import Status

NUM_ATTEMPTS = 2  # per test input: the rule of the ARC competitions


@dataclass(frozen=True, eq=False)
class Candidate:
    """A distinct program that was sampled for a task, and what it did.

    Args:
        program: Its source.
        count: How many samples gave this program; 1 or more.
        status: How it ended on the train and test inputs together.
        train_passed: Number of train pairs it reproduces.
        train_total: Number of train pairs of the task.
        outputs: Its answer to each test input of the task; `None` where it gave none.
        log_prob: Of the most probable completion that it was in, in nats; `None` when unknown.
        view: Name of the view of the task that it is a program for, from which `parse_augmentation` makes the way
            there and back; `outputs` have come back.
    """

    program: str
    count: int
    status: Status
    train_passed: int
    train_total: int
    outputs: tuple[Grid | None, ...]
    log_prob: float | None = None
    view: str = "identity"

    @property
    def is_train_fit(self) -> bool:
        """Whether it reproduces every train pair."""
        return self.train_passed == self.train_total


@dataclass(frozen=True)
class _Answer:
    """One joint answer to all test inputs, and what speaks for it."""

    outputs: tuple[Grid | None, ...]
    key: tuple[Any, ...]


def rank_candidates(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Sort candidates, best first, in a total order.

    By train pairs passed, count, brevity, log-probability, text and view.
    """
    return tuple(sorted(candidates, key=_candidate_key))


def choose_attempts(candidates: Iterable[Candidate], num_test: int) -> tuple[tuple[Grid, ...], ...]:
    """Vote over joint answers and give the two best distinct grids for each test input.

    An answer is ranked by the most train pairs that any of its programs passes, then by its votes
    Σ count · train_passed / train_total, then by Σ count, then by the length, log-probability and text of its best
    program. Attempt 1 is the best answer; attempt 2 is, input by input, the best answer that differs there.

    Args:
        candidates: In any order; those without any output do not vote.
        num_test: Number of test inputs; the length of each candidate's `outputs`.

    Returns:
        Per test input at most two distinct grids, best first; fewer where the candidates offer fewer.
    """
    answers = [answer.outputs for answer in _ranked_answers(candidates)]
    return tuple(_distinct(outputs[index] for outputs in answers) for index in range(num_test))


def answer_key(outputs: Sequence[Grid | None]) -> Hashable:
    """Return something that is equal for equal answers to all test inputs."""
    return tuple(None if output is None else (output.shape, output.tobytes()) for output in outputs)


def _candidate_key(candidate: Candidate) -> tuple[Any, ...]:
    return -candidate.train_passed, -candidate.count, *_preference(candidate)


def _preference(candidate: Candidate) -> tuple[Any, ...]:
    """Among equals: the shorter one, then the more probable one."""
    # Rounded, since the last digits of a log-probability depend on what was computed together
    surprise = math.inf if candidate.log_prob is None else round(-candidate.log_prob, 3)
    return len(candidate.program), surprise, candidate.program, candidate.view


def _ranked_answers(candidates: Iterable[Candidate]) -> list[_Answer]:
    supporters = defaultdict(list)
    for candidate in rank_candidates(candidates):
        if any(output is not None for output in candidate.outputs):
            supporters[answer_key(candidate.outputs)].append(candidate)
    answers = []
    for group in supporters.values():
        best = group[0]
        votes = sum(member.count * member.train_passed / member.train_total for member in group)
        count = sum(member.count for member in group)
        answers.append(_Answer(best.outputs, (-best.train_passed, -votes, -count, *_preference(best))))
    return sorted(answers, key=lambda answer: answer.key)


def _distinct(grids: Iterable[Grid | None]) -> tuple[Grid, ...]:
    """Return the first `NUM_ATTEMPTS` distinct grids."""
    chosen: list[Grid] = []
    for grid in grids:
        if len(chosen) == NUM_ATTEMPTS:
            break
        if grid is not None and not any(grids_equal(grid, other) for other in chosen):
            chosen.append(grid)
    return tuple(chosen)
