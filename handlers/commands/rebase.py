"""Owns `/agent rebase`: a task's branch is put onto the default branch's head."""

from __future__ import annotations

from bot.core import life_tasks
from bot.core.actions import Decision
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import on_task
from handlers.spoken.states import at_work


def answer(call: CommandCall) -> Decision:
    """Rebase the branch only; a person's commits are merged, not rewritten."""
    track = call.track
    assert track is not None
    by = call.by
    return on_task(
        call,
        COMMAND,
        lambda task, _: life_tasks.rebase(track, task, by, call.now),
        likely=lambda task: task.rests,
        done=lambda task, _: f"The branch of #{task.pull} is put onto `{track.repo.default_branch}`.",
        until="branch",
    )


COMMAND = Command(
    name="rebase",
    usage="/agent rebase [task]",
    summary="Puts a task's branch onto the default branch's head.",
    example="/agent rebase T-2",
    valid=at_work,
    answer=answer,
)
