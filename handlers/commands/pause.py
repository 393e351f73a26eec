"""Owns `/agent pause`: nothing new is started, what runs may finish."""

from __future__ import annotations

from bot.core import life_hold
from bot.core.actions import Decision
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import read, refuse, say
from handlers.spoken.states import going_on


def answer(call: CommandCall) -> Decision:
    """Pause, and say how to go on."""
    given = read(call)
    if given.problems:
        return refuse(call, COMMAND, given.problems)
    assert call.track is not None
    running = [task.id for task in call.track.tasks if task.state == "running"]
    ends = f" What runs may finish: {', '.join(f'`{id_}`' for id_ in running)}." if running else ""
    text = f"Paused: nothing new is started.{ends} `/agent resume` goes on."
    return say(call, text, life_hold.pause(call.track, call.now, f"{call.by} asked for it"))


COMMAND = Command(
    name="pause",
    usage="/agent pause",
    summary="Starts nothing new; what runs may finish.",
    example="/agent pause",
    valid=going_on,
    starts=False,
    answer=answer,
)
