"""Owns what changed under a task between the backlog and its dispatch: the issue, the contract, the files in scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.core.backlog_model import BacklogTask
from bot.core.sanitize import inline
from bot.core.scopes import clean, in_scope

NAMED = 3  # files that a reason names


@dataclass(frozen=True, slots=True)
class Axes:
    """What to do with a task before it is dispatched; reasons are inert text for people."""

    verdict: Literal["go", "refresh", "hold"]  # refresh: cut the context anew; hold: a person must look
    reasons: tuple[str, ...]
    issue_edited: bool


def before_dispatch(
    *,
    frozen_issue: str,
    issue_now: str | None,
    contract_then: BacklogTask,
    contract_now: BacklogTask | None,
    blobs_then: Mapping[str, str],
    blobs_now: Mapping[str, str],
) -> Axes:
    """Compare what a task was planned on with what is there now (blobs: path -> id at the base and at the tip).

    An edited issue never holds a task: agents see the frozen text only (`issue_now` is None where it cannot be read).
    What stands in the file on the default branch is the contract, so a change of it refreshes; only a task that is
    gone or settled there, or whose scope lost every file that it had, is held.
    """
    edited = issue_now is not None and _text(issue_now) != _text(frozen_issue)
    held = _settled(contract_now)
    if contract_now is None or held:
        return Axes("hold", held, edited)
    scope = contract_now.scope.paths
    before = {path: blob for path, blob in blobs_then.items() if in_scope(scope, path)}
    after = {path: blob for path, blob in blobs_now.items() if in_scope(scope, path)}
    if before and before.keys().isdisjoint(after):
        return Axes("hold", (_gone(before),), edited)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    reasons = _contract(contract_then, contract_now)
    if changed:
        reasons = (*reasons, f"changed in the scope since the backlog was made: {_named(changed)}")
    return Axes("refresh" if reasons else "go", reasons, edited)


def _text(text: str) -> str:
    """Compare issues without what forges change on their own: line ends and white space at the ends."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip()


def _settled(task: BacklogTask | None) -> tuple[str, ...]:
    if task is None:
        return ("the task is no longer in the backlog file on the default branch",)
    if task.status != "todo":
        return (f"the backlog file on the default branch says that the task is {task.status}",)
    return ()


def _contract(then: BacklogTask, now: BacklogTask) -> tuple[str, ...]:
    """Name the fields that people changed in the file; the order of paths and dependencies says nothing."""
    fields = {
        "title": then.title != now.title,
        "acceptance": then.acceptance != now.acceptance,
        "scope": {*map(clean, then.scope.paths)} != {*map(clean, now.scope.paths)},
        "test": then.test != now.test,
        "depends_on": {*then.depends_on} != {*now.depends_on},
    }
    names = [name for name, differs in fields.items() if differs]
    return (f"changed in the backlog file on the default branch: {', '.join(names)}",) if names else ()


def _gone(before: Mapping[str, str]) -> str:
    return f"every file of the scope is gone from the default branch: {_named(sorted(before))}"


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(inline(path) for path in paths[:NAMED]) + more
