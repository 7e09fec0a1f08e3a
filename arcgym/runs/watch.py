"""A run in the terminal: what it is at, its curves, what is wrong with it, and its last programs.

`watch` follows a run directory until its summary is there. On a terminal it redraws a page in place; into a pipe it
writes a line per row, as a log. The page is made of blocks and drops those that do not fit, the least important first.
"""

import difflib
import math
import re
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from arcgym.runs.following import RunReader, RunState
from arcgym.runs.program_cards import choose_cards, draw_card

# What is shown of a run that logs it, the most important first. `docs/metrics.md` explains each.
DEFAULT_METRICS = (
    "reward",
    "tasks/solved_frac",
    "programs/valid_frac",
    "entropy",
    "kl",
    "speed/programs_per_second",
    "rewards/hidden_gap",
    "completions/clipped_ratio",
    "ppo/explained_variance",
    "curriculum/level",
)
_LINE_METRICS = DEFAULT_METRICS[:6]
_VALIDATION = re.compile(r"^eval_(.+_)?tasks/solved_frac$")
_SHARES = re.compile(r"(_frac|_ratio|_rate|_gap|_mean_ratio|distinct|repetition)$")
_BARS = "▁▂▃▄▅▆▇█"
_SIDE_BY_SIDE = 110  # columns from which programs stand beside the curves
_FEW_METRICS = 6  # on a page too low for all of them
_LOW = 34  # lines below which a page is that
_CARDS = 3
_EVENTS = 3
_SILENT_S = 120.0  # without a row, beyond which it is worth a warning, and three times the usual
_COLOURS = {"warning": "yellow", "warn": "bold red", "rollback": "bold red", "stop": "bold red"}


def watch(
    reader: RunReader,
    console: Console,
    *,
    once: bool = False,
    refresh_s: float = 2.0,
    metrics: Sequence[str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Follow a run until it has finished, or the user interrupts.

    Args:
        reader: Of the run directory.
        console: Where it is drawn.
        once: Draw what there is now, and return.
        refresh_s: Seconds between two looks.
        metrics: Shown instead of `DEFAULT_METRICS`.
        sleep: Waits.
    """
    is_page = console.is_terminal and not console.is_dumb_terminal
    if not once:
        try:
            (_follow_page if is_page else _follow_lines)(reader, console, refresh_s, metrics, sleep)
        except KeyboardInterrupt:
            pass
        if not is_page:
            return
    state = reader.read()
    console.print(page(state, console, metrics=metrics))


def page(
    state: RunState, console: Console, *, height: int | None = None, metrics: Sequence[str] | None = None
) -> RenderableType:
    """Lay out what is known of a run.

    Args:
        state: What is known.
        console: Where it is drawn; its width and colours decide on the layout.
        height: Lines that there are; any number by default.
        metrics: Shown instead of `DEFAULT_METRICS`.
    """
    width = console.width
    is_low = height is not None and height < _LOW
    head = _head(state, width)
    figures = [
        *_events(state, 1 if is_low else _EVENTS),
        *_metrics(state, metrics, _FEW_METRICS if is_low else None),
        *_evaluations(state),
    ]
    if width >= _SIDE_BY_SIDE:
        half = (width - 2) // 2
        remaining = None if height is None else height - _lines(console, head, width) - 1
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=half)
        table.add_column(width=half)
        table.add_row(
            _fit(console, figures, half, remaining), _fit(console, _cards(state, console, half), half, remaining)
        )
        return Group(head, "", table)
    return _fit(console, [head, *figures, *_cards(state, console, width)], width, height)


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw a curve in one line: the means of equal stretches, from the least to the greatest of them.

    Args:
        values: In order; any number.
        width: Characters at most.
    """
    count = min(width, len(values))
    if count < 1:
        return ""
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)


# --- Following ---


def _follow_page(
    reader: RunReader,
    console: Console,
    refresh_s: float,
    metrics: Sequence[str] | None,
    sleep: Callable[[float], None],
) -> None:
    """Redraw a page until the run has finished."""
    state = reader.read()

    def draw() -> RenderableType:
        return page(state, console, height=console.height, metrics=metrics)

    with Live(draw(), console=console, screen=True, auto_refresh=False) as live:
        while state.summary is None:
            sleep(refresh_s)
            state = reader.read()
            live.update(draw(), refresh=True)


def _follow_lines(
    reader: RunReader,
    console: Console,
    refresh_s: float,
    metrics: Sequence[str] | None,
    sleep: Callable[[float], None],
) -> None:
    """Write a line for each new row, and for each new phase, until the run has finished."""
    state = reader.read()
    phase, seen, seen_events = None, -math.inf, 0
    while True:
        if state.phase not in (phase, "finished"):
            phase = state.phase
            _write(console, f"{state.path}: {_phase_text(state)}")
        for event in state.events[seen_events:]:
            _write(console, _event_text(event))
        seen_events = len(state.events)
        for row in (row for row in state.rows if row["time"] > seen):
            shown = [f"{name} {_value(name, row[name])}" for name in metrics or _LINE_METRICS if _is_number(row, name)]
            if shown:
                _write(console, f"step {row['step']:>5}   " + "   ".join(shown))
        seen = max((row["time"] for row in state.rows), default=seen)
        if state.summary is not None:  # behind its last rows, which the same look may have found
            _write(console, f"{state.path}: {_phase_text(state)}")
            return
        sleep(refresh_s)
        state = reader.read()


def _write(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.file.flush()


# --- Blocks of the page ---


def _fit(console: Console, blocks: Sequence[RenderableType], width: int, height: int | None) -> Group:
    """Stack blocks with a blank line between them, as long as they fit."""
    chosen: list[RenderableType] = []
    used = 0
    for block in blocks:
        lines = _lines(console, block, width) + bool(chosen)
        if height is not None and used + lines > height:
            continue
        chosen += ["", block] if chosen else [block]
        used += lines
    return Group(*chosen)


def _lines(console: Console, block: RenderableType, width: int) -> int:
    return len(console.render_lines(block, console.options.update(width=width, height=None)))


def _head(state: RunState, width: int) -> RenderableType:
    title = Text(no_wrap=True, overflow="ellipsis")
    phase, name = _phase_text(state), str(state.path)
    room = max(8, width - len(phase) - 2)
    title.append(name if len(name) <= room else f"…{name[1 - room :]}", "bold")  # its end tells more
    title.append(f"  {phase}", "green" if state.phase == "finished" else "cyan")
    config = state.config
    facts = [
        str(config.get("model_name_or_path") or ""),
        ", ".join(map(str, config.get("train_tasks") or [])),
        f"{config['num_generations']} programs per task" if config.get("num_generations") else "",
    ]
    lines: list[RenderableType] = [title]
    if config:
        lines.append(Text(" · ".join(filter(None, facts)), "dim", no_wrap=True, overflow="ellipsis"))
    if state.begun is not None:
        lines.append(_progress(state, width))
    return Group(*lines)


def _phase_text(state: RunState) -> str:
    if state.phase == "starting":
        return "waiting for the run to begin: nothing is written yet"
    if state.phase == "training" and not state.rows:
        return "training: waiting for the first row"
    if state.phase == "finished":
        seconds = (state.summary or {}).get("seconds")
        return "finished" + (f", {_duration(seconds)} of training" if isinstance(seconds, int | float) else "")
    return state.phase


def _progress(state: RunState, width: int) -> RenderableType:
    total, step = state.total_steps, state.step
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    times = []
    if state.phase == "training":
        if state.seconds_left is not None:
            times.append(f"{_duration(state.seconds_left)} left")
        if state.seconds_silent is not None:
            times.append(f"last row {_duration(state.seconds_silent)} ago")
    known = total is not None and total > 0
    bar.add_row(
        f"step {step}/{total}" if known else f"step {step}",
        ProgressBar(total or 1, min(step, total or 1), width=max(6, min(40, width - 50))) if known else "",
        Text(", ".join(times), "bold yellow" if _is_silent(state) else ""),
    )
    return bar


def _is_silent(state: RunState) -> bool:
    """Whether a run in training has logged nothing for much longer than it usually takes."""
    times = [row["time"] for row in state.rows if "loss" in row]
    if state.phase != "training" or len(times) < 2 or state.seconds_silent is None:
        return False
    return state.seconds_silent > max(_SILENT_S, 3 * max(b - a for a, b in pairwise(times)))


def _metrics(state: RunState, wanted: Sequence[str] | None, most: int | None) -> list[RenderableType]:
    if not state.rows:
        return []
    logged = {name for row in state.rows for name in row if _is_number(row, name)}
    validation = sorted(name for name in logged if _VALIDATION.match(name))
    names = list(
        wanted or [name for name in (DEFAULT_METRICS[0], *validation, *DEFAULT_METRICS[1:]) if name in logged]
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="dim")
    table.add_column("metric", no_wrap=True, overflow="ellipsis", min_width=12)
    table.add_column("first", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("", ratio=1)
    for name in names if wanted else names[:most]:
        values = [value for _, value in state.series(name)]
        if values:
            last = Text(_value(name, values[-1]), "bold")
            table.add_row(name, _value(name, values[0]), last, _Sparkline(values))
        else:
            close = difflib.get_close_matches(name, sorted(logged), n=1)
            hint = f"not logged so far; did you mean {close[0]}?" if close else "not logged so far"
            table.add_row(name, "", "", Text(hint, "yellow"))
    return [table]


class _Sparkline:
    """A curve that takes the width it is given."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield Text(sparkline(self.values, options.max_width), "cyan", no_wrap=True)


def _evaluations(state: RunState) -> list[RenderableType]:
    if not state.evaluations:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("evaluated on", no_wrap=True, overflow="ellipsis")
    table.add_column("solved before", justify="right", no_wrap=True)
    table.add_column("solved after", justify="right", no_wrap=True)
    for name, figures in state.evaluations.items():
        texts = [
            f"{figures[when].solved}/{figures[when].tasks}" if when in figures else "" for when in ("before", "after")
        ]
        table.add_row(name, *texts)
    return [table]


def _events(state: RunState, most: int) -> list[RenderableType]:
    """The last warnings of the collapse monitor, the newest first."""
    lines: list[RenderableType] = [
        Text("! " + _event_text(event), _COLOURS.get(str(event.get("action")), "yellow"))
        for event in reversed(state.events[-most:])
    ]
    if len(state.events) > most:
        lines.append(Text(f"  and {len(state.events) - most} earlier ones in collapse.jsonl", "dim"))
    return [Group(*lines)] if lines else []


def _event_text(event: dict[str, Any]) -> str:
    what = {
        "warning": "may be the start of a collapse",
        "warn": "collapse",
        "rollback": f"collapse: back to {str(event.get('checkpoint')).rsplit('/', 1)[-1]}",
        "stop": "collapse: the run is stopped",
    }.get(str(event.get("action")), str(event.get("action")))
    values, limits = event.get("values") or {}, event.get("limits") or {}
    signals = [
        f"{name} {_number(values.get(name))}"
        + (f" (limit {_number(limits[name])})" if _is_number(limits, name) else "")
        for name in event.get("signals", [])
    ]
    return (
        f"step {event.get('step')}: {what}: {', '.join(signals)}" if signals else f"step {event.get('step')}: {what}"
    )


def _cards(state: RunState, console: Console, width: int) -> list[RenderableType]:
    if not state.programs:
        return []
    names = dict.fromkeys(
        name.split("/")[1] for row in state.rows for name in row if re.fullmatch(r"rewards/[^/]+/mean", name)
    )
    weights = state.config.get("reward_weights")
    cards = choose_cards(
        state.programs,
        _CARDS,
        reward_names=[name for name in state.programs[0] if name in names],
        reward_weights=weights if isinstance(weights, list) else None,
        encoding=state.config.get("prompt_encoding"),
        size_headers=bool(state.config.get("prompt_size_headers")),
    )
    colour = console.color_system is not None and not console.no_color
    drawn = [draw_card(card, width=width, colour=colour) for card in cards]
    step = state.programs[0].get("step")
    title = Text(f"step {step}: the best of {len(state.programs)} programs, and one of the worst", "dim")
    title.no_wrap, title.overflow = True, "ellipsis"
    return [Group(title, drawn[0]), *drawn[1:]] if drawn else []


# --- Text ---


def _is_number(row: Any, name: str) -> bool:
    return isinstance(row.get(name), int | float) and not isinstance(row.get(name), bool)


def _value(name: str, value: float) -> str:
    return f"{value:.1%}".replace("%", " %") if _SHARES.search(name) else _number(value)


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return "not finite"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
