"""Contamination: tasks that are the same task, however they are turned, recoloured, reordered and named.

Two tasks are copies of each other when one of eight symmetries and one permutation of the ten colours, the same for
all grids, turn the pairs of one into those of the other, whatever their order and whether they are shown or asked.
`canonical_hash` is equal for copies and, up to collisions of SHA-256, for nothing else.

Sets are also published with pairs added, left out or changed. So `overlap` reports parts too: a task that holds at
least half of another's pairs, or consists of some of them, as they are or under one symmetry and one permutation.
Among small grids single pairs recur by chance, the more so in disguise: a disguised part therefore has two pairs in
common that are not disguises of each other.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from arcgym.data.augmentation import SYMMETRIES, symmetric_views
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError
from arcgym.grids import Grid

OverlapKind = Literal["identical", "copy", "part"]
_Colours = tuple[int, ...]
_Mark = tuple[int, _Colours]  # a figure, with the rank of its pattern in place of the pattern


class _Figure(NamedTuple):
    """A pair, taken apart: what it shows when colours are only told from each other, and which they are.

    Attributes:
        pattern: The four sides, then every cell of input and output as the rank of its colour.
        colours: In the order of their first appearance: the colour of each rank.
    """

    pattern: bytes
    colours: _Colours


class Overlap(NamedTuple):
    """A task of one set that is also in another.

    Attributes:
        id_a: Its name in the first set.
        id_b: Its name in the second set.
        kind: `identical`: the same pairs; `copy`: the same up to symmetry and colours; `part`: `id_a` holds at least
            half of the pairs of `id_b`, or consists of two or more of them, as they are or up to symmetry and colours.
        shared: Different pairs of `id_b` that `id_a` holds.
        pairs: Different pairs of `id_b`; of a part, those whose output is known.
    """

    id_a: str
    id_b: str
    kind: OverlapKind
    shared: int
    pairs: int


def canonical_hash(task: Task) -> str:
    """Return a SHA-256 (hex) of a task modulo symmetry, permutation of the colours, order of the pairs, and names.

    Demonstrations and questions count alike; a question with a secret output differs from one with a known output.

    Hashed is the smallest of the encodings that the eight symmetries give: the patterns of all pairs in ascending
    order, and the colours of each, numbered in a way that does not depend on which they are.
    """
    return _canonical_hash(_views((*task.train, *task.test)))


def overlap(tasks_a: Sequence[Task], tasks_b: Sequence[Task]) -> list[Overlap]:
    """Find the tasks that two sets have in common.

    Args:
        tasks_a: The one set, such as that to train on.
        tasks_b: The other, such as that to evaluate on.

    Returns:
        One entry for each task of `tasks_b` and each of `tasks_a` that is a copy or a part of it, in the order of
        `tasks_b`, then of `tasks_a`.
    """
    cards = [_Card.of(task) for task in tasks_a]
    holders: dict[bytes, set[int]] = defaultdict(set)
    for index, card in enumerate(cards):
        for key in card.keys:
            holders[key].add(index)
    found = []
    for task in tasks_b:
        card = _Card.of(task)
        for index in sorted(set().union(*(holders[key] for key in card.keys if key in holders))):
            entry = _compare(tasks_a[index], cards[index], task, card)
            if entry is not None:
                found.append(entry)
    return found


def without_overlap(train: Sequence[Task], evaluation: Sequence[Task]) -> list[Task]:
    """Leave out of `train` what is in `evaluation`, as `overlap` sees it.

    Args:
        train: Tasks to train on.
        evaluation: Tasks to evaluate on.

    Returns:
        The others of `train`, in order.
    """
    shared = {entry.id_a for entry in overlap(train, evaluation)}
    return [task for task in train if task.task_id not in shared]


def refuse_overlap(train: Sequence[Task], evaluation: Sequence[Task]) -> None:
    """Refuse to train on an evaluation task, under whatever name and in whatever disguise `overlap` sees through.

    Args:
        train: Tasks to train on.
        evaluation: Tasks to evaluate on.

    Raises:
        ConfigError: There is such a task; the message lists all of them. ARC-AGI-2 training, for one, holds most of
            ARC-AGI-1, and one task of ARC-AGI-1 is in both of its splits.
    """
    found = {entry.id_b: entry for entry in reversed(overlap(train, evaluation))}
    if not found:
        return
    listed = ", ".join(
        name if entry.id_a == name else f"{name} ({entry.kind}: {entry.id_a})" for name, entry in sorted(found.items())
    )
    subject = "1 evaluation task is" if len(found) == 1 else f"{len(found)} evaluation tasks are"
    raise ConfigError(
        f"{subject} in the training data (with the name there, if it is another): {listed}. What is trained on cannot "
        "be evaluated on. Leave these out of training with `drop_contaminated: true`, train on other tasks, raise "
        "`holdout_share`, or set `allow_contamination: true` if this is what you want."
    )


def overlap_lines(found: Sequence[Overlap]) -> Iterator[str]:
    """Write a table of overlaps, a line each, and a line that counts the tasks of the second set by kind."""
    for entry in found:
        yield f"{entry.id_b:20} {entry.kind:9} {entry.shared:2} of {entry.pairs:2} pairs  in {entry.id_a}"
    counts = ", ".join(
        f"{len({entry.id_b for entry in found if entry.kind == kind})} {kind}" for kind in get_args(OverlapKind)
    )
    yield f"{len({entry.id_b for entry in found})} tasks overlap: {counts}"


class _Card(NamedTuple):
    """What is compared first of two tasks.

    Attributes:
        hash: The canonical hash.
        keys: For each different pair with an output, its smallest pattern over the symmetries; counted.
    """

    hash: str
    keys: Counter[bytes]

    @classmethod
    def of(cls, task: Task) -> "_Card":
        pairs = (*task.train, *task.test)
        views = _views(pairs)
        first = {pair: place for place, pair in reversed(list(enumerate(pairs))) if pair.output is not None}
        return cls(
            _canonical_hash(views), Counter(min(view[place].pattern for view in views) for place in first.values())
        )


def _compare(task_a: Task, card_a: _Card, task_b: Task, card_b: _Card) -> Overlap | None:
    if card_a.hash == card_b.hash:
        pairs_a, pairs_b = (Counter((*task.train, *task.test)) for task in (task_a, task_b))
        kind: OverlapKind = "identical" if pairs_a == pairs_b else "copy"
        return Overlap(task_a.task_id, task_b.task_id, kind, len(pairs_b), len(pairs_b))
    num_a, num_b = card_a.keys.total(), card_b.keys.total()
    # Pairs that one symmetry and permutation turn into each other have equal keys, but not the other way round
    common = card_a.keys & card_b.keys
    if not _is_part(common.total(), num_a, num_b):
        return None
    known_a, known_b = _known(task_a), _known(task_b)
    shared = _most_shared(known_a, known_b) if len(common) > 1 else len(set(known_a) & set(known_b))
    return Overlap(task_a.task_id, task_b.task_id, "part", shared, num_b) if _is_part(shared, num_a, num_b) else None


def _is_part(shared: int, num_a: int, num_b: int) -> bool:
    return 2 * shared >= num_b or 1 < shared == num_a


def _known(task: Task) -> list[Pair]:
    """The different pairs with an output."""
    return list(dict.fromkeys(pair for pair in (*task.train, *task.test) if pair.output is not None))


def _views(pairs: Sequence[Pair]) -> list[list[_Figure]]:
    """Take the pairs apart under each of the eight symmetries."""
    turned = [zip(_symmetric_bytes(pair.input), _symmetric_bytes(pair.output), strict=True) for pair in pairs]
    return [[_figure(*sides) for sides in view] for view in zip(*turned, strict=True)]


def _symmetric_bytes(grid: Grid | None) -> list[tuple[bytes, bytes]]:
    """Shape and cells under each of the eight symmetries; no cells where there is no grid."""
    if grid is None:
        return [(bytes(2), b"")] * len(SYMMETRIES)
    return [(bytes(view.shape), view.tobytes()) for view in symmetric_views(grid)]


def _figure(input_side: tuple[bytes, bytes], output_side: tuple[bytes, bytes]) -> _Figure:
    cells = input_side[1] + output_side[1]
    colours = tuple(dict.fromkeys(cells))
    ranks = bytes.maketrans(bytes(colours), bytes(range(len(colours))))
    return _Figure(input_side[0] + output_side[0] + cells.translate(ranks), colours)


def _canonical_hash(views: list[list[_Figure]]) -> str:
    patterns = min(sorted(figure.pattern for figure in view) for view in views)
    smallest = [view for view in views if sorted(figure.pattern for figure in view) == patterns]
    numbers = min(_canonical_numbers(_marks(view)) for view in smallest)
    # Each pattern states its own length and how many colours it has: nothing else has the same bytes
    return hashlib.sha256(b"".join(patterns) + b"".join(bytes(colours) for _, colours in numbers)).hexdigest()


def _marks(figures: Sequence[_Figure]) -> list[_Mark]:
    ranks = {pattern: rank for rank, pattern in enumerate(sorted({figure.pattern for figure in figures}))}
    return [(ranks[figure.pattern], figure.colours) for figure in figures]


def _canonical_numbers(marks: Sequence[_Mark], classes: Mapping[int, int] | None = None) -> list[_Mark]:
    """Number the colours in a way that depends on their places in the figures alone, and not on the colours.

    Colours are told apart by the places that they have; where that is not enough, each of those that are alike is set
    apart in turn, and the smallest result counts (individualisation and refinement).

    Args:
        marks: The figures.
        classes: For each colour its class so far: colours of different classes are told apart already.

    Returns:
        The marks, with the number of each colour in its place, in ascending order.

    Reference:
        McKay and Piperno, Practical graph isomorphism, II (2014), section 2.
    """
    refined = _refine(marks, dict.fromkeys((c for _, cs in marks for c in cs), 0) if classes is None else classes)
    alike = _first_alike(refined)
    if not alike:
        return _numbered(marks, refined)
    results: list[list[_Mark]] = []
    first_leaves: list[list[_Mark]] = []
    for colour in alike:
        apart = _set_apart(refined, colour)
        leaf = _any_numbers(marks, apart)
        # Equal leaves: some permutation turns all that follows from one choice into all that follows from the other
        if leaf not in first_leaves:
            first_leaves.append(leaf)
            results.append(_canonical_numbers(marks, apart))
    return min(results)


def _any_numbers(marks: Sequence[_Mark], classes: Mapping[int, int]) -> list[_Mark]:
    """Number the colours as one of the choices among those that are alike would have it."""
    refined = _refine(marks, classes)
    while alike := _first_alike(refined):
        refined = _refine(marks, _set_apart(refined, alike[0]))
    return _numbered(marks, refined)


def _refine(marks: Sequence[_Mark], classes: Mapping[int, int]) -> dict[int, int]:
    """Divide classes of colours whose members have different places, until all members have the same."""
    while True:
        places: dict[int, list[tuple[int, _Colours, int]]] = {colour: [] for colour in classes}
        for rank, colours in marks:
            its_classes = tuple([classes[colour] for colour in colours])
            for place, colour in enumerate(colours):
                places[colour].append((rank, its_classes, place))
        signatures = {colour: (classes[colour], tuple(sorted(places[colour]))) for colour in classes}
        order = {signature: number for number, signature in enumerate(sorted(set(signatures.values())))}
        refined = {colour: order[signature] for colour, signature in signatures.items()}
        if len(order) == len(set(classes.values())):
            return refined
        classes = refined


def _first_alike(classes: Mapping[int, int]) -> list[int]:
    """The members of the first class that has several."""
    counts = Counter(classes.values())
    several = min((number for number, count in counts.items() if count > 1), default=None)
    return [colour for colour, number in classes.items() if number == several]


def _set_apart(classes: Mapping[int, int], chosen: int) -> dict[int, int]:
    """Give one colour a class of its own, just before that of the colours that were alike."""
    return {colour: 2 * number + (colour != chosen) for colour, number in classes.items()}


def _numbered(marks: Sequence[_Mark], numbers: Mapping[int, int]) -> list[_Mark]:
    return sorted((rank, tuple([numbers[colour] for colour in colours])) for rank, colours in marks)


def _most_shared(pairs_a: Sequence[Pair], pairs_b: Sequence[Pair]) -> int:
    """How many of `pairs_b` are among `pairs_a` under the symmetry and the permutation for which they are most."""
    wanted = _views(pairs_b)[0]
    most = 0
    for view in _views(pairs_a):
        offered: dict[bytes, list[_Colours]] = defaultdict(list)
        for figure in view:
            offered[figure.pattern].append(figure.colours)
        most = _most_offered(wanted, offered, {}, most)
    return most


def _most_offered(
    wanted: Sequence[_Figure], offered: Mapping[bytes, list[_Colours]], renaming: Mapping[int, int], most: int
) -> int:
    """How many of the wanted figures are offered under the best completion of a renaming of colours.

    Args:
        wanted: The figures to find.
        offered: For each pattern, the colours of its figures; all figures are different, and so are those wanted.
        renaming: For colours of `wanted` those of `offered`, each once.
        most: The best so far.

    Returns:
        The better of both.
    """
    found, undecided = 0, []
    for figure in wanted:
        options = [
            colours for colours in offered.get(figure.pattern, ()) if _extends(renaming, figure.colours, colours)
        ]
        if options and all(colour in renaming for colour in figure.colours):
            found += 1
        elif options:
            undecided.append((figure, options))
    most = max(most, found)
    for place, (figure, options) in enumerate(undecided):
        if found + len(undecided) - place <= most:  # this figure is the first of them that is found
            break
        for colours in options:
            renamed = {**renaming, **dict(zip(figure.colours, colours, strict=True))}
            most = _most_offered(wanted, offered, renamed, most)
    return most


def _extends(renaming: Mapping[int, int], start: _Colours, goal: _Colours) -> bool:
    """Whether a renaming that also turns `start` into `goal` still gives each colour another one."""
    taken = {new: old for old, new in renaming.items()}
    return all(
        renaming.get(old, new) == new and taken.get(new, old) == old for old, new in zip(start, goal, strict=True)
    )
