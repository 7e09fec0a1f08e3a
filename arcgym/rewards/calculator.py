"""The reward function that trainers call: completions in, rewards, metrics and columns of a table out.

One sandbox batch per call, and one execution per distinct program and task; suspects of a shortcut
(`arcgym.rewards.shortcuts`) make a second, small batch. Expected outputs stay in this process; the sandbox is given
programs and inputs.
"""

import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from arcgym.errors import TaskError
from arcgym.grids import Grid, as_grid, grids_equal
from arcgym.programs import extract_program
from arcgym.rewards.config import RewardConfig
from arcgym.rewards.execution import run_programs
from arcgym.rewards.metrics import Scored, batch_metrics, completion_text
from arcgym.rewards.normalization import RewardNormalizer
from arcgym.rewards.scoring import PairVerdict, Verdict, score_program
from arcgym.rewards.shortcuts import Shortcut, ShownPair, Suspect, find_tables, trivial_answers
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status

# A program that ended like this may have tampered with what it sent back, so no output of it counts.
_DISTRUSTED = frozenset({Status.CRASHED, Status.SECURITY_VIOLATION})


class _ScoredPair(NamedTuple):
    """A pair whose output is known."""

    input: Grid
    output: Grid
    is_hidden: bool


class _Judged(NamedTuple):
    """A program's verdict, and its outputs in a comparable form (`None` if it answered no input)."""

    verdict: Verdict
    answers: Hashable | None


class RewardCalculator:
    """A reward function with TRL's signature.

    It has a state, the running statistics of normalization, and so `state_dict` and `load_state_dict` for checkpoints.

    Args:
        sandbox: Runs the programs. Stays the caller's: it is not closed here.
        config: What is paid for.
    """

    def __init__(self, sandbox: CodeSandbox, config: RewardConfig | None = None) -> None:
        self.sandbox = sandbox
        self.config = config or RewardConfig()
        self.normalizer = RewardNormalizer(self.config.normalization, self.config.normalization_decay)
        self.__name__ = "program_reward"  # TRL logs rewards/<__name__>/mean

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str | list[dict[str, Any]]],
        *,
        train: Sequence[Sequence[Mapping[str, Any]]],
        test: Sequence[Sequence[Mapping[str, Any]]],
        shown: Sequence[Sequence[int] | None] | None = None,
        task_id: Sequence[str] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward per completion.

        Args:
            prompts: Not read; part of TRL's signature.
            completions: Text, or chat messages; `arcgym.programs.extract_program` finds the program.
            train: Per completion the task's demonstrations, `{"input": rows, "output": rows}`.
            test: Per completion the task's test pairs. A pair without an output is not scored.
            shown: Per completion the indices of the demonstrations that the prompt shows; the others count as hidden.
                `None`: all are shown.
            task_id: Per completion, for error messages and as the task's name in running normalization; without it
                a task is known by its pairs.
            log_metric: TRL's callback for scalars.
            log_extra: TRL's callback for columns of the completions table.
            **columns: Other dataset columns and what else TRL passes; not read.

        Returns:
            Finite rewards; `None` where the sandbox itself failed.

        Raises:
            ValueError: A column has not one entry per completion.
            TaskError: A grid is malformed, or a task has no pair with a known output.
        """
        for name, column in (("train", train), ("test", test), ("shown", shown), ("task_id", task_id)):
            if column is not None and len(column) != len(completions):
                raise ValueError(
                    f"column `{name}` has {len(column)} entries for {len(completions)} completions; one each is needed"
                )
        tasks: dict[str, list[_ScoredPair]] = {}
        keys = []
        for index in range(len(completions)):
            demonstrations = None if shown is None else shown[index]
            key = json.dumps([train[index], test[index], demonstrations], default=_as_list)
            if key not in tasks:
                label = f"task {task_id[index]}" if task_id is not None else f"the task of completion {index}"
                tasks[key] = _scored_pairs(train[index], test[index], demonstrations, label)
            keys.append(key)

        start = time.perf_counter()
        programs = [extract_program(completion) for completion in completions]
        judged = self._judge(programs, keys, tasks)
        sandbox_s = time.perf_counter() - start
        parts = [score_program(verdict, self.config) for verdict, _ in judged]
        if log_metric is not None:
            texts = [completion_text(completion) for completion in completions]
            batch = [
                Scored(text, program, key, verdict, part, answers)
                for text, program, key, (verdict, answers), part in zip(
                    texts, programs, keys, judged, parts, strict=True
                )
            ]
            for name, value in batch_metrics(batch, self.config).items():
                log_metric(name, value)
            log_metric("programs/sandbox_s", sandbox_s)
        if log_extra is not None:
            if task_id is not None:
                log_extra("task_id", list(task_id))
            infrastructure = Status.INFRASTRUCTURE
            log_extra("is_solved", [None if v.status is infrastructure else v.is_solved for v, _ in judged])
            verdicts = [verdict for verdict, _ in judged]
            log_extra("program_status", [verdict.label for verdict in verdicts])
            log_extra("pairs_passed", [_passed_text(verdict) for verdict in verdicts])
            log_extra("program_error", [verdict.error for verdict in verdicts])
            log_extra(
                "program_shortcut",
                ["" if verdict.shortcut is None else verdict.shortcut.value for verdict in verdicts],
            )
        rewards = [None if part is None else part.total for part in parts]
        return self.normalizer.normalize(rewards, keys if task_id is None else task_id)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, as plain data."""
        return {"normalizer": self.normalizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: It is something else.
        """
        self.normalizer.load_state_dict(state.get("normalizer", {}))

    def _judge(
        self, programs: Sequence[str | None], keys: Sequence[str], tasks: Mapping[str, list[_ScoredPair]]
    ) -> list[_Judged]:
        """Run each distinct (program, task) once and compare in this process; then look into suspects."""
        pairs = list(zip(programs, keys, strict=True))
        jobs = list(dict.fromkeys((program, key) for program, key in pairs if program is not None))
        results = run_programs(
            self.sandbox, [program for program, _ in jobs], [[pair.input for pair in tasks[key]] for _, key in jobs]
        )
        judged = {
            (program, key): _judged(program, result, tasks[key])
            for (program, key), result in zip(jobs, results, strict=True)
        }
        suspects = [job for job in jobs if _is_suspect(judged[job].verdict, tasks[job[1]])]
        found = find_tables(self.sandbox, [_suspect(job[0], judged[job].verdict, tasks[job[1]]) for job in suspects])
        for job, hard_coded in zip(suspects, found, strict=True):
            if hard_coded:
                verdict, answers = judged[job]
                judged[job] = _Judged(_as_table(verdict, hard_coded), answers)
        return [
            _Judged(_no_program(tasks[key]), None) if program is None else judged[program, key]
            for program, key in pairs
        ]


def _as_list(value: Any) -> Any:
    """Let `json` read numpy arrays, in which some dataset formats hand out their columns."""
    return value.tolist()


def _scored_pairs(
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    shown: Sequence[int] | None,
    label: str,
) -> list[_ScoredPair]:
    """List the pairs with known outputs, demonstrations first."""
    is_shown = range(len(train)) if shown is None else set(shown)
    marked = [(pair, index not in is_shown) for index, pair in enumerate(train)] + [(pair, True) for pair in test]
    try:
        pairs = [
            _ScoredPair(as_grid(pair["input"]), as_grid(pair["output"]), is_hidden)
            for pair, is_hidden in marked
            if pair.get("output") is not None
        ]
    except TaskError as exc:
        raise TaskError(f"{label} cannot be scored: {exc}") from exc
    if not pairs:
        raise TaskError(f"{label} has no pair with a known output, so no program can be scored on it; leave it out.")
    return pairs


def _judged(program: str, result: ExecutionResult, pairs: Sequence[_ScoredPair]) -> _Judged:
    outputs = [None] * len(pairs) if result.status in _DISTRUSTED else list(result.outputs)
    place = "" if result.line is None else f" (line {result.line}: {result.line_text.strip()})"
    passed = [grids_equal(output, pair.output) for pair, output in zip(pairs, outputs, strict=True)]
    shortcut = None
    if result.status is Status.OK and not all(passed):
        shortcut = trivial_answers([pair.input for pair in pairs], outputs)
    verdict = Verdict(
        status=result.status,
        pairs=tuple(
            PairVerdict(
                is_hidden=pair.is_hidden,
                is_passed=is_passed,
                is_right_shape=output is not None and output.shape == pair.output.shape,
                right_cells=_right_cells(output, pair.output),
                by_shortcut=is_passed and shortcut is not None,
            )
            for pair, output, is_passed in zip(pairs, outputs, passed, strict=True)
        ),
        num_chars=len(program.strip()),
        error=f"{result.error_type}: {result.message}{place}" if result.error_type else "",
        mutated_input=result.mutated_input,
        is_deterministic=result.is_deterministic,
        shortcut=shortcut,
    )
    answers = tuple(None if output is None else (output.shape, output.tobytes()) for output in outputs)
    return _Judged(verdict, answers if any(answers) else None)


def _right_cells(output: Grid | None, expected: Grid) -> float:
    """Share of the cells that are right; 0 for an output of another size."""
    return float((output == expected).mean()) if output is not None and output.shape == expected.shape else 0.0


def _is_suspect(verdict: Verdict, pairs: Sequence[_ScoredPair]) -> bool:
    """Whether a program passes a shown pair and no hidden one, and is not known for a shortcut already."""
    shown = {(pair.input.shape, pair.input.tobytes()) for pair in pairs if not pair.is_hidden}
    # A hidden pair that repeats a shown input can be looked up as well.
    proves = [pair.is_hidden and (pair.input.shape, pair.input.tobytes()) not in shown for pair in pairs]
    judged = list(zip(verdict.pairs, proves, strict=True))
    return (
        verdict.shortcut is None
        and any(pair.is_passed and not pair.is_hidden for pair, _ in judged)
        and not any(pair.is_passed and is_proof for pair, is_proof in judged)
    )


def _suspect(program: str, verdict: Verdict, pairs: Sequence[_ScoredPair]) -> Suspect:
    both = zip(verdict.pairs, pairs, strict=True)
    return Suspect(program, [ShownPair(pair.input, pair.output, v.is_passed) for v, pair in both if not v.is_hidden])


def _as_table(verdict: Verdict, hard_coded: frozenset[int]) -> Verdict:
    """Mark the hard-coded ones among the shown pairs; a hidden pair that passes repeats a shown one."""
    shown = [index for index, pair in enumerate(verdict.pairs) if not pair.is_hidden]
    marked = {shown[index] for index in hard_coded} | set(range(len(verdict.pairs))) - set(shown)
    pairs = tuple(
        pair._replace(by_shortcut=pair.is_passed and index in marked) for index, pair in enumerate(verdict.pairs)
    )
    return replace(verdict, pairs=pairs, shortcut=Shortcut.LOOKUP)


def _no_program(pairs: Sequence[_ScoredPair]) -> Verdict:
    return Verdict(status=None, pairs=tuple(PairVerdict(pair.is_hidden, False, False) for pair in pairs))


def _passed_text(verdict: Verdict) -> str:
    return f"{sum(pair.is_passed for pair in verdict.pairs)}/{len(verdict.pairs)}"
