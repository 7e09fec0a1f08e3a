"""Repair: programs that fail go back to the policy with what they did; a bandit chooses which.

Each program is an arm, and a repair of it a pull. How far it is from right is known from the demonstrations it passes,
so that share, together with the repairs of it that have failed so far, makes a Beta posterior of how well the next one
will do; the arm with the greatest draw from its posterior is pulled. Good programs are tried first, and given up when
repair after repair of them fails.

Reference:
    Tang et al. (2024), Code Repair with LLMs gives an Exploration-Exploitation Tradeoff, section 3.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from arcgym.data.formatting import Prompt, TaskFormatter
from arcgym.data.tasks import Task
from arcgym.grids import grids_equal
from arcgym.sandbox import ExecutionResult

if TYPE_CHECKING:
    import jinja2

_TEMPLATE = Path(__file__).with_name("repair.jinja")
_MOST_CELLS = 12  # wrong cells that are listed one by one
_LONGEST_MESSAGE = 300  # characters of an error


class Arm(NamedTuple):
    """A program that may be repaired.

    Args:
        pass_share: Share of the demonstrations that it passes, in [0, 1].
        num_failed: Repairs of it so far that did not fit all demonstrations.
    """

    pass_share: float
    num_failed: int


def choose_arms(arms: Sequence[Arm], count: int, greed: float, rng: np.random.Generator) -> list[int]:
    """Draw programs to repair by Thompson sampling.

    The posterior of a program is Beta(1 + greed · share, 1 + greed · (1 − share) + failed). A program that is drawn
    counts as failed for the draws behind it, so that one round does not bet everything on one program.

    Args:
        arms: Any number.
        count: How many to draw.
        greed: How firmly programs are preferred that pass many demonstrations, 0 or more.
        rng: Source of the draws.

    Returns:
        Indices, `count` of them, possibly with repetitions; none without arms.
    """
    if not arms:
        return []
    shares = np.array([arm.pass_share for arm in arms])
    failed = np.array([float(arm.num_failed) for arm in arms])
    chosen = []
    for _ in range(count):
        best = int(rng.beta(1 + greed * shares, 1 + greed * (1 - shares) + failed).argmax())
        failed[best] += 1
        chosen.append(best)
    return chosen


def repair_prompt(formatter: TaskFormatter, task: Task, program: str, result: ExecutionResult) -> Prompt:
    """Write the prompt that asks for a better program: the task's prompt, the program, and what it did.

    Args:
        formatter: Writes the task's prompt, and grids.
        task: Of which the program was run on the demonstrations, then the questions.
        program: The program that failed.
        result: What came of it.

    Returns:
        Messages where the formatter writes messages, else text.

    Raises:
        TaskError: The task's own prompt does not fit into the formatter's budget.
    """
    prompt = formatter.format(task).prompt
    told = feedback(formatter, task, result)
    if isinstance(prompt, str):
        return f"{prompt}{program.rstrip()}\n\n{told}\nProgram:\n"
    answer = {"role": "assistant", "content": f"```python\n{program.rstrip()}\n```"}
    return [*prompt, answer, {"role": "user", "content": told}]


def feedback(formatter: TaskFormatter, task: Task, result: ExecutionResult) -> str:
    """Say what a program did on the demonstrations: per pair the grid it gave and where that is wrong, and its error.

    Args:
        formatter: Writes grids.
        task: Of which the program was run on the demonstrations, then the questions.
        result: What came of it.
    """
    pairs = []
    for number, (pair, output) in enumerate(zip(task.train, result.outputs, strict=False), start=1):
        told: dict[str, Any] = {"number": number, "is_right": grids_equal(output, pair.output), "produced": None}
        if output is not None and pair.output is not None and not told["is_right"]:
            told["produced"] = formatter.format_grid(output)
            told["wanted"] = formatter.format_grid(pair.output)
            told |= _difference(output, pair.output)
        pairs.append(told)
    error = None
    if not result.ok:
        error = {
            "type": result.error_type or result.status.value,
            "message": result.message[:_LONGEST_MESSAGE],
            "line": result.line,
            "line_text": result.line_text,
        }
    return _compiled().render(pairs=pairs, error=error)


def _difference(got: Any, wanted: Any) -> dict[str, Any]:
    if got.shape != wanted.shape:
        return {
            "shape": " x ".join(map(str, got.shape)),
            "wanted_shape": " x ".join(map(str, wanted.shape)),
        }
    cells = np.argwhere(got != wanted).tolist()
    return {
        "shape": "",
        "num_different": len(cells),
        "num_cells": got.size,
        "different": [
            {"row": row, "column": column, "got": int(got[row, column]), "wanted": int(wanted[row, column])}
            for row, column in cells[:_MOST_CELLS]
        ],
    }


@lru_cache(maxsize=1)
def _compiled() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
