"""Owns `/agent status`: where the track is and what waits for whom."""

from __future__ import annotations

from bot.core import messages_sessions, messages_status, waiting
from bot.core.actions import Decision, SyncStatus
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import say


def answer(call: CommandCall) -> Decision:
    """Answer with the state and bring the sticky comment up to date."""
    if call.track is None:
        return say(call, "Nothing is planned for this issue. Set the label `agent:plan` to begin.")
    synced = Decision(track=call.track, actions=(SyncStatus(),))
    steps = [(each.error, each.until) for each in call.unfinished]
    parts = (
        messages_status.summary(call.track, waiting.told(steps, call.now)),
        messages_sessions.sessions(call.sessions),
    )
    return say(call, "\n\n".join(filter(None, parts)), synced)


COMMAND = Command(
    name="status",
    usage="/agent status",
    summary="Says where the work is and what waits for whom.",
    example="/agent status",
    reads_unfinished=True,
    reads_sessions=True,
    starts=False,
    answer=answer,
)
