"""Owns BACKLOG.yaml, version 1: its shape, reading with every problem at once, and writing that keeps people's bytes.

load(text, files=(), head_sha="") -> Loaded(backlog | None, problems); dump(backlog) -> str;
set_status(text, task_id, status) -> str; from_plan(plan, *, track, issue, base_sha, goal, include=()) -> Backlog;
separated(backlog, files) -> Backlog; with_contexts(backlog, {id: text}) -> Backlog; context_sha256(text) -> str; BacklogManager(text).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bot.core import backlog_checks, schedule
from bot.core.backlog_model import (
    CONTEXT_LIMIT,
    Backlog,
    BacklogTask,
    Scope,
    Status,
    context_sha256,
    edited_by_person,
    with_contexts,
)
from bot.core.backlog_plan import from_plan, separated
from bot.core.backlog_problems import Problem
from bot.core.backlog_text import dump, set_status

__all__ = [
    "CONTEXT_LIMIT",
    "Backlog",
    "BacklogManager",
    "BacklogTask",
    "Loaded",
    "Problem",
    "Scope",
    "Stats",
    "Status",
    "context_sha256",
    "dump",
    "edited_by_person",
    "from_plan",
    "load",
    "separated",
    "set_status",
    "with_contexts",
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file says: the backlog unless there are errors, and every problem in order of its place."""

    backlog: Backlog | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load(text: str, files: Collection[str] = (), head_sha: str = "") -> Loaded:
    """Read and check a backlog; with the tree's `files` and the branch's sha, scopes and base are checked too."""
    backlog, problems = backlog_checks.check(text, frozenset(files), head_sha)
    return Loaded(backlog, tuple(problems))


@dataclass(frozen=True, slots=True)
class Stats:
    """How far a backlog is, in numbers of tasks."""

    total: int
    todo: int
    done: int
    dropped: int
    ready: int
    blocked: int  # todo, but waiting for others


class BacklogManager:
    """One backlog file in memory: reads it, answers questions, and changes single lines of it."""

    def __init__(self, text: str, files: Collection[str] = ()) -> None:
        self._text = text
        self._files = frozenset(files)

    def load(self) -> Loaded:
        """Read the text as it is now."""
        return load(self._text, self._files)

    def save(self) -> str:
        """Give the text with the changes made so far; what was not changed is as people wrote it."""
        return self._text

    def get_ready_tasks(self) -> tuple[BacklogTask, ...]:
        """Give the tasks whose needs are done, most urgent first; none while the file has errors."""
        backlog = self.load().backlog
        return schedule.ready_tasks(backlog.tasks) if backlog else ()

    def update_task_status(self, task_id: str, status: Status) -> None:
        """Change one task's status line; UserError where there is no such task."""
        self._text = set_status(self._text, task_id, status)

    def get_stats(self) -> Stats:
        """Count the tasks; all zero while the file has errors."""
        backlog = self.load().backlog
        tasks = backlog.tasks if backlog else ()
        counts = {name: sum(task.status == name for task in tasks) for name in ("todo", "done", "dropped")}
        ready = len(schedule.ready_tasks(tasks))
        return Stats(
            total=len(tasks),
            todo=counts["todo"],
            done=counts["done"],
            dropped=counts["dropped"],
            ready=ready,
            blocked=counts["todo"] - ready,
        )
