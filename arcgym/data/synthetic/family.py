"""A family of synthetic tasks: one expression over the primitives with holes, and the scenes that make it visible.

`{a}` and `{b}` are colours that the inputs hold; `{c}` and `{d}` are colours that they need not hold; other holes are
integers with a range. Families that `follow` work on any grid, so that they can be a later step of a composed task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Family:
    """A kind of synthetic task.

    Attributes:
        name: Unique name, recorded as the task's `family`.
        template: The expression, with holes.
        scenes: Names of the scenes of `arcgym.data.synthetic.scenes` that its inputs are drawn from.
        ranges: For each integer hole, the lowest and the highest value.
        growth: By how much the output's side may exceed the input's; limits the input's size.
        follows: Whether it can be applied to the output of any other family.
    """

    name: str
    template: str
    scenes: tuple[str, ...]
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    growth: int = 1
    follows: bool = False

    def fill(self, rng: np.random.Generator, palette: Sequence[int]) -> str:
        """Fill the holes at random.

        Args:
            rng: Source of randomness.
            palette: Colours of the inputs without the background, at least two; the first two fill `{a}` and `{b}`.
        """
        others = rng.permutation([colour for colour in range(1, 10) if colour not in palette]).tolist()
        others += [*palette[::-1]]  # few are left where the inputs hold nearly all colours
        # `{c}` is mostly new; now and then it is a colour of the inputs, as in real tasks.
        third = palette[-1] if len(palette) > 2 and rng.random() < 0.15 else others[0]
        holes = {"a": palette[0], "b": palette[1], "c": third, "d": others[1]}
        holes |= {hole: int(rng.integers(low, high + 1)) for hole, (low, high) in self.ranges.items()}
        return self.template.format(**holes)


ANY = ("dense", "noise", "rectangles", "blobs", "one_blob", "square")
OBJECTS = ("rectangles", "blobs")
PICTURE = ("one_blob", "noise", "dense")


def plain(names: str, scenes: tuple[str, ...], *, growth: int = 1, follows: bool = False) -> list[Family]:
    """Families of primitives that take the grid alone."""
    return [Family(name, f"{name}(grid)", scenes, growth=growth, follows=follows) for name in names.split()]


def coloured(names: str, scenes: tuple[str, ...], hole: str = "c", *, follows: bool = False) -> list[Family]:
    """Families of primitives that take the grid and one colour."""
    return [Family(name, f"{name}(grid, {{{hole}}})", scenes, follows=follows) for name in names.split()]
