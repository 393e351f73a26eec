"""Owns `/agent why`: the last decisions with what they were made from."""

from __future__ import annotations

from datetime import datetime

from bot.core import life, messages, messages_status, waiting
from bot.core.actions import Decision
from bot.core.ids import TASK_ID
from bot.core.sanitize import code, escape, inline
from bot.core.track import Track
from bot.handler import Command, CommandCall, Unfinished
from handlers.spoken.arguments import say

LAST = 12  # entries shown


def answer(call: CommandCall) -> Decision:
    """Print the decisions of the track, or of the task that is named or whose pull request this is."""
    if call.track is None:
        return say(call, "Nothing has been decided here: no label `agent:plan` was set on this issue.")
    unknown = next((word for word in call.invocation.args if TASK_ID.fullmatch(word.upper())), None)
    if unknown is not None and call.track.task(unknown.upper()) is None:
        known = ", ".join(f"`{task.id}`" for task in call.track.tasks) or "none yet"
        return say(call, f"There is no task {code(unknown)} in `{call.track.id}`; its tasks: {known}.")
    return say(call, explain(call))


def explain(call: CommandCall) -> str:
    """Say what goes on, and list the newest decisions first."""
    track, task = call.track, call.task
    assert track is not None
    waits = [_waits(each, call.now) for each in call.unfinished if task is None or each.task == task]
    now = "\n".join([_now(track, task), *filter(None, waits)])
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


def _waits(action: Unfinished, now: datetime) -> str:
    """Say why something that was begun is not done yet; "" where it is simply under way."""
    what = code(action.kind) + (f" of `{action.task}`" if action.task else "")
    if others := waiting.waits_for(action.error):
        when = (
            f" until {waiting.clock(action.until, now)}"
            if action.until
            else ", which is over: it goes on now"
        )
        why = "" if others == waiting.LIMIT else f" {escape(str(action.error).removeprefix(f'{others}: '))}."
        return f"\n{what} waits for {others}{when}.{why}"
    if action.error:
        when = f"again at {life.stamp(action.until)}" if action.until else "now once more"
        return (
            f"\n{what} was tried {messages.count(action.tries - 1, 'time')}, {when}: {escape(action.error)}"
        )
    if action.kind == "run_task" and not action.session:
        return f"\n{what} is being prepared, or waits until one of this bot's workers is free."
    return ""


COMMAND = Command(
    name="why",
    usage="/agent why [task]",
    summary="Prints the last decisions with what they were made from.",
    example="/agent why T-2",
    reads_unfinished=True,
    starts=False,
    answer=answer,
)
