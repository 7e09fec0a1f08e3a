"""When a run counts as collapsed, judged by the numbers that are logged of its rollouts; no trainer in sight.

Each signal is held to one rule of `RULES`: a limit that follows from the run's own past, and an absolute one where
there is one. A signal holds once it has been beyond its limit in `patience` logged rollouts in a row. Collapse is one
hard signal that holds, or two soft ones while the run is not at its best: a policy that has learnt its tasks loses
entropy, variety and spread too, and nothing is wrong with it.
"""

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

_QUALITY = ("rewards/hidden_pass_rate", "tasks/solved_frac", "reward")
_HIDDEN = _QUALITY[:2]
_LONG = 5


@dataclass(frozen=True)
class Rule:
    """When a signal is beyond its limit: when it is beyond every one of the values given here.

    Args:
        signal: Its name.
        metrics: What is read: the first of these that is logged.
        direction: Which way is bad; `not_finite` looks at nothing else.
        is_hard: Whether the signal is collapse by itself.
        baseline: What the past is: the `trailing` median of the window, or the `best` that this median has been.
        shift: How far from the baseline.
        ratio: How many times the baseline.
        bound: Which value.
        spreads: How many spreads from the baseline.
        rollouts: How many rollouts' mean is held to the limit; the spread is that of such a mean.
        is_share: Whether the metric is a share of completions, in [0, 1], whose spread is at least binomial.
        needs_reward: Whether the mean reward of as many rollouts must be at or above the best of its trailing medians.
    """

    signal: str
    metrics: tuple[str, ...]
    direction: Literal["rises", "falls", "not_finite"]
    is_hard: bool
    baseline: Literal["best", "trailing"] = "best"
    shift: float = 0.0
    ratio: float | None = None
    bound: float | None = None
    spreads: float = 3.0
    rollouts: int = 1
    is_share: bool = True
    needs_reward: bool = False

    def limit(self, baseline: float, spread: float) -> float:
        """Return the value beyond which the signal is bad.

        Args:
            baseline: Of the signal's own past.
            spread: The same.
        """
        sign = 1.0 if self.direction == "rises" else -1.0
        limits = [baseline + sign * self.shift, baseline + sign * self.spreads * spread]
        if self.ratio is not None:
            limits.append(self.ratio * baseline)
        if self.bound is not None:
            limits.append(self.bound)
        return max(limits) if self.direction == "rises" else min(limits)

    def describe(self) -> str:
        """Write the rule as a formula of the baseline b and the spread s, as in `docs/training.md`."""
        if self.direction == "not_finite":
            return "not a finite number"
        more, worst, sign = (">", "max", "+") if self.direction == "rises" else ("<", "min", "−")
        past = "best b" if self.baseline == "best" else "trailing b"
        limits = [f"b {sign} {self.spreads:g} s"]
        if self.shift:
            limits.append(f"b {sign} {self.shift:g}")
        if self.ratio is not None:
            limits.append(f"{self.ratio:g} b")
        if self.bound is not None:
            limits.append(f"{self.bound:g}")
        text = f"{more} {worst}({', '.join(limits)}), {past}"
        if self.rollouts > 1:
            text = f"mean of {self.rollouts} rollouts {text}"
        return text + ("; that of the reward ≥ its own best b" if self.needs_reward else "")


RULES = (
    Rule("truncation", ("completions/clipped_ratio",), "rises", True, shift=0.3, bound=0.5),
    Rule("valid_code", ("programs/valid_frac",), "falls", True, ratio=0.5, shift=0.1),
    Rule("hidden_accuracy", _HIDDEN, "falls", True, ratio=0.5, rollouts=_LONG),
    Rule("reward_hacking", _HIDDEN, "falls", True, ratio=0.75, spreads=2.0, rollouts=_LONG, needs_reward=True),
    Rule("not_finite", ("grad_norm",), "not_finite", True, is_share=False),
    Rule("reward", ("reward",), "falls", False, ratio=0.5, rollouts=3, is_share=False),
    Rule("repetition", ("programs/repetition",), "rises", False, shift=0.2, bound=0.4),
    Rule("distinct_programs", ("programs/distinct_frac",), "falls", False, ratio=0.5, bound=0.4),
    Rule("distinct_outputs", ("programs/distinct_outputs_frac",), "falls", False, ratio=0.5, bound=0.4),
    Rule("zero_variance", ("frac_reward_zero_std",), "rises", False, shift=0.3, bound=0.9),
    Rule("entropy_low", ("entropy",), "falls", False, ratio=0.1, bound=0.05, is_share=False),
    Rule("entropy_high", ("entropy",), "rises", False, ratio=2.0, shift=0.5, is_share=False),
    Rule("kl", ("kl",), "rises", False, baseline="trailing", ratio=5.0, bound=0.5, is_share=False),
    Rule("grad_norm", ("grad_norm",), "rises", False, baseline="trailing", ratio=10.0, is_share=False),
)
SIGNALS = tuple(rule.signal for rule in RULES)


class Reading(NamedTuple):
    """What one logged rollout says of a signal; `baseline` and `limit` are None before there is a past."""

    value: float  # the mean of as many rollouts as the rule says
    baseline: float | None
    limit: float | None
    is_beyond: bool


class SignalTracker:
    """The past of one signal, and how long it has been beyond its limit.

    The baseline takes in no value that is beyond the limit: it stands still until the signal is back.

    Args:
        rule: When the signal is bad.
        window: Values that the past consists of.
        warmup: Values before it is judged.
        completions: Completions per rollout, for the least spread that a share has.
    """

    def __init__(self, rule: Rule, window: int, warmup: int, completions: int) -> None:
        self.rule = rule
        self.window = window
        self.warmup = warmup
        self.completions = completions
        self.values: deque[float] = deque(maxlen=window)
        self.recent: deque[float] = deque(maxlen=rule.rollouts)
        self.best: float | None = None
        self.beyond = 0
        self.since = 0  # step of the first value beyond the limit
        self.good_step = 0  # weights of this step and earlier ones gave no such value

    def compare(self, value: float) -> Reading:
        """Hold one more value, and those just before it, to the limit."""
        if self.rule.direction == "not_finite":
            return Reading(value, None, None, not math.isfinite(value))
        if not math.isfinite(value):
            return Reading(value, None, None, False)
        self.recent.append(value)
        mean = sum(self.recent) / len(self.recent)
        baseline = self.baseline
        if baseline is None:
            return Reading(mean, None, None, False)
        limit = self.rule.limit(baseline, self.spread)
        return Reading(mean, baseline, limit, mean > limit if self.rule.direction == "rises" else mean < limit)

    def settle(self, value: float, is_beyond: bool, step: int, earlier: Sequence[int]) -> None:
        """Count a value as beyond the limit, or as part of the past.

        Args:
            value: As given to `compare`.
            is_beyond: What it is to count as.
            step: At which it was logged.
            earlier: The steps at which those before it were logged, newest last.
        """
        if not is_beyond:
            self.beyond = 0
            self.take_in(value)
            return
        if self.beyond == 0:
            self.since = step
            # The rollout of a row was sampled with the weights of the row before it. The row before the first in
            # question was good, and so were the weights that sampled it.
            back = self.rule.rollouts + 1
            self.good_step = earlier[-back] if len(earlier) >= back else 0
        self.beyond += 1

    def take_in(self, value: float) -> None:
        """Make a value part of the past."""
        if not math.isfinite(value):
            return
        self.values.append(value)
        # The best of medians of few values would be a lucky one
        if len(self.values) >= max(self.warmup, self.window // 2):
            median = statistics.median(self.values)
            better = min if self.rule.direction == "rises" else max
            self.best = median if self.best is None else better(self.best, median)

    @property
    def baseline(self) -> float | None:
        """The best or the trailing median, which are the same until half a window is full; None during the warm-up."""
        if len(self.values) < self.warmup:
            return None
        is_best = self.rule.baseline == "best" and self.best is not None
        return self.best if is_best else statistics.median(self.values)

    @property
    def spread(self) -> float:
        """A robust standard deviation of what is compared, no smaller than chance or 5 % of the median."""
        median = statistics.median(self.values)
        # Of the changes from one to the next, so that a trend is no spread
        robust = 1.4826 * statistics.median(abs(now - before) for before, now in pairwise(self.values)) / math.sqrt(2)
        if self.rule.is_share and 0 <= median <= 1:
            share = min(max(median, 1 / self.completions), 1 - 1 / self.completions)
            least = math.sqrt(share * (1 - share) / self.completions)
        else:
            least = 0.05 * abs(median)
        return max(robust, least) / math.sqrt(max(len(self.recent), 1))

    def state_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "values": list(self.values),
            "recent": list(self.recent),
            "best": self.best,
            "beyond": self.beyond,
            "since": self.since,
            "good_step": self.good_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for target, values in ((self.values, state["values"]), (self.recent, state["recent"])):
            target.clear()
            target.extend(values)
        self.best = state["best"]
        self.beyond, self.since, self.good_step = state["beyond"], state["since"], state["good_step"]


class Judgement(NamedTuple):
    """What one logged rollout says of the run.

    Args:
        readings: By signal.
        warned: Signals that are one rollout from holding, or hold.
        held: Signals that hold.
        is_collapsed: Whether those amount to collapse.
        since: Step at which the first of the held signals went beyond its limit.
        good_step: The latest step whose weights showed none of it.
    """

    readings: dict[str, Reading]
    warned: tuple[str, ...]
    held: tuple[str, ...]
    is_collapsed: bool
    since: int
    good_step: int


class CollapseDetector:
    """Judges a run by the metrics of its rollouts, one row after the other.

    Args:
        patience: Rollouts in a row that a signal is beyond its limit until it holds.
        window: Rollouts that a baseline is the median of.
        warmup: Rollouts before a signal is judged.
        completions: Completions per rollout.
        ignore: Signals that are not watched.
    """

    def __init__(self, patience: int, window: int, warmup: int, completions: int, ignore: Sequence[str] = ()) -> None:
        self.patience = patience
        sizes = (window, warmup, completions)
        self.trackers = {rule.signal: SignalTracker(rule, *sizes) for rule in RULES if rule.signal not in ignore}
        # No signals, but what some signals are compared with; never beyond their limits
        self._context = {
            "quality": SignalTracker(Rule("quality", _QUALITY, "falls", False, rollouts=_LONG), *sizes),
            "reward": SignalTracker(Rule("reward", ("reward",), "falls", False, rollouts=_LONG), *sizes),
        }
        self._steps: deque[int] = deque(maxlen=_LONG + 1)

    def judge(self, metrics: Mapping[str, float], step: int) -> Judgement:
        """Take in the metrics of one logged rollout; a signal without a metric is not watched.

        Args:
            metrics: By name.
            step: At which they were logged, larger than the last.
        """
        context = {
            name: tracker.compare(value)
            for name, tracker in self._context.items()
            if (value := _first(metrics, tracker.rule.metrics)) is not None
        }
        reward = context.get("reward")
        is_reward_high = reward is not None and reward.baseline is not None and reward.value >= reward.baseline
        readings = {}
        for name, tracker in self.trackers.items():
            value = _first(metrics, tracker.rule.metrics)
            if value is None:
                continue
            reading = tracker.compare(value)
            if tracker.rule.needs_reward and not is_reward_high:
                reading = reading._replace(is_beyond=False)
            tracker.settle(value, reading.is_beyond, step, self._steps)
            readings[name] = reading
        self._steps.append(step)

        read = {name: self.trackers[name] for name in readings}
        warned = tuple(name for name, tracker in read.items() if tracker.beyond >= self.patience - 1)
        held = tuple(name for name, tracker in read.items() if tracker.beyond >= self.patience)
        soft = [name for name in held if not self.trackers[name].rule.is_hard]
        prospers = self._prospers(context.get("quality"), metrics)
        if not any(reading.is_beyond for reading in readings.values()):
            # Like those of the signals, these baselines stand still meanwhile
            for tracker in self._context.values():
                if (value := _first(metrics, tracker.rule.metrics)) is not None:
                    tracker.take_in(value)
        return Judgement(
            readings,
            warned,
            held,
            is_collapsed=len(held) > len(soft) or (len(soft) >= 2 and not prospers),
            since=min((self.trackers[name].since for name in held), default=step),
            good_step=min((self.trackers[name].good_step for name in held), default=step),
        )

    def _prospers(self, quality: Reading | None, metrics: Mapping[str, float]) -> bool:
        """Whether the run solves about as much as it ever did, and something at all."""
        if quality is None or quality.baseline is None:
            return False
        solves = quality.value > 0.05 or not any(name in metrics for name in _HIDDEN)
        slack = max(0.2 * abs(quality.baseline), 2 * self._context["quality"].spread)
        return solves and quality.value >= quality.baseline - slack

    def restart(self) -> None:
        """Forget how long signals have been beyond their limits, but not their baselines."""
        for tracker in (*self.trackers.values(), *self._context.values()):
            tracker.beyond = 0
            tracker.recent.clear()
        self._steps.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "trackers": {name: tracker.state_dict() for name, tracker in self.trackers.items()},
            "context": {name: tracker.state_dict() for name, tracker in self._context.items()},
            "steps": list(self._steps),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; signals that it does not know start anew."""
        for trackers, saved in ((self.trackers, state["trackers"]), (self._context, state["context"])):
            for name in trackers.keys() & saved.keys():
                trackers[name].load_state_dict(saved[name])
        self._steps.clear()
        self._steps.extend(state["steps"])


def _first(metrics: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((metrics[name] for name in names if name in metrics), None)
