"""Owns what people ask of a backlog that is under review: drop a task, revise it by a note."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import messages
from bot.core.actions import Decision, EditBacklog, PostComment, ReportBacklog, ReviseBacklog, SyncStatus
from bot.core.events import BacklogRevised
from bot.core.life import stamp
from bot.core.track import Track


def skip(track: Track, task: str, by: str, now: datetime) -> Decision:
    """Have a task dropped in the file."""
    why = f"{by} asked for it; written into the file of #{track.backlog_pull}"
    track = track.noting(stamp(now), f"drops {task}", why)
    return Decision(track=track, actions=(EditBacklog(task=task, status="dropped"), SyncStatus()))


def revise(track: Track, note: str, by: str, comment: int, now: datetime) -> Decision:
    """Have the backlog model work a note in."""
    track = track.noting(stamp(now), f"revises the backlog by a note of {by}")
    return Decision(track=track, actions=(ReviseBacklog(note=note, by=by, comment=comment), SyncStatus()))


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
        body=messages.answer(track.id, f"revised-{event.comment}", event.text),
    )
    return Decision(track=track, actions=(*report, said, SyncStatus()))
