"""Owns the boxes of the plan comment that take a task in which only one planner wants."""

from __future__ import annotations

from bot.handler import BoxKind
from handlers.commands import include

BOX = BoxKind(
    command=include.COMMAND,
    undone="It is taken in already: to leave it out, delete it in the file of the backlog's pull request, or drop it with `/agent skip`.",
)
