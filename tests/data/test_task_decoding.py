import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.data import Task, TaskLoader
from arcgym.data.decoding import Reading, decode_challenges, decode_lines, decode_task, parse_json
from arcgym.errors import TaskError

GOOD = {
    "train": [{"input": [[1, 2], [3, 4]], "output": [[5, 6]]}, {"input": [[7]], "output": [[8], [9]]}],
    "test": [{"input": [[0, 1]], "output": [[2]]}, {"input": [[3]], "output": [[4, 4]]}],
}
EXAMPLES = [{"input": [[i % 10]], "output": [[i % 10, 0]]} for i in range(7)]

# What is put in the place of a cell, and how it is spoken of.
CELLS = [
    (-1, "int -1 is out of range"),
    (10, "int 10 is out of range"),
    (10**30, "an integer of 100 bits is out of range"),
    (1.0, "float 1.0 is not an integer; a colour is a whole number from 0 to 9: write 1"),
    (0.5, "float 0.5 is not an integer"),
    (float("nan"), "float nan is not an integer"),
    (float("inf"), "float inf is not an integer"),
    (True, "bool True is not an integer"),
    (None, "NoneType None is not an integer"),
    ("7", "str '7' is not an integer; a colour is a whole number from 0 to 9: write 7 without quotes"),
    ("red", "str 'red' is not an integer"),
    ([1], "list [1] is not an integer"),
]


def put(*path_and_value):
    """A change of a copy: the value at a path of keys and indices is replaced, or removed where it is `...`."""
    *path, last, value = path_and_value

    def change(obj):
        obj = copy.deepcopy(obj)
        inner = obj
        for key in path:
            inner = inner[key]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
        return json.dumps(obj)

    return change


MUTATIONS = [
    # a cell, in each kind of place
    *[(put("train", 0, "input", 1, 0, v), f"train pair 0, input, row 1, column 0: {text}") for v, text in CELLS],
    *[(put("test", 1, "output", 0, 1, v), f"test pair 1, output, row 0, column 1: {text}") for v, text in CELLS],
    # rows and grids
    (put("train", 0, "input", 1, [3]), "train pair 0, input, row 1: 1 columns, but the rows before have 2"),
    (put("train", 1, "output", 0, []), "train pair 1, output, row 0: 0 columns; a grid has 1 to 30"),
    (put("train", 1, "output", 1, 9), "train pair 1, output, row 1: int 9 is not a row"),
    (put("train", 0, "output", 0, "56"), "train pair 0, output, row 0: str '56' is not a row"),
    (put("test", 0, "input", []), "test pair 0, input, 0 rows; a grid has 1 to 30"),
    (put("test", 0, "input", 5), "test pair 0, input, int 5 is not a grid"),
    (put("test", 0, "input", {}), "test pair 0, input, dict {} is not a grid"),
    (put("test", 1, "input", [[1]] * 31), "test pair 1, input, 31 rows; a grid has 1 to 30"),
    (put("train", 0, "input", [[1] * 31]), "train pair 0, input, row 0: 31 columns"),
    # pairs
    (put("train", 1, "output", ...), "train pair 1, output is missing"),
    (put("train", 1, "output", None), "train pair 1, output is missing"),
    (put("train", 0, "input", ...), "train pair 0, input is missing"),
    (put("test", 1, "input", ...), "test pair 1, input is missing"),
    (put("test", 1, "input", None), "test pair 1, input is missing"),
    (put("train", 1, 3), "train pair 1, a int is not a pair"),
    (put("test", 0, [[1]]), "test pair 0, a list is not a pair"),
    (put("test", 0, {"inputs": [[1]]}), 'test pair 0, unknown key "inputs"; did you mean "input"?'),
    # the task
    (put("train", []), '"train" holds no pair'),
    (put("test", []), '"test" holds no pair'),
    (put("train", ...), '"train" is missing'),
    (put("test", ...), '"test" is missing'),
    (put("test", {"input": [[1]]}), '"test" is a dict; make it a list'),
    (put("train", "none"), '"train" is a str; make it a list'),
    (lambda obj: json.dumps([obj["train"][0], 4]), "example 1, a int is not a pair"),
    (lambda obj: json.dumps([obj["train"][0]]), "it holds a single example"),
    (lambda obj: json.dumps({"a": obj, "b": obj}), "it maps names to tasks; rename it to end in '_challenges.json'"),
    # the text
    (lambda obj: json.dumps(obj)[:-1], "line 1, column 186: Expecting ',' delimiter"),
    (lambda obj: json.dumps(obj, indent=1).replace(": [", ": [,", 2), "line 2, column 12: Expecting value"),
    (lambda obj: json.dumps(obj).replace('"test"', '"train"'), 'the key "train" appears twice in one object'),
    (lambda obj: json.dumps(obj) * 2, "line 1, column 187: Extra data"),
    (lambda obj: "", "line 1, column 1: Expecting value"),
]


def test_there_are_at_least_fifty_mutations():
    assert len(MUTATIONS) >= 50
    assert decode_task(json.dumps(GOOD).encode(), "a", Reading()).entries[0].problems == []


@pytest.mark.parametrize("number", range(len(MUTATIONS)))
def test_a_mutated_file_is_refused_with_its_place_and_only_that(tmp_path, number):
    mutate, expected = MUTATIONS[number]
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "mutated.json").write_text(mutate(GOOD))
    with pytest.raises(TaskError) as caught:
        TaskLoader().load(tmp_path)
    lines = str(caught.value).split("\n")[1:]
    assert all(line.startswith("  - mutated.json: ") for line in lines)
    assert any(line.startswith(f"  - mutated.json: {expected}") for line in lines)


def as_object(mutate):
    """The value of a mutated text, where it is an object that can be put into another file."""
    value, problems = parse_json(mutate(GOOD).encode())
    return value if isinstance(value, dict) and not problems else None


@pytest.mark.parametrize(("mutate", "expected"), [mutation for mutation in MUTATIONS if as_object(mutation[0])])
def test_the_same_mutation_has_its_place_in_a_line_and_in_a_challenge(mutate, expected):
    value = as_object(mutate)
    lines = decode_lines(json.dumps(value | {"task_id": "x"}).encode(), Reading()).entries[0].problems
    challenges = decode_challenges(json.dumps({"x": value}).encode(), None, Reading()).entries[0].problems
    if "rename it" in expected:
        expected = '"train" is missing'
    assert [p for p in lines if p.startswith(f"line 1, {expected}")]
    assert [p for p in challenges if p.startswith(f"task 'x', {expected}")]
    assert len(lines) == len(challenges)


KEYS = st.sampled_from(["train", "a", "b:", 'c"', 'd" :', "é"])
VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(["", ':"a":', '\\": ']),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def as_text(value, space):
    """JSON of a value whose objects are tuples of keys and values, and may so hold a key twice."""
    if isinstance(value, tuple):
        items = [f"{json.dumps(key)}{space}:{space}{as_text(inner, space)}" for key, inner in value]
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(as_text(inner, space) for inner in value) + "]"
    return json.dumps(value)


def num_repeated(value):
    if isinstance(value, tuple):
        keys = [key for key, _ in value]
        return len({key for key in keys if keys.count(key) > 1}) + sum(num_repeated(inner) for _, inner in value)
    return sum(map(num_repeated, value)) if isinstance(value, list) else 0


@given(VALUES, st.sampled_from(["", " ", "\n"]))
def test_a_key_that_appears_twice_is_found_wherever_it_is(value, space):
    text = as_text(value, space)
    decoded, problems = parse_json(text.encode())
    assert decoded == json.loads(text)
    assert len(problems) == num_repeated(value)


@pytest.mark.parametrize(
    ("num_train", "num_test", "expected"),
    [(4, 1, (4, 1)), (2, 3, (2, 3)), (100, 1, (6, 1)), (100, 100, (1, 6)), (6, 1, (6, 1)), (1, 1, (1, 1))],
)
def test_the_first_examples_are_shown_and_the_next_are_asked(num_train, num_test, expected):
    pairs = decode_task(json.dumps(EXAMPLES).encode(), "a", Reading(num_train, num_test)).entries[0].pairs
    assert (len(pairs.train), len(pairs.test)) == expected
    assert [pair.to_dict() for pair in pairs.train + pairs.test] == EXAMPLES[: sum(expected)]


def test_examples_beyond_those_used_are_checked_too():
    examples = [*EXAMPLES, {"input": [[1]], "output": [[99]]}]
    (entry,) = decode_task(json.dumps(examples).encode(), "a", Reading(1, 1)).entries
    assert entry.problems == [
        "example 7, output, row 0, column 0: int 99 is out of range; a colour is a whole number from 0 to 9"
    ]


def as_dict(pairs):
    return {"train": [pair.to_dict() for pair in pairs.train], "test": [pair.to_dict() for pair in pairs.test]}


CHALLENGES = {"a": {**GOOD, "test": [{"input": [[0, 1]]}, {"input": [[3]]}]}, "b": GOOD}
SOLUTIONS = {"a": [[[2]], [[4, 4]]], "b": [[[2]], [[4, 4]]]}


def test_solutions_fill_the_challenges():
    decoded = decode_challenges(json.dumps(CHALLENGES).encode(), json.dumps(SOLUTIONS).encode(), Reading())
    assert decoded.problems == decoded.solution_problems == []
    assert [(entry.task_id, as_dict(entry.pairs)) for entry in decoded.entries] == [("a", GOOD), ("b", GOOD)]
    alone = decode_challenges(json.dumps(CHALLENGES).encode(), None, Reading()).entries[0]
    assert (as_dict(alone.pairs), alone.problems) == (CHALLENGES["a"], [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put("a", ...), "task 'a', the outputs are missing"),
        (put("a", [[[2]]]), "task 'a', 1 outputs for 2 test pairs"),
        (put("a", {"0": [[2]]}), "task 'a', a dict for 2 test pairs"),
        (put("a", 1, 0, 1, 44), "task 'a', output 1, row 0, column 1: int 44 is out of range"),
        (put("b", 0, [[3]]), "task 'b', output 0: the challenge has another output"),
        (put("c", []), "task 'c': there is no such challenge"),
        (lambda obj: "[]", "a list maps no names to outputs"),
        (lambda obj: "{", "line 1, column 2: "),
    ],
)
def test_wrong_solutions_are_reported_as_the_fault_of_their_file(tmp_path, change, expected):
    (tmp_path / "x_challenges.json").write_text(json.dumps(CHALLENGES))
    (tmp_path / "x_solutions.json").write_text(change(SOLUTIONS))
    loader = TaskLoader()
    loader.load(tmp_path, on_error="report")
    assert len(loader.problems) == 1
    assert loader.problems[0].startswith(f"x_solutions.json: {expected}")


@pytest.mark.parametrize(("text", "expected"), [("[]", "a list maps no names to tasks"), ("{}", "it holds no task")])
def test_a_file_of_challenges_maps_names_to_tasks(text, expected):
    assert decode_challenges(text.encode(), None, Reading()).problems[0].startswith(expected)


def test_lines_carry_names_families_and_programs():
    lines = [{"task_id": "a", "family": "f", "program": "p", **GOOD}, {"id": 7, **GOOD}, {"name": "n", **GOOD}]
    data = "\n\n".join(map(json.dumps, lines)).encode() + b"\n"
    entries = decode_lines(data, Reading()).entries
    assert [(entry.task_id, entry.texts, entry.problems) for entry in entries] == [
        ("a", {"family": "f", "program": "p"}, []),
        ("7", {}, []),
        ("n", {}, []),
    ]


def test_tasks_know_their_family_from_their_line_or_else_from_their_folder(tmp_path):
    (tmp_path / "Concept").mkdir()
    (tmp_path / "Concept" / "a.json").write_text(json.dumps(GOOD))
    lines = [{"task_id": "b", **GOOD}, {"task_id": "c", "family": "f", "program": "p", **GOOD}]
    (tmp_path / "Concept" / "more.jsonl").write_text("\n".join(map(json.dumps, lines)))
    known = [(task.task_id, task.family, task.program) for task in TaskLoader().load(tmp_path)]
    assert known == [("a", "Concept", ""), ("b", "Concept", ""), ("c", "f", "p")]


def test_problems_in_lines_have_the_number_of_the_line():
    good = json.dumps({"task_id": "a", **GOOD})
    data = "\n".join([good, '{"task_id": 1,,', "", json.dumps(GOOD), good, "[]"]).encode()
    problems = [problem for entry in decode_lines(data, Reading()).entries for problem in entry.problems]
    assert [problem.split(";")[0] for problem in problems] == [
        "line 2, column 15: Expecting property name enclosed in double quotes",
        "line 4: the task has no name",
        "line 5: there is another task 'a' in line 1",
        "line 6, a list is not a task",
    ]
    assert decode_lines(b"\n \n", Reading()).problems == ["it holds no task; write one per line"]


# The beginning of a real file of Mini-ARC: digits in quotes, and nothing where a cell was left black.
MINI_ARC = """{"train": [{"input": [[null, null], ["4", null]], "output": [[null, "2"], [null, "4"]]},
    {"input": [[0, "4"], [0, 2.0]], "output": [[0, "2"]]}], "test": [{"input": [[0, "2"]], "output": [["4", 0]]}]}"""


def test_loose_cells_are_read_where_that_is_wanted(tmp_path, caplog):
    (tmp_path / "mini.json").write_text(MINI_ARC)
    with pytest.raises(TaskError, match="write 4 without quotes"):
        TaskLoader().load(tmp_path)
    (task,) = TaskLoader(loose_cells=True).load(tmp_path)
    plain = MINI_ARC.replace("null", "0").replace("2.0", "2")
    for digit in "0123456789":
        plain = plain.replace(f'"{digit}"', digit)
    assert task == Task.from_dict(json.loads(plain), task_id="mini", source=str(tmp_path))
    assert "13 cells were no integers" in caplog.text


@pytest.mark.parametrize("cell", [True, 1.5, float("nan"), float("inf"), "12", "٣", "", [1]])
def test_loose_cells_are_still_colours(cell):
    obj = {"train": [{"input": [[cell]], "output": [[1]]}], "test": [{"input": [[1]]}]}
    (entry,) = decode_task(json.dumps(obj).encode(), "a", Reading(loose_cells=True)).entries
    assert entry.problems[0].startswith("train pair 0, input, row 0, column 0: ")
    solutions = {"a": [[[cell]]]}
    challenges = {"a": {"train": [{"input": [[1]], "output": [[1]]}], "test": [{"input": [[1]]}]}}
    args = (json.dumps(challenges).encode(), json.dumps(solutions).encode(), Reading(loose_cells=True))
    assert decode_challenges(*args).solution_problems[0].startswith("task 'a', output 0, row 0, column 0: ")
