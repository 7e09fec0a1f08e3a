"""Distance between programs: the share of tokens to change, and groups of programs that lie close together.

Tokens are those of the normal form. Up to `EXACT_LIMIT` programs every pair that can be close is compared; above that
MinHash-LSH proposes the pairs, and each proposal is compared. So what is reported as close always is; among very many
programs some close pairs may be missed.
"""

import functools
import io
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from arcgym.programs.parsing import normal_form

EXACT_LIMIT = 100_000

_CELLS = 1 << 22  # of the table of distances, held at a time
_NUM_PERM = 128
_LAYOUT = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\t", tokenize.DEDENT: "\b"}


def token_distance(a: str, b: str) -> float:
    """How many tokens to insert, delete or replace to turn a program into another, per token of the longer one.

    Args:
        a: The text of a program that compiles.
        b: Another.

    Returns:
        In [0, 1]; 0 for equal normal forms, symmetric.

    Raises:
        ProgramError: One of them does not compile.

    Reference:
        Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals (1966).
    """
    return Levenshtein.normalized_distance(*_encoded([a, b]))


def token_distances(programs: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """`token_distance` of each program to each other one.

    Args:
        programs: Texts of programs that compile.
        others: The same.

    Returns:
        Of shape (programs, others).

    Raises:
        ProgramError: One of them does not compile.
    """
    texts = _encoded([*programs, *others])
    return _distances(texts[: len(programs)], texts[len(programs) :])


def near_duplicates(programs: Sequence[str], threshold: float, *, exact_limit: int = EXACT_LIMIT) -> list[list[int]]:
    """Find groups of programs that lie close together.

    Args:
        programs: Texts of programs that compile.
        threshold: The `token_distance` up to which two programs belong together, in [0, 1). Chains count: two programs
            of a group may be further apart, if others lie between them.
        exact_limit: Up to how many distinct programs all pairs are compared, instead of those that MinHash-LSH
            proposes. Comparing all takes time with the square of their number.

    Returns:
        The groups of two and more, each the ascending positions of its members, in the order of their first.

    Raises:
        ProgramError: One of them does not compile.
        ValueError: The threshold is out of its range.

    Reference:
        Broder, On the resemblance and containment of documents (1997).
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}; give a share of tokens from 0 up to, but not including, 1")
    positions: dict[str, list[int]] = {}
    for position, text in enumerate(_encoded(programs)):
        positions.setdefault(text, []).append(position)
    texts = sorted(positions, key=lambda text: (len(text), text))
    pairs: Iterable[tuple[int, int]] = ()
    if threshold > 0:
        pairs = _close_pairs(texts, threshold) if len(texts) <= exact_limit else _likely_pairs(texts, threshold)
    groups = [sorted(i for member in group for i in positions[texts[member]]) for group in _linked(len(texts), pairs)]
    return sorted(group for group in groups if len(group) > 1)


def _close_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """All pairs within the threshold, of texts that are sorted by length."""
    lengths = np.array([len(text) for text in texts])
    # The distance is at least the difference of the lengths: what is longer than this is too far away
    ends = np.searchsorted(lengths, lengths / (1 - threshold) + 1e-9, side="right")
    start = 0
    while start < len(texts):
        stop = min(start + max(1, _CELLS // (len(texts) - start)), len(texts))
        close = _distances(texts[start:stop], texts[start : ends[stop - 1]], cutoff=threshold) <= threshold
        for row, column in np.argwhere(np.triu(close, k=1)).tolist():
            yield start + row, start + column
        start = stop


def _likely_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Most pairs within the threshold."""
    from datasketch import MinHash, MinHashLSH  # imports SciPy: half a second that few programs need

    # One token changed touches `size` runs of tokens. So of n runs at least (1 - size * threshold) n remain, and two
    # close programs have at least this Jaccard similarity of runs
    size = max(1, min(4, int(0.3 / threshold)))
    similarity = (1 - size * threshold) / (1 + size * threshold)
    index = MinHashLSH(threshold=similarity, num_perm=_NUM_PERM, weights=(0.1, 0.9))  # rather too many than too few
    for number, sketch in enumerate(MinHash.generator((_runs(text, size) for text in texts), num_perm=_NUM_PERM)):
        proposed = index.query(sketch)
        if proposed:
            row = _distances([texts[number]], [texts[other] for other in proposed], cutoff=threshold)[0]
            yield from ((number, other) for other, far in zip(proposed, row, strict=True) if far <= threshold)
        index.insert(number, sketch)


def _runs(text: str, size: int) -> list[bytes]:
    """Runs of tokens, each with its count so far, so that a repetition is another member of the set."""
    seen: Counter[str] = Counter()
    members = []
    for start in range(max(1, len(text) - size + 1)):
        run = text[start : start + size]
        seen[run] += 1
        members.append(f"{seen[run]}:{run}".encode("utf-8", "surrogatepass"))
    return members


def _linked(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Divide 0 to `count - 1` into groups that pairs link (union-find)."""
    parents = list(range(count))

    def root(member: int) -> int:
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    for a, b in pairs:
        parents[root(b)] = root(a)
    groups: dict[int, list[int]] = {}
    for member in range(count):
        groups.setdefault(root(member), []).append(member)
    return list(groups.values())


def _distances(rows: Sequence[str], columns: Sequence[str], cutoff: float | None = None) -> NDArray[np.float64]:
    """Distances of encoded programs; 1 for those above the cutoff."""
    return cdist(rows, columns, scorer=Levenshtein.normalized_distance, score_cutoff=cutoff, dtype=np.float64)


def _encoded(programs: Sequence[str]) -> list[str]:
    """Programs with a character per token, which is what rapidfuzz compares fastest."""
    characters: dict[str, str] = {}
    return ["".join(characters.setdefault(token, chr(len(characters))) for token in _tokens(p)) for p in programs]


@functools.lru_cache(maxsize=4096)
def _tokens(source: str) -> tuple[str, ...]:
    """The tokens of the normal form; line ends and steps of indentation are tokens too."""
    lines = io.StringIO(normal_form(source) + "\n")
    found = []
    for token in tokenize.generate_tokens(lines.readline):
        if token.type in _LAYOUT:
            found.append(_LAYOUT[token.type])
        elif token.type not in (tokenize.NL, tokenize.ENDMARKER):
            found.append(token.string)
    return tuple(found)
