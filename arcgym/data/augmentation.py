"""Augmentation: other views of a task, each with its exact way back.

The rule of a task survives a change of all its grids alike: one of eight symmetries, a permutation of the colours, a
border, an enlargement; and it survives another order of its demonstrations. An `Augmentation` is one such change: it
turns tasks into views of them, and grids that a program gave for a view back into grids of the task. It has a name
from which it can be rebuilt, so that a row of a dataset can say how it came about.

An `Augmenter` draws augmentations that suit a task, the same ones for the same seed, whatever the order in which it
meets tasks. Nothing here changes what a test pair asks, and its order among the test pairs: attempts stay in place.
"""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import MAX_SIDE, NUM_COLOURS, Grid, as_grid

# In the order of `symmetric_views`; all but `identity` are named like the primitives that do the same.
SYMMETRIES = (
    *("identity", "flip_lr", "flip_ud", "rotate_180"),
    *("transpose", "rotate_cw", "rotate_ccw", "anti_transpose"),
)
_INVERSES = {"rotate_cw": "rotate_ccw", "rotate_ccw": "rotate_cw"}  # the others undo themselves

ColourChange = Literal["none", "keep_zero", "all"]
COLUMN = "augmentation"
_NUMBERED = re.compile("(?P<kind>colours|order|pad|scale)_(?P<numbers>[0-9]{1,10}(?:-[0-9]{1,4})*)")
_DERIVED_COLUMNS = ("prompt", "shown")
_TRIES_PER_VIEW = 20


def symmetric_views(grid: Grid) -> list[Grid]:
    """Return a grid under the eight symmetries, in the order of `SYMMETRIES`, as views of the same memory."""
    return [side[::down, ::right] for side in (grid, grid.T) for down in (1, -1) for right in (1, -1)]


class Augmentation(ABC):
    """A change of tasks that can be undone exactly. Subclasses say what it does to a grid."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name from which `parse_augmentation` makes the augmentation again."""

    @property
    def changes_grids(self) -> bool:
        """Whether grids change, so that a program which solves the task does not solve the view."""
        return True

    @abstractmethod
    def apply_grid(self, grid: Grid) -> Grid:
        """Change one grid.

        Raises:
            TaskError: It would have more than 30 rows or columns.
        """

    @abstractmethod
    def invert(self, grid: Grid) -> Grid | None:
        """Turn a grid of a view back into a grid of the task.

        Args:
            grid: Any grid, such as the output of a program for an input of a view.

        Returns:
            The grid that `apply_grid` turns into `grid`. `None` when there is none: an output that is not enlarged
            although the inputs were, for example. The program that gave it did not follow the rule.
        """

    def arrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Put the demonstrations into the order that the view has; the same one by default.

        Raises:
            TaskError: There are more or fewer than are ordered.
        """
        return train

    def rearrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Put the demonstrations of a view back into the order that the task has; the inverse of `arrange`."""
        return train

    def apply(self, task: Task) -> Task:
        """Return the view of a task, named `task_id@name`. It has the task's program only if that still solves it.

        Raises:
            TaskError: A grid would have more than 30 rows or columns, or there are more or fewer demonstrations than
                are ordered.
        """
        train, test = (tuple(map(self._apply_pair, pairs)) for pairs in (self.arrange(task.train), task.test))
        program = "" if self.changes_grids else task.program
        return replace(task, task_id=f"{task.task_id}@{self.name}", train=train, test=test, program=program)

    def invert_task(self, view: Task) -> Task:
        """Return the task of a view: what `apply` was given, less a program that the view does not have.

        Raises:
            TaskError: `view` is not what `apply` makes of any task.
        """
        task_id, _, name = view.task_id.rpartition("@")
        if name != self.name:
            raise TaskError(f"The task {view.task_id!r} is no view by {self.name!r}: its name does not end so.")
        try:
            train, test = (tuple(map(self._invert_pair, pairs)) for pairs in (view.train, view.test))
        except TaskError as exc:
            raise TaskError(f"The task {view.task_id!r} is no view by {self.name!r}: {exc}") from exc
        return replace(view, task_id=task_id, train=self.rearrange(train), test=test)

    def _apply_pair(self, pair: Pair) -> Pair:
        return Pair(self.apply_grid(pair.input), None if pair.output is None else self.apply_grid(pair.output))

    def _invert_pair(self, pair: Pair) -> Pair:
        return Pair(self._require(pair.input), None if pair.output is None else self._require(pair.output))

    def _require(self, grid: Grid) -> Grid:
        inverted = self.invert(grid)
        if inverted is None:
            raise TaskError(f"a grid of {grid.shape[0]} × {grid.shape[1]} cells cannot come of it.")
        return inverted


@dataclass(frozen=True)
class Symmetry(Augmentation):
    """One of the eight symmetries of a square, on all grids.

    Args:
        kind: One of `SYMMETRIES`.

    Raises:
        ConfigError: There is no such symmetry.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in SYMMETRIES:
            raise ConfigError(f"{self.kind!r} is no symmetry. Use one of {', '.join(SYMMETRIES)}.")

    @property
    def name(self) -> str:
        """The symmetry's name."""
        return self.kind

    def apply_grid(self, grid: Grid) -> Grid:
        """Turn or mirror the grid."""
        return as_grid(symmetric_views(grid)[SYMMETRIES.index(self.kind)])

    def invert(self, grid: Grid) -> Grid:
        """Turn or mirror it back."""
        return as_grid(symmetric_views(grid)[SYMMETRIES.index(_INVERSES.get(self.kind, self.kind))])


@dataclass(frozen=True)
class Recolouring(Augmentation):
    """A permutation of the ten colours, on all grids.

    Args:
        colours: For each colour from 0 to 9 the one that takes its place.

    Raises:
        ConfigError: It is no permutation of 0 to 9.
    """

    colours: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.colours) != list(range(NUM_COLOURS)):
            raise ConfigError(f"{self.colours} is no permutation of the colours 0 to 9. Name each of them once.")

    @property
    def name(self) -> str:
        """`colours_` and the ten digits."""
        return "colours_" + "".join(map(str, self.colours))

    def apply_grid(self, grid: Grid) -> Grid:
        """Replace every colour by the one that takes its place."""
        return as_grid(np.array(self.colours, dtype=np.int8)[grid])

    def invert(self, grid: Grid) -> Grid:
        """Replace every colour by the one whose place it took."""
        return as_grid(np.argsort(self.colours).astype(np.int8)[grid])


@dataclass(frozen=True)
class PairOrder(Augmentation):
    """Another order of the demonstrations. Test pairs stay where they are, as do attempts at them.

    Args:
        order: For each place the index of the demonstration that comes there.

    Raises:
        ConfigError: It is no permutation.
    """

    order: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.order or sorted(self.order) != list(range(len(self.order))):
            raise ConfigError(f"{self.order} is no order of pairs. Name each index from 0 on once.")

    @property
    def name(self) -> str:
        """`order_` and the indices."""
        return "order_" + "-".join(map(str, self.order))

    @property
    def changes_grids(self) -> bool:
        """No grid changes."""
        return False

    def apply_grid(self, grid: Grid) -> Grid:
        """Return the grid."""
        return grid

    def invert(self, grid: Grid) -> Grid:
        """Return the grid."""
        return grid

    def arrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Put the demonstrations into this order."""
        self._check(train)
        return tuple(train[index] for index in self.order)

    def rearrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Put the demonstrations back."""
        self._check(train)
        return tuple(train[self.order.index(place)] for place in range(len(train)))

    def _check(self, train: tuple[Pair, ...]) -> None:
        if len(train) != len(self.order):
            raise TaskError(f"{self.name!r} orders {len(self.order)} demonstrations, but the task has {len(train)}.")


@dataclass(frozen=True)
class Padding(Augmentation):
    """A border of one colour around all grids; an uneven one moves what they show.

    Args:
        top: Rows above, 0 or more.
        bottom: Rows below.
        left: Columns to the left.
        right: Columns to the right.
        colour: Of the border, 0 to 9.

    Raises:
        ConfigError: An argument is out of range.
    """

    top: int
    bottom: int
    left: int
    right: int
    colour: int = 0

    def __post_init__(self) -> None:
        if min(self._sides) < 0 or not 0 <= self.colour < NUM_COLOURS:
            raise ConfigError(f"{self} is no border. Use widths of 0 or more, and a colour from 0 to 9.")

    @property
    def _sides(self) -> tuple[int, int, int, int]:
        return self.top, self.bottom, self.left, self.right

    @property
    def name(self) -> str:
        """`pad_`, the four widths and the colour."""
        return "pad_" + "-".join(map(str, (*self._sides, self.colour)))

    def apply_grid(self, grid: Grid) -> Grid:
        """Draw the border around the grid."""
        _check_shape(grid.shape[0] + self.top + self.bottom, grid.shape[1] + self.left + self.right, self.name)
        widths = ((self.top, self.bottom), (self.left, self.right))
        return as_grid(np.pad(grid, widths, constant_values=self.colour))

    def invert(self, grid: Grid) -> Grid | None:
        """Take the border off; `None` where it is not there."""
        height, width = grid.shape[0] - self.top - self.bottom, grid.shape[1] - self.left - self.right
        if height < 1 or width < 1:
            return None
        inner = as_grid(grid[self.top : self.top + height, self.left : self.left + width])
        return inner if np.array_equal(self.apply_grid(inner), grid) else None


@dataclass(frozen=True)
class Upscaling(Augmentation):
    """Every cell of all grids becomes a square of cells.

    Args:
        factor: Side of the square, 1 or more.

    Raises:
        ConfigError: The factor is out of range.
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ConfigError(f"A factor of {self.factor} enlarges nothing. Use 1 or more.")

    @property
    def name(self) -> str:
        """`scale_` and the factor."""
        return f"scale_{self.factor}"

    def apply_grid(self, grid: Grid) -> Grid:
        """Enlarge the grid."""
        _check_shape(grid.shape[0] * self.factor, grid.shape[1] * self.factor, self.name)
        return as_grid(np.kron(grid, np.ones((self.factor, self.factor), dtype=np.int8)))

    def invert(self, grid: Grid) -> Grid | None:
        """Make the grid small again; `None` where it does not consist of such squares."""
        if grid.shape[0] % self.factor or grid.shape[1] % self.factor:
            return None
        small = as_grid(grid[:: self.factor, :: self.factor])
        return small if np.array_equal(self.apply_grid(small), grid) else None


@dataclass(frozen=True)
class Composition(Augmentation):
    """Several augmentations, one after the other; without any, the task as it is.

    Args:
        steps: In the order in which they are applied.
    """

    steps: tuple[Augmentation, ...]

    @property
    def name(self) -> str:
        """The names of the steps, joined by `+`; `identity` without steps."""
        return "+".join(step.name for step in self.steps) or "identity"

    @property
    def changes_grids(self) -> bool:
        """Whether one of the steps changes grids."""
        return any(step.changes_grids for step in self.steps)

    def apply_grid(self, grid: Grid) -> Grid:
        """Apply the steps to one grid."""
        for step in self.steps:
            grid = step.apply_grid(grid)
        return grid

    def invert(self, grid: Grid) -> Grid | None:
        """Undo the steps, the last one first."""
        inverted: Grid | None = grid
        for step in reversed(self.steps):
            inverted = None if inverted is None else step.invert(inverted)
        return inverted

    def arrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Apply the steps to the order of the demonstrations."""
        for step in self.steps:
            train = step.arrange(train)
        return train

    def rearrange(self, train: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Undo the steps, the last one first."""
        for step in reversed(self.steps):
            train = step.rearrange(train)
        return train


def parse_augmentation(name: str) -> Augmentation:
    """Make the augmentation of a name, such as `rotate_cw+colours_0213456789+order_1-0`.

    Raises:
        ConfigError: There is no augmentation of that name.
    """
    steps = [_parse_step(step, name) for step in name.split("+")]
    return steps[0] if len(steps) == 1 else Composition(tuple(steps))


def _parse_step(text: str, name: str) -> Augmentation:
    if text in SYMMETRIES:
        return Symmetry(text)
    written = _NUMBERED.fullmatch(text)
    kind, digits = (written["kind"], written["numbers"]) if written else ("", "")
    if kind == "colours" and len(digits) == NUM_COLOURS and digits.isdigit():
        return Recolouring(tuple(map(int, digits)))
    numbers = tuple(map(int, digits.split("-"))) if digits else ()
    if kind == "order" and numbers:
        return PairOrder(numbers)
    if kind == "pad" and len(numbers) == 5:
        return Padding(*numbers)
    if kind == "scale" and len(numbers) == 1:
        return Upscaling(*numbers)
    raise ConfigError(
        f"{text!r} in {name!r} names no augmentation. Write one of {', '.join(SYMMETRIES)}, `colours_` and ten "
        "digits, `order_` and indices, `pad_` and four widths and a colour, or `scale_` and a factor, or several of "
        "them joined by `+`."
    )


def _check_shape(height: int, width: int, name: str) -> None:
    if max(height, width) > MAX_SIDE:
        raise TaskError(
            f"{name!r} would give a grid of {height} × {width} cells, but a side has at most {MAX_SIDE}. Draw with an "
            "`Augmenter`, which takes what fits."
        )


@dataclass(frozen=True)
class Augmenter:
    """Draw augmentations for tasks, at random and reproducibly.

    A draw depends on the seed, its number, and the task without its test outputs; not on other tasks. (How far a task
    can be enlarged does depend on the test outputs where they are known: leave them out where that would tell.)

    Args:
        symmetries: Draw one of the eight symmetries.
        colours: Draw a permutation of the colours: of all, of all but 0, or none.
        pair_order: Draw an order of the demonstrations.
        max_padding: Widest border, in cells, of colour 0.
        max_upscaling: Largest side of the square that a cell becomes; 1 for no enlargement.
        seed: The same seed gives the same draws.

    Raises:
        ConfigError: An argument is out of range.
    """

    symmetries: bool = True
    colours: ColourChange = "keep_zero"
    pair_order: bool = True
    max_padding: int = 0
    max_upscaling: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.colours not in get_args(ColourChange):
            raise ConfigError(
                f"`colours` is {self.colours!r}, but must be one of {', '.join(get_args(ColourChange))}."
            )
        if self.max_padding < 0 or self.max_upscaling < 1:
            raise ConfigError(
                f"`max_padding` is {self.max_padding} and `max_upscaling` {self.max_upscaling}. Use at least 0 and 1."
            )
        if self.seed < 0:
            raise ConfigError(f"`seed` is {self.seed}. Use 0 or more.")

    def sample(self, task: Task, number: int = 0) -> Composition:
        """Draw an augmentation that suits a task.

        Args:
            task: The task.
            number: Of the draw, 0 or more: each gives another one, by chance at times the same.
        """
        rng = np.random.default_rng((self.seed, number, _fingerprint(task)))
        longest = max(max(grid.shape) for grid in _grids(task))
        factor = int(rng.integers(1, min(self.max_upscaling, MAX_SIDE // longest) + 1))
        room = MAX_SIDE - longest * factor
        (top, bottom), (left, right) = (_border(rng, self.max_padding, room) for _ in range(2))
        steps: list[Augmentation] = [Upscaling(factor), Padding(top, bottom, left, right)]
        if self.symmetries:
            steps.append(Symmetry(SYMMETRIES[int(rng.integers(len(SYMMETRIES)))]))
        if self.colours != "none":
            fixed = [0] if self.colours == "keep_zero" else []
            steps.append(Recolouring((*fixed, *rng.permutation(np.arange(len(fixed), NUM_COLOURS)).tolist())))
        if self.pair_order:
            steps.append(PairOrder(tuple(rng.permutation(len(task.train)).tolist())))
        return Composition(tuple(step for step in steps if not _is_idle(step)))

    def views(self, task: Task, count: int) -> list[Composition]:
        """Draw distinct augmentations of a task, the first of which leaves it as it is.

        Args:
            task: The task.
            count: How many, 1 or more.

        Returns:
            `count` augmentations; fewer where so many draws gave no further one.
        """
        views = {Composition(()).name: Composition(())}
        for number in range(_TRIES_PER_VIEW * count):
            if len(views) >= count:
                break
            drawn = self.sample(task, number)
            views.setdefault(drawn.name, drawn)
        return list(views.values())


def _fingerprint(task: Task) -> int:
    """A number for a task that does not depend on its test outputs, nor on the process."""
    shown = [pair.to_dict() for pair in task.train] + [pair.input.tolist() for pair in task.test]
    text = json.dumps([task.task_id, shown], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _grids(task: Task) -> Iterator[Grid]:
    for pair in (*task.train, *task.test):
        yield pair.input
        if pair.output is not None:
            yield pair.output


def _border(rng: np.random.Generator, widest: int, room: int) -> tuple[int, int]:
    """Draw the widths of a border on two opposite sides, at most `room` together."""
    before = int(rng.integers(min(widest, room) + 1))
    return before, int(rng.integers(min(widest, room - before) + 1))


def _is_idle(step: Augmentation) -> bool:
    order = step.order if isinstance(step, PairOrder) else ()
    idle = ("identity", "scale_1", "pad_0-0-0-0-0", "colours_0123456789")
    return step.name in idle or (bool(order) and order == tuple(range(len(order))))


def augment_rows(
    batch: Mapping[str, list[Any]], augmenter: Augmenter, views: int = 1, first: int = 0
) -> dict[str, list[Any]]:
    """Replace the rows of a batch by views of them: a function for `datasets`.

    `dataset.map(augment_rows, batched=True, fn_kwargs={"augmenter": Augmenter(), "views": 8})` does it at once for a
    `Dataset`, and whenever a row is asked for for an `IterableDataset`. `dataset.with_transform(partial(augment_rows,
    augmenter=Augmenter()))` does it on access.

    Args:
        batch: Columns, as in `arcgym.data.builder`; others are repeated for each view of their row.
        augmenter: Draws the views.
        views: Views of each row; rows with `with_transform` have one.
        first: Number of the first draw; another one, such as the epoch times `views`, gives other views.

    Returns:
        The columns, and `augmentation`, from which `restore_rows` knows the way back.

    Raises:
        TaskError: A row is no task, or has a prompt already, which would show the pairs as they were.
    """
    if stale := [column for column in _DERIVED_COLUMNS if column in batch]:
        raise TaskError(
            f"The rows have {' and '.join(stale)}, which views would contradict. Augment before formatting."
        )
    rows: list[dict[str, Any]] = []
    for row in _rows(batch):
        task = _task(row)
        for number in range(first, first + views):
            augmentation = augmenter.sample(task, number)
            rows.append(row | _columns(augmentation.apply(task), row) | {COLUMN: augmentation.name})
    return {column: [row[column] for row in rows] for column in (*batch, COLUMN)}


def restore_rows(batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Replace views by the rows that they were made of: the inverse of `augment_rows`, for `map(batched=True)`.

    Programs that the views do not have do not come back.

    Args:
        batch: Columns that `augment_rows` made; the `augmentation` column stays, for `remove_columns` to take away.

    Raises:
        TaskError: A row is no view by the augmentation that it names.
    """
    restored = []
    for row in _rows(batch):
        task = parse_augmentation(row[COLUMN]).invert_task(_task(row))
        restored.append(row | _columns(task, row))
    return {column: [row[column] for row in restored] for column in batch}


def _rows(batch: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in zip(*batch.values(), strict=True):
        yield dict(zip(batch, values, strict=True))


def _task(row: Mapping[str, Any]) -> Task:
    facts = {name: row.get(name) or "" for name in ("task_id", "source", "family", "program")}
    return Task.from_dict({part: row[part] for part in ("train", "test")}, **facts)


def _columns(task: Task, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that a change of its task changes."""
    pairs = task.to_dict()
    test = [{"output": None, **pair} for pair in pairs["test"]]
    changed = {"task_id": task.task_id, "program": task.program, "train": pairs["train"], "test": test}
    return {column: value for column, value in changed.items() if column in row}
