"""Owns `/agent status`: where the track is and what waits for whom."""

from __future__ import annotations

from bot.core import life, messages_status
from bot.core.actions import Decision, SyncStatus
from bot.core.ids import track_id
from bot.handler import Command, CommandCall


def answer(call: CommandCall) -> Decision:
    """Answer with the state and bring the sticky comment up to date."""
    key = f"comment-{call.event.comment}"
    if call.track is None:
        text = "Nothing is planned for this issue. Set the label `agent:plan` to begin."
        return life.answer(None, call.event, track_id(call.event.number), key, text)
    text = messages_status.summary(call.track)
    said = life.answer(call.track, call.event, call.track.id, key, text)
    return Decision(track=call.track, actions=(*said.actions, SyncStatus()))


COMMAND = Command(
    name="status",
    usage="/agent status",
    summary="Says where the work is and what waits for whom.",
    example="/agent status",
    answer=answer,
)
