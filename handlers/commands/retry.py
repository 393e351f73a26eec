"""Owns `/agent retry`: another attempt with the same spec."""

from __future__ import annotations

from bot.core import life_tasks
from bot.core.actions import Decision
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import begins, on_task
from handlers.spoken.states import at_work, stuck


def answer(call: CommandCall) -> Decision:
    """Begin the next attempt from a fresh base."""
    track = call.track
    assert track is not None
    by = call.by
    return on_task(
        call,
        COMMAND,
        lambda task, _: life_tasks.retry(track, task, by, call.now),
        likely=stuck,
        done=lambda before, after: begins(before, after, "with the same spec"),
        until="pull",
    )


COMMAND = Command(
    name="retry",
    usage="/agent retry [task]",
    summary="Begins another attempt at a task with the same spec.",
    example="/agent retry T-2",
    valid=at_work,
    answer=answer,
)
