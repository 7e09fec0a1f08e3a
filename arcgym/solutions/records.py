"""One solution: a program for a task, what it did on every pair, and where it came from.

A `Solution` is plain data: immutable, free of any database, equal wherever it is stored. Programs that fail are
solutions too, as long as they compile: hindsight relabelling and repair live on them. What does not compile has no
normal form, hence no identity, and is not stored.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from arcgym.data.tasks import Task
from arcgym.grids import Grid, grids_equal
from arcgym.programs import normal_form, output_signature, program_hash
from arcgym.sandbox import ExecutionResult, Status


class PairVerdict(NamedTuple):
    """Whether a program gave the right grid for one pair.

    Attributes:
        part: `train` or `test`.
        pair: Number of the pair in its part, from 0.
        is_right: Whether the output equals the known one.
    """

    part: str
    pair: int
    is_right: bool


@dataclass(frozen=True, eq=False)
class Solution:
    """A program for a task with everything known about it.

    Build it with `Solution.from_result`, which derives what follows from the program.

    Args:
        task_id: Name of the task.
        task_hash: `Task.content_hash`, hex; with `program_hash` the identity of the solution.
        program: The source, as it was written.
        normal_form: The source without comments and formatting.
        program_hash: Hex; equal for programs that differ in names of variables and formatting only.
        status: How the program ended, by the sandbox.
        verdicts: One per pair whose output is known, train pairs first; at least one.
        outputs: One per pair, train pairs first, known or not; None where the program gave no grid.
        output_signature: Hash of the outputs, hex.
        length: Characters of the normal form.
        log_prob: Log-probability of the program under the policy that wrote it, in nats; None when unknown.
        view_share: Share of augmented views of the task on which the program is right, in [0, 1]; None: not measured.
        fresh_share: Share of fresh examples of the task's rule that it gets right, in [0, 1]; None: not measured.
        source_policy: Name of the policy, or of whoever wrote the program.
        source_revision: State of the policy: a commit, or a checkpoint.
        sampling: Parameters that it was sampled with, as a JSON object.
        parent: `key` of the solution that this one repairs, or was relabelled from; None for an original.
        generation: Round of self-play, from 0.
        created_at: Seconds since 1970, UTC.
        number: Of the row, once stored: grows with every new solution.

    Raises:
        ValueError: There is no verdict, a number is out of its range, or a text cannot be stored.
    """

    task_id: str
    task_hash: str
    program: str
    normal_form: str
    program_hash: str
    status: Status
    verdicts: tuple[PairVerdict, ...]
    outputs: tuple[Grid | None, ...]
    output_signature: str
    length: int
    log_prob: float | None = None
    view_share: float | None = None
    fresh_share: float | None = None
    source_policy: str = ""
    source_revision: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    generation: int = 0
    created_at: float = 0.0
    number: int | None = None

    def __post_init__(self) -> None:
        if not self.verdicts:
            raise ValueError(f"a solution of task {self.task_id!r} has no verdict; give one per pair with an output")
        if self.log_prob is not None and not math.isfinite(self.log_prob):
            raise ValueError(f"log_prob is {self.log_prob}; give a finite number, or None when it is not known")
        for name in ("view_share", "fresh_share"):
            share = getattr(self, name)
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} is {share}; give a share from 0 to 1, or None when it was not measured")
        for name in ("task_id", "program", "source_policy", "source_revision", "parent"):
            if not is_storable(getattr(self, name) or ""):
                raise ValueError(f"{name} holds a NUL or half of a surrogate pair, which no database takes; remove it")
        if not math.isfinite(self.created_at) or self.generation < 0:
            raise ValueError(
                f"created_at is {self.created_at} and generation {self.generation}; give a time, and 0 up"
            )

    @classmethod
    def from_result(
        cls,
        task: Task,
        program: str,
        result: ExecutionResult,
        *,
        log_prob: float | None = None,
        source_policy: str = "",
        source_revision: str = "",
        sampling: Mapping[str, Any] | None = None,
        parent: str | None = None,
        generation: int = 0,
        created_at: float | None = None,
    ) -> "Solution":
        """Judge a program by what the sandbox returned for `task_inputs(task)`.

        Args:
            task: The task.
            program: The source that was run.
            result: What came of it; `outputs[j]` is for `task_inputs(task)[j]`.
            log_prob: See the class, as all that follow.
            source_policy: As above.
            source_revision: As above.
            sampling: As above.
            parent: As above.
            generation: As above.
            created_at: As above; now by default.

        Raises:
            ProgramError: The program does not compile.
            ValueError: The result is of another number of inputs, or says nothing about the program.
        """
        if result.status is Status.INFRASTRUCTURE:
            raise ValueError(f"the program was not run ({result.message}); run it again before it is judged")
        normal = normal_form(program)
        return cls(
            task_id=task.task_id,
            task_hash=task.content_hash,
            program=program,
            normal_form=normal,
            program_hash=program_hash(program),
            status=result.status,
            verdicts=judge_pairs(task, result.outputs),
            outputs=result.outputs,
            output_signature=output_signature(result.outputs),
            length=len(normal),
            log_prob=log_prob,
            source_policy=source_policy,
            source_revision=source_revision,
            sampling=dict(sampling or {}),
            parent=parent,
            generation=generation,
            created_at=time.time() if created_at is None else created_at,
        )

    @property
    def key(self) -> str:
        """The identity of the solution, the same in every database: `task_hash/program_hash`."""
        return f"{self.task_hash}/{self.program_hash}"

    @property
    def pass_share(self) -> float:
        """Share of the judged pairs that the program gets right, in [0, 1]."""
        return sum(verdict.is_right for verdict in self.verdicts) / len(self.verdicts)

    @property
    def is_solved(self) -> bool:
        """Whether the program is right on every pair whose output is known."""
        return all(verdict.is_right for verdict in self.verdicts)


def task_inputs(task: Task) -> list[Grid]:
    """The inputs that a solution is run on: of the train pairs, then of the test pairs."""
    return [pair.input for pair in (*task.train, *task.test)]


def judge_pairs(task: Task, outputs: Sequence[Grid | None]) -> tuple[PairVerdict, ...]:
    """Compare outputs with those of the task.

    Args:
        task: The task.
        outputs: One per pair, train pairs first.

    Returns:
        One verdict per pair whose output is known.

    Raises:
        ValueError: The numbers differ.
    """
    places = [("train", i, pair) for i, pair in enumerate(task.train)]
    places += [("test", i, pair) for i, pair in enumerate(task.test)]
    if len(outputs) != len(places):
        raise ValueError(f"{len(outputs)} outputs for the {len(places)} pairs of task {task.task_id!r}; run on all")
    return tuple(
        PairVerdict(part, index, grids_equal(output, pair.output))
        for (part, index, pair), output in zip(places, outputs, strict=True)
        if pair.output is not None
    )


def is_storable(text: str) -> bool:
    """Whether every database can hold a text: it has no NUL, which PostgreSQL refuses, and can be encoded."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
