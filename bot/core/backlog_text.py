"""Owns the bytes of BACKLOG.yaml: block style as the bot writes it, and changes that leave every other byte alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from bot.core import yaml_tree
from bot.core.backlog_model import Backlog, BacklogTask, Status
from bot.errors import UserError

_NEVER_LITERAL = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_FLOAT_LIKE = re.compile(r"[0-9][0-9_]*[eE][0-9]+")  # a number to readers of YAML 1.2 only


def dump(backlog: Backlog) -> str:
    """Write a backlog in block style, one key per line; loading the text gives the same backlog."""
    lines = [f"version: {backlog.version}", f"track: {scalar(backlog.track)}"]
    if backlog.issue is not None:
        lines.append(f"issue: {backlog.issue}")
    if backlog.base_sha:
        lines.append(f"base_sha: {scalar(backlog.base_sha)}")
    lines.append(f"goal: {scalar(backlog.goal)}")
    lines.append("tasks:" if backlog.tasks else "tasks: []")
    for task in backlog.tasks:
        lines += [("  - " if index == 0 else "    ") + line for index, line in enumerate(task_lines(task))]
    # A literal block's empty lines stay empty: trailing spaces are the first thing an editor strips.
    return "".join(line.rstrip(" ") + "\n" if not line.strip(" ") else line + "\n" for line in lines)


def task_lines(task: BacklogTask) -> Iterator[str]:
    """Write a task as lines of a block mapping."""
    yield f"id: {task.id}"
    yield f"title: {scalar(task.title)}"
    yield f"kind: {task.kind}"
    yield f"priority: {task.priority}"
    yield f"status: {task.status}"
    yield from list_lines("depends_on", task.depends_on)
    yield "scope:"
    yield from ("  " + line for line in list_lines("paths", task.scope.paths))
    yield from list_lines("acceptance", task.acceptance)
    if task.test is not None:
        yield f"test: {scalar(task.test)}"
    yield f"estimate: {task.estimate}"
    yield f"votes: {task.votes}"
    yield f"spec: {task.spec}"
    yield from context_lines(task.context)
    yield f"context_sha256: {scalar(task.context_sha256)}"


def list_lines(key: str, values: tuple[str, ...]) -> Iterator[str]:
    """Write a key and its list, one entry a line."""
    yield f"{key}:" if values else f"{key}: []"
    for value in values:
        yield f"  - {scalar(value)}"


def scalar(text: str) -> str:
    """Write a string on one line, quoted where any YAML reader could take it for something else."""
    style = '"' if _NEVER_LITERAL.search(text) or "\n" in text or _FLOAT_LIKE.fullmatch(text) else None
    # Over-long plain text is never folded: one key stays one line, so that a diff shows one change.
    written: str = yaml.safe_dump(text, default_style=style, allow_unicode=True, width=1 << 30)
    return written.removesuffix("\n").removesuffix("\n...")


def context_lines(text: str) -> Iterator[str]:
    """Write a literal block where YAML can hold the text so, else a quoted line."""
    body = text.removesuffix("\n")
    plain = text and not _NEVER_LITERAL.search(text) and body.strip() and not body.endswith("\n")
    blank_edge = any(line and not line.strip(" ") for line in body.split("\n"))
    if not plain or blank_edge or "\t" in body[: len(body) - len(body.lstrip())]:
        yield f"context: {_quoted(text)}"
        return
    indent = "2" if body[0] in " \n" else ""
    chomp = "" if text.endswith("\n") else "-"
    yield f"context: |{indent}{chomp}"
    yield from ("  " + line for line in body.split("\n"))


def _quoted(text: str) -> str:
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=1 << 30)
    return written.removesuffix("\n")


def set_status(text: str, task_id: str, status: Status) -> str:
    """Change one task's `status` and no other byte; UserError where the task is not there."""
    root, _ = yaml_tree.read(text)
    tasks = root.get("tasks") if root is not None else None
    for task in tasks.items if tasks is not None else ():
        name = task.get("id")
        if name is not None and name.text == task_id:
            return _replace_status(text, task, name, status)
    raise UserError(f"There is no task `{task_id}` in the backlog.")


def _replace_status(text: str, task: yaml_tree.Node, name: yaml_tree.Node, status: Status) -> str:
    old = task.get("status")
    if old is not None and old.end > old.start:
        return text[: old.start] + status + text[old.end :]
    if old is not None:  # `status:` without a value
        gap = "" if text[old.start - 1 : old.start] == " " else " "
        return text[: old.start] + gap + status + text[old.start :]
    if task.flow:
        return text[: name.end] + f", status: {status}" + text[name.end :]
    key = next(key for key, value in task.entries if value is name)
    line_end = text.find("\n", name.end)
    newline = "\r\n" if text[line_end - 1 : line_end] == "\r" else "\n"
    added = " " * (key.column - 1) + f"status: {status}"
    if line_end < 0:
        return text + newline + added
    return text[: line_end + 1] + added + newline + text[line_end + 1 :]
