"""Shorter programs that do the same on given inputs: statements that change no output are taken out.

What is left does the same on those inputs only; a statement for a case that they do not show goes too. Score the
result anew where that matters. The caller runs the programs, in the sandbox: this module never does.
"""

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from arcgym.grids import Grid
from arcgym.programs.hashing import output_signature
from arcgym.programs.parsing import normal_form, parse_program, strip, unparse

RunPrograms: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[Grid | None]]]


class Simplified(NamedTuple):
    """What became of a program.

    Attributes:
        program: In normal form.
        num_runs: Programs that were run.
        is_minimal: Whether it is known that no further statement can go: the runs sufficed, and the program gave the
            same outputs twice.
    """

    program: str
    num_runs: int
    is_minimal: bool


def remove_dead_code(source: str, run: RunPrograms, *, max_runs: int = 256) -> Simplified:
    """Take statements out of a program, with all that is inside them, as long as its outputs stay the same.

    Single statements are tried in one batch; those that can go one at a time are then taken out together, and where
    that fails half of them, and so on, until nothing more can go.

    Args:
        source: The text of a program that compiles.
        run: Runs programs on the inputs that count and returns the outputs of each, of shape (height, width), None
            where there was no grid, as in `lambda programs: [r.outputs for r in sandbox.run(programs, [inputs] *
            len(programs))]`.
        max_runs: At most so many programs are run, at least 2.

    Returns:
        The program in normal form: unchanged if it gives no grid at all, or other outputs the second time.

    Raises:
        ProgramError: The source does not compile.
        ValueError: `max_runs` is too small.

    Reference:
        Zeller and Hildebrandt, Simplifying and isolating failure-inducing input (2002).
    """
    if max_runs < 2:
        raise ValueError(f"max_runs is {max_runs}; give at least 2, one to run the program and one to repeat it")
    search = _Search(run, normal_form(source), max_runs)
    if search.is_repeatable():
        while search.shorten():
            pass
    return Simplified(search.program, max_runs - search.left, search.is_minimal)


class _Search:
    """Takes statements out of a program, as long as there are runs left."""

    def __init__(self, run: RunPrograms, program: str, left: int) -> None:
        self.program = program
        self.left = left
        self.is_minimal = False
        self._run = run
        self._wanted = ""

    def is_repeatable(self) -> bool:
        """Whether the program gives some grid, and the same grids again; those are wanted from now on."""
        self.left -= 2
        first, second = self._run([self.program, self.program])
        self._wanted = output_signature(first)
        return self._wanted == output_signature(second) and any(grid is not None for grid in first)

    def shorten(self) -> bool:
        """Take out what can go now; whether that is anything."""
        candidates = [(place, _without(self.program, {place})) for place in range(_count(self.program))]
        candidates = [(place, text) for place, text in candidates if text != self.program]
        tried = candidates[: self.left]
        idle = [candidate for candidate, same in zip(tried, self._are_same(tried), strict=True) if same]
        if not idle:
            self.is_minimal = len(tried) == len(candidates)
            return False
        original, (_, self.program) = self.program, idle[0]
        places = [place for place, _ in idle]
        while len(places) > 1 and self.left > 0:
            together = (0, _without(original, set(places)))
            if self._are_same([together])[0]:
                self.program = together[1]
                break
            places = places[: len(places) // 2]
        return True

    def _are_same(self, candidates: Sequence[tuple[int, str]]) -> list[bool]:
        """Whether candidates give the outputs that are wanted."""
        if not candidates:
            return []
        self.left -= len(candidates)
        found = self._run([text for _, text in candidates])
        return [output_signature(outputs) == self._wanted for _, outputs in zip(candidates, found, strict=True)]


def _count(program: str) -> int:
    """How many statements a program has, at all depths."""
    return sum(len(block) for block in _blocks(parse_program(program)))


def _without(program: str, places: set[int]) -> str:
    """A program less the statements with these numbers, and all that is inside them."""
    tree = parse_program(program)
    number = itertools.count()
    for block in list(_blocks(tree)):
        block[:] = [statement for statement in block if next(number) not in places]
    return unparse(strip(tree))


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """The lists of statements in a tree, outer ones first."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block
