import ast
import inspect

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arcgym.programs import check_syntax, extract_program

PROGRAM = "from arcgym.primitives import *\n\n\ndef transform(grid):\n    return flip_lr(grid)\n"
OTHER = "def transform(grid):\n    return grid\n"

# Lines that compile or not, define `transform` or not, or nearly so. All are harmless to execute.
LINES = (
    "def transform(grid): return grid",
    "def transform(grid):",
    "    return grid",
    "async def transform(grid): return grid",
    "transform = lambda grid: grid",
    "transform: int = 3",
    "transform: int",
    "transform, other = 1, 2",
    "transform += 1",
    "(transform := 5)",
    "class transform: pass",
    "class Solver:",
    "    def transform(self, grid): return grid",
    "    transform = 1",
    "def solve():",
    "    transform = 1",
    "from math import sqrt as transform",
    "import math as transform",
    "import math",
    "for transform in range(2): pass",
    "match 3:",
    "    case transform: pass",
    "values = [transform for transform in range(3)]",
    "f = lambda transform: transform",
    "if True:",
    "    def transform(grid): return grid",
    "x = 'transform = 1'",
    "# def transform(grid): return grid",
    "return 1",
    "x = 1 +",
    "s = '\\d'",
    "transfоrm = 1",  # the о is Cyrillic
    "\x00",
    "\ud800",
    "x = (",
    ")",
    "",
)


def defines_transform(source: str) -> bool:
    """The slow reference: run the (harmless) program line by line of its effect, and look at what it leaves behind."""
    code = compile(source, "<reference>", "exec", dont_inherit=True)
    assigned: list[object] = []

    class Namespace(dict):
        def __setitem__(self, name, value):
            if name == "transform" and not inspect.iscoroutinefunction(value):
                assigned.append(value)
            super().__setitem__(name, value)

    try:
        exec(code, {}, Namespace())
    except Exception:
        # It stopped half-way; what matters is what it would have assigned, so judge its statements one by one.
        for statement in ast.parse(source).body:
            try:
                exec(compile(ast.Module([statement], []), "<reference>", "exec"), {}, Namespace(transform=0))
            except Exception:
                continue
    return bool(assigned)


@pytest.mark.property(28)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(st.one_of(st.lists(st.sampled_from(LINES), max_size=6).map("\n".join), st.text(max_size=30)))
@example("if False:\n    x = 1\n" + OTHER)
@example("def transform(grid):\n\treturn grid\n        return grid\n")
def test_text_is_accepted_exactly_when_it_compiles_and_defines_transform(source):
    report = check_syntax(source)
    try:
        compile(source, "<reference>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        assert not report.ok
        assert report.reason
        assert report.line is not None
        assert 1 <= report.line <= source.count("\n") + source.count("\r") + 2
        return
    assert report.ok == defines_transform(source)
    if report.ok:
        assert (report.line, report.reason) == (None, "")
    else:
        assert "transform" in report.reason


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\ny = \x00", 2),
        ("x = 1\n\ny = '\udfff'", 3),
        ("def transform(grid):\n    return )", 2),
        ("def transform(grid):\nreturn grid", 2),
        ("x = 1\nasync def transform(grid): return grid", 2),
        ("x = 1", None),
        ("-" * 100_000 + "1", None),
    ],
)
def test_a_refusal_names_the_line(source, line):
    report = check_syntax(source)
    assert not report.ok
    assert report.line == line
    assert report.reason


@pytest.mark.parametrize(
    ("source", "defined"),
    [
        ("transform: int", False),
        ("transform: int = 3", True),
        ("match 3:\n    case transform: pass", True),
        ("values = [transform for transform in range(3)]", False),
        ("f = lambda transform: transform", False),
        ("class Solver:\n    def transform(self, grid): return grid", False),
        ("def solve():\n    transform = 1", False),
        ("if True:\n    def transform(grid): return grid", True),
        ("transform, other = 1, 2", True),
        ("import math as transform", True),
        ("# def transform(grid): return grid", False),
    ],
)
def test_only_what_binds_the_name_at_the_top_level_counts(source, defined):
    assert check_syntax(source).ok == defined == defines_transform(source)


def test_warnings_of_the_compiler_are_no_refusal():
    # pytest turns warnings into errors here, as a user's `python -W error` would.
    assert check_syntax("def transform(grid):\n    return '\\d' is 1\n").ok


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (PROGRAM, PROGRAM),
        ("N = 3\n" + OTHER, "N = 3\n" + OTHER),
        (f"Here it is:\n```python\n{PROGRAM}```\nIt flips.", PROGRAM),
        (f"```\n{OTHER}```", OTHER),
        (f"~~~py\n{OTHER}~~~\n", OTHER),
        (f"```python\n{OTHER}```\nBetter:\n```python\n{PROGRAM}```", PROGRAM),
        (f"```python\n{PROGRAM}```\nThe examples:\n```\n012\n345\n```", PROGRAM),
        (f"````markdown\n```\nno\n```\n````\n```python\n{OTHER}```", OTHER),
        (f"1. Do this:\n   ```python\n   {OTHER.replace(chr(10), chr(10) + '   ').rstrip()}\n   ```\n", OTHER),
        (f"```python\n{PROGRAM}", PROGRAM),
        ("```python\ntransform = lambda grid: grid\n```", "transform = lambda grid: grid\n"),
        ("```python\ndef transform(grid):\n    return )\n```", "def transform(grid):\n    return )\n"),
        (f"from the picture I see a flip\nimport the rule\n{PROGRAM}", PROGRAM),
        (f"The program is\n\n{OTHER}", OTHER),
        ("```\nimport numpy as np\n```\ndone", "import numpy as np\n"),
        ('def transform(grid):\n    """```\n    def transform(grid): ...\n    ```"""\n    return grid\n',) * 2,
        (f"```python\r\n{OTHER}```\r\n", OTHER),
        ([{"role": "assistant", "content": f"```python\n{OTHER}```"}], OTHER),
        ([{"role": "user", "content": PROGRAM}, {"role": "assistant", "content": OTHER}], OTHER),
        ([{"role": "assistant", "content": [{"type": "text", "text": OTHER}]}], OTHER),
        ([{"role": "assistant", "content": None}], None),
        ([{"role": "user", "content": PROGRAM}], None),
        ([], None),
        ("", None),
        ("I do not know.", None),
        ("```\n012\n```", None),
    ],
)
def test_the_program_is_found(completion, expected):
    assert extract_program(completion) == expected


@given(st.lists(st.sampled_from((*LINES, "```", "```python", "   ```", "~~~", "Prose.")), max_size=8).map("\n".join))
def test_extraction_takes_any_text_and_returns_a_part_of_it(text):
    program = extract_program(text)
    if program is not None:
        lines = [line.strip() for line in text.splitlines()]
        assert all(line.strip() in lines for line in program.splitlines())
    if check_syntax(text).ok:
        assert program == text
