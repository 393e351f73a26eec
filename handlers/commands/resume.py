"""Owns `/agent resume`: undoes pause and stop."""

from __future__ import annotations

from bot.core import life_hold
from bot.core.actions import Decision
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import read, refuse, say
from handlers.spoken.states import paused


def answer(call: CommandCall) -> Decision:
    """Go on where it was held."""
    given = read(call)
    if given.problems:
        return refuse(call, COMMAND, given.problems)
    assert call.track is not None
    again = call.track.state == "stopped"
    text = "Going on." + (" Pull requests that the stop closed are opened again." if again else "")
    return say(call, text, life_hold.resume(call.track, call.now, f"{call.by} asked for it"))


COMMAND = Command(
    name="resume",
    usage="/agent resume",
    summary="Goes on after a pause or a stop.",
    example="/agent resume",
    valid=paused,
    answer=answer,
)
