"""Owns `/agent why`: the last decisions with what they were made from."""

from __future__ import annotations

from bot.core import life, messages, messages_status
from bot.core.actions import Decision
from bot.core.ids import TASK_ID, track_id
from bot.core.sanitize import code, escape, inline
from bot.core.track import Track
from bot.handler import Command, CommandCall

LAST = 12  # entries shown


def answer(call: CommandCall) -> Decision:
    """Print the decisions of the track, or of the task that is named or whose pull request this is."""
    key = f"comment-{call.event.comment}"
    if call.track is None:
        text = "Nothing has been decided here: no label `agent:plan` was set on this issue."
        return life.answer(None, call.event, track_id(call.event.number), key, text)
    unknown = next((word for word in call.invocation.args if TASK_ID.fullmatch(word.upper())), None)
    if unknown is not None and call.track.task(unknown.upper()) is None:
        known = ", ".join(f"`{task.id}`" for task in call.track.tasks) or "none yet"
        text = f"There is no task {code(unknown)} in `{call.track.id}`; its tasks: {known}."
        return life.answer(call.track, call.event, call.track.id, key, text)
    return life.answer(call.track, call.event, call.track.id, key, explain(call.track, call.task))


def explain(track: Track, task: str | None) -> str:
    """List the newest decisions first."""
    now = _now(track, task)
    entries = [e for e in track.history if task is None or e.task == task]
    if not entries:
        about = f" about `{task}`" if task else ""
        return f"{now}\n\nNothing has been decided{about} yet."
    lines = [
        f"- {entry.at} {escape(entry.what)}" + (f", because: {escape(entry.why)}" if entry.why else "")
        for entry in reversed(entries[-LAST:])
    ]
    subject = f"`{task}`" if task else f"`{track.id}`"
    return f"{now}\n\n**Decisions about {subject}, newest first**\n\n" + "\n".join(lines)


def _now(track: Track, task: str | None) -> str:
    """Say why nothing is happening, or what is."""
    known = track.task(task) if task else None
    if known is None:
        return f"**{messages.STATE_WORDS[track.state]}.** {messages_status.waits(track)}".strip()
    note = f": {inline(known.note)}" if known.note else ""
    return f"`{known.id}` {inline(known.title)}: {messages.TASK_WORDS[known.state]}{note}."


COMMAND = Command(
    name="why",
    usage="/agent why [task]",
    summary="Prints the last decisions with what they were made from.",
    example="/agent why T-2",
    answer=answer,
)
