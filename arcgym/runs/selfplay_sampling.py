"""The first half of a self-play round: sample programs for training tasks, run them, and store what ran.

Tasks are worked on in chunks. What a chunk gave is in the database before its file is written, and storing is
idempotent, so a round that is killed goes on behind its last file and ends with the same database. The draws of a
task's programs are numbered through all rounds: without learning, three rounds of 64 give the same programs as one of
192.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from arcgym.data.tasks import Task
from arcgym.errors import SandboxError
from arcgym.models import CodeLLM
from arcgym.models.sampling import Completion, Request, SamplingConfig, sample_completions
from arcgym.programs import check_syntax, extract_program
from arcgym.rewards.execution import run_programs
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status
from arcgym.selfplay import RoundDiversity, measure_diversity
from arcgym.solutions import Solution, SolutionDatabase, task_inputs

logger = logging.getLogger(__name__)


class Prompted(NamedTuple):
    """A training task with what the policy is asked.

    Attributes:
        task: As programs are judged by it: what its pairs do not tell is not known.
        prompt: Text or messages.
        ids: The prompt's tokens.
    """

    task: Task
    prompt: Any
    ids: Sequence[int]


@dataclass(frozen=True)
class Tally:
    """What came of sampling for one task, all numbers of programs.

    Attributes:
        task_id: Name of the task.
        task_hash: Its content hash.
        sampled: Completions.
        valid: Programs that gave a grid for every input.
        fits: Programs that are right on every demonstration.
        right: Programs that are right on every pair whose output is known, hidden ones included.
        distinct_right: Those of them that differ in more than names and formatting.
        tokens: Tokens of all completions.
        diversity: Of the programs that compile.
    """

    task_id: str
    task_hash: str
    sampled: int
    valid: int
    fits: int
    right: int
    distinct_right: int
    tokens: int
    diversity: RoundDiversity

    @classmethod
    def read(cls, plain: dict[str, Any]) -> "Tally":
        """Read what `dataclasses.asdict` gave."""
        return cls(**{**plain, "diversity": RoundDiversity(**plain["diversity"])})


@dataclass(frozen=True)
class Origin:
    """What is stored beside each program of a round.

    Args:
        policy: Name of the policy.
        revision: Which state of it.
        generation: Number of the round.
    """

    policy: str
    revision: str
    generation: int


class RoundSampler:
    """Samples one round.

    Args:
        policy: Writes the programs.
        sandbox: Runs them.
        database: Stores those that give a grid for every input.
        sampling: How to sample; its `num_samples` is per task and round.
        origin: Kept with each program.
        first: Number of the first draw of each task.
    """

    def __init__(
        self,
        policy: CodeLLM,
        sandbox: CodeSandbox,
        database: SolutionDatabase,
        sampling: SamplingConfig,
        origin: Origin,
        first: int,
    ) -> None:
        self.policy, self.sandbox, self.database = policy, sandbox, database
        self.sampling, self.origin, self.first = sampling, origin, first

    def sample(self, tasks: Sequence[Prompted], folder: Path, chunk_size: int) -> tuple[list[Tally], float]:
        """Sample for all tasks; chunks that the folder has a file of are taken from there.

        Args:
            tasks: Of the round, always in the same order.
            folder: Where the chunks' files are.
            chunk_size: Tasks per chunk.

        Returns:
            A tally per task, in order, and the seconds that it took, before and after an interruption.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tallies: list[Tally] = []
        seconds = 0.0
        for start in range(0, len(tasks), chunk_size):
            file = folder / f"tasks-{start:05d}.json"
            if not file.is_file():
                begun = time.perf_counter()
                found = self._sample_chunk(tasks[start : start + chunk_size])
                plain = {"seconds": time.perf_counter() - begun, "tallies": [asdict(tally) for tally in found]}
                temporary = file.with_suffix(".tmp")
                temporary.write_text(json.dumps(plain))
                temporary.rename(file)
            kept = json.loads(file.read_text())
            tallies += [Tally.read(tally) for tally in kept["tallies"]]
            seconds += kept["seconds"]
        return tallies, seconds

    def _sample_chunk(self, tasks: Sequence[Prompted]) -> list[Tally]:
        """Sample, run, store."""
        requests = [
            Request(entry.ids, entry.task.content_hash, self.first, self.sampling.num_samples) for entry in tasks
        ]
        drawn = sample_completions(self.policy.model, self.policy.tokenizer, requests, self.sampling)
        written = [_distinct(completions) for completions in drawn]
        jobs = [(entry.task, source) for entry, programs in zip(tasks, written, strict=True) for source in programs]
        ran = iter(self._run(jobs))
        tallies: list[Tally] = []
        stored: list[Solution] = []
        for entry, completions, programs in zip(tasks, drawn, written, strict=True):
            solutions = {
                source: self._judge(entry.task, source, next(ran), written_as.log_prob)
                for source, written_as in programs.items()
            }
            tallies.append(_tally(entry.task, completions, programs, solutions))
            stored += [found for found in solutions.values() if found is not None and found.status is Status.OK]
        self.database.add(stored)
        return tallies

    def _run(self, jobs: Sequence[tuple[Task, str]]) -> list[ExecutionResult]:
        """Run programs on all inputs of their tasks; those that the machine failed to run, a second time."""
        inputs = [task_inputs(task) for task, _ in jobs]
        results = run_programs(self.sandbox, [source for _, source in jobs], inputs)
        again = [index for index, result in enumerate(results) if result.status is Status.INFRASTRUCTURE]
        if again:
            logger.warning(
                "%d programs could not be run and are tried again: %s", len(again), results[again[0]].message
            )
            retried = run_programs(self.sandbox, [jobs[index][1] for index in again], [inputs[i] for i in again])
            for index, result in zip(again, retried, strict=True):
                results[index] = result
                if result.status is Status.INFRASTRUCTURE:
                    raise SandboxError(
                        f"a program could not be run, twice: {result.message}. The same command goes on from here."
                    )
        return results

    def _judge(self, task: Task, source: str, result: ExecutionResult, log_prob: float | None) -> Solution | None:
        """Make a record of a program; None where it does not compile."""
        if result.status is Status.SYNTAX_ERROR or not check_syntax(source).ok:
            return None
        return Solution.from_result(
            task,
            source,
            result,
            log_prob=log_prob,
            source_policy=self.origin.policy,
            source_revision=self.origin.revision,
            sampling={"temperature": self.sampling.temperature, "top_p": self.sampling.top_p},
            generation=self.origin.generation,
        )


class _Written(NamedTuple):
    """How often a program was written, and the best of its log-probabilities."""

    times: int
    log_prob: float | None


def _distinct(completions: Iterable[Completion]) -> dict[str, _Written]:
    """The programs in completions, each once, in the order in which they came."""
    found: dict[str, _Written] = {}
    for completion in completions:
        source = extract_program(completion.text)
        if source is None:
            continue
        before = found.get(source, _Written(0, None))
        known = [value for value in (before.log_prob, completion.log_prob) if value is not None]
        found[source] = _Written(before.times + 1, max(known, default=None))
    return found


def _tally(
    task: Task,
    completions: Sequence[Completion],
    programs: dict[str, _Written],
    solutions: dict[str, Solution | None],
) -> Tally:
    judged = [(programs[source].times, found) for source, found in solutions.items() if found is not None]
    return Tally(
        task_id=task.task_id,
        task_hash=task.content_hash,
        sampled=len(completions),
        valid=sum(count for count, found in judged if found.status is Status.OK),
        fits=sum(count for count, found in judged if _fits(found)),
        right=sum(count for count, found in judged if found.is_solved),
        distinct_right=len({found.program_hash for _, found in judged if found.is_solved}),
        tokens=sum(completion.num_tokens for completion in completions),
        diversity=measure_diversity(found for count, found in judged for _ in range(count)),
    )


def _fits(solution: Solution) -> bool:
    return all(verdict.is_right for verdict in solution.verdicts if verdict.part == "train")


def join_diversity(measured: Iterable[RoundDiversity]) -> RoundDiversity:
    """Put measurements of single tasks together into that of all of them, as `measure_diversity` would give it.

    Args:
        measured: Each of one task.
    """
    tried = [one for one in measured if one.programs]
    most = math.fsum(math.log(one.programs) for one in tried)
    entropies = [one.entropy for one in tried]
    return RoundDiversity(
        programs=sum(one.programs for one in tried),
        distinct_programs=sum(one.distinct_programs for one in tried),
        distinct_signatures=sum(one.distinct_signatures for one in tried),
        entropy=math.fsum(entropies) / len(tried) if tried else 0.0,
        relative_entropy=min(1.0, math.fsum(entropies) / most) if most > 0 else None,
    )
