import itertools
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from arcgym.errors import ProgramError
from arcgym.programs import output_signature, program_hash

# In braces: names that a program gives itself, each free to be any other
PROGRAM = """\
import numpy as {np}
from math import floor as {floor}

def {helper}({grid}, {k}=2):
    {total} = 0
    for {row} in {grid}:
        {total} += sum({v} * {k} for {v} in {row} if ({last} := {v}) >= 0)
    try:
        {total} = {total} // {k}
    except ZeroDivisionError as {error}:
        {total} = len(str({error}))
    return {floor}({total}), {last}

def transform({grid}):
    {value}, *{rest} = {helper}({grid}.tolist(), 3)
    {shift} = lambda {v}, *, {k}=1: [{v} + {k} for {v} in [{v}]]
    def {count}():
        nonlocal {value}
        global {seen}
        {value} += 1
        {seen} = {value}
        return {value}
    match {rest}:
        case [{first}]:
            {count}()
        case {other}:
            pass
    return {np}.full_like({grid}, ({shift}({value})[0] + {first} + {seen}) % 10)
"""
NAMES = sorted("np floor helper grid k total row v last error value rest shift count seen first other".split())
RENAMED = tuple(f"{a}{b}" for a, b in itertools.product("pqrstuvw", "xyz_"))

STAR = "from arcgym.primitives import *\n"
COMMENTS = ("", "  # note", "\n\n", "\n# def transform(grid): pass")


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(["    ", "\t", " "]))
def test_renaming_and_formatting_change_no_hash(seed, indent):
    rng = random.Random(seed)
    names = dict(zip(NAMES, rng.sample(RENAMED, len(NAMES)), strict=True))
    lines = PROGRAM.format(**names).replace("    ", indent).splitlines()
    other = "".join(f"{line}{rng.choice(COMMENTS)}\n" for line in lines)
    assert program_hash(other) == program_hash(PROGRAM.format(**dict(zip(NAMES, NAMES, strict=True))))


# Names are drawn from a few, so that scopes shadow, capture and miss each other's
SCOPES = """\
from math import *
{0} = 1
{1} = 2
def f({2}, {3}=5):
    {4}
    def g():
        {5}
        {6} = [{7} for {8} in [3, 4]]
        return {9}
    return attempt(g), attempt(lambda: {10})
class C:
    {11} = attempt(lambda: {12})
    def m(self, {13}=7):
        return {14}, attempt(lambda: {15})
{16} = 6
result = [attempt(call) for call in (lambda: f(10), lambda: f(20, {17}=30), lambda: C.{18}, lambda: C().m())]
result += [({19} := {20}) for {21} in (8,)], {22}
"""
POOL = ("a", "b", "c", "max", "pi")


def attempt(call):
    try:
        return repr(call()).split(" at 0x")[0]
    except Exception as exc:
        return type(exc).__name__


def outcome(source):
    namespace = {"attempt": attempt}
    try:
        exec(compile(source, "<test>", "exec", dont_inherit=True), namespace)
    except Exception as exc:
        return type(exc).__name__
    return repr(namespace["result"]).split(" at 0x")[0]


@st.composite
def scoped_programs(draw):
    names = draw(st.lists(st.sampled_from(POOL), min_size=23, max_size=23))
    others = {name: POOL[POOL.index(name) - 1] for name in POOL}
    names[3] = names[3] if names[3] != names[2] else others[names[2]]
    names[21] = names[21] if names[21] != names[19] else others[names[19]]
    free = [name for name in POOL if name not in names[2:4]]
    outer, inner = draw(st.sampled_from(free)), draw(st.sampled_from(POOL))
    names[4] = draw(st.sampled_from(["pass", f"{outer} = 60", f"global {outer}; {outer} = 50"]))
    names[5] = draw(
        st.sampled_from(
            ["pass", f"{inner} = 70", f"global {inner}; {inner} = 80", f"nonlocal {names[2]}; {names[2]} = 90"]
        )
    )
    return SCOPES.format(*names)


@st.composite
def twins(draw):
    """A program, and the same with two names swapped, or one made new, in some lines or in all."""
    first = draw(scoped_programs())
    a, b = draw(st.sampled_from(POOL)), draw(st.sampled_from((*POOL, "new")))
    lines = first.splitlines()
    chosen = draw(st.sets(st.integers(0, len(lines) - 1))) if draw(st.booleans()) else set(range(len(lines)))
    for number in chosen - {0}:
        lines[number] = "".join({a: b, b: a}.get(word, word) for word in re.split(r"(\W)", lines[number]))
    return first, "\n".join(lines)


@given(st.one_of(twins(), st.tuples(scoped_programs(), scoped_programs())))
def test_programs_of_equal_hash_do_the_same(pair):
    try:
        hashes = [program_hash(source) for source in pair]
    except ProgramError:
        assume(False)
    if hashes[0] == hashes[1]:
        assert outcome(pair[0]) == outcome(pair[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transform = lambda grid: grid", "transform = lambda g: g"),
        ("def f(g):\n    x = 1\n    y = x\n    return y", "def f(a):\n    y = 1\n    x = y\n    return x"),
        # the same name in two scopes, and two names
        ("def f(x): return x\ndef g(x): return x", "def f(x): return x\ndef g(y): return y"),
        ("import numpy as np\ntransform = np.flip", "import numpy\ntransform = numpy.flip"),
        ("x = 'a'  # why", 'y = (  "a"\n)'),
        ("def transform(grid: int) -> int:\n    '''doc'''\n    return grid", "def transform(g):\n    return g"),
        ("x = 0x10", "y = 16"),
        # `key` names the parameter of `sorted`, not the variable
        ("def f(g):\n    key = len\n    sorted(g, key=key)", "def f(g):\n    k = len\n    sorted(g, key=k)"),
        # what a comprehension counts with is unknown outside of it
        ("x = [v for v in y]\nz = v", "x = [u for u in y]\nz = v"),
        # the local variable has nothing to do with the global one
        ("def f(x):\n  def g():\n    global x\n    x = 2", "def f(y):\n  def g():\n    global x\n    x = 2"),
        # as a variable, `dir` is a name like others
        ("def f(g):\n    dir = 1\n    return g * dir", "def f(g):\n    step = 1\n    return g * step"),
        (f"{STAR}def f(g): return flip_lr(g)", f"{STAR}def h(g): return flip_lr(g)"),
    ],
)  # fmt: skip
def test_these_are_the_same(one, other):
    assert program_hash(one) == program_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def transform(grid): return grid", "def solve(grid): return grid"),
        ("def f(a, b): return a - b\nx = f(a=1, b=2)", "def f(b, a): return b - a\nx = f(a=1, b=2)"),
        ("def f(a, b): return a - b\nx = f(**{'a': 1})", "def f(b, a): return b - a\nx = f(**{'a': 1})"),
        ("a = 1\nb = 2\nx = eval('a')", "b = 1\na = 2\nx = eval('a')"),
        ("a = 1\nb = 2\nx = globals()['a']", "b = 1\na = 2\nx = globals()['a']"),
        ("import sys\na = 1\nb = 2\nx = sys.modules['m'].a", "import sys\nb = 1\na = 2\nx = sys.modules['m'].a"),
        ("def a(): pass\nx = a.__name__", "def b(): pass\nx = b.__name__"),
        ("a = 5\nb = 6\nclass A:\n    a = a", "b = 5\na = 6\nclass A:\n    a = a"),
        ("if 0:\n    max = min\nx = max(1, 2)", "if 0:\n    mix = min\nx = mix(1, 2)"),
        ("if 0:\n    pi = 3\nfrom math import *\nx = pi", "if 0:\n    po = 3\nfrom math import *\nx = po"),
        (f"{STAR}if 0:\n    flip_lr = 1\nx = flip_lr", f"{STAR}if 0:\n    f = 1\nx = f"),
        ("import a.b\nx = a", "import a.b as a\nx = a"),
        ("from m import f as h\nfrom m import g\nx = h", "from m import f\nfrom m import g as h\nx = h"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = a.b", "x = a.c"),
        ("x = f(a=1)", "x = f(b=1)"),
        ("def f(a, /, b): pass", "def f(a, b, /): pass"),
        ("def f(*a): pass", "def f(**a): pass"),
        ("def f(x, y):\n  def g():\n    nonlocal x\n    x = 2", "def f(x, y):\n  def g():\n    nonlocal y\n    y = 2"),
        ("def f(a, *, b): pass", "def f(a, b): pass"),
        ("x = [v for v in y for w in z]", "x = [w for v in y for w in z]"),
        ("x = 1\ny = 2", "x = 1\nx = 2"),
        ("def f(x):\n    def g():\n        nonlocal x\n        x = 2", "def f(x):\n    def g():\n        x = 2"),
        ("x = 1\ndef f():\n    global x\n    x = 2", "x = 1\ndef f():\n    x = 2"),
        ("for i in x:\n    pass\nelse:\n    f()", "for i in x:\n    f()"),
        ("x = f'{a!r}'", "x = f'{a!s}'"),
    ],
)  # fmt: skip
def test_these_are_not_the_same(one, other):
    assert program_hash(one) != program_hash(other)


def test_a_hash_is_short_and_the_same_in_every_process():
    source = "def transform(grid):\n    names = {'a', 'b', 'c'}\n    return grid\n"
    code = f"from arcgym.programs import program_hash; print(program_hash({source!r}))"
    env = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == program_hash(source)
    assert len(program_hash(source)) == 32
    assert set(program_hash(source)) <= set("0123456789abcdef")


@pytest.mark.parametrize("source", ["return 1", "x = (", "x = " + "+".join("1" * 2000)])
def test_what_does_not_compile_has_no_hash(source):
    with pytest.raises(ProgramError):
        program_hash(source)


def test_a_huge_number_has_a_hash():
    assert program_hash("x = 0x" + "f" * 5000) != program_hash("x = 0x" + "f" * 5001)


GRIDS = st.one_of(
    st.none(),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1)).map(
        lambda sizes: np.full(sizes[:2], sizes[2], np.int8)
    ),
)


def plain(outputs):
    return [None if grid is None else grid.tolist() for grid in outputs]


@given(st.lists(GRIDS, max_size=3), st.lists(GRIDS, max_size=3))
@example([np.ones((1, 2), np.int8)], [np.ones((2, 1), np.int8)])
@example([None], [])
@example([None, np.zeros((1, 1), np.int8)], [np.zeros((1, 1), np.int8), None])
def test_signatures_are_equal_exactly_when_the_outputs_are(one, other):
    assert (output_signature(one) == output_signature(other)) == (plain(one) == plain(other))


def test_a_signature_does_not_depend_on_the_layout_in_memory():
    grid = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert output_signature([grid]) == output_signature([np.asfortranarray(grid)])
    assert output_signature([grid]) == output_signature([grid.astype(np.int64)])
