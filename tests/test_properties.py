"""The fifty properties: each has exactly one Hypothesis test, marked `@pytest.mark.property(N)`.

The files are read, not imported, so that the check is instant and also sees tests that cannot be collected here.
"""

import ast
from collections import defaultdict
from pathlib import Path

NUMBERS = range(1, 51)
# Every property that has been reached so far; a system adds its own when it comes.
REQUIRED = {*range(1, 37)}


def marked_tests():
    """Map each number to its tests, as pairs of place and names of the decorators."""
    found = defaultdict(list)
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            calls = [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
            names = {ast.unparse(call.func) for call in calls}
            for call in calls:
                if ast.unparse(call.func) == "pytest.mark.property":
                    found[ast.literal_eval(call.args[0])].append((f"{file.name}:{node.name}", names))
    return found


def test_every_number_is_that_of_a_property():
    assert set(marked_tests()) <= set(NUMBERS)


def test_no_property_is_tested_twice():
    doubled = {n: [place for place, _ in tests] for n, tests in marked_tests().items() if len(tests) > 1}
    assert not doubled


def test_the_properties_reached_so_far_have_their_test():
    missing = REQUIRED - set(marked_tests())
    assert not missing


def test_each_is_a_hypothesis_test():
    by_example = [
        place
        for tests in marked_tests().values()
        for place, names in tests
        if not {"given", "hypothesis.given"} & names
    ]
    assert not by_example
