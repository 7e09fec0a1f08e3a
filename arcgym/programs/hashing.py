"""Identity of programs: by what they say, up to renaming and formatting, and by what they do.

`program_hash` walks the tree and writes down every node; a name that the program itself gives becomes the number of
its first use, scope by scope, so that programs which differ in such names alone are written down alike. Names that
mean something outside of their scope stay as they are: `transform`, builtins and other names from elsewhere,
attributes, what is imported, keywords of calls and the parameters that they may name. Where a program looks names up
at run time (`globals`, `eval`, …) all stay. So equal hashes promise equal programs; in doubt hashes differ.
"""

import ast
import builtins
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from arcgym.errors import ProgramError
from arcgym.grids import Grid
from arcgym.programs.parsing import parse_program, strip

HASH_CHARS = 32

_BUILTINS = frozenset(dir(builtins))
# What a program may find names by at run time, as names, attributes, strings and modules
_SEES_NAMES = frozenset(
    {"globals", "locals", "vars", "dir", "eval", "exec", "compile", "modules", "import_module", "_getframe"}
    | {"__import__", "__main__", "__name__", "__qualname__", "__code__", "__dict__", "__globals__", "__kwdefaults__"}
)
_SEES_NAMES_MODULES = frozenset({"__main__", "builtins", "dis", "gc", "inspect", "traceback"})
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def program_hash(source: str) -> str:
    """Hash a program up to its comments, formatting, docstrings, annotations, and names of its own.

    Args:
        source: The text of a program that compiles.

    Returns:
        The first 32 hex digits of a SHA-256; the same under every version of Python.

    Raises:
        ProgramError: The source does not compile, or is nested too deeply.
    """
    tree = strip(parse_program(source))
    try:
        written = _Writer(tree).written
    except RecursionError as exc:
        raise ProgramError("the program is nested too deeply to be hashed") from exc
    return hashlib.sha256("\n".join(written).encode()).hexdigest()[:HASH_CHARS]


def output_signature(outputs: Sequence[Grid | None]) -> str:
    """Hash what a program did: its outputs, in order.

    Args:
        outputs: One per input, of shape (height, width); None where there was no grid.

    Returns:
        The first 32 hex digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for grid in outputs:
        # Each part tells its own length: no two sequences give the same bytes
        digest.update(b"\0" if grid is None else bytes((1, *grid.shape)) + np.asarray(grid, np.int8).tobytes())
    return digest.hexdigest()[:HASH_CHARS]


@dataclass(eq=False)
class _Scope:
    """Where names are bound.

    Attributes:
        parent: The scope around it; None for the module.
        bound: Names that are bound here.
        params: Those of them that calls can give by keyword.
        globals: Names declared `global`.
    """

    parent: "_Scope | None" = None
    bound: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)

    def owner(self, name: str) -> "_Scope | None":
        """The scope that a name used here belongs to; None where the program does not bind it."""
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.globals:
                scope = scope._module()
                return scope if name in scope.bound else None
            if name in scope.bound:
                return scope
            scope = scope.parent  # perhaps a class, which CPython passes over; but names bound there are kept anyway
        return None

    def _module(self) -> "_Scope":
        return self if self.parent is None else self.parent._module()


class _Writer:
    """Writes a tree down, a line per node, name or constant."""

    def __init__(self, tree: ast.Module) -> None:
        self.written: list[str] = []
        self._numbers: dict[tuple[_Scope, str], int] = {}
        self._module = _Scope()
        self._kept = {"transform"}
        self._kept_globals = set(_BUILTINS)
        self._keywords: set[str] = set()
        self._keeps_all = self._keeps_params = self._keeps_globals = self._sees_names = False
        self._collect_kept(tree)
        self._module.bound |= _bindings(tree.body).bound
        self._write(tree, self._module)
        if self._sees_names and not self._keeps_all:  # a name that stands for the builtin, and for no variable
            self._keeps_all = True
            self.written.clear()
            self._write(tree, self._module)

    def _collect_kept(self, tree: ast.Module) -> None:
        """Find the names that stay, in one walk over the tree."""
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                    self._keeps_all |= name in _SEES_NAMES
                case ast.alias(name=name):
                    self._keeps_all |= name in _SEES_NAMES or name.split(".")[0] in _SEES_NAMES_MODULES
                case ast.ClassDef(body=body):
                    self._kept |= _bindings(body).bound  # they are attributes too
                    self._keeps_all |= bool(getattr(node, "type_params", None))
                case ast.keyword(arg=None):
                    self._keeps_params = True
                case ast.keyword(arg=str(name)):
                    self._keywords.add(name)
                case ast.ImportFrom(module=module, names=[ast.alias(name="*")]):
                    # A name of the module's may come back when its namesake here is not bound yet
                    self._keep_star(module)
                case ast.ImportFrom(module=module):
                    self._keeps_all |= module in _SEES_NAMES_MODULES
                case ast.Global(names=names):
                    self._module.bound.update(names)
                case _:
                    self._keeps_all |= type(node).__name__ == "TypeAlias"

    def _keep_star(self, module: str | None) -> None:
        if module == "arcgym.primitives":
            import arcgym.primitives as primitives

            self._kept_globals.update(primitives.__all__)
        else:
            self._keeps_globals = True

    def _is_kept(self, owner: _Scope, name: str) -> bool:
        if self._keeps_all or name in self._kept or name.startswith("__"):
            return True
        if owner is self._module and (self._keeps_globals or name in self._kept_globals):
            return True
        return name in owner.params and (self._keeps_params or name in self._keywords)

    def _name(self, name: str, scope: _Scope) -> None:
        owner = scope.owner(name)
        self._sees_names |= owner is None and name in _SEES_NAMES
        if owner is None or self._is_kept(owner, name):
            self.written.append(f"={name}")
        else:
            self.written.append(f"#{self._numbers.setdefault((owner, name), len(self._numbers))}")

    def _write(self, node: Any, scope: _Scope) -> None:
        """Write a field or a node, of which `scope` is the scope around it."""
        match node:
            case None:
                self.written.append("-")
            case list():
                self.written.append(f"[{len(node)}")
                for item in node:
                    self._write(item, scope)
            case str():
                self.written.append(f"'{node}")
            case ast.AST():
                self.written.append(type(node).__name__)
                self._write_node(node, scope)
            case _:
                self.written.append(repr(node))

    def _write_node(self, node: ast.AST, scope: _Scope) -> None:
        match node:
            case ast.Name(id=name):
                self._name(name, scope)
            case ast.Constant(value=value):
                # No decimal digits, of which Python refuses to write more than 4300
                self.written.append(hex(value) if type(value) is int else repr(value))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._write(node.decorator_list, scope)
                self._name(name, scope)
                self._write_function(node, scope)
            case ast.Lambda():
                self._write_function(node, scope)
            case ast.ClassDef(name=name):
                for part in (node.decorator_list, node.bases, node.keywords):
                    self._write(part, scope)
                self._name(name, scope)
                self._write(node.body, replace(_bindings(node.body), parent=scope))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._write_comprehension(node, scope)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                self.written.append(f"[{len(names)}")
                for name in names:
                    self._name(name, scope)
            case ast.ImportFrom(module=module, names=names, level=level):
                self.written.append(f"{level} {module}")
                self._write_aliases(names, scope)
            case ast.Import(names=names):
                self._write_aliases(names, scope)
            case _:
                self._write_fields(node, scope)

    def _write_fields(self, node: ast.AST, scope: _Scope) -> None:
        binds = isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping)
        for name, value in ast.iter_fields(node):
            if name in _SKIPPED:
                continue
            if binds and name in ("name", "rest") and isinstance(value, str):
                self._name(value, scope)
            else:
                self._write(value, scope)

    def _write_aliases(self, aliases: list[ast.alias], scope: _Scope) -> None:
        self.written.append(f"[{len(aliases)}")
        for alias in aliases:
            bound = _bound_by(alias)
            # `import a.b` binds `a`, `import a.b as c` binds `a.b`: not the same up to renaming
            self.written.append(f"{alias.name} {'as' if alias.asname or '.' not in alias.name else ''}")
            if bound is not None:
                self._name(bound, scope)

    def _write_function(self, node: _Function, scope: _Scope) -> None:
        args = node.args
        self._write(args.defaults, scope)
        self._write(args.kw_defaults, scope)
        body = node.body if isinstance(node.body, list) else [node.body]
        params = {arg.arg for arg in (*args.args, *args.kwonlyargs)}
        inner = replace(_bindings(body), parent=scope, params=params)
        inner.bound.update(arg.arg for arg in _all_args(args))
        self.written.append(f"{len(args.posonlyargs)} {len(args.args)} {len(args.kwonlyargs)}")
        self.written.append(f"{args.vararg is not None} {args.kwarg is not None}")
        for arg in _all_args(args):
            self._name(arg.arg, inner)
        self._write(body, inner)

    def _write_comprehension(self, node: _Comprehension, scope: _Scope) -> None:
        inner = replace(_bindings([generator.target for generator in node.generators]), parent=scope)
        self._write(node.generators[0].iter, scope)  # evaluated outside
        for number, generator in enumerate(node.generators):
            self._write(generator.target, inner)
            if number:
                self._write(generator.iter, inner)
            self._write(generator.ifs, inner)
            self.written.append(str(generator.is_async))
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        for part in parts:
            self._write(part, inner)


def _bindings(nodes: Sequence[ast.AST]) -> _Scope:
    """A scope, still without surroundings, of which these are the nodes."""
    scope = _Scope()
    declared: set[str] = set()
    for node in _own_nodes(nodes):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                scope.bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                scope.bound.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                scope.bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                scope.bound.add(name)
            case ast.alias() if (bound := _bound_by(node)) is not None:
                scope.bound.add(bound)
            case ast.Global(names=names):
                scope.globals.update(names)
            case ast.Nonlocal(names=names):
                declared.update(names)
    scope.bound -= scope.globals | declared
    return scope


def _own_nodes(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes whose names belong to one scope, those of a comprehension's `:=` among them."""
    pending: list[tuple[ast.AST, bool]] = [(node, False) for node in nodes]
    while pending:
        node, in_comprehension = pending.pop()
        match node:
            case ast.NamedExpr(target=target, value=value):
                yield target
                pending.append((value, in_comprehension))
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node
                outside = [*node.decorator_list, *_defaults(node.args)]
            case ast.Lambda():
                outside = _defaults(node.args)
            case ast.ClassDef():
                yield node
                outside = [*node.decorator_list, *node.bases, *node.keywords]
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                pending.extend((child, True) for child in ast.iter_child_nodes(node))
                continue
            case _:
                if not (in_comprehension and isinstance(node, ast.Name)):
                    yield node
                outside = list(ast.iter_child_nodes(node))
        pending.extend((child, in_comprehension) for child in outside)


def _defaults(args: ast.arguments) -> list[ast.AST]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]


def _all_args(args: ast.arguments) -> list[ast.arg]:
    single = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *single]


def _bound_by(alias: ast.alias) -> str | None:
    """The name that an import binds; None for a star."""
    if alias.name == "*":
        return None
    return alias.asname or alias.name.split(".")[0]
