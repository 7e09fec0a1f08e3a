"""What a batch of programs did, in numbers: the metrics that `RewardCalculator` logs.

Shares and means are over the completions of one call. Those that the infrastructure lost count as such and in nothing
else that depends on a verdict.
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from arcgym.rewards.config import RewardConfig
from arcgym.rewards.scoring import NO_PROGRAM, RewardParts, Verdict, pass_rate
from arcgym.rewards.shortcuts import Shortcut
from arcgym.sandbox import Status

# Words in pieces of some length, so that one endless word repeats itself; line feeds, and wide stretches of spaces.
_PIECE = re.compile(r"\w{1,8}|[^\w\s]|\n| {8}")
_NGRAM = 4


class Scored(NamedTuple):
    """One completion with all that became of it.

    Attributes:
        text: What the policy wrote.
        program: The program in it; `None` when there is none.
        task: Anything that is equal for completions of the same task.
        verdict: What the program did.
        parts: The parts of its reward; `None` when the infrastructure lost it.
        answers: Its outputs, comparable; `None` when it answered no input.
    """

    text: str
    program: str | None
    task: str
    verdict: Verdict
    parts: RewardParts | None
    answers: Hashable | None


def batch_metrics(batch: Sequence[Scored], config: RewardConfig) -> dict[str, float]:
    """Average over a batch.

    Args:
        batch: Any number; without any there is nothing to say.
        config: For the weight of hidden pairs.

    Returns:
        Finite values by name. Those on hidden pairs are absent where no task has shown and hidden ones, and those on
        verdicts where the infrastructure lost all.
    """
    if not batch:
        return {}
    verdicts = [scored.verdict for scored in batch]
    labels = [verdict.label for verdict in verdicts]
    metrics = {"programs/valid_frac": labels.count(Status.OK.value) / len(batch)}
    for label in [NO_PROGRAM, *(status.value for status in Status if status is not Status.OK)]:
        metrics[f"programs/{label}_frac"] = labels.count(label) / len(batch)

    metrics["programs/mutated_input_frac"] = _mean([verdict.mutated_input for verdict in verdicts])
    checked = [verdict.is_deterministic for verdict in verdicts if verdict.is_deterministic is not None]
    if checked:
        metrics["programs/nondeterministic_frac"] = checked.count(False) / len(checked)
    metrics["programs/repetition"] = _mean([repetition(scored.text) for scored in batch])
    programs = [None if scored.program is None else scored.program.strip() for scored in batch]
    metrics["programs/distinct_frac"] = distinct_share(programs, [scored.task for scored in batch])

    judged = [(scored, scored.parts) for scored in batch if scored.parts is not None]
    if not judged:
        return metrics
    verdicts = [scored.verdict for scored, _ in judged]
    tasks = [scored.task for scored, _ in judged]
    metrics["programs/distinct_outputs_frac"] = distinct_share([scored.answers for scored, _ in judged], tasks)
    for shortcut in Shortcut:
        metrics[f"programs/{shortcut.value}_frac"] = _mean([verdict.shortcut is shortcut for verdict in verdicts])
    metrics["programs/solved_frac"] = _mean([verdict.is_solved for verdict in verdicts])
    solved = {task for task, verdict in zip(tasks, verdicts, strict=True) if verdict.is_solved}
    metrics["tasks/solved_frac"] = len(solved) / len(set(tasks))
    metrics["rewards/pass_rate"] = _mean([pass_rate(verdict, config.hidden_weight) for verdict in verdicts])
    for name in RewardParts._fields:
        metrics[f"rewards/{name}"] = _mean([getattr(parts, name) for _, parts in judged])
    metrics["rewards/unnormalized"] = _mean([parts.total for _, parts in judged])
    rates = [(verdict.rate(hidden=False), verdict.rate(hidden=True)) for verdict in verdicts]
    both = [(shown, hidden) for shown, hidden in rates if shown is not None and hidden is not None]
    if both:
        metrics["rewards/shown_pass_rate"] = _mean([shown for shown, _ in both])
        metrics["rewards/hidden_pass_rate"] = _mean([hidden for _, hidden in both])
        metrics["rewards/hidden_gap"] = metrics["rewards/shown_pass_rate"] - metrics["rewards/hidden_pass_rate"]
    return metrics


def completion_text(completion: str | list[dict[str, Any]]) -> str:
    """Everything that the policy wrote: the text, or the contents of all messages of a chat."""
    if isinstance(completion, str):
        return completion
    contents = [message.get("content") or "" for message in completion]
    return "\n".join(content if isinstance(content, str) else str(content) for content in contents)


def repetition(text: str) -> float:
    """Return the share of a text's 4-grams that were there before, 1 − distinct / all.

    Args:
        text: Of any length. Its pieces are words (long ones cut), symbols and line feeds.

    Returns:
        In [0, 1): 0 when nothing repeats or there are fewer than four pieces.
    """
    pieces = _PIECE.findall(text)
    ngrams = [tuple(pieces[start : start + _NGRAM]) for start in range(len(pieces) - _NGRAM + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def distinct_share(values: Sequence[Hashable | None], tasks: Sequence[str]) -> float:
    """Return how many different values there are per completion: the mean over tasks with several completions.

    Where no task has several, all completions are taken together.

    Args:
        values: One per completion, at least one; `None` counts as a completion but not as a value.
        tasks: Its task.

    Returns:
        In [0, 1].
    """
    groups: dict[str, list[Hashable | None]] = {}
    for value, task in zip(values, tasks, strict=True):
        groups.setdefault(task, []).append(value)
    several = [group for group in groups.values() if len(group) > 1] or [list(values)]
    return _mean([len(set(group) - {None}) / len(group) for group in several])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
