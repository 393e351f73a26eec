"""Owns the definitions in a source file: Python by its syntax tree, other languages by how definitions look.

definitions(path, text) -> tuple[Symbol, ...] in order of lines; language(path) says which files are source.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE_LIMIT = 160  # characters

_NAMED = re.compile(
    r"^(?P<indent>\s*)(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|internal|static|final|abstract|"
    r"async|unsafe|extern|open|override|virtual|inline|const|declare|sealed|partial|suspend|data)\s+)*"
    r"(?P<kind>def|class|function\*?|func|fn|fun|interface|trait|struct|enum|impl|module|type|object|record|namespace)"
    r"\s+(?:\([^)]*\)\s*)?(?P<name>[A-Za-z_$][\w$.]*[?!]?)"
)
_ASSIGNED = re.compile(
    r"^(?P<indent>\s*)(?:export\s+)?(?:const|let|var)\s+(?P<name>[A-Za-z_$][\w$]*)\s*(?::[^=]+)?=\s*"
    r"(?:async\s*)?(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>|[A-Za-z_$][\w$]*\s*=>)"
)
_ENDINGS = (
    "py pyi js jsx ts tsx mjs cjs go rs java kt kts scala rb php cs c h cc cpp cxx hpp hh swift ex exs lua sh"
)
_SOURCE = frozenset(_ENDINGS.split())
_PYTHON = ("py", "pyi")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: `name` with its class in front (`Class.method`), its line, its last line, its signature."""

    name: str
    line: int
    end: int
    signature: str

    @property
    def short(self) -> str:
        return self.name.rsplit(".", 1)[-1]


def is_source(path: str) -> bool:
    return path.rsplit(".", 1)[-1].lower() in _SOURCE


def definitions(path: str, text: str) -> tuple[Symbol, ...]:
    """Find the functions, methods and classes of a file, by line."""
    if path.rsplit(".", 1)[-1].lower() in _PYTHON:
        tree = _parse(text)
        if tree is not None:
            lines = text.splitlines()
            return tuple(sorted(_walk(tree, lines, ""), key=lambda symbol: (symbol.line, symbol.name)))
    return tuple(_by_pattern(text)) if is_source(path) else ()


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other people's code: not ours to tell
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # for another Python, or hostile
        return None


def _walk(node: ast.AST, lines: list[str], prefix: str) -> Iterator[Symbol]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            end = child.end_lineno or child.lineno
            yield Symbol(name, child.lineno, end, _python_signature(child, lines))
            yield from _walk(child, lines, f"{name}.")
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _walk(child, lines, prefix)


def _python_signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, lines: list[str]) -> str:
    """Give the definition's head as it stands in the source, on one line."""
    last = max(node.lineno, node.body[0].lineno - 1) if node.body else node.lineno
    if isinstance(node, ast.ClassDef):
        last = max([node.lineno, *(base.end_lineno or 0 for base in node.bases)])
    head = " ".join(line.strip() for line in lines[node.lineno - 1 : min(last, node.lineno + 12)])
    return _one_line(_up_to_colon(head))


def _up_to_colon(head: str) -> str:
    """Cut behind the head: at the first colon outside brackets."""
    depth = 0
    for index, character in enumerate(head):
        depth += (character in "([{") - (character in ")]}")
        if character == ":" and depth == 0:
            return head[:index]
    return head


def _by_pattern(text: str) -> Iterator[Symbol]:
    lines = text.splitlines()
    found: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        match = _NAMED.match(line) or _ASSIGNED.match(line)
        if match:
            found.append((number, match["name"]))
    for index, (number, name) in enumerate(found):
        end = found[index + 1][0] - 1 if index + 1 < len(found) else len(lines)
        yield Symbol(name, number, end, _one_line(lines[number - 1].strip().rstrip("{").strip()))


def _one_line(text: str) -> str:
    plain = re.sub(r",? ([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", " ".join(text.split())))
    return plain if len(plain) <= _SIGNATURE_LIMIT else plain[: _SIGNATURE_LIMIT - 1] + "\u2026"
