"""Programs as text: taking one out of a completion, and checking it without running it.

A completion is whatever a policy wrote: bare Python from the default policy, prose around fenced code from a chat
model. `extract_program` finds the program in it, `check_syntax` says whether CPython would compile it and whether it
defines `transform`. Nothing here executes anything, so both are safe on hostile text.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)$")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})", re.MULTILINE)
_DEFINES = re.compile(r"^(?:(?:async[ \t]+)?def[ \t]+transform\b|transform[ \t]*(?::[^=\n]+)?=)", re.MULTILINE)
_CODE_STARTS = re.compile(
    r"""^(?: import[ \t]+[\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,.*)?[ \t]*(?:\#.*)?$
         | from[ \t]+[\w.]+[ \t]+import\b
         | (?:async[ \t]+)?def[ \t]+\w+[ \t]*\(
         | transform[ \t]*=
         )""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True)
class SyntaxReport:
    """The verdict of `check_syntax`.

    Args:
        ok: CPython compiles the source and `transform` is defined at its top level.
        line: line of the problem, counted from 1; `None` when there is none or it has no place.
        reason: what is wrong; empty when ok.
    """

    ok: bool
    line: int | None
    reason: str


def extract_program(completion: str | list[dict[str, Any]]) -> str | None:
    """Take the program out of a completion.

    In this order: the whole text, when it is a program as it stands; the last fenced block that defines `transform` (a
    block that was never closed ends with the text); the bare text from its first import or definition on, to a fence.

    Args:
        completion: the text, or the messages of a chat, of which the last one by the assistant counts.

    Returns:
        The source, which need not compile, or `None` when nothing looks like a program.
    """
    text = _text_of(completion)
    if check_syntax(text).ok:
        return text
    defining = [block for block in _fenced_blocks(text) if _DEFINES.search(block) or check_syntax(block).ok]
    if defining:
        return defining[-1]
    start = _CODE_STARTS.search(text)
    if start is None:
        return None
    bare = text[start.start() :]
    end = _FENCE_LINE.search(bare)
    return bare[: end.start()] if end else bare


def check_syntax(source: str) -> SyntaxReport:
    """Tell whether CPython compiles a source and `transform` is defined at its top level.

    `def`, `class`, import and every form of assignment define a name, also inside a top-level `if`, `try`, `for` or
    `with`; `async def` does not, because calling it gives no grid.

    Args:
        source: the text of a program, of any origin.

    Returns:
        The verdict, with the line and the reason of a refusal.
    """
    try:
        with warnings.catch_warnings():
            # An invalid escape such as "\d" is a warning; it must not become an error when warnings are errors.
            warnings.simplefilter("ignore")
            compile(source, "<program>", "exec", dont_inherit=True)
            tree = ast.parse(source)
    except SyntaxError as exc:
        return SyntaxReport(False, exc.lineno or _line_of_bad_character(source), exc.msg)
    except (RecursionError, MemoryError):
        return SyntaxReport(False, None, "the program is nested too deeply to be compiled")
    except ValueError as exc:
        return SyntaxReport(False, _line_of_bad_character(source), str(exc))
    bindings = list(_bindings(tree.body))
    if any(not isinstance(node, ast.AsyncFunctionDef) for node in bindings):
        return SyntaxReport(True, None, "")
    if bindings:
        return SyntaxReport(False, bindings[0].lineno, "`transform` is an async function; define it with plain `def`")
    return SyntaxReport(False, None, "`transform` is not defined at the top level; add `def transform(grid): …`")


def _text_of(completion: str | list[dict[str, Any]]) -> str:
    """The text that the policy wrote: of a chat, the content of the last message by the assistant."""
    if isinstance(completion, str):
        return completion
    written = [message for message in completion if message.get("role") == "assistant"]
    content = written[-1].get("content") if written else None
    if isinstance(content, list):  # content in parts: [{"type": "text", "text": "…"}]
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def _fenced_blocks(text: str) -> Iterator[str]:
    """The bodies of Markdown code blocks, less the indentation of their fence."""
    opening: re.Match[str] | None = None
    body: list[str] = []
    for line in text.split("\n"):  # `splitlines` would also cut at separators inside string literals
        fence = _FENCE.match(line.rstrip())
        if opening is None:
            opening, body = fence, []
        elif fence and not fence["info"].strip() and fence["marks"].startswith(opening["marks"]):
            yield "\n".join(body) + "\n"
            opening = None
        else:
            body.append(line.removeprefix(opening["indent"]))
    if opening is not None and body:
        yield "\n".join(body).removesuffix("\n") + "\n"


def _bindings(body: list[ast.stmt]) -> Iterator[Any]:
    """Nodes that bind `transform` in the scope of the module; functions, classes and comprehensions have their own."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if name == "transform":
                    yield node
                continue
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                continue
            case ast.AnnAssign(value=None):
                continue
            case ast.Import() | ast.ImportFrom():
                if any((alias.asname or alias.name) == "transform" for alias in node.names):
                    yield node
            case ast.Name(id="transform", ctx=ast.Store()) | ast.MatchAs(name="transform"):
                yield node
        pending.extend(ast.iter_child_nodes(node))


def _line_of_bad_character(source: str) -> int | None:
    """Line of the first character that no source may hold: NUL, or half of a surrogate pair."""
    bad = re.search("[\x00\ud800-\udfff]", source)
    return source.count("\n", 0, bad.start()) + 1 if bad else None
