"""Owns `/agent stop`: what runs is killed, pull requests are closed, branches stay."""

from __future__ import annotations

from bot.core import life_hold
from bot.core.actions import Decision
from bot.core.track import Track
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import read, refuse, say
from handlers.spoken.states import under_way


def answer(call: CommandCall) -> Decision:
    """Stop, and say how to undo it."""
    given = read(call)
    if given.problems:
        return refuse(call, COMMAND, given.problems)
    assert call.track is not None
    text = (
        "Stopped: what runs is killed and open pull requests are closed; their branches are kept. "
        "`/agent resume` opens and starts it again."
    )
    return say(call, text, life_hold.stop(call.track, call.now, f"{call.by} asked for it"))


def _valid(track: Track | None) -> bool:
    return under_way(track) and track is not None and track.state != "stopped"


COMMAND = Command(
    name="stop",
    usage="/agent stop",
    summary="Kills what runs and closes the pull requests; branches are kept.",
    example="/agent stop",
    valid=_valid,
    starts=False,
    answer=answer,
)
