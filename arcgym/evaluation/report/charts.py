"""A chart: a Matplotlib figure with a title, a sentence, and its numbers as a table.

In the page a chart is an inline SVG whose colours are CSS variables, so that one drawing serves light and dark; in a
file it has plain colours on white. Series differ by line style, marker or hatching as well as by colour (Okabe and
Ito's, which colour-blind readers tell apart), and who sees no chart has the table.
"""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1f24"
GRID_LINES = "#d7dbe0"
# Okabe and Ito without yellow, which vanishes on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d00")
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "////", "....", "xx", "\\\\\\\\", "++")
_VARIABLES = {INK: "--ink", GRID_LINES: "--rule", **{colour: f"--c{i}" for i, colour in enumerate(COLOURS)}}
_SIZE = (4.6, 2.9)  # inches; at the page's column width the text is about as large as the page's
_MAX_ROWS = 60  # of a table; a longer series is thinned

_SETTINGS: Any = {  # Matplotlib types each name
    "svg.fonttype": "none",  # text stays text: it takes the page's font and colour, and can be searched
    "svg.hashsalt": "arcgym",
    "text.parse_math": False,  # a `$` in a name begins no formula
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
}


class Table(NamedTuple):
    """The numbers of a chart: a header, and rows as long as it."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        name: Lower-case letters, digits and hyphens; the name of the exported file.
        title: What it shows, in a few words.
        caption: How to read it, in a sentence or two.
        figure: The drawing.
        table: Its numbers.
    """

    name: str
    title: str
    caption: str
    figure: "Figure" = field(repr=False)
    table: Table = field(repr=False)

    def svg(self) -> str:
        """Return an SVG element for a page that defines the colours as CSS variables."""
        text = self._draw("svg").decode()
        element = text[text.index("<svg") :]
        for colour, variable in _VARIABLES.items():
            element = element.replace(colour, f"var({variable})")
        # The page sets the size, and the description stands beside the drawing
        element = re.sub(r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', element)
        # `…/metadata` says how the file was made; identifiers must differ between the charts of a page
        element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
        element = re.sub(r'\bid="', f'id="{self.name}-', element)
        element = re.sub(r"url\(#", f"url(#{self.name}-", element)
        element = re.sub(r'href="#', f'href="#{self.name}-', element)
        element = re.sub(r'([ \n"])(-?\d+\.\d{3,})', lambda found: found[1] + _short(found[2]), element)
        return re.sub(r"\s*\n\s*", "\n", element)

    def save(self, folder: str | Path, format: Literal["svg", "png"]) -> Path:
        """Write the chart to a file of its own, on white.

        Returns:
            The file, `NAME.svg` or `NAME.png`.
        """
        path = Path(folder) / f"{self.name}.{format}"
        path.write_bytes(self._draw(format, transparent=False, dpi=200))
        return path

    def _draw(self, format: Literal["svg", "png"], **options: Any) -> bytes:
        file = io.BytesIO()
        # Without a date, and with identifiers that depend on the drawing alone: the same run gives the same file
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        with chart_style():
            self.figure.savefig(file, format=format, metadata=metadata, **({"transparent": True} | options))
        return file.getvalue()


def new_axes(height: float = _SIZE[1]) -> "tuple[Figure, Axes]":
    """Make an empty chart in our style.

    Args:
        height: In inches.
    """
    from matplotlib.figure import Figure

    with chart_style():
        figure = Figure(figsize=(_SIZE[0], height), layout="constrained")
        axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(nbins=5)
    axes.grid(axis="y", color=GRID_LINES, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def add_legend(axes: "Axes", columns: int = 2) -> None:
    """Put the legend above the axes, where it hides nothing; none for a single series."""
    with chart_style():
        _, labels = axes.get_legend_handles_labels()
        if len(labels) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, borderaxespad=0.2)


def draw_line(axes: "Axes", number: int, steps: Sequence[float], values: Sequence[float], label: str) -> None:
    """Draw a series as a line, told apart by colour, line style and marker.

    Args:
        axes: Where.
        number: Of the series, from 0.
        steps: Horizontal positions.
        values: Heights, as many.
        label: Its name in the legend.
    """
    axes.plot(
        steps,
        values,
        color=COLOURS[number % len(COLOURS)],
        linestyle=LINE_STYLES[number % len(LINE_STYLES)],
        marker=MARKERS[number % len(MARKERS)],
        markevery=max(1, math.ceil(len(values) / 8)),
        markersize=4,
        linewidth=1.6,
        label=shorten(label),
    )


def draw_band(axes: "Axes", number: int, steps: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
    """Shade what lies between two lines of a series, with thin edges, so that bands that cross can be told apart."""
    colour = COLOURS[number % len(COLOURS)]
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    for edge in (low, high):
        axes.plot(steps, edge, color=colour, linewidth=0.5, linestyle=LINE_STYLES[number % len(LINE_STYLES)])


def as_percent(axes: "Axes", which: Literal["x", "y"] = "y") -> None:
    """Write an axis of shares in per cent."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def shorten(text: str, length: int = 28) -> str:
    """Cut a name from its middle, so that both ends still tell it apart."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def thin(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Keep at most sixty rows of a table, at even distances, first and last among them."""
    if len(rows) <= _MAX_ROWS:
        return list(rows)
    last = len(rows) - 1
    return [rows[round(i * last / (_MAX_ROWS - 1))] for i in range(_MAX_ROWS)]


def _short(number: str) -> str:
    text = f"{float(number):.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


@contextmanager
def chart_style() -> Iterator[None]:
    """Set what all charts share; whatever makes text on a chart has to run within."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcParams.update(_SETTINGS)
        yield
