"""Owns what people ask of a backlog that is under review: drop a task, revise it by a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.core import messages
from bot.core.actions import (
    Decision,
    EditBacklog,
    IncludeTasks,
    PostComment,
    ReportBacklog,
    ReviseBacklog,
    SyncPlan,
    SyncStatus,
)
from bot.core.events import BacklogRevised, TasksIncluded
from bot.core.life import stamp
from bot.core.track import Included, Track


def skip(track: Track, task: str, by: str, key: str, now: datetime) -> Decision:
    """Have a task dropped in the file."""
    why = f"{by} asked for it; written into the file of #{track.backlog_pull}"
    track = track.noting(stamp(now), f"drops {task}", why)
    edit = EditBacklog(task=task, status="dropped", key=key)
    return Decision(track=track, actions=(edit, SyncStatus()))


def include(track: Track, name: str, by: str, key: str, now: datetime) -> Decision:
    """Have a task that the plan leaves out written into the file, or remember it until there is one."""
    wanted = Included(name=name, by=by, key=key)
    track = replace(track, included=(*track.included, wanted)).noting(
        stamp(now), f"takes in {name}", f"{by} asked for it"
    )
    return Decision(track=track, actions=(*inclusions(track, (wanted,)), SyncPlan(), SyncStatus()))


def inclusions(track: Track, wanted: Sequence[Included]) -> tuple[IncludeTasks, ...]:
    """Write in what was asked for and is not in the file yet; nothing before its pull request is open."""
    if track.backlog_pull is None:
        return ()
    return tuple(
        IncludeTasks(names=(each.name,), by=each.by, key=each.key) for each in wanted if not each.task
    )


def included(track: Track, event: TasksIncluded, now: datetime) -> Decision:
    """Say what stands in the file now; what could not be taken in can be asked for again."""
    made = dict(event.changed)
    known = {each.name for each in track.included}
    asked = next((each for each in track.included if each.key == event.key), None)
    by = asked.by if asked else ""
    left = tuple(
        replace(each, task=made.get(each.name, each.task))
        for each in track.included
        if each.key != event.key or each.name in made
    )
    more = tuple(
        Included(name=name, by=by, key=event.key, task=task)
        for name, task in made.items()
        if name not in known
    )
    what = ", ".join(f"{name} as {task}" for name, task in made.items()) or "nothing"
    track = replace(track, included=(*left, *more)).noting(
        stamp(now), f"took in {what}", f"{by} asked for it"
    )
    report: tuple[ReportBacklog, ...] = ()
    if made and track.merged_sha is None and track.backlog_sha != event.head_sha:
        track = replace(track, backlog_sha=event.head_sha)
        report = (ReportBacklog(sha=event.head_sha),)
    said = PostComment(
        repo=track.repo,
        number=track.backlog_pull or track.issue,
        body=messages.answer(track.id, f"included-{event.key}", event.text),
    )
    return Decision(track=track, actions=(*report, said, SyncPlan(), SyncStatus()))


def not_included(track: Track, key: str) -> Track:
    """Let what this call asked for and could not be written in be asked for again; others are under way."""
    left = tuple(each for each in track.included if each.task or each.key != key)
    return replace(track, included=left)


def revise(track: Track, note: str, by: str, key: str, now: datetime) -> Decision:
    """Have the backlog model work a note in."""
    track = track.noting(stamp(now), f"revises the backlog by a note of {by}")
    return Decision(track=track, actions=(ReviseBacklog(note=note, by=by, key=key), SyncStatus()))


def revised(track: Track, event: BacklogRevised, now: datetime) -> Decision:
    """Say what the note changed, where the file is."""
    changed = ", ".join(event.changed) or "nothing"
    track = replace(track, usage=track.usage + event.usage).noting(stamp(now), f"the note changed {changed}")
    report: tuple[ReportBacklog, ...] = ()
    if event.changed and track.merged_sha is None and track.backlog_sha != event.head_sha:
        track = replace(track, backlog_sha=event.head_sha)
        report = (ReportBacklog(sha=event.head_sha),)
    said = PostComment(
        repo=track.repo,
        number=track.backlog_pull or track.issue,
        body=messages.answer(track.id, f"revised-{event.key}", event.text),
    )
    return Decision(track=track, actions=(*report, said, SyncStatus()))
