"""How a grid is written in a prompt: of each encoding two functions, `write` and `parse`, inverse to each other.

Which one suits a policy depends on its tokenizer: some take one token for a run of digits and cannot count in it, some
know spaced numbers best. Sparse and run-length text is short for grids that are mostly background. `parse` accepts
exactly what `write` gives, with or without the last line feed, and names the place of anything else.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

from arcgym.errors import TaskError
from arcgym.grids import MAX_SIDE, Grid, as_grid

COLOUR_WORDS = ("black", "blue", "red", "green", "yellow", "gray", "magenta", "orange", "azure", "maroon")
_DIGITS = "0123456789"
_SIZE = re.compile(r"^([1-9]\d?)x([1-9]\d?)$")
_SPARSE_HEAD = re.compile(r"^([1-9]\d?)x([1-9]\d?) of (\d)$")
_SPARSE_CELL = re.compile(r"^(0|[1-9]\d?),(0|[1-9]\d?)=(\d)$")
_RUN = re.compile(r"^(\d)(?:x([1-9]\d?))?$")


class Encoding(NamedTuple):
    """How grids are written.

    Attributes:
        write: Grid to text; each line ends with a line feed.
        parse: The inverse, raising `TaskError` for any other text.
    """

    write: Callable[[Grid], str]
    parse: Callable[[str], Grid]


def _by_cells(separator: str, words: tuple[str, ...], left: str = "", right: str = "") -> Encoding:
    """An encoding that writes each row as its cells' words, separated, between two marks."""
    colours = {word: colour for colour, word in enumerate(words)}

    def write(grid: Grid) -> str:
        return "".join(left + separator.join(words[cell] for cell in row) + right + "\n" for row in grid.tolist())

    def parse(text: str) -> Grid:
        rows, problems = [], []
        for r, line in enumerate(_lines(text)):
            if not (line.startswith(left) and line.endswith(right) and len(line) >= len(left) + len(right)):
                problems.append(f"row {r}: {line!r} does not stand between {left!r} and {right!r}")
                continue
            inner = line[len(left) : len(line) - len(right)]
            cells = inner.split(separator) if separator else list(inner)
            foreign = [(c, cell) for c, cell in enumerate(cells) if cell not in colours]
            problems += [f"row {r}, column {c}: {cell!r} is not one of {', '.join(words)}" for c, cell in foreign]
            rows.append([colours.get(cell, 0) for cell in cells])
        return _checked(rows, problems)

    return Encoding(write, parse)


def _write_numpy(grid: Grid) -> str:
    rows = [f"[{' '.join(map(str, row))}]" for row in grid.tolist()]
    return "[" + "\n ".join(rows) + "]\n"


def _parse_numpy(text: str) -> Grid:
    body = text.removesuffix("\n")
    if not (body.startswith("[[") and body.endswith("]]")):
        raise TaskError("not a grid: an array stands between '[[' and ']]'.")
    rows = "".join(f"{line}\n" for line in body[2:-2].split("]\n ["))
    return ENCODINGS["spaced"].parse(rows)


def _write_sparse(grid: Grid) -> str:
    cells = grid.tolist()
    counts = Counter(cell for row in cells for cell in row)
    background = min(counts, key=lambda colour: (-counts[colour], colour))
    listed = [f"{r},{c}={cell}" for r, row in enumerate(cells) for c, cell in enumerate(row) if cell != background]
    head = f"{len(cells)}x{len(cells[0])} of {background}"
    return f"{head}\n{' '.join(listed)}\n" if listed else f"{head}\n"


def _parse_sparse(text: str) -> Grid:
    head, *body = _lines(text)
    match = _SPARSE_HEAD.match(head)
    if match is None or len(body) > 1:
        raise TaskError(f"not a grid: {head!r} should be like '3x4 of 0', with one line of cells below it.")
    height, width, background = map(int, match.groups())
    if max(height, width) > MAX_SIDE:
        raise TaskError(f"not a grid: {height}x{width} is larger than {MAX_SIDE}x{MAX_SIDE}.")
    rows, problems = [[background] * width for _ in range(height)], []
    for cell in body[0].split(" ") if body else []:
        found = _SPARSE_CELL.match(cell)
        row, column, colour = map(int, found.groups()) if found else (height, width, 0)
        if row < height and column < width:
            rows[row][column] = colour
        else:
            problems.append(f"{cell!r} is not a cell of {height}x{width}, such as '0,1=2'")
    grid = _checked(rows, problems)
    if _write_sparse(grid).removesuffix("\n") != text.removesuffix("\n"):
        raise TaskError("not a grid: list every cell that is not of the most frequent colour once, row by row.")
    return grid


def _write_runs(grid: Grid) -> str:
    def run(colour: int, length: int) -> str:
        return str(colour) if length == 1 else f"{colour}x{length}"

    rows = [" ".join(run(colour, len(list(cells))) for colour, cells in groupby(row)) for row in grid.tolist()]
    return "".join(f"{row}\n" for row in rows)


def _parse_runs(text: str) -> Grid:
    rows, problems = [], []
    for r, line in enumerate(_lines(text)):
        row: list[int] = []
        for word in line.split(" "):
            match = _RUN.match(word)
            if match is None:
                problems.append(f"row {r}: {word!r} is not a run, such as '0x3' or '5'")
            else:
                row += [int(match[1])] * int(match[2] or 1)
        rows.append(row)
    grid = _checked(rows, problems)
    if _write_runs(grid).removesuffix("\n") != text.removesuffix("\n"):
        raise TaskError("not a grid: write the longest runs there are, and a run of one as its colour alone.")
    return grid


ENCODINGS: dict[str, Encoding] = {
    "digits": _by_cells("", tuple(_DIGITS)),
    "spaced": _by_cells(" ", tuple(_DIGITS)),
    "numpy": Encoding(_write_numpy, _parse_numpy),
    "ascii": _by_cells("|", tuple(_DIGITS), "|", "|"),
    "sparse": Encoding(_write_sparse, _parse_sparse),
    "words": _by_cells(" ", COLOUR_WORDS),
    "runs": Encoding(_write_runs, _parse_runs),
}


def with_size(encoding: Encoding) -> Encoding:
    """Put a line with the size before each grid, such as `3x4` for three rows of four cells."""

    def write(grid: Grid) -> str:
        return f"{grid.shape[0]}x{grid.shape[1]}\n{encoding.write(grid)}"

    def parse(text: str) -> Grid:
        head, _, body = text.partition("\n")
        match = _SIZE.match(head)
        if match is None:
            raise TaskError(f"not a grid: {head!r} is not a size, such as '3x4'.")
        grid = encoding.parse(body)
        if grid.shape != (int(match[1]), int(match[2])):
            raise TaskError(f"not a grid: it has {grid.shape[0]}x{grid.shape[1]} cells, not {head}.")
        return grid

    return Encoding(write, parse)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _checked(rows: list[list[int]], problems: list[str]) -> Grid:
    if problems:
        raise TaskError("not a grid: " + "; ".join(problems) + ".")
    return as_grid(rows)
