"""Owns the words for what is wrong with a backlog, and the part of a task that checks look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.core.yaml_tree import Node

Severity = Literal["error", "warning"]
ERRORS = frozenset(
    {"SCHEMA", "DUP_ID", "DUP_YAML_KEY", "UNKNOWN_DEP", "SELF_DEP", "CYCLE", "SCOPE_EMPTY", "CONTEXT_TOO_BIG"}
)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with the file; line and column count from 1, an error keeps the track from starting."""

    line: int
    column: int
    code: str
    message: str
    hint: str
    task: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Row:
    """What the checks look at of one task, however broken the rest of it is."""

    id: str
    node: Node
    status: str = "todo"
    depends_on: tuple[str, ...] = ()
    dep_nodes: tuple[Node, ...] = ()
    paths: tuple[str, ...] = ()
    context: str = ""
    path_nodes: tuple[Node, ...] = ()


def problem(code: str, node: Node, message: str, hint: str, task: str = "") -> Problem:
    severity: Severity = "error" if code in ERRORS else "warning"
    return Problem(node.line, node.column, code, message, hint, task, severity)
