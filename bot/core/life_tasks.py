"""Owns what people ask of one task while the work goes on: drop it, try it again, mend it, move it.

Each gives the decision, or a sentence that says why it cannot be.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import life_repair, messages
from bot.core.actions import CancelRuns, ClosePull, Decision, NoteRun, SyncStatus
from bot.core.evidence import Evidence
from bot.core.life import finish, stamp
from bot.core.life_work import assessed, start_ready
from bot.core.track import SETTLED, TaskTrack, Track


def skip(track: Track, task: TaskTrack, by: str, now: datetime) -> Decision | str:
    """Drop a task: what runs is stopped, its pull request closed, and what needs it waits for a person."""
    if task.state in SETTLED:
        return f"`{task.id}` is {messages.TASK_WORDS[task.state]} already."
    stopping = (CancelRuns(tasks=(task.id,)),) if task.attempt else ()
    closing: tuple[ClosePull, ...] = ()
    if task.pull is not None:
        text = f"Closed: {by} dropped `{task.id}` with `/agent skip`. Its branch is kept."
        body = messages.answer(track.id, f"{task.id}-a{task.attempt}-skipped", text)
        closing = (ClosePull(number=task.pull, body=body),)
    dropped = replace(
        task,
        state="dropped",
        note=f"by {by}",
        skipped=True,
        stopped=False,
        reopened=False,
        waits_for_base=False,
    )
    track = track.with_task(dropped).noting(stamp(now), f"dropped {task.id}", f"{by} asked for it", task.id)
    if all(t.state in SETTLED for t in track.tasks):
        ended = finish(track, now)
        return replace(ended, actions=(*stopping, *closing, *ended.actions, SyncStatus()))
    track, runs = start_ready(track, now)
    return Decision(track=track, actions=(*stopping, *closing, *runs, SyncStatus()))


def needing(track: Track, task: str) -> list[str]:
    """Name the open tasks that need this one."""
    return [t.id for t in track.tasks if task in t.depends_on and t.state not in SETTLED]


def retry(track: Track, task: TaskTrack, by: str, now: datetime) -> Decision | str:
    """Have the next attempt made with the same spec."""
    return _again(track, task, None, f"{by} asked to retry it", now)


def regenerate(track: Track, task: TaskTrack, note: str, by: str, now: datetime) -> Decision | str:
    """Have the next attempt made from a spec that is improved by what is known and by a person's note.

    What people ask for does not count towards the limit of regenerations.
    """
    evidence = Evidence(attempt=task.attempt, note=note, reason="person")
    return _again(track, task, evidence, f"{by} asked to regenerate it", now)


def can_retry(track: Track, task: TaskTrack) -> bool:
    """Tell whether another attempt can be asked for now."""
    return not _not_again(track, task)


def _again(
    track: Track, task: TaskTrack, evidence: Evidence | None, why: str, now: datetime
) -> Decision | str:
    """Have another attempt made, as soon as a worker is free and nobody else works on its files."""
    refusal = _not_again(track, task)
    if refusal:
        return refusal
    track, closing = life_repair.put_back(_wanted_again(track, task), task, why=why, evidence=evidence)
    track, runs = start_ready(track.noting(stamp(now), f"{task.id} is wanted again", why, task.id), now)
    return Decision(track=track, actions=(*closing, *runs, SyncStatus()))


def _not_again(track: Track, task: TaskTrack) -> str:
    if task.state == "done":
        return f"`{task.id}` is merged. To do it again, set its line in `{track.folder}/BACKLOG.yaml` back to `todo` first."
    if task.state == "running":
        return (
            f"An agent works on `{task.id}` right now: `/agent revise {task.id} <note>` steers it, "
            f"`/agent skip {task.id}` stops it."
        )
    open_needs = [n for n in task.depends_on if (need := track.task(n)) is None or need.state != "done"]
    if open_needs:
        return f"`{task.id}` needs {', '.join(f'`{need}`' for need in open_needs)}, which is not merged."
    if task.untouched:
        return f"`{task.id}` has not begun yet: {messages.TASK_WORDS[task.state]}. It starts by itself."
    return ""


def _wanted_again(track: Track, task: TaskTrack) -> Track:
    """What was blocked only because this one was dropped waits for it again."""
    for other in track.tasks:
        if (
            task.state == "dropped"
            and task.id in other.depends_on
            and other.state == "blocked"
            and not other.attempt
        ):
            track = track.with_task(replace(other, state="todo", note=""))
    return track


def rebase(track: Track, task: TaskTrack, by: str, now: datetime) -> Decision | str:
    """Put the task's branch onto the default branch's head; nothing else changes."""
    if not task.rests:
        return f"`{task.id}` has no open pull request to rebase: it is {messages.words(task)}."
    track, actions = life_repair.rebase(track, task, now, why=f"{by} asked for it")
    return Decision(track=assessed(track), actions=(*actions, SyncStatus()))


def revise(track: Track, task: TaskTrack, note: str, by: str, key: str, now: datetime) -> Decision | str:
    """Steer a running agent by a note, or have an open pull request mended by it."""
    if task.state == "running":
        track = track.noting(stamp(now), f"handed a note to the agent on {task.id}", f"by {by}", task.id)
        return Decision(track=track, actions=(NoteRun(task=task.id, note=note, key=key), SyncStatus()))
    if task.rests:
        track, actions = life_repair.fix(track, task, now, f"A maintainer asks:\n{note}")
        return Decision(track=assessed(track), actions=(*actions, SyncStatus()))
    return (
        f"`{task.id}` is {messages.words(task)}: there is no run to steer and no open pull request to mend."
        + (
            ""
            if task.state in SETTLED
            else f" `/agent regenerate {task.id} <note>` begins anew with your note."
        )
    )
