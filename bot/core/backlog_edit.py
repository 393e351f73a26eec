"""Owns single changes of a backlog's text: one field of one task, one more task; every other byte stays.

raw(text, task, field) -> how it is written; set_field(text, task, field, value) -> text; add_task(text, task) -> text.
"""

from __future__ import annotations

from bot.core import yaml_tree
from bot.core.backlog_model import BacklogTask
from bot.core.backlog_text import context_lines, scalar, task_lines
from bot.core.yaml_tree import Node

Value = str | tuple[str, ...]
PLACES = {"paths": ("scope", "paths")}  # all other fields stand in the task itself


def raw(text: str, task: str, field: str) -> str | None:
    """Give the characters that a field's value is written with; None where it is not written."""
    found = _find(text, task, field)
    return None if found is None else text[found[1].start : _end(found[1])]


def _find(text: str, task: str, field: str) -> tuple[Node, Node] | None:
    node = _task(text, task)
    entry = None
    for key in PLACES.get(field, (field,)):
        entry = next((e for e in node.entries if e[0].text == key), None) if node is not None else None
        node = entry[1] if entry else None
    return entry


def _task(text: str, task: str) -> Node | None:
    for node in _tasks(text).items:
        name = node.get("id")
        if name is not None and name.text == task:
            return node
    return None


def _tasks(text: str) -> Node:
    root, _ = yaml_tree.read(text)
    found = root.get("tasks") if root is not None else None
    return found if found is not None else Node("list", len(text), len(text), 1, 1)


def _end(node: Node) -> int:
    # The end of a block list is where the next thing begins; what stands between is not the list's.
    return _end(node.items[-1]) if node.kind == "list" and node.items and not node.flow else node.end


def set_field(text: str, task: str, field: str, value: Value) -> str:
    """Write a field's value anew, or a line for it where there is none; the text stays where there is no such task."""
    found = _find(text, task, field)
    if found is None:
        return _add_field(text, task, field, value)
    key, node = found
    if field == "context" and isinstance(value, str) and not _in_braces(text, task):
        margin = " " * (key.column - 1)
        lines = f"\n{margin}".join(context_lines(value))
        tail = "\n" if text[node.end - 1 : node.end] == "\n" else ""
        return text[: key.start] + lines + tail + text[node.end :]
    if isinstance(value, str):
        gap = "" if node.end > node.start or text[node.start - 1 : node.start] == " " else " "
        return text[: node.start] + gap + scalar(value) + text[node.end :]
    if value and not node.flow:
        return text[: node.start] + _block(value, node.column - 1) + text[_end(node) :]
    if value and node.items:
        return text[: node.start] + f"[{', '.join(map(_flow, value))}]" + text[node.end :]
    # From `[]` to a list of lines, as the bot writes it, or the other way round: all that follows the colon.
    start = text.index(":", key.end) + 1
    indent = key.column + 1
    written = f"\n{' ' * indent}{_block(value, indent)}" if value else " []"
    return text[:start] + written + text[_end(node) :]


def _in_braces(text: str, task: str) -> bool:
    node = _task(text, task)
    return node is not None and node.flow


def _block(values: tuple[str, ...], indent: int) -> str:
    return f"\n{' ' * indent}".join(f"- {scalar(value)}" for value in values)


def _flow(value: str) -> str:
    written = scalar(value)
    plain = written[:1] not in "'\"" and any(mark in written for mark in ",[]{}")
    return f'"{value}"' if plain and '"' not in value and "\\" not in value else written


def _add_field(text: str, task: str, field: str, value: Value) -> str:
    node = _task(text, task)
    name = node.get("id") if node is not None else None
    if node is None or name is None or not isinstance(value, str) or node.flow or field in PLACES:
        return text
    key = next(key for key, entry in node.entries if entry is name)
    line_end = text.find("\n", name.end)
    if line_end < 0:
        return text
    return (
        text[: line_end + 1] + " " * (key.column - 1) + f"{field}: {scalar(value)}\n" + text[line_end + 1 :]
    )


def add_task(text: str, task: BacklogTask) -> str:
    """Write a task below the last one, as the others are indented; a list in brackets is left alone."""
    tasks = _tasks(text)
    if tasks.flow or not tasks.items:
        return text
    last = tasks.items[-1]
    indent = " " * (tasks.column - 1)
    lines = [("- " if index == 0 else "  ") + line for index, line in enumerate(task_lines(task))]
    written = "".join(f"{indent}{line}".rstrip(" ") + "\n" for line in lines)
    end = _after(text, last)
    gap = "" if text[end - 1 : end] == "\n" else "\n"
    return text[:end] + gap + written + text[end:]


def _after(text: str, node: Node) -> int:
    """Find the end of the last line of a task."""
    last = node
    while last.kind != "scalar" and (last.entries or last.items) and not last.flow:
        last = last.entries[-1][1] if last.kind == "map" else last.items[-1]
    if text[last.end - 1 : last.end] == "\n" and last.end > last.start:
        return last.end
    line_end = text.find("\n", last.end)
    return len(text) if line_end < 0 else line_end + 1
