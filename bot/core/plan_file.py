"""Owns reading PLAN.md: the fenced `json` block at its end counts, whatever people did to the prose around it.

read_plan(text) -> (PlanFile | None, problems): every problem at once, with its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.planning import MergedPlan
from bot.core.track import Frozen
from bot.core.validation import plain_words

_OPEN = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})[ \t]*json[ \t]*")
_HEAD = ("version", "track", "frozen")


@dataclass(frozen=True, slots=True, order=True)
class PlanProblem:
    """One thing wrong with the file; line and column count from 1."""

    line: int
    column: int
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What the block says: the merged plan, and the text that it was made from."""

    plan: MergedPlan
    frozen: Frozen


class _FrozenText(BaseModel):
    model_config = ConfigDict(extra="ignore")

    title: str
    body: str = ""
    comments: tuple[str, ...] = ()
    sha256: str = ""


class _Head(BaseModel):
    version: int = Field(ge=1, le=1)
    frozen: _FrozenText


def read_plan(text: str) -> tuple[PlanFile | None, tuple[PlanProblem, ...]]:
    """Read the last fenced `json` block of a plan."""
    found = _block(text)
    if found is None:
        hint = (
            "Keep the block at the end of the file as `gitwright plan` wrote it, or run that command again."
        )
        lines = max(text.count("\n"), 1)
        return None, (PlanProblem(lines, 1, "NO_BLOCK", "There is no fenced `json` block", hint),)
    first, block = found
    try:
        data = json.loads(block)
    except ValueError as error:
        line, column = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (1, 1)
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        hint = "Mend the `json` block; its prose above is not read."
        return None, (
            PlanProblem(first + line - 1, column, "JSON", f"The block is no valid JSON: {said}", hint),
        )
    if not isinstance(data, dict):
        hint = "It begins with `{` and has the keys `version`, `frozen` and `tasks`."
        return None, (PlanProblem(first, 1, "SCHEMA", "The block is no JSON object", hint),)
    return _checked(data, block.splitlines(), first)


def _checked(
    data: dict[str, object], rows: list[str], first: int
) -> tuple[PlanFile | None, tuple[PlanProblem, ...]]:
    problems: list[PlanProblem] = []
    head, plan = None, None
    try:
        head = _Head.model_validate(data)
    except ValidationError as error:
        problems += _explained(error, rows, first)
    try:
        plan = MergedPlan.model_validate({key: value for key, value in data.items() if key not in _HEAD})
    except ValidationError as error:
        problems += _explained(error, rows, first)
    if plan is not None:
        problems += _twice(plan, rows, first)
    if problems or head is None or plan is None:
        return None, tuple(sorted(dict.fromkeys(problems)))
    text = head.frozen
    frozen = Frozen(title=text.title, body=text.body, comments=text.comments, sha256=text.sha256, by="you")
    return PlanFile(plan, frozen), ()


def _twice(plan: MergedPlan, rows: list[str], first: int) -> Iterator[PlanProblem]:
    seen: set[str] = set()
    for task in (*plan.tasks, *plan.minority):
        if task.key in seen:
            line, column = _place(rows, ("key", task.key))
            hint = "Give one of them another key; `depends_on` names keys."
            yield PlanProblem(first + line, column, "DUP_KEY", f"The key `{task.key}` is used twice", hint)
        seen.add(task.key)


def _explained(error: ValidationError, rows: list[str], first: int) -> Iterator[PlanProblem]:
    for details in error.errors(include_url=False):
        name = ".".join(str(part) for part in details["loc"])
        key = next((str(part) for part in reversed(details["loc"]) if isinstance(part, str)), "")
        known = details["type"] != "extra_forbidden"
        message = f"`{name}`: {plain_words(details)}" if known else f"The key `{name}` is not known"
        value = details["input"] if isinstance(details["input"], str) else None
        line, column = _place(rows, (key, value))
        yield PlanProblem(first + line, column, "SCHEMA", message, "Mend it." if known else "Remove it.")


def _place(rows: list[str], wanted: tuple[str, str | None]) -> tuple[int, int]:
    """Find about where a key stands, with its value where that is known; the block's start where it is missing."""
    key, value = wanted
    lines = [(number, row) for number, row in enumerate(rows) if f'"{key}"' in row]
    exact = [(number, row) for number, row in lines if value is not None and json.dumps(value) in row]
    for number, row in exact or lines:
        return number, row.index(f'"{key}"') + 1
    return 0, 1


def _block(text: str) -> tuple[int, str] | None:
    """Give the last fenced json block and the number of its first line, from 1."""
    found: tuple[int, str] | None = None
    rows = text.splitlines()
    start, marks = 0, ""
    for number, row in enumerate(rows, 1):
        opened = _OPEN.fullmatch(row)
        if not marks and opened:
            start, marks = number + 1, opened[1]
        elif marks and row.strip().startswith(marks) and not row.strip().strip(marks[0]):
            found, marks = (start, "\n".join(rows[start - 1 : number - 1])), ""
    if marks:  # its fence was lost: what follows is the block all the same
        found = (start, "\n".join(rows[start - 1 :]))
    return found
