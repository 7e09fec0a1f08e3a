"""From the bytes of a file to task objects: the formats in which ARC-like tasks are passed around.

A `.json` file holds one task, as in the official repositories, or a list of examples of one task, as in re-arc. A
`*_challenges.json` file maps names to tasks, as on Kaggle, where the answers are in a `*_solutions.json` file of their
own. A `.jsonl` file holds a task per line. Nothing here raises for what a file holds: what is wrong is listed, with
its place, and what is right comes back.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from arcgym.data.tasks import NO_PAIRS, PARTS, SIDES, Pair, PairsRead, TaskPairs, pair_problems, read_pairs
from arcgym.grids import grid_problems

CHALLENGES = "_challenges.json"
SOLUTIONS = "_solutions.json"
_KEY_END = re.compile(r'"\s*:')
_ID_KEYS = ("task_id", "id", "name")


@dataclass(frozen=True)
class Reading:
    """How to read what a file leaves open.

    Args:
        num_train: how many examples of a file that only lists examples become demonstrations.
        num_test: how many of the examples after those become questions.
        loose_cells: read a digit in quotes, a float without fraction and `null` as the colours that they mean
            (`null` is 0), as the files of Mini-ARC need it. Otherwise they are refused.
    """

    num_train: int = 4
    num_test: int = 1
    loose_cells: bool = False


class Entry(NamedTuple):
    """One task of a file.

    Args:
        task_id: its name; empty where the file does not tell.
        pairs: its pairs; none where there are problems.
        texts: `family` and `program`, where the file tells.
        problems: everything that is wrong with the task, a sentence each, with the place within the file.
    """

    task_id: str
    pairs: TaskPairs
    texts: dict[str, str]
    problems: list[str]


class Decoded(NamedTuple):
    """What a file holds.

    Args:
        entries: its tasks, the malformed ones too.
        problems: what is wrong with the file as a whole.
        solution_problems: the same for the file of solutions.
        num_mended: how many cells were read by `Reading.loose_cells`.
    """

    entries: list[Entry]
    problems: list[str]
    solution_problems: list[str]
    num_mended: int = 0


def decode_task(data: bytes, task_id: str, reading: Reading) -> Decoded:
    """Read a file that holds one task, or a list of examples of one task.

    Args:
        data: content of the file.
        task_id: name of the task.
        reading: how to read what the file leaves open.
    """
    obj, problems = parse_json(data)
    if problems:
        return Decoded([], problems, [])
    mended = _mend(obj) if reading.loose_cells else 0
    pairs = NO_PAIRS
    if isinstance(obj, list) and any(isinstance(item, Mapping) for item in obj):
        pairs, problems = _from_examples(obj, reading)
    elif _holds_tasks(obj):
        problems = [f"it maps names to tasks; rename it to end in {CHALLENGES!r}"]
    else:
        pairs, problems = read_pairs(obj)
    return Decoded([Entry(task_id, pairs, {}, problems)], [], [], mended)


def decode_challenges(data: bytes, solutions: bytes | None, reading: Reading) -> Decoded:
    """Read a Kaggle file of challenges, and its file of solutions where there is one.

    Args:
        data: content of the file of challenges: an object from names to tasks, whose test pairs have no output.
        solutions: content of the file of solutions: an object from names to lists of the test outputs.
        reading: how to read what the files leave open.
    """
    challenges, problems = parse_json(data)
    if not problems and not isinstance(challenges, dict):
        problems = [f"a {type(challenges).__name__} maps no names to tasks; write an object from names to tasks"]
    if not problems and not challenges:
        problems = ["it holds no task; write an object from names to tasks"]
    answers, wrong = parse_json(solutions) if solutions is not None else ({}, [])
    if not wrong and not isinstance(answers, dict):
        wrong = [f"a {type(answers).__name__} maps no names to outputs; write an object from names to lists of grids"]
    if problems or wrong:
        return Decoded([], problems, wrong)
    mended = 0
    if reading.loose_cells:
        mended = sum(map(_mend, challenges.values())) + sum(map(_mend_grids, answers.values()))
    entries = []
    for task_id, obj in challenges.items():
        pairs, found = read_pairs(obj)
        if solutions is not None and not found:
            pairs, lacking = _add_outputs(pairs, answers.get(task_id))
            wrong += [f"task {task_id!r}, {problem}" for problem in lacking]
            if lacking:
                continue
        entries.append(Entry(task_id, pairs, {}, [f"task {task_id!r}, {problem}" for problem in found]))
    wrong += [f"task {task_id!r}: there is no such challenge; remove it" for task_id in answers.keys() - challenges]
    return Decoded(entries, [], sorted(wrong), mended)


def decode_lines(data: bytes, reading: Reading) -> Decoded:
    """Read a file with a task per line: the object of an official file, with its name as `task_id`, `id` or `name`.

    `family` and `program` are read too, so that a dataset of arcgym written by `Dataset.to_json` comes back whole.

    Args:
        data: content of the file; blank lines do not count.
        reading: how to read what the file leaves open.
    """
    entries, mended = [], 0
    lines: dict[str, int] = {}
    for number, line in enumerate(data.splitlines(), 1):  # of bytes, which break at line feeds alone
        if not line.strip():
            continue
        obj, problems = parse_json(line, first_line=number)
        pairs = NO_PAIRS
        if not problems:
            mended += _mend(obj) if reading.loose_cells else 0
            pairs, found = read_pairs(obj)
            problems = [f"line {number}, {problem}" for problem in found]
        task_id, texts = "", {}
        if isinstance(obj, Mapping):
            task_id = row_id(obj)
            texts = row_texts(obj)
            if not task_id:
                problems.append(f'line {number}: the task has no name; add it as "task_id"')
            elif lines.setdefault(task_id, number) != number:
                problems.append(
                    f"line {number}: there is another task {task_id!r} in line {lines[task_id]}; rename one"
                )
        entries.append(Entry(task_id, pairs, texts, problems))
    return Decoded(entries, [] if entries else ["it holds no task; write one per line"], [], mended)


def row_id(row: Mapping[str, Any]) -> str:
    """The name of the task in a line or a row; empty where there is none."""
    return next((str(row[key]) for key in _ID_KEYS if isinstance(row.get(key), str | int) and row[key] != ""), "")


def row_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """What a line or a row tells about its task beside the pairs."""
    return {key: row[key] for key in ("family", "program") if isinstance(row.get(key), str)}


def parse_json(data: bytes, first_line: int = 1) -> tuple[Any, list[str]]:
    """Decode JSON, strictly: a key that appears twice in an object is a problem, since one value would be lost.

    Args:
        data: UTF-8 text, with or without a byte order mark.
        first_line: number of the line that the data begin with, for messages.

    Returns:
        The value, and everything that is wrong, with line and column where there is one.
    """
    try:
        text = data.decode("utf-8-sig")
        obj = json.loads(text)
        # A key ends in a quote and a colon. Where that is no more often in the text than there are keys, none of them
        # was lost; otherwise it may also be in a string, and the objects are looked at one by one, which takes longer.
        repeated = _repeated_keys(text) if len(_KEY_END.findall(text)) > _count_keys(obj) else []
    except json.JSONDecodeError as exc:
        place = f"line {first_line + exc.lineno - 1}, column {exc.colno}"
        return None, [f"{place}: {exc.msg}; write valid JSON"]
    except UnicodeDecodeError as exc:
        return None, [f"byte {exc.start}: {exc.reason}; save the file as UTF-8"]
    except (RecursionError, ValueError) as exc:  # nesting or an integer beyond any task
        return None, [f"{exc}; write a task object"]
    return obj, repeated


def _count_keys(obj: Any) -> int:
    """How many keys the objects in a value have, or fewer: what lies in lists that begin otherwise is not counted."""
    count, values = 0, [obj]
    for value in values:  # which grow on the way
        if isinstance(value, dict):
            count += len(value)
            values.extend(value.values())
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            values.extend(value)
    return count


def _repeated_keys(text: str) -> list[str]:
    """Name the keys that appear twice in an object: `json` keeps the last value in silence."""
    repeated: list[str] = []

    def collect(items: list[tuple[str, Any]]) -> dict[str, Any]:
        obj = dict(items)
        if len(obj) != len(items):
            keys = [key for key, _ in items]
            repeated.extend(f'the key "{key}" appears twice in one object; keep one' for key in _doubles(keys))
        return obj

    json.loads(text, object_pairs_hook=collect)
    return repeated


def _doubles(keys: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({key for key in keys if key in seen or seen.add(key)})  # type: ignore[func-returns-value]


def _from_examples(examples: list[Any], reading: Reading) -> PairsRead:
    """Divide a list of examples, in its order: the first are demonstrations, the next are questions."""
    problems = [
        f"example {i}, {problem}"
        for i, pair in enumerate(examples)
        for problem in pair_problems(pair, needs_output=True)
    ]
    if len(examples) < 2:
        problems.append("it holds a single example; a task needs at least two, one to show and one to ask")
    if problems:
        return PairsRead(NO_PAIRS, problems)
    # Of too few examples, as many as possible are shown and at least one is.
    num_test = min(reading.num_test, len(examples) - 1)
    num_train = min(reading.num_train, len(examples) - num_test)
    return read_pairs({"train": examples[:num_train], "test": examples[num_train : num_train + num_test]})


def _holds_tasks(obj: Any) -> bool:
    return (
        isinstance(obj, Mapping)
        and bool(obj)
        and all(isinstance(value, Mapping) and PARTS[0] in value for value in obj.values())
    )


def _add_outputs(pairs: TaskPairs, outputs: Any) -> PairsRead:
    """Put the outputs into the test pairs of a task; otherwise say what is wrong with them."""
    asked = pairs.test
    if outputs is None:
        return PairsRead(NO_PAIRS, ["the outputs are missing; add a list of grids under that name"])
    if not isinstance(outputs, list) or len(outputs) != len(asked):
        count = f"{len(outputs)} outputs" if isinstance(outputs, list) else f"a {type(outputs).__name__}"
        return PairsRead(NO_PAIRS, [f"{count} for {len(asked)} test pairs; write a list with one grid for each"])
    problems = []
    for i, (pair, output) in enumerate(zip(asked, outputs, strict=True)):
        problems += [f"output {i}, {problem}" for problem in grid_problems(output)]
        if pair.output is not None and pair.output.tolist() != output:
            problems.append(f"output {i}: the challenge has another output; remove one")
    if problems:
        return PairsRead(NO_PAIRS, problems)
    answered = tuple([Pair(pair.input, output) for pair, output in zip(asked, outputs, strict=True)])
    return PairsRead(TaskPairs(pairs.train, answered), [])


def _mend(obj: Any) -> int:
    """Read the cells of a decoded task, or list of examples, as `Reading.loose_cells` says; return how many."""
    parts: Iterable[Any] = [obj] if isinstance(obj, list) else ()
    if isinstance(obj, Mapping):
        parts = (obj.get(part) for part in PARTS)
    pairs = [pair for part in parts if isinstance(part, list) for pair in part if isinstance(pair, Mapping)]
    return sum(_mend_rows(pair[side]) for pair in pairs for side in SIDES if isinstance(pair.get(side), list))


def _mend_grids(grids: Any) -> int:
    return sum(_mend_rows(grid) for grid in grids if isinstance(grid, list)) if isinstance(grids, list) else 0


def _mend_rows(rows: list[Any]) -> int:
    count = 0
    for row in rows:
        for c, cell in enumerate(row if isinstance(row, list) else ()):
            colour = _colour_of(cell)
            if colour is not None:
                row[c] = colour
                count += 1
    return count


def _colour_of(cell: Any) -> int | None:
    if cell is None:
        return 0
    if isinstance(cell, str) and len(cell) == 1 and cell in "0123456789":
        return int(cell)
    return int(cell) if isinstance(cell, float) and cell.is_integer() else None
