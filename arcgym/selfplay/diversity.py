"""Which of the programs that were sampled are trained on, and whether what is sampled still differs.

A policy that is trained on its own programs soon writes the same ones again and again. Four choices, all of them
under a cap per task and without doubles up to renaming and formatting: the solved ones (`correct_only`), any
(`uniform`), the best (`greedy`), and good ones that differ from each other in tokens or outputs (`choose_diverse`).
All but the first may choose programs that do not solve their task; those are for `relabelling`, which makes tasks that
they do solve.

Every choice depends on the pool as a set, not on its order, and returns the tasks by hash, each with its programs in
the order in which they were chosen.
"""

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from arcgym.errors import CheckpointError, ConfigError
from arcgym.programs import token_distances
from arcgym.solutions import Solution, rank

Choice = Literal["correct-only", "uniform", "greedy", "greedy-diverse"]

# Gives programs of a task, best first, in the order in which to take them; asks of each, when its turn comes, whether
# it may still be taken
_Order: TypeAlias = Callable[[list[Solution], Callable[[Solution], bool]], Iterator[Solution]]


def choose(
    pool: Iterable[Solution], per_task: int, how: Choice = "greedy-diverse", *, per_program: int = 1, seed: int = 0
) -> list[Solution]:
    """Choose programs to train on, in the way that a configuration names.

    Args:
        pool: What was sampled, of any tasks, doubles among them.
        per_task: At most so many programs of a task.
        how: `correct-only`, `uniform`, `greedy` or `greedy-diverse`.
        per_program: In how many tasks the same program may be chosen.
        seed: Of the draw, where that is `uniform`.

    Raises:
        ConfigError: There is no such choice.
        ValueError: A cap is below 1.
    """
    if how == "uniform":
        return uniform(pool, per_task, per_program=per_program, seed=seed)
    choices = {"correct-only": correct_only, "greedy": greedy, "greedy-diverse": choose_diverse}
    if how not in choices:
        raise ConfigError(f"{how!r} is no choice of programs. Use one of {', '.join(get_args(Choice))}.")
    return choices[how](pool, per_task, per_program=per_program)


def correct_only(pool: Iterable[Solution], per_task: int, *, per_program: int = 1) -> list[Solution]:
    """Choose the best ones among those that solve their task.

    Args:
        pool: As for `choose`.
        per_task: As there.
        per_program: As there.

    Raises:
        ValueError: A cap is below 1.
    """
    return _choose((solution for solution in pool if solution.is_solved), per_task, per_program, _in_order)


def greedy(pool: Iterable[Solution], per_task: int, *, per_program: int = 1) -> list[Solution]:
    """Choose the best ones by `solutions.quality_key`, whether they solve their task or not.

    Args:
        pool: As for `choose`.
        per_task: As there.
        per_program: As there.

    Raises:
        ValueError: A cap is below 1.
    """
    return _choose(pool, per_task, per_program, _in_order)


def uniform(pool: Iterable[Solution], per_task: int, *, per_program: int = 1, seed: int = 0) -> list[Solution]:
    """Draw programs, each of a task's with the same probability.

    Args:
        pool: As for `choose`.
        per_task: As there.
        per_program: As there.
        seed: Equal seeds draw the same programs out of the same pool.

    Raises:
        ValueError: A cap is below 1.
    """

    def lot(solution: Solution) -> bytes:
        return hashlib.sha256(f"{seed}/{solution.key}".encode()).digest()

    return _choose(pool, per_task, per_program, lambda programs, free: _in_order(sorted(programs, key=lot), free))


def choose_diverse(
    pool: Iterable[Solution],
    per_task: int,
    *,
    per_program: int = 1,
    diversity: float = 0.5,
    min_distance: float = 0.05,
) -> list[Solution]:
    """Choose good programs that differ, one after the other (maximal marginal relevance).

    The distance of two programs is the mean of their `token_distance` and of whether their outputs differ (0 or 1).
    The best program of a task comes first; then each time the one with the largest

        (1 − diversity) · pass_share + diversity · distance to the nearest that is chosen already.

    Args:
        pool: As for `choose`.
        per_task: As there.
        per_program: As there.
        diversity: Weight of the distance, in [0, 1]; 0 is `greedy` less near doubles.
        min_distance: Programs that are nearer than this to one that is chosen are left out, in [0, 1].

    Raises:
        ValueError: A cap is below 1, or a weight or distance out of its range.

    Reference:
        Carbonell and Goldstein, The use of MMR, diversity-based reranking (1998); Pourcel et al., Self-improving
        language models for evolutionary program synthesis (SOAR, 2025).
    """
    for name, value in (("diversity", diversity), ("min_distance", min_distance)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; give a number from 0 to 1")
    return _choose(
        pool, per_task, per_program, lambda programs, free: _diverse_order(programs, free, diversity, min_distance)
    )


@dataclass(frozen=True)
class RoundDiversity:
    """How much the programs differ that were sampled in one round.

    Attributes:
        programs: Programs sampled.
        distinct_programs: Distinct ones up to renaming and formatting, counted for each task and summed.
        distinct_signatures: Distinct outputs, in the same way.
        entropy: Of the distribution of distinct programs, in nats, the mean over the tasks.
        relative_entropy: The entropies' sum over the sum of the largest that so many programs of each task can have:
            1 if all differ, 0 if all of each task are the same; None if no task has two.
    """

    programs: int
    distinct_programs: int
    distinct_signatures: int
    entropy: float
    relative_entropy: float | None


def measure_diversity(sampled: Iterable[Solution]) -> RoundDiversity:
    """Measure how much programs differ.

    Args:
        sampled: All that were sampled, the same ones as often as they were.
    """
    hashes: dict[str, Counter[str]] = defaultdict(Counter)
    signatures: dict[str, set[str]] = defaultdict(set)
    for solution in sampled:
        hashes[solution.task_hash][solution.program_hash] += 1
        signatures[solution.task_hash].add(solution.output_signature)
    entropies = [_entropy(list(counts.values())) for counts in hashes.values()]
    most = math.fsum(math.log(counts.total()) for counts in hashes.values())
    return RoundDiversity(
        programs=sum(counts.total() for counts in hashes.values()),
        distinct_programs=sum(map(len, hashes.values())),
        distinct_signatures=sum(map(len, signatures.values())),
        entropy=math.fsum(entropies) / len(entropies) if entropies else 0.0,
        relative_entropy=min(1.0, math.fsum(entropies) / most) if most > 0 else None,
    )


class DiversityTracker:
    """Follows the diversity of what is sampled over rounds, and says when to stop.

    Args:
        floor: `relative_entropy` below which a round is too uniform, in [0, 1]; 0 for no floor.
        patience: After how many such rounds in succession it is time to stop.

    Attributes:
        rounds: What was measured, by round.

    Raises:
        ValueError: The floor or the patience is out of its range.
    """

    def __init__(self, floor: float = 0.2, patience: int = 2) -> None:
        if not 0 <= floor <= 1:
            raise ValueError(f"floor is {floor}; give a share from 0 to 1")
        if patience < 1:
            raise ValueError(f"patience is {patience}; give at least 1 round")
        self.floor = floor
        self.patience = patience
        self.rounds: list[RoundDiversity] = []

    def add_round(self, sampled: Iterable[Solution]) -> RoundDiversity:
        """Measure a round and remember the result.

        Args:
            sampled: All that were sampled in it, before doubles are left out.
        """
        self.rounds.append(measure_diversity(sampled))
        return self.rounds[-1]

    @property
    def is_below_floor(self) -> bool:
        """Whether the last `patience` rounds all were too uniform; one that could not be measured was not."""
        last = [measured.relative_entropy for measured in self.rounds[-self.patience :]]
        return len(last) == self.patience and all(share is not None and share < self.floor for share in last)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed tracker needs to go on, in plain JSON values."""
        return {"rounds": [asdict(measured) for measured in self.rounds]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another tracker stopped; floor and patience stay those given here.

        Args:
            state: From `state_dict`.

        Raises:
            CheckpointError: It is from elsewhere.
        """
        try:
            self.rounds = [RoundDiversity(**measured) for measured in state["rounds"]]
        except (KeyError, TypeError) as exc:
            raise CheckpointError(f"this is no state of a DiversityTracker: {exc}. Resume from another one.") from exc


def _choose(pool: Iterable[Solution], per_task: int, per_program: int, order: _Order) -> list[Solution]:
    """Take programs of each task in an order, under the caps.

    The tasks take turns, those with the fewest programs first: a program that several want goes to the one that has
    the least to choose from.
    """
    for name, cap in (("per_task", per_task), ("per_program", per_program)):
        if cap < 1:
            raise ValueError(f"{name} is {cap}; give at least 1")
    by_task: dict[str, dict[str, Solution]] = defaultdict(dict)
    for solution in rank(pool):  # so the best of several with the same hash stays
        by_task[solution.task_hash].setdefault(solution.program_hash, solution)
    used: Counter[str] = Counter()
    chosen: dict[str, list[Solution]] = {}

    def is_free(solution: Solution) -> bool:
        return used[solution.program_hash] < per_program

    waiting = sorted(by_task, key=lambda task: (len(by_task[task]), task))
    orders = {task: order(list(by_task[task].values()), is_free) for task in waiting}
    while waiting:
        still = []
        for task in waiting:
            taken = next(orders[task], None)
            if taken is not None:
                used[taken.program_hash] += 1
                chosen.setdefault(task, []).append(taken)
                if len(chosen[task]) < per_task:
                    still.append(task)
        waiting = still
    return [solution for task in sorted(chosen) for solution in chosen[task]]


def _in_order(programs: list[Solution], is_free: Callable[[Solution], bool]) -> Iterator[Solution]:
    return (solution for solution in programs if is_free(solution))


def _diverse_order(
    programs: list[Solution], is_free: Callable[[Solution], bool], diversity: float, min_distance: float
) -> Iterator[Solution]:
    """The programs of a task, best first, in the order of marginal relevance to those before."""
    left = list(programs)
    nearest = np.ones(len(left))
    while True:
        free = np.array([is_free(solution) for solution in left], bool)
        left, nearest = list(itertools.compress(left, free)), nearest[free]
        if not left:
            return
        shares = np.array([solution.pass_share for solution in left])
        gains = (1 - diversity) * shares + diversity * nearest
        place = int(np.argmax(gains > gains.max() - 1e-12))  # the first, so the best, of those equal but for rounding
        taken = left.pop(place)
        yield taken
        tokens = token_distances([solution.program for solution in left], [taken.program])[:, 0]
        outputs = np.array([solution.output_signature != taken.output_signature for solution in left], bool)
        nearest = np.minimum(np.delete(nearest, place), (tokens + outputs) / 2)
        far = nearest >= min_distance
        left, nearest = list(itertools.compress(left, far)), nearest[far]


def _entropy(counts: Sequence[int]) -> float:
    """Shannon entropy of a distribution given by counts, in nats."""
    total = sum(counts)
    return -math.fsum(count / total * math.log(count / total) for count in counts)
