"""Owns what comes between finished work and its push: a person's OK, and a forge that refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import boxes, life_repair, messages, messages_push
from bot.core.actions import Decision, PostComment, RunTask, SyncStatus
from bot.core.events import PushAsked
from bot.core.life import moment, nothing, stamp
from bot.core.life_work import assessed, start_ready
from bot.core.push_gate import PushAsk, fits
from bot.core.track import TaskTrack, Track


def push_asked(track: Track, event: PushAsked, now: datetime) -> Decision:
    """Keep finished work until a person lets it through; its worker is free, and its files stay its own."""
    task = track.task(event.task)
    if task is None or (task.attempt, task.run) != (event.attempt, event.run) or task.state != "running":
        return nothing(track)
    ask = event.ask
    task = replace(
        task, ask=ask, approved="", leased=tuple(dict.fromkeys((*task.leased, *ask.outside))), feedback=""
    )
    # A tick on a page that shows an older question must not answer this one.
    track = boxes.spent(track, boxes.offered(track, "push", task.id))
    track = replace(track.with_task(task), usage=track.usage + event.usage)
    if ask.refused:
        return _refused(track, task, event, now)
    waiting = replace(task, state="waiting", note="")
    track = track.with_task(waiting).noting(
        stamp(now), f"{task.id} waits for an OK to push {ask.short}", f"push: {track.config.push}", task.id
    )
    key = f"{task.id}-a{task.attempt}-r{task.run}-push"
    said = PostComment(
        repo=track.repo,
        number=track.issue,
        body=messages.answer(track.id, key, messages_push.asking(waiting, ask, event.details), "problem"),
    )
    track, runs = start_ready(track, now)
    return Decision(track=assessed(track), actions=(*runs, said, SyncStatus()))


def _refused(track: Track, task: TaskTrack, event: PushAsked, now: datetime) -> Decision:
    """Block a task whose push the branch's rules refuse; the very same commit is pushed again when a person says so."""
    blocked = life_repair.stuck(track, task, event.text, event.details, now, key=f"-{moment(now)}")
    assert blocked.track is not None
    moved, runs = start_ready(blocked.track, now)
    return Decision(track=assessed(moved), actions=(*runs, *blocked.actions))


def approve(track: Track, task: TaskTrack, sha: str, by: str, now: datetime) -> Decision | str:
    """Push the commit that waits; a person who names another one has seen something else."""
    ask = pushable(task)
    if ask is None:
        return f"`{task.id}` has nothing that waits to be pushed: it is {messages.words(task)}."
    if sha and not fits(ask, sha):
        return (
            f"`{task.id}` waits with `{ask.short}`, not with what you named: look at that one, "
            f"then say `{messages_push.command(task, ask)}`."
        )
    task = replace(task, state="running", note="", approved=ask.sha)
    track = track.with_task(task).noting(
        stamp(now), f"{by} lets {ask.short} be pushed for {task.id}", "", task.id
    )
    run = RunTask(task=task.id, attempt=task.attempt, run=task.run, mode="publish", head=ask.sha)
    return Decision(track=assessed(track), actions=(run, SyncStatus()))


def pushable(task: TaskTrack) -> PushAsk | None:
    """Give what a person can have pushed now; a branch that is being rebased has another head in a moment."""
    if task.moving:
        return None
    return task.ask if task.asks or task.rests or task.state == "blocked" else None
