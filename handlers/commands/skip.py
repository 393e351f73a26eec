"""Owns `/agent skip`: a task that is not wanted any more."""

from __future__ import annotations

from bot.core import life_review, life_tasks
from bot.core.actions import Decision
from bot.core.promises import promised
from bot.core.track import SETTLED, TaskTrack, Track
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import known, on_task, read, refuse, say
from handlers.spoken.states import reviewing, with_tasks


def answer(call: CommandCall) -> Decision:
    """Drop it in the file under review, or stop the work on it."""
    assert call.track is not None
    if not call.track.tasks:
        return _in_review(call, call.track)
    by = call.by
    return on_task(
        call,
        COMMAND,
        lambda task, _: life_tasks.skip(call.track, task, by, call.now),  # type: ignore[arg-type]
        likely=lambda task: task.state not in SETTLED,
        done=lambda task, _: _dropped(call.track, task),  # type: ignore[arg-type]  # said above: there is a track
    )


def _in_review(call: CommandCall, track: Track) -> Decision:
    given = read(call, task=True)
    problems = list(given.problems)
    backlog = call.backlog.backlog if call.backlog else None
    if backlog is None:
        problems.insert(0, f"The file in #{track.backlog_pull} cannot be read; its check says why.")
    elif given.task is None and not problems:
        problems.append(f"Name a task: {', '.join(f'`{id_}`' for id_ in known(call))}.")
    if problems or backlog is None or given.task is None:
        return refuse(call, COMMAND, problems)
    task = next(task for task in backlog.tasks if task.id == given.task)
    if task.status != "todo":
        return say(call, f"`{task.id}` is {task.status} already in #{track.backlog_pull}.")
    text = f"`{task.id}` is dropped in the file of #{track.backlog_pull}, by a commit of its own."
    needing = [t.id for t in backlog.tasks if task.id in t.depends_on and t.status == "todo"]
    text += _choice(needing, task.id, "there")
    decision = life_review.skip(track, task.id, call.by, call.asked.key, call.now)
    return say(call, text, promised(decision, call.asked.key, "file"))


def _dropped(track: Track, task: TaskTrack) -> str:
    text = f"`{task.id}` is dropped."
    if task.pull is not None:
        text += f" #{task.pull} is closed; its branch is kept."
    return text + _choice(life_tasks.needing(track, task.id), task.id, "on the default branch")


def _choice(needing: list[str], task: str, where: str) -> str:
    if not needing:
        return ""
    names = ", ".join(f"`{id_}`" for id_ in needing)
    need = "needs" if len(needing) == 1 else "need"
    return (
        f"\n\n{names} {need} it and will not start before you choose: `/agent skip {needing[0]}` drops it too, "
        f"or take `{task}` out of `depends_on` {where}."
    )


COMMAND = Command(
    name="skip",
    usage="/agent skip <task>",
    summary="Drops a task; what depends on it waits for your choice.",
    example="/agent skip T-2",
    valid=lambda track: reviewing(track) or with_tasks(track),
    reads_backlog=True,
    starts=False,
    answer=answer,
)
