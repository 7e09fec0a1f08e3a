"""Rewards for programs: run once in the sandbox, judged by the caller, paid for what cannot be hard-coded.

A reward is a sum of parts (`RewardParts`), so that a run can say what it pays for:

    correctness    correctness_weight · p                        p: weighted share of passed pairs, shown and hidden
    shape          shape_weight · correctness_weight · (q − p)   q: the same share for outputs of the right size
    solved_bonus   solved_bonus                                  only when every pair passes
    brevity        brevity_weight · step / (1 + characters / brevity_scale)   only when every pair passes
    penalty        −severity(status) · (1 − p)                   0 for a program that answers, however wrong

`step` is the least that one more passed pair adds, and `brevity_weight` < 1, so length never outranks correctness.
Brevity is paid to solutions only: among programs that all fail, group-normalised advantages would turn any length term
into pressure towards the shortest wrong program. The shape part is off by default for the same reason: it is what
`return grid` earns on most tasks.

A program that crashed the interpreter or tried to break out is judged by that alone: its outputs are not looked at. An
infrastructure failure is no verdict: the reward is `None`, which trainers leave out, never 0.

Expected outputs stay in this process; the sandbox is given programs and inputs.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from arcgym.errors import ConfigError, TaskError
from arcgym.grids import Grid, as_grid, grids_equal
from arcgym.programs import check_syntax, extract_program
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status

NO_PROGRAM = "no_program"

# A program that ended like this may have tampered with what it sent back, so no output of it counts.
_DISTRUSTED = frozenset({Status.CRASHED, Status.SECURITY_VIOLATION})


@dataclass(frozen=True)
class RewardConfig:
    """What a program is paid for. Penalties must fall with the severity of the error, in the order of the fields."""

    correctness_weight: float = field(
        default=1.0, metadata={"help": "Reward for passing every pair, in proportion for fewer; above 0."}
    )
    hidden_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight in the pass rate of a pair that the prompt does not show, relative to a shown one; above "
            "0. Raise it when rewards/hidden_gap grows: shown pairs can be hard-coded."
        },
    )
    solved_bonus: float = field(
        default=1.0, metadata={"help": "Added only when every pair passes, hidden pairs included; 0 or more."}
    )
    brevity_weight: float = field(
        default=0.1,
        metadata={
            "help": "Most that a short solution earns for being short, as a share of what one more passed pair is "
            "worth; in [0, 1). Paid only when every pair passes. 0 switches it off."
        },
    )
    brevity_scale: float = field(
        default=500.0,
        metadata={"help": "Program length in characters at which the brevity reward has halved; above 0."},
    )
    shape_weight: float = field(
        default=0.0,
        metadata={
            "help": "Share of a pair's reward paid for an output that is wrong but of the right size; in [0, 1). "
            "Off by default, since most tasks pay it to the identity; try 0.1 when no program is ever right."
        },
    )
    syntax_penalty: float = field(
        default=1.0, metadata={"help": "Cost of a completion without a program or with one that does not compile."}
    )
    violation_penalty: float = field(
        default=0.8, metadata={"help": "Cost of crashing the interpreter or of trying to leave the sandbox."}
    )
    limit_penalty: float = field(
        default=0.6, metadata={"help": "Cost of running out of time, memory or output space."}
    )
    runtime_penalty: float = field(default=0.4, metadata={"help": "Cost of raising an exception."})
    output_penalty: float = field(default=0.2, metadata={"help": "Cost of returning something that is not a grid."})

    def __post_init__(self) -> None:
        problems = [
            f"`{entry.name}` is {value!r}, but must be a finite number"
            for entry in fields(self)
            if not isinstance(value := getattr(self, entry.name), int | float)
            or isinstance(value, bool)
            or not math.isfinite(value)
        ]
        if not problems:
            problems = self._range_problems()
        if problems:
            raise ConfigError("RewardConfig: " + "; ".join(problems) + ".")

    def _range_problems(self) -> list[str]:
        problems = [
            f"`{name}` is {getattr(self, name)}, but must be above 0"
            for name in ("correctness_weight", "hidden_weight", "brevity_scale")
            if getattr(self, name) <= 0
        ]
        if self.solved_bonus < 0:
            problems.append(f"`solved_bonus` is {self.solved_bonus}, but must be 0 or more")
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be in [0, 1), or it would outrank correctness"
            for name in ("brevity_weight", "shape_weight")
            if not 0 <= getattr(self, name) < 1
        ]
        ordered = ("syntax_penalty", "violation_penalty", "limit_penalty", "runtime_penalty", "output_penalty")
        costs = [getattr(self, name) for name in ordered]
        if not all(worse > better for worse, better in zip(costs, [*costs[1:], 0.0], strict=True)):
            problems.append(
                f"penalties are {costs}, but must fall from one to the next and stay above 0 "
                f"(order: {', '.join(ordered)})"
            )
        return problems


class PairVerdict(NamedTuple):
    """How one pair ended. `is_right_shape` holds for passed pairs too."""

    is_hidden: bool
    is_passed: bool
    is_right_shape: bool


@dataclass(frozen=True)
class Verdict:
    """What one program did on the pairs of one task; everything that its reward depends on."""

    status: Status | None  # None: the completion held no program
    pairs: tuple[PairVerdict, ...]
    num_chars: int = 0
    error: str = ""
    mutated_input: bool = False
    is_deterministic: bool | None = None  # None: not checked

    @property
    def label(self) -> str:
        """The status as logged."""
        return NO_PROGRAM if self.status is None else self.status.value

    @property
    def is_solved(self) -> bool:
        """Whether the program answered every input, and rightly."""
        return self.status is Status.OK and all(pair.is_passed for pair in self.pairs)

    def rate(self, hidden: bool) -> float | None:
        """Return the share of hidden (or of shown) pairs that passed; `None` when there is none of that kind."""
        passed = [pair.is_passed for pair in self.pairs if pair.is_hidden == hidden]
        return sum(passed) / len(passed) if passed else None


class RewardParts(NamedTuple):
    """The parts of one reward, in reward units. Penalties are negative."""

    correctness: float
    shape: float
    solved_bonus: float
    brevity: float
    penalty: float

    @property
    def total(self) -> float:
        """The reward."""
        return math.fsum(self)


def pass_rate(verdict: Verdict, hidden_weight: float = 1.0) -> float:
    """Return the weighted share of passed pairs, Σ wᵢ·passedᵢ / Σ wᵢ, with wᵢ = `hidden_weight` if hidden, else 1.

    Args:
        verdict: At least one pair.
        hidden_weight: Above 0.

    Returns:
        In [0, 1].
    """
    return _weighted_share([(pair.is_hidden, pair.is_passed) for pair in verdict.pairs], hidden_weight)


def score_program(verdict: Verdict, config: RewardConfig) -> RewardParts | None:
    """Return the parts of a program's reward, as the module's docstring defines them.

    Args:
        verdict: What the program did; at least one pair.
        config: Weights and penalties.

    Returns:
        The parts, each finite; `None` for an infrastructure failure, which says nothing about the program.
    """
    if verdict.status is Status.INFRASTRUCTURE:
        return None
    passed = pass_rate(verdict, config.hidden_weight)
    shaped = _weighted_share([(pair.is_hidden, pair.is_right_shape) for pair in verdict.pairs], config.hidden_weight)
    brevity = 1 / (1 + verdict.num_chars / config.brevity_scale)
    return RewardParts(
        correctness=config.correctness_weight * passed,
        shape=config.shape_weight * config.correctness_weight * (shaped - passed),
        solved_bonus=config.solved_bonus if verdict.is_solved else 0.0,
        brevity=config.brevity_weight * smallest_step(verdict, config) * brevity if verdict.is_solved else 0.0,
        penalty=-_severity(verdict.status, config) * (1 - passed),
    )


def smallest_step(verdict: Verdict, config: RewardConfig) -> float:
    """Return the least that one more passed pair of this task can add to a reward (reward units, above 0)."""
    weights = [config.hidden_weight if pair.is_hidden else 1.0 for pair in verdict.pairs]
    return (1 - config.shape_weight) * config.correctness_weight * min(weights) / sum(weights)


def _weighted_share(flags: Sequence[tuple[bool, bool]], hidden_weight: float) -> float:
    weights = [hidden_weight if is_hidden else 1.0 for is_hidden, _ in flags]
    held = [weight for weight, (_, flag) in zip(weights, flags, strict=True) if flag]
    return sum(held) / sum(weights)


def _severity(status: Status | None, config: RewardConfig) -> float:
    match status:
        case Status.OK:
            return 0.0
        case Status.INVALID_OUTPUT:
            return config.output_penalty
        case Status.RUNTIME_ERROR:
            return config.runtime_penalty
        case Status.TIMEOUT | Status.MEMORY | Status.OUTPUT_LIMIT:
            return config.limit_penalty
        case Status.CRASHED | Status.SECURITY_VIOLATION:
            return config.violation_penalty
        case None | Status.SYNTAX_ERROR:
            return config.syntax_penalty
    raise ValueError(f"no penalty is defined for the status {status!r}")


def run_programs(
    sandbox: CodeSandbox, programs: Sequence[str], inputs: Sequence[Sequence[Grid]]
) -> list[ExecutionResult]:
    """Run programs as one sandbox batch, those that do not compile or define no `transform` excepted.

    These are `SYNTAX_ERROR` without costing a process, in training and in evaluation alike.

    Args:
        sandbox: Runs the others.
        programs: Sources.
        inputs: Per program the grids to run it on.

    Returns:
        One result per program, in order.
    """
    reports = [check_syntax(program) for program in programs]
    runnable = [index for index, report in enumerate(reports) if report.ok]
    ran = iter(sandbox.run([programs[index] for index in runnable], [inputs[index] for index in runnable]))
    return [
        next(ran)
        if report.ok
        else ExecutionResult(
            status=Status.SYNTAX_ERROR,
            outputs=(None,) * len(grids),
            error_type="SyntaxError",
            message=report.reason,
            line=report.line,
            line_text=_line(program, report.line),
        )
        for program, grids, report in zip(programs, inputs, reports, strict=True)
    ]


def _line(program: str, number: int | None) -> str:
    lines = program.splitlines()
    return lines[number - 1].strip() if number is not None and 0 < number <= len(lines) else ""


class _ScoredPair(NamedTuple):
    """A pair whose output is known."""

    input: Grid
    output: Grid
    is_hidden: bool


class RewardCalculator:
    """A reward function with TRL's signature: one sandbox batch per call, one execution per distinct program and task.

    Args:
        sandbox: Runs the programs. Stays the caller's: it is not closed here.
        config: What is paid for.
    """

    def __init__(self, sandbox: CodeSandbox, config: RewardConfig | None = None) -> None:
        self.sandbox = sandbox
        self.config = config or RewardConfig()
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
            task_id: Per completion, for error messages only.
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
        verdicts = self._judge([extract_program(completion) for completion in completions], keys, tasks)
        sandbox_s = time.perf_counter() - start
        parts = [score_program(verdict, self.config) for verdict in verdicts]
        if log_metric is not None:
            for name, value in _metrics(verdicts, parts, keys, self.config).items():
                log_metric(name, value)
            log_metric("programs/sandbox_s", sandbox_s)
        if log_extra is not None:
            log_extra("program_status", [verdict.label for verdict in verdicts])
            log_extra("pairs_passed", [_passed_text(verdict) for verdict in verdicts])
            log_extra("program_error", [verdict.error for verdict in verdicts])
        return [None if part is None else part.total for part in parts]

    def _judge(
        self, programs: Sequence[str | None], keys: Sequence[str], tasks: Mapping[str, list[_ScoredPair]]
    ) -> list[Verdict]:
        """Run each distinct (program, task) once and compare in this process."""
        pairs = list(zip(programs, keys, strict=True))
        jobs = list(dict.fromkeys((program, key) for program, key in pairs if program is not None))
        results = run_programs(
            self.sandbox, [program for program, _ in jobs], [[pair.input for pair in tasks[key]] for _, key in jobs]
        )
        judged = {
            (program, key): _verdict(program, result, tasks[key])
            for (program, key), result in zip(jobs, results, strict=True)
        }
        return [_no_program(tasks[key]) if program is None else judged[program, key] for program, key in pairs]


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


def _verdict(program: str, result: ExecutionResult, pairs: Sequence[_ScoredPair]) -> Verdict:
    outputs = [None] * len(pairs) if result.status in _DISTRUSTED else result.outputs
    place = "" if result.line is None else f" (line {result.line}: {result.line_text.strip()})"
    return Verdict(
        status=result.status,
        pairs=tuple(
            PairVerdict(
                is_hidden=pair.is_hidden,
                is_passed=grids_equal(output, pair.output),
                is_right_shape=output is not None and output.shape == pair.output.shape,
            )
            for pair, output in zip(pairs, outputs, strict=True)
        ),
        num_chars=len(program.strip()),
        error=f"{result.error_type}: {result.message}{place}" if result.error_type else "",
        mutated_input=result.mutated_input,
        is_deterministic=result.is_deterministic,
    )


def _no_program(pairs: Sequence[_ScoredPair]) -> Verdict:
    return Verdict(status=None, pairs=tuple(PairVerdict(pair.is_hidden, False, False) for pair in pairs))


def _passed_text(verdict: Verdict) -> str:
    return f"{sum(pair.is_passed for pair in verdict.pairs)}/{len(verdict.pairs)}"


def _metrics(
    verdicts: Sequence[Verdict], parts: Sequence[RewardParts | None], keys: Sequence[str], config: RewardConfig
) -> dict[str, float]:
    """Average what happened over the completions of a batch; those that the infrastructure lost count only as such."""
    total = len(verdicts)
    if total == 0:
        return {}
    labels = [verdict.label for verdict in verdicts]
    metrics = {"programs/valid_frac": labels.count(Status.OK.value) / total}
    for label in [NO_PROGRAM, *(status.value for status in Status if status is not Status.OK)]:
        metrics[f"programs/{label}_frac"] = labels.count(label) / total

    metrics["programs/mutated_input_frac"] = _mean([verdict.mutated_input for verdict in verdicts])
    checked = [verdict.is_deterministic for verdict in verdicts if verdict.is_deterministic is not None]
    if checked:
        metrics["programs/nondeterministic_frac"] = checked.count(False) / len(checked)

    judged = [
        (verdict, part, key) for verdict, part, key in zip(verdicts, parts, keys, strict=True) if part is not None
    ]
    if not judged:
        return metrics
    solved_keys = {key for verdict, _, key in judged if verdict.is_solved}
    metrics["programs/solved_frac"] = _mean([verdict.is_solved for verdict, _, _ in judged])
    metrics["tasks/solved_frac"] = len(solved_keys) / len({key for _, _, key in judged})
    metrics["rewards/pass_rate"] = _mean([pass_rate(verdict, config.hidden_weight) for verdict, _, _ in judged])
    for name in RewardParts._fields:
        metrics[f"rewards/{name}"] = _mean([getattr(part, name) for _, part, _ in judged])
    rates = [(verdict.rate(hidden=False), verdict.rate(hidden=True)) for verdict, _, _ in judged]
    both = [(shown, hidden) for shown, hidden in rates if shown is not None and hidden is not None]
    if both:
        metrics["rewards/shown_pass_rate"] = _mean([shown for shown, _ in both])
        metrics["rewards/hidden_pass_rate"] = _mean([hidden for _, hidden in both])
        metrics["rewards/hidden_gap"] = metrics["rewards/shown_pass_rate"] - metrics["rewards/hidden_pass_rate"]
    return metrics


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
