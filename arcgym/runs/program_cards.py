"""Programs of a rollout for the terminal: which to show, and each beside the grids of its task.

The log of completions holds the prompt, the program and the verdict, but no test output and nothing that a program
answered. So the grids drawn are a demonstration that the prompt shows, read back from it, and its expected output; a
program that passed every pair answered just that.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from arcgym.data.encodings import ENCODINGS
from arcgym.errors import TaskError
from arcgym.grids import PALETTE, Grid
from arcgym.programs import extract_program

_BLOCK = re.compile(
    r"^(Input|Output|Test):[ ]?\n(.*?)(?=^(?:Input|Output|Test|Program):|\Z)", re.MULTILINE | re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a policy may write what moves the terminal's cursor
_CODE_LINES = 12
_CODE_WIDTH = 30
_LARGEST = (24, 20)  # widest and highest grid that is preferred, in cells


class Demonstration(NamedTuple):
    """A pair that a prompt shows."""

    number: int
    input: Grid
    output: Grid


class Card(NamedTuple):
    """One program and what is known of it."""

    task_id: str
    program: str
    verdict: str
    is_solved: bool
    reward: float | None
    demonstration: Demonstration | None


def choose_cards(
    rows: Sequence[Mapping[str, Any]],
    count: int,
    *,
    reward_names: Sequence[str] = (),
    reward_weights: Sequence[float] | None = None,
    encoding: str | None = None,
    size_headers: bool = False,
) -> list[Card]:
    """Choose programs of different tasks, from the best reward to the worst.

    Args:
        rows: Of a file of completions.
        count: How many at most.
        reward_names: Columns of rewards.
        reward_weights: Of each; 1 by default.
        encoding: How prompts write grids; any by default.
        size_headers: Whether they write their sizes too.
    """
    weights = list(reward_weights or [1.0] * len(reward_names))
    scored = [(_reward(row, reward_names, weights), row) for row in rows]
    scored.sort(
        key=lambda entry: (-(entry[0] if entry[0] is not None else float("-inf")), str(entry[1]["completion"]))
    )
    by_task: dict[Any, tuple[float | None, Mapping[str, Any]]] = {}
    for reward, row in scored:
        by_task.setdefault(row.get("task_id", row.get("prompt")), (reward, row))
    chosen = list(by_task.values())[: max(1, count - 1)]
    # The last is a failure, where there is one: what goes wrong is worth a look too
    if count > 1 and scored and not any(row is scored[-1][1] for _, row in chosen):
        chosen.append(scored[-1])
    return [
        _card(row, reward, shown_pairs(_plain(row.get("prompt"), lines=True), encoding, size_headers))
        for reward, row in chosen
    ]


def shown_pairs(prompt: str, encoding: str | None = None, size_headers: bool = False) -> list[Demonstration]:
    """Read the demonstrations back from a prompt of the default templates; none from any other text.

    Args:
        prompt: As it was logged.
        encoding: How it writes grids; by default each encoding is tried.
        size_headers: Whether a line with its size stands above each grid.
    """
    names = [encoding] if encoding in ENCODINGS else list(ENCODINGS)
    pairs: list[Demonstration] = []
    waiting: Grid | None = None
    for label, text in _BLOCK.findall(prompt):
        lines = [line for line in text.split("\n") if line.strip()]
        grid = _parse(lines[1:] if size_headers else lines, names)
        if label == "Output" and waiting is not None and grid is not None:
            pairs.append(Demonstration(len(pairs) + 1, waiting, grid))
        waiting = grid if label == "Input" else None
    return pairs


def draw_grid(grid: Grid, *, colour: bool) -> Text:
    """Draw a grid with one character per cell: two rows in a line of half blocks, or digits without colour."""
    if not colour:
        return Text("\n".join("".join(map(str, row)) for row in grid.tolist()))
    rows = grid.tolist() + ([[-1] * grid.shape[1]] if len(grid) % 2 else [])
    drawing = Text()
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            drawing.append("▀", f"{PALETTE[above]}" + (f" on {PALETTE[below]}" if below >= 0 else ""))
        drawing.append("\n")
    drawing.rstrip()
    return drawing


def draw_card(card: Card, *, width: int, colour: bool) -> RenderableType:
    """Draw a program: a line with its verdict, its grids, and its code beside them where there is room.

    Args:
        card: The program.
        width: Columns of the terminal that it may take.
        colour: Whether the terminal has colours.
    """
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append("✓ " if card.is_solved else "✗ ", "bold green" if card.is_solved else "bold red")
    head.append(card.task_id or "a task", "bold")
    head.append(f"  {card.verdict}")
    if card.reward is not None:
        head.append(f"  reward {card.reward:.3f}", "dim")
    code = _code(card.program)
    if card.demonstration is None:
        return Group(head, code)
    grids = _grids(card.demonstration, colour)
    grids_width = Console(width=width).measure(grids).maximum
    if grids_width > width:
        return Group(head, code)
    if grids_width + 2 + _CODE_WIDTH > width:
        return Group(head, grids, code)
    body = Table.grid(padding=(0, 2))
    body.add_column(no_wrap=True)
    body.add_column(ratio=1)
    body.add_row(grids, code)
    return Group(head, body)


def _card(row: Mapping[str, Any], reward: float | None, pairs: Sequence[Demonstration]) -> Card:
    text = _plain(str(row["completion"]), lines=True)
    parts = [_plain(row.get("program_status")), f"{row['pairs_passed']} pairs" if row.get("pairs_passed") else ""]
    parts += [_plain(row.get("program_shortcut")), _plain(row.get("program_error"))]
    return Card(
        task_id=_plain(row.get("task_id")),
        program=extract_program(text) or text,
        verdict=", ".join(part for part in parts if part),
        is_solved=bool(row.get("is_solved")),
        reward=reward,
        demonstration=_smallest(pairs),
    )


def _reward(row: Mapping[str, Any], names: Sequence[str], weights: Sequence[float]) -> float | None:
    known = [(row[name], weight) for name, weight in zip(names, weights, strict=False) if row.get(name) is not None]
    values = [weight * float(value) for value, weight in known]
    return sum(values) if values and not any(np.isnan(values)) else None


def _plain(value: Any, *, lines: bool = False) -> str:
    """What is safe to print of a text; nothing of anything else."""
    text = value if isinstance(value, str) else ""
    text = _CONTROL.sub("�", text)
    return text if lines else " ".join(text.split())


def _parse(lines: Sequence[str], names: Iterable[str]) -> Grid | None:
    grid = _parse_lines(lines, names)
    return _parse_lines(lines[:-1], names) if grid is None else grid  # marks of a chat stand behind the last one


def _parse_lines(lines: Sequence[str], names: Iterable[str]) -> Grid | None:
    for name in names:
        try:
            return ENCODINGS[name].parse("".join(f"{line}\n" for line in lines))
        except TaskError:
            continue
    return None


def _smallest(pairs: Sequence[Demonstration]) -> Demonstration | None:
    """The first pair that draws small, else the smallest."""
    small = [pair for pair in pairs if all(g.shape[1] <= _LARGEST[0] and g.shape[0] <= _LARGEST[1] for g in pair[1:])]
    return small[0] if small else min(pairs, key=lambda pair: pair.input.size + pair.output.size, default=None)


def _grids(pair: Demonstration, colour: bool) -> RenderableType:
    """Input and expected output side by side, below a line that says so."""
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True, vertical="middle")
    table.add_row(draw_grid(pair.input, colour=colour), "→", draw_grid(pair.output, colour=colour))
    return Group(Text(f"example {pair.number} → expected", "dim", no_wrap=True), table)


def _code(program: str) -> RenderableType:
    lines = program.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("def ")), 0)
    shown, more = lines[start : start + _CODE_LINES], len(lines) - start - _CODE_LINES
    code = Syntax("\n".join(shown), "python", theme="ansi_dark", background_color="default", word_wrap=False)
    return Group(code, Text(f"… and {more} more lines", "dim")) if more > 0 else code
