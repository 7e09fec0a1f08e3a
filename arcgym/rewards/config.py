"""What a run pays its programs for."""

import math
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from arcgym.errors import ConfigError

Normalization: TypeAlias = Literal["none", "group", "running"]

NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)

# Worst first. Within a class any order will do; every penalty of a class is above every one of the next.
_SEVERITY_CLASSES = (
    ("syntax_penalty",),
    ("crash_penalty", "violation_penalty"),
    ("timeout_penalty", "memory_penalty", "output_limit_penalty"),
    ("runtime_penalty",),
    ("output_penalty",),
    ("shortcut_penalty",),
)


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
            "help": "Most that wrong outputs earn for being of the right size, as a share of what one more passed "
            "pair is worth; in [0, 1), together with cell_weight below 1. Off by default, since most tasks pay it to "
            "what hardly changes the grid; try 0.3 when no program is ever right."
        },
    )
    cell_weight: float = field(
        default=0.0,
        metadata={
            "help": "Most that wrong outputs of the right size earn for the share of their cells that are right, as a "
            "share of what one more passed pair is worth; in [0, 1), together with shape_weight below 1. Off by "
            "default: it misleads, since in most tasks most cells do not change."
        },
    )
    syntax_penalty: float = field(
        default=1.0, metadata={"help": "Cost of a completion without a program or with one that does not compile."}
    )
    crash_penalty: float = field(default=0.8, metadata={"help": "Cost of crashing or leaving the interpreter."})
    violation_penalty: float = field(default=0.8, metadata={"help": "Cost of trying to leave the sandbox."})
    timeout_penalty: float = field(default=0.6, metadata={"help": "Cost of running out of time."})
    memory_penalty: float = field(default=0.6, metadata={"help": "Cost of running out of memory."})
    output_limit_penalty: float = field(
        default=0.6, metadata={"help": "Cost of writing more than any result can need."}
    )
    runtime_penalty: float = field(default=0.4, metadata={"help": "Cost of raising an exception."})
    output_penalty: float = field(default=0.2, metadata={"help": "Cost of returning something that is not a grid."})
    shortcut_penalty: float = field(
        default=0.0,
        metadata={
            "help": "Cost of a look-up table of the shown pairs, or of answering every input with itself or with the "
            "same grid; 0 or more. 0: as a wrong answer. Raise it when programs/lookup_frac, programs/constant_frac "
            "or programs/identity_frac grows."
        },
    )
    shortcut_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of its usual worth that a pair passed by such a shortcut keeps, in [0, 1]. 1: shortcuts "
            "are paid as other programs are, but for the bonus."
        },
    )
    normalization: Normalization = field(
        default="none",
        metadata={
            "help": "Scaling of rewards to mean 0 and spread 1 by task: over the completions of the task in a batch "
            "(`group`, needs several of each), or with its statistics of this and earlier rollouts (`running`). "
            "`none` with advantages that are already scaled by group."
        },
    )
    normalization_decay: float = field(
        default=0.9,
        metadata={
            "help": "Weight of the past in running normalization, per rollout with the task; in [0, 1]. 1: all "
            "rollouts count the same."
        },
    )

    def __post_init__(self) -> None:
        problems = [
            f"`{entry.name}` is {value!r}, but must be a finite number"
            for entry in fields(self)
            if entry.name != "normalization"
            and (
                not isinstance(value := getattr(self, entry.name), int | float)
                or isinstance(value, bool)
                or not math.isfinite(value)
            )
        ]
        if self.normalization not in NORMALIZATIONS:
            close = get_close_matches(str(self.normalization), NORMALIZATIONS, n=1)
            hint = f" (did you mean `{close[0]}`?)" if close else ""
            problems.append(f"`normalization` is {self.normalization!r}, but must be none, group or running{hint}")
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
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be 0 or more"
            for name in ("solved_bonus", "shortcut_penalty")
            if getattr(self, name) < 0
        ]
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be in [0, 1), or it would outrank correctness"
            for name in ("brevity_weight", "shape_weight", "cell_weight")
            if not 0 <= getattr(self, name) < 1
        ]
        if self.shape_weight + self.cell_weight >= 1 and not problems:
            problems.append(
                f"`shape_weight` and `cell_weight` add up to {self.shape_weight + self.cell_weight}, but must stay "
                "below 1, or together they would outrank correctness"
            )
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be in [0, 1]"
            for name in ("shortcut_share", "normalization_decay")
            if not 0 <= getattr(self, name) <= 1
        ]
        for worse, milder in pairwise(_SEVERITY_CLASSES):
            least, most = min(worse, key=self._cost), max(milder, key=self._cost)
            if self._cost(least) <= self._cost(most):
                problems.append(
                    f"`{least}` is {self._cost(least)} and `{most}` is {self._cost(most)}, but penalties must fall "
                    f"with severity (order: {' > '.join(', '.join(names) for names in _SEVERITY_CLASSES)})"
                )
        return problems

    def _cost(self, name: str) -> float:
        cost: float = getattr(self, name)
        return cost
