"""Owns `/agent regenerate`: another attempt from an improved spec and a fresh base."""

from __future__ import annotations

from bot.core import life_tasks
from bot.core.actions import Decision
from bot.handler import WRITERS, Command, CommandCall
from handlers.spoken.arguments import begins, on_task
from handlers.spoken.states import at_work, stuck


def answer(call: CommandCall) -> Decision:
    """Improve the spec by what went wrong and by the note, and begin the next attempt."""
    track = call.track
    assert track is not None
    by = call.by
    return on_task(
        call,
        COMMAND,
        lambda task, given: life_tasks.regenerate(track, task, given.note, by, call.now),
        likely=stuck,
        note=True,
        done=lambda before, after: begins(before, after, "from an improved spec and a fresh base"),
        until="pull",
    )


COMMAND = Command(
    name="regenerate",
    usage="/agent regenerate [task] [note]",
    summary="Begins another attempt from an improved spec and a fresh base.",
    example="/agent regenerate T-2 Keep the old signature.",
    least=WRITERS,
    valid=at_work,
    answer=answer,
)
