"""Programs that pass pairs without a rule: look-up tables, constant answers, and the input itself.

What the prompt shows can be written into a program, and hidden pairs then fail. That alone proves nothing: an honest
rule can be too narrow as well. So a suspicion is put to the test by running the program, and each test is one that a
program with any rule in it passes:

- **Table, by its literals.** The program holds a shown pair's output or input as a literal. Every such literal is
  changed, and the program run again: it hard-codes a pair if its answer now is the changed output, or if the true
  input has lost the right answer while the changed input, now the written one, has got another answer than before. A
  literal that only stands in a test below the function, or in a docstring, changes nothing. Small grids prove little
  (`[[0]]` is many a default), so those found must hold `MIN_CELLS` cells, uniform grids not counted.
- **Table, by its behaviour**, however it is written: it passes everything shown, and on mirrored, transposed,
  recoloured, enlarged and slightly changed copies of the shown inputs it always fails, returns its input, or returns
  one and the same grid that is no shown output. A rule does something to at least one of them.
- **Constant and identity**: all answers are the same grid, or each is its input.

A program is suspected of a table only if it passes a shown pair and no hidden one, and of the other two unless it
passes everything: who solves a hidden pair has a rule. (A program that picks among written outputs by some feature is
a table until that picks rightly for a hidden pair.) Without a hidden pair these tests are all there is. A table in
disguise, with outputs assembled from pieces *and* a made-up answer elsewhere, gets through; it earns its share of
shown pairs and never the bonus, as long as there is a hidden one.

Suspects are rare, and each distinct one costs one more execution, with telling literals up to four, in one batch.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from arcgym.grids import MAX_SIDE, NUM_COLOURS, Grid, as_grid, grids_equal
from arcgym.rewards.execution import run_programs
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status

MIN_CELLS = 6

# Copies of so many shown inputs are tried, and so many different ones are needed to say anything.
_PROBED_PAIRS = 3
_MIN_PROBES = 3

# On a copy other than these say more about the machine than about the rule.
_TELLING = frozenset({Status.OK, Status.RUNTIME_ERROR, Status.INVALID_OUTPUT})


class Shortcut(StrEnum):
    """How a program passes pairs, or tries to, without having the rule."""

    LOOKUP = "lookup"
    CONSTANT = "constant"
    IDENTITY = "identity"


class ShownPair(NamedTuple):
    """A pair that the prompt shows, and whether the suspect passes it."""

    input: Grid
    output: Grid
    is_passed: bool


class Suspect(NamedTuple):
    """A program that passes some shown pair and no hidden one.

    Attributes:
        program: A source that compiles.
        shown: All shown pairs of its task.
    """

    program: str
    shown: Sequence[ShownPair]


def trivial_answers(inputs: Sequence[Grid], outputs: Sequence[Grid | None]) -> Shortcut | None:
    """Tell whether a program's answers are all the same, or all the input.

    Args:
        inputs: What it was run on.
        outputs: Its answers, one per input; with one missing there is no telling.

    Returns:
        `IDENTITY`, `CONSTANT`, or `None` if neither or if the inputs are not at least two different grids.
    """
    if len({_key(grid) for grid in inputs}) < 2 or any(output is None for output in outputs):
        return None
    if all(grids_equal(output, grid) for grid, output in zip(inputs, outputs, strict=True)):
        return Shortcut.IDENTITY
    if all(grids_equal(output, outputs[0]) for output in outputs):
        return Shortcut.CONSTANT
    return None


def find_tables(sandbox: CodeSandbox, suspects: Sequence[Suspect]) -> list[frozenset[int]]:
    """Find out which suspects are look-up tables.

    Args:
        sandbox: Runs them, as one batch.
        suspects: Any number.

    Returns:
        For each the indices of the shown pairs that it hard-codes; empty if it cannot be shown to.
    """
    trials = [_Trial.of(suspect) for suspect in suspects]
    jobs = [job for trial in trials for job in trial.jobs]
    ran = run_programs(sandbox, [job.program for job in jobs], [job.inputs for job in jobs]) if jobs else []
    results = iter(ran)
    return [trial.verdict([next(results) for _ in trial.jobs]) for trial in trials]


class _Job(NamedTuple):
    program: str
    inputs: Sequence[Grid]


class _Trial(NamedTuple):
    """What is run for one suspect: changed programs on the shown inputs, and itself on changed and copied inputs."""

    suspect: Suspect
    outputs_changed: _Job | None
    inputs_changed: _Job | None
    before: _Job | None  # itself, on the changed inputs
    copies: _Job | None

    @classmethod
    def of(cls, suspect: Suspect) -> "_Trial":
        inputs = [pair.input for pair in suspect.shown]
        passed = [pair for pair in suspect.shown if pair.is_passed]
        changed_outputs = change_literals(suspect.program, [pair.output for pair in passed])
        changed_inputs = change_literals(suspect.program, [pair.input for pair in passed])
        # Where the rule leaves a grid as it is, so it may do with copies.
        active = [pair.input for pair in suspect.shown if not grids_equal(pair.input, pair.output)]
        copies = perturbed_copies(active) if len(passed) == len(suspect.shown) else []
        return cls(
            suspect,
            None if changed_outputs is None else _Job(changed_outputs, inputs),
            None if changed_inputs is None else _Job(changed_inputs, [*inputs, *map(changed, inputs)]),
            None if changed_inputs is None else _Job(suspect.program, [changed(grid) for grid in inputs]),
            _Job(suspect.program, copies) if len(copies) >= _MIN_PROBES else None,
        )

    @property
    def jobs(self) -> list[_Job]:
        jobs = (self.outputs_changed, self.inputs_changed, self.before, self.copies)
        return [job for job in jobs if job is not None]

    def verdict(self, results: Sequence[ExecutionResult]) -> frozenset[int]:
        by_job, shown = iter(results), self.suspect.shown
        by_output = set() if self.outputs_changed is None else self._following_outputs(next(by_job).outputs)
        by_input = set() if self.before is None else self._following_inputs(next(by_job), next(by_job))
        literals = [*(shown[index].output for index in by_output), *(shown[index].input for index in by_input)]
        telling = {_key(grid): grid.size for grid in literals if np.ptp(grid)}
        hard_coded = by_output | by_input if sum(telling.values()) >= MIN_CELLS else set()
        if self.copies is not None and self._knows_only_what_is_shown(next(by_job)):
            hard_coded = set(range(len(shown)))
        return frozenset(hard_coded)

    def _following_outputs(self, answers: Sequence[Grid | None]) -> set[int]:
        return {
            index
            for index, (pair, answer) in enumerate(zip(self.suspect.shown, answers, strict=True))
            if pair.is_passed and grids_equal(answer, changed(pair.output))
        }

    def _following_inputs(self, result: ExecutionResult, before: ExecutionResult) -> set[int]:
        on_true, on_changed = result.outputs[: len(self.suspect.shown)], result.outputs[len(self.suspect.shown) :]
        answers = zip(self.suspect.shown, on_true, on_changed, before.outputs, strict=True)
        return {
            index
            for index, (pair, true, now, then) in enumerate(answers)
            if pair.is_passed and not grids_equal(true, pair.output) and now is not None and not grids_equal(now, then)
        }

    def _knows_only_what_is_shown(self, result: ExecutionResult) -> bool:
        assert self.copies is not None
        if result.status not in _TELLING:
            return False
        others = {
            _key(output)
            for copy, output in zip(self.copies.inputs, result.outputs, strict=True)
            if output is not None and not grids_equal(output, copy)
        }
        return len(others) <= 1 and not others & {_key(pair.output) for pair in self.suspect.shown}


def changed(grid: Grid) -> Grid:
    """Return the grid with another colour in every cell: the next one, and 0 after 9."""
    return as_grid((grid + 1) % NUM_COLOURS)


def perturbed_copies(inputs: Sequence[Grid]) -> list[Grid]:
    """Make grids like the given ones, on which their rule or most of it still makes sense.

    Args:
        inputs: The first few are used.

    Returns:
        Per input, as far as they differ from each other and from all inputs: two mirrored ones, the transposed one,
        one with the colours but 0 exchanged, one with another colour in a middle cell, one of twice the size.
    """
    known = {_key(grid) for grid in inputs}
    copies = []
    for grid in inputs[:_PROBED_PAIRS]:
        for copy in _copies(grid):
            if _key(copy) not in known:
                known.add(_key(copy))
                copies.append(copy)
    return copies


def _copies(grid: Grid) -> Iterator[Grid]:
    yield as_grid(grid[:, ::-1])
    yield as_grid(grid[::-1])
    yield as_grid(grid.T)
    yield as_grid(np.where(grid > 0, grid % (NUM_COLOURS - 1) + 1, 0))
    middle = grid.copy()
    row, column = grid.shape[0] // 2, grid.shape[1] // 2
    others = sorted(set(grid.ravel().tolist()) - {int(grid[row, column])})
    middle[row, column] = others[0] if others else (grid[row, column] + 1) % NUM_COLOURS
    yield as_grid(middle)
    if 2 * max(grid.shape) <= MAX_SIDE:
        yield as_grid(grid.repeat(2, axis=0).repeat(2, axis=1))


def _key(grid: Grid) -> tuple[tuple[int, int], bytes]:
    height, width = grid.shape
    return (height, width), grid.tobytes()


def change_literals(program: str, grids: Iterable[Grid]) -> str | None:
    """Rewrite a program so that every literal that is one of the grids has other colours (`changed`).

    Found are lists or tuples of rows, and, for grids of `MIN_CELLS` cells or more, flat lists and tuples, and digits
    in strings, whatever stands between them; not in strings that are statements, such as docstrings.

    Args:
        program: A source that compiles.
        grids: What to look for.

    Returns:
        The new source, or `None` if there is no such literal.
    """
    try:
        with warnings.catch_warnings():
            # An invalid escape such as "\d" is a warning; it must not become an error when warnings are errors.
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
        change = _Change(grids)
        source = ast.unparse(change.visit(tree))
    except (RecursionError, MemoryError):  # nested too deeply to be looked through, and so no table of grids
        return None
    return source if change.count else None


class _Change(ast.NodeTransformer):
    """Changes the literals that are one of some grids."""

    def __init__(self, grids: Iterable[Grid]) -> None:
        self.count = 0
        self._heights: dict[tuple[int, ...], set[int]] = {}  # 0: written flat
        self._digits: set[str] = set()
        for grid in grids:
            cells = tuple(grid.ravel().tolist())
            heights = self._heights.setdefault(cells, set())
            heights.add(grid.shape[0])
            if len(cells) >= MIN_CELLS:
                heights.add(0)
                self._digits.add("".join(map(str, cells)))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return node
        return self.generic_visit(node)

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._visit_sequence(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._visit_sequence(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            text = _change_digits(node.value, self._digits)
            if text != node.value:
                self.count += 1
                return ast.copy_location(ast.Constant(text), node)
        return node

    def _visit_sequence(self, node: ast.List | ast.Tuple) -> ast.AST:
        rows = [_integers(item) for item in node.elts]
        if None not in rows:
            leaves, height = [leaf for row in rows for leaf in row or ()], len(rows)
        else:
            leaves, height = _integers(node) or [], 0
        if leaves and height in self._heights.get(tuple(_value(leaf) for leaf in leaves), ()):
            self.count += 1
            for leaf in leaves:
                leaf.value = (_value(leaf) + 1) % NUM_COLOURS
            return node
        return self.generic_visit(node)


def _integers(node: ast.expr) -> list[ast.Constant] | None:
    """The elements of a list or tuple, if all are literal integers."""
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    leaves = [leaf for leaf in node.elts if isinstance(leaf, ast.Constant) and type(leaf.value) is int]
    return leaves if len(leaves) == len(node.elts) else None


def _value(leaf: ast.Constant) -> int:
    assert isinstance(leaf.value, int)
    return leaf.value


def _change_digits(text: str, wanted: Iterable[str]) -> str:
    """Change every occurrence of the wanted runs of digits; other characters between them do not matter."""
    places = [index for index, symbol in enumerate(text) if symbol in "0123456789"]
    digits = "".join(text[index] for index in places)
    changed_text = list(text)
    for run in wanted:
        start = digits.find(run)
        while start >= 0:
            for place in places[start : start + len(run)]:
                changed_text[place] = str((int(text[place]) + 1) % NUM_COLOURS)
            start = digits.find(run, start + len(run))
    return "".join(changed_text)
