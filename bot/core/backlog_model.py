"""Owns the shape of BACKLOG.yaml, version 1."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bot.core.ids import TASK_ID
from bot.core.plans import Estimate, Kind, Priority

Status = Literal["todo", "done", "dropped"]

CONTEXT_LIMIT = 3072  # bytes of UTF-8
TITLE_LIMIT = 72  # characters

Line = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n\r]*[^\s][^\n\r]*$")]
TaskName = Annotated[str, StringConstraints(pattern=f"^{TASK_ID.pattern}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Model):
    """Files, folders or fnmatch patterns, from the repository's root."""

    paths: tuple[Line, ...] = ()


class BacklogTask(_Model):
    """One task: the contract that people merge, and what was derived from it."""

    id: TaskName
    title: Annotated[Line, Field(max_length=TITLE_LIMIT)]
    kind: Kind = "complex"
    priority: Priority = "medium"
    status: Status = "todo"
    depends_on: tuple[str, ...] = ()  # ids of tasks; unknown ones have a check of their own
    scope: Scope = Scope()
    acceptance: Annotated[tuple[Line, ...], Field(min_length=1)]
    test: Line | None = None
    estimate: Estimate = "M"
    votes: Annotated[int, Field(ge=0)] = 0
    spec: Annotated[int, Field(ge=1)] = 1
    context: str = ""
    context_sha256: Digest = ""


class Backlog(_Model):
    """All tasks of a track; `issue` is absent in local mode."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    track: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    issue: Annotated[int, Field(ge=1)] | None = None
    base_sha: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")] = ""
    goal: str = ""
    tasks: tuple[BacklogTask, ...] = ()

    def task(self, task_id: str) -> BacklogTask | None:
        return next((task for task in self.tasks if task.id == task_id), None)


def context_sha256(context: str) -> str:
    """Give the hex SHA-256 of a loaded context's UTF-8 bytes."""
    return hashlib.sha256(context.encode()).hexdigest()


def edited_by_person(task: BacklogTask) -> bool:
    """Say whether somebody changed the context since the bot wrote it; then it is kept word for word."""
    return bool(task.context) and task.context_sha256 != context_sha256(task.context)


def with_contexts(backlog: Backlog, contexts: Mapping[str, str]) -> Backlog:
    """Fill in the contexts of these tasks, with their digests."""
    tasks = tuple(
        task.model_copy(
            update={"context": contexts[task.id], "context_sha256": context_sha256(contexts[task.id])}
        )
        if task.id in contexts
        else task
        for task in backlog.tasks
    )
    return backlog.model_copy(update={"tasks": tasks})
