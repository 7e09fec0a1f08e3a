"""Parsing, and two ways to write a program again: the normal form for machines, and a readable one for people.

The normal form is what `ast.unparse` makes of the program without comments, docstrings and annotations. It does what
the program does, unless that looks at its own docstrings or annotations, or has annotations that cannot be evaluated.
Annotations of class attributes stay, because dataclasses and named tuples are made of them.
"""

import ast
import importlib.util
import subprocess
import sys
import warnings

from arcgym.errors import ProgramError

_FORMAT_TIMEOUT_S = 10.0


def parse_program(source: str) -> ast.Module:
    """Parse a source that CPython compiles.

    Args:
        source: The text of a program, of any origin; it need not define `transform`.

    Raises:
        ProgramError: CPython does not compile it; the message says where and why.
    """
    try:
        with warnings.catch_warnings():
            # An invalid escape such as "\d" is a warning; it must not become an error when warnings are errors
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(tree, "<program>", "exec", dont_inherit=True)
    except SyntaxError as exc:
        raise ProgramError(f"the program does not compile: line {exc.lineno}: {exc.msg}") from exc
    except (RecursionError, MemoryError) as exc:
        raise ProgramError("the program does not compile: it is nested too deeply") from exc
    except ValueError as exc:  # NUL, half of a surrogate pair
        raise ProgramError(f"the program does not compile: {exc}") from exc
    return tree


def normal_form(source: str) -> str:
    """Write a program without comments, docstrings, annotations and formatting of its own.

    Args:
        source: The text of a program that compiles.

    Returns:
        Its normal form; the normal form of that is the same.

    Raises:
        ProgramError: The source does not compile, or is nested too deeply to be written again.
    """
    return unparse(strip(parse_program(source)))


def format_program(source: str) -> str:
    """Write a program for people to read: formatted by ruff where that is installed, else in normal form.

    Args:
        source: The text of a program that compiles.

    Raises:
        ProgramError: The source does not compile.
    """
    parse_program(source)
    if importlib.util.find_spec("ruff") is None:
        return f"{normal_form(source)}\n"
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--line-length", "100", "-"]
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=_FORMAT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{normal_form(source)}\n"
    # Its parser is another than CPython's, and may refuse what that compiles
    return done.stdout.decode() if done.returncode == 0 else f"{normal_form(source)}\n"


def unparse(tree: ast.Module) -> str:
    """Write a tree as text.

    Args:
        tree: Of a program.

    Raises:
        ProgramError: It is nested too deeply, or holds what `ast.unparse` cannot write.
    """
    try:
        return ast.unparse(ast.fix_missing_locations(tree))
    except RecursionError as exc:
        raise ProgramError("the program is nested too deeply to be written in normal form") from exc
    except ValueError as exc:  # integers of more than 4300 digits; before Python 3.12 line breaks in f-strings
        raise ProgramError(f"the program cannot be written in normal form: {exc}") from exc


def strip(tree: ast.Module) -> ast.Module:
    """Take docstrings, annotations and statements without effect out of a tree, in place.

    Args:
        tree: Of a program that compiles.

    Returns:
        The same tree.

    Raises:
        ProgramError: It is nested too deeply.
    """
    try:
        return _Strip().visit(tree)
    except RecursionError as exc:
        raise ProgramError("the program is nested too deeply to be written in normal form") from exc


class _Strip(ast.NodeTransformer):
    def __init__(self) -> None:
        self._in_class = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):  # the body of a lambda is no list
                kept = [statement for statement in block if not _is_idle(statement)]
                setattr(node, name, kept or ([ast.Pass()] if _needs_one(node, name) else []))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._visit_scope(node, is_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if self._in_class:
            return node
        return None if node.value is None else ast.copy_location(ast.Assign([node.target], node.value), node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        if hasattr(node, "type_params"):  # from Python 3.12 on
            node.type_params = []
        return self._visit_scope(node, is_class=False)

    def _visit_scope(self, node: ast.AST, *, is_class: bool) -> ast.AST:
        outer, self._in_class = self._in_class, is_class
        try:
            return self.generic_visit(node)
        finally:
            self._in_class = outer


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: `pass`, and constants such as docstrings."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _needs_one(node: ast.AST, block: str) -> bool:
    """Whether a block may not be empty."""
    if block == "finalbody":
        return isinstance(node, ast.Try) and not node.handlers
    return block == "body" and not isinstance(node, ast.Module)
