"""Owns what can be wrong with a backlog: every problem at once, each with its place and a way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bot.core import backlog_graph, backlog_paths, yaml_tree
from bot.core.backlog_model import CONTEXT_LIMIT, Backlog, BacklogTask
from bot.core.backlog_problems import Problem, Row, problem
from bot.core.validation import plain_words


def check(text: str, files: Collection[str], head_sha: str) -> tuple[Backlog | None, list[Problem]]:
    """Read a backlog and find everything wrong with it; no backlog where there is an error."""
    root, faults = yaml_tree.read(text)
    problems = [Problem(f.line, f.column, f.code, f.message, f.hint) for f in faults]
    if root is None or root.kind != "map":
        if not problems:
            hint = "Start with `version: 1`, `track:` and `tasks:`."
            problems.append(Problem(1, 1, "SCHEMA", "The file is not a mapping of keys to values", hint))
        return None, problems
    backlog, schema = _validate(root)
    rows = [_row(node) for node in _task_nodes(root)]
    problems += schema
    problems += backlog_graph.check(rows, files)
    problems += _scopes_and_contexts(rows, files)
    problems += _stale(root, head_sha)
    problems = sorted(dict.fromkeys(problems))
    return (None if any(p.severity == "error" for p in problems) else backlog), problems


_HINTS = {
    "version": "Write `version: 1`.",
    "id": "Capital letters, a hyphen and a number, as in `T-12`.",
    "track": "Letters, digits, `.`, `_` and `-`.",
    "base_sha": "The 40 hexadecimal digits of a commit.",
    "acceptance": "A list of sentences that can be checked.",
    "title": "One line of at most 72 characters.",
    "scope": "Write `scope:` and under it `paths:` with a list.",
}

# --- the schema ----------------------------------------------------------------------------------


def _validate(root: yaml_tree.Node) -> tuple[Backlog | None, list[Problem]]:
    try:
        return Backlog.model_validate(yaml_tree.without_nulls(yaml_tree.data(root))), []
    except ValidationError as error:
        return None, [_schema_problem(root, details) for details in error.errors(include_url=False)]


def _schema_problem(root: yaml_tree.Node, details: ErrorDetails) -> Problem:
    path = details["loc"]
    node = yaml_tree.find(root, path)
    name = str(path[-1]) if path else "file"
    task = _task_of(root, path)
    kind, hint = details["type"], "See the format of BACKLOG.yaml, version 1."
    if kind == "extra_forbidden":
        message = f"The key `{name}` is not known"
        known = Backlog if not task else BacklogTask
        near = get_close_matches(name, [*known.model_fields, "paths"], 1)
        hint = f"Did you mean `{near[0]}`?" if near else "Remove it."
        node = _key_node(root, path) or node
    elif kind == "missing":
        message, hint = f"The key `{name}` is missing", f"Add `{name}:`."
    else:
        key = next((part for part in reversed(path) if isinstance(part, str)), "file")
        message = f"`{key}`: {plain_words(details)}"
        hint = _HINTS.get(key, hint)
    return problem("SCHEMA", node, message, hint, task)


def _task_of(root: yaml_tree.Node, path: tuple[str | int, ...]) -> str:
    if len(path) < 2 or path[0] != "tasks":
        return ""
    name = yaml_tree.find(root, path[:2]).get("id")
    return name.text if name is not None else ""


def _key_node(root: yaml_tree.Node, path: tuple[str | int, ...]) -> yaml_tree.Node | None:
    parent = yaml_tree.find(root, path[:-1])
    return next((key for key, _ in parent.entries if key.text == path[-1]), None)


# --- rows ----------------------------------------------------------------------------------------


def _task_nodes(root: yaml_tree.Node) -> list[yaml_tree.Node]:
    tasks = root.get("tasks")
    return [node for node in tasks.items if node.kind == "map"] if tasks is not None else []


def _row(node: yaml_tree.Node) -> Row:
    name, status, context, scope = (node.get(key) for key in ("id", "status", "context", "scope"))
    deps = _scalars(node.get("depends_on"))
    paths = _scalars(scope.get("paths") if scope is not None else None)
    return Row(
        id=name.text if name is not None else "",
        node=name or node,
        status=status.text if status is not None else "todo",
        depends_on=tuple(dep.text for dep in deps),
        dep_nodes=deps,
        paths=tuple(path.text for path in paths),
        context=context.text if context is not None else "",
        path_nodes=paths,
    )


def _scalars(node: yaml_tree.Node | None) -> tuple[yaml_tree.Node, ...]:
    return tuple(item for item in node.items if item.kind == "scalar") if node is not None else ()


# --- scope, context, base ------------------------------------------------------------------------


def _scopes_and_contexts(rows: Collection[Row], files: Collection[str]) -> Iterator[Problem]:
    tree = backlog_paths.Tree(files)
    for row in rows:
        size = len(row.context.encode())
        if size > CONTEXT_LIMIT:
            message = f"The context of `{row.id}` has {size:,} bytes, at most {CONTEXT_LIMIT:,} are allowed"
            yield problem("CONTEXT_TOO_BIG", row.node, message, "Shorten it or split the task.", row.id)
        if not any(path.strip() for path in row.paths):
            message = f"`{row.id}` names no path in `scope.paths`"
            yield problem(
                "SCOPE_EMPTY", row.node, message, "Name the files or folders that it may change.", row.id
            )
        for path, node in zip(row.paths, row.path_nodes, strict=True):
            yield from backlog_paths.path_problems(row, path, node, tree)


def _stale(root: yaml_tree.Node, head_sha: str) -> Iterator[Problem]:
    base = root.get("base_sha")
    if head_sha and base is not None and base.text and base.text != head_sha:
        message = f"Planned at `{base.text[:12]}`, the branch is at `{head_sha[:12]}`"
        yield problem("STALE_BASE", base, message, "Contexts are made anew before work; nothing to do.")
