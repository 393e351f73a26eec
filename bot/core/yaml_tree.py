"""Owns reading YAML that people wrote: every value keeps its place, nothing is guessed, nothing can blow up.

read(text) -> (Node | None, problems); data(node, scalars="text" | "core") -> plain values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import yaml

Data = Any  # what YAML can hold: str, int, float, bool, None, lists and dicts of these
Path = tuple[str | int, ...]

MAX_CHARACTERS = 16_000_000
MAX_DEPTH = 32

_Loader: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the same events, twenty times faster where built
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the text; line and column count from 1."""

    code: Literal["SCHEMA", "DUP_YAML_KEY"]
    line: int
    column: int
    message: str
    hint: str


class _Mark(Protocol):
    """A place as both builds of PyYAML give it, all counted from 0."""

    index: int
    line: int
    column: int


@dataclass(slots=True)
class Node:
    """A value and its place: characters `start` to `end` of the text, `line` and `column` from 1."""

    kind: Literal["scalar", "list", "map"]
    start: int
    end: int
    line: int
    column: int
    text: str = ""
    plain: bool = False  # written without quotes, so null and numbers mean themselves
    flow: bool = False  # written with braces or brackets
    items: Sequence[Node] = ()
    entries: Sequence[tuple[Node, Node]] = ()

    def get(self, key: str) -> Node | None:
        """Give the value of a mapping's key; the first where it is written twice."""
        for name, value in self.entries:
            if name.text == key:
                return value
        return None


def read(text: str) -> tuple[Node | None, list[Fault]]:
    """Read one YAML document without recursion; aliases, tags and deep nesting are faults, not followed."""
    if len(text) > MAX_CHARACTERS:
        return None, [
            Fault("SCHEMA", 1, 1, f"The file has more than {MAX_CHARACTERS:,} characters", "Shorten it.")
        ]
    shift = int(text.startswith("\ufeff"))
    builder = _Builder(shift)
    try:
        for event in yaml.parse(text[shift:], Loader=_Loader):
            builder.take(event)
            if builder.stopped:
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        builder.fault(
            line, column, f"This is not YAML: {error.problem}", "Check indentation, quotes and brackets."
        )
        return None, builder.faults
    except yaml.YAMLError as error:  # a character that YAML does not allow
        reason = str(error).splitlines()[0]
        builder.fault(1, 1, f"This is not YAML: {reason}", "Remove control characters.")
        return None, builder.faults
    return (None if builder.stopped else builder.root), builder.faults


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read; a node of its own has no room for this, as most nodes are scalars."""

    node: Node
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[Node, Node]] = field(default_factory=list)
    key: Node | None = None  # which waits for its value
    seen: set[str] = field(default_factory=set)  # keys so far


class _Builder:
    """Puts the parser's events together to a tree."""

    def __init__(self, shift: int) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self.stopped = False
        self._shift = shift
        self._open: list[_Open] = []
        self._documents = 0

    def fault(
        self,
        line: int,
        column: int,
        message: str,
        hint: str,
        code: Literal["SCHEMA", "DUP_YAML_KEY"] = "SCHEMA",
    ) -> None:
        self.faults.append(Fault(code, line, column, message, hint))

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            node = self._node("scalar", event)
            node.text, node.plain = event.value, bool(event.implicit[0]) and event.style in (None, "")
            self._refuse_tag(event, node)
            self._add(node)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            done.node.end = _mark(event.end_mark).index + self._shift
            done.node.items, done.node.entries = done.items, done.entries
        elif isinstance(event, yaml.AliasEvent):
            node = self._node("scalar", event)
            self.fault(
                node.line, node.column, f"The alias `*{event.anchor}` is not read", "Write the value out."
            )
            self._add(node)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                line = _mark(event.start_mark).line + 1
                self.fault(line, 1, "The file holds more than one document", "Remove the line `---`.")
                self.stopped = True

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        node = self._node("map" if isinstance(event, yaml.MappingStartEvent) else "list", event)
        node.flow = bool(event.flow_style)
        if len(self._open) >= MAX_DEPTH:
            self.fault(
                node.line, node.column, f"Values are nested deeper than {MAX_DEPTH}", "Write it flatter."
            )
            self.stopped = True
            return
        self._refuse_tag(event, node)
        self._add(node)
        self._open.append(_Open(node))

    def _refuse_tag(self, event: yaml.NodeEvent, node: Node) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            self.fault(node.line, node.column, f"The tag `{tag}` is not read", "Remove it.")

    def _node(self, kind: Literal["scalar", "list", "map"], event: yaml.Event) -> Node:
        start, end = _mark(event.start_mark), _mark(event.end_mark)
        return Node(
            kind, start.index + self._shift, end.index + self._shift, start.line + 1, start.column + 1
        )

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        key = parent.key
        if parent.node.kind == "list":
            parent.items.append(node)
        elif key is None:
            parent.key = node
            if node.kind != "scalar":
                self.fault(node.line, node.column, "A key must be a word", "Put quotes around it.")
        else:
            if key.text in parent.seen:
                message, hint = f"The key `{key.text}` is written twice", "Keep one of them."
                self.fault(key.line, key.column, message, hint, "DUP_YAML_KEY")
            parent.seen.add(key.text)
            parent.entries.append((key, node))
            parent.key = None


def _mark(mark: _Mark | None) -> _Mark:
    assert mark is not None  # parsed events always have marks
    return mark


def data(node: Node, scalars: Literal["text", "core"] = "text") -> Data:
    """Give plain values. `text`: every scalar is a string, but null; `core`: numbers and true/false as in YAML 1.2."""
    if node.kind == "list":
        return [data(item, scalars) for item in node.items]
    if node.kind == "map":
        found: dict[str, Data] = {}
        for key, value in node.entries:
            found.setdefault(key.text, data(value, scalars))
        return found
    if not node.plain:
        return node.text
    if node.text in _NULL:
        return None
    return _core(node.text) if scalars == "core" else node.text


def _core(text: str) -> str | int | float | bool:
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) and len(text) < 20:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def without_nulls(value: Data) -> Data:
    """Take a key without a value for an absent key: people leave a value empty to mean none."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def places(node: Node, at: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Give every value's path and node."""
    yield at, node
    for index, item in enumerate(node.items):
        yield from places(item, (*at, index))
    for key, value in node.entries:
        yield from places(value, (*at, key.text))


def find(node: Node, path: Path) -> Node:
    """Find the node at a path, or the nearest one above it."""
    for part in path:
        following = None
        if node.kind == "map" and isinstance(part, str):
            following = node.get(part)
        elif node.kind == "list" and isinstance(part, int) and part < len(node.items):
            following = node.items[part]
        if following is None:
            return node
        node = following
    return node
