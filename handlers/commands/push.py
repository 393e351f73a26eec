"""Owns `/agent push`: finished work that waits for a person is pushed."""

from __future__ import annotations

from bot.core import life_push
from bot.core.actions import Decision
from bot.core.track import TaskTrack, Track
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import on_task
from handlers.spoken.states import at_work


def answer(call: CommandCall) -> Decision:
    """Push the commit that waits; where a sha is named it must be that one."""
    track = call.track
    assert track is not None
    by = call.by
    return on_task(
        call,
        COMMAND,
        lambda task, given: life_push.approve(track, task, given.sha, by, call.now),
        likely=_waits,
        sha=True,
        done=lambda before, _: (
            f"`{before.ask.short if before.ask else ''}` is being pushed for `{before.id}`."
        ),
        until="branch",
    )


def _waits(task: TaskTrack) -> bool:
    return life_push.pushable(task) is not None


def _valid(track: Track | None) -> bool:
    return at_work(track) and track is not None and any(map(_waits, track.tasks))


COMMAND = Command(
    name="push",
    usage="/agent push [task] [sha]",
    summary="Lets finished work be pushed that waits for an OK, or that the branch's rules refused.",
    example="/agent push T-2 1f2e3d4",
    valid=_valid,
    answer=answer,
)
