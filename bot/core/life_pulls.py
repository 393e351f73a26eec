"""Owns what people do to the bot's pull requests beside merging them: close, reopen, move, push, review."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import leases, life_repair, messages
from bot.core.actions import (
    Action,
    ClosePull,
    CloseTrack,
    Decision,
    PostComment,
    ReportBacklog,
    SyncStatus,
    Timer,
)
from bot.core.events import LeasesFreed, PullClosed, PullEdited, PullPushed, ReviewSubmitted, TaskProposed
from bot.core.life import moment, nothing, stamp
from bot.core.life_repair import look
from bot.core.life_work import assessed, start_ready
from bot.core.sanitize import code, strip_hidden
from bot.core.track import OPEN_PULL, SETTLED, TaskTrack, Track

LONGEST = 4_000  # characters of a review that an agent is told


def backlog_reopened(track: Track, now: datetime, by: str) -> Decision:
    """A cancelled backlog is in review again."""
    if track.state != "cancelled" or track.tasks:
        return nothing(track)
    track = replace(track, state="review").noting(
        stamp(now), f"#{track.backlog_pull} was reopened", f"by {by}"
    )
    report = (ReportBacklog(sha=track.backlog_sha),) if track.backlog_sha else ()
    return Decision(track=track, actions=(*report, SyncStatus()))


def task_reopened(track: Track, task: TaskTrack, now: datetime, by: str) -> Decision:
    """A held task goes on, once nobody else works on its files."""
    if task.state != "held":
        return nothing(track)
    task = replace(task, state="waiting", note="", stopped=False, reopened=True)
    track = track.with_task(task).noting(stamp(now), f"#{task.pull} is open again", by, task.id)
    track, looks = take_up(track)
    return Decision(track=assessed(track), actions=(SyncStatus(),), timers=looks)


def late(track: Track, event: TaskProposed) -> Decision:
    """Close what a run opened after people had stopped or dropped it: nobody waits for it any more."""
    task = track.task(event.task)
    if task is not None and task.pull == event.pull:
        return nothing(track)
    text = "Closed: the run that made this was stopped meanwhile. Its branch is kept."
    body = messages.answer(track.id, f"late-{event.task}-a{event.attempt}", text)
    return Decision(track=track, actions=(ClosePull(number=event.pull, body=body),))


def take_up(track: Track) -> tuple[Track, tuple[Timer, ...]]:
    """Go on with reopened pull requests whose files are free now; the others wait, in the order of their tasks."""
    looks = []
    for task in track.tasks:
        if not task.reopened or task.state != "waiting":
            continue
        lease = leases.in_the_way(track, task.id, (*task.scope, *task.leased))
        if lease is not None:
            note = f"open again; waits for its files, in use by {lease.holder}"
            track = track.with_task(replace(task, note=note))
            continue
        back = replace(task, state="checking", note="", reopened=False, judged="")
        track = track.with_task(back)
        looks.append(replace(look(back, 0), after=timedelta()))
    return track, tuple(looks)


def leases_freed(track: Track, _event: LeasesFreed, now: datetime) -> Decision:
    """Look again at what waited for another track's files."""
    before = track
    track, looks = take_up(track)
    track, runs = start_ready(track, now)
    if track == before:
        return nothing(track)
    return Decision(track=track, actions=(*runs, SyncStatus()), timers=looks)


def record_closed(track: Track, event: PullClosed, now: datetime) -> Decision:
    """The record is merged, or people do not want it: nothing else is left to do."""
    what = f"#{event.number} was merged" if event.merged else f"#{event.number} was closed unmerged"
    track = track.noting(stamp(now), f"{what}: the record", f"by {event.actor.login}")
    return Decision(track=track, actions=(CloseTrack(),))


def base_changed(track: Track, event: PullEdited, now: datetime) -> Decision:
    """Warn that merging elsewhere neither starts nor finishes anything."""
    task = next((t for t in track.tasks if t.pull == event.number and t.state not in SETTLED), None)
    is_backlog = event.number == track.backlog_pull and track.merged_sha is None
    if task is None and not is_backlog:
        return nothing(track)
    wanted = track.repo.default_branch
    if event.base_branch == wanted:
        if task is None or not task.note.startswith(_GOES_INTO):
            return nothing(track)
        track = track.with_task(replace(task, note=""))
        return Decision(track=track, actions=(SyncStatus(),))
    what = "the work starts" if task is None else f"`{task.id}` is done"
    text = (
        f"This goes into {code(event.base_branch)} now. Only when it is merged into {code(wanted)}, {what}; "
        "merged elsewhere it starts nothing and finishes nothing."
    )
    why = f"#{event.number} goes into {event.base_branch} now"
    track = track.noting(stamp(now), why, f"by {event.actor.login}", task.id if task else None)
    if task is not None:
        track = track.with_task(replace(task, note=f"{_GOES_INTO}{event.base_branch}, not into {wanted}"))
    said = _said(track, event.number, f"base-{event.number}-{moment(now)}", text)
    return Decision(track=track, actions=(said, SyncStatus()))


_GOES_INTO = "goes into "


def pushed(track: Track, task: TaskTrack, event: PullPushed, now: datetime, *, ours: bool) -> Decision:
    """Follow a new head; what a person pushed is looked at like any other, and never rewritten."""
    if task.state not in {*OPEN_PULL, "blocked"} or task.head_sha == event.head_sha:
        return nothing(track)
    task = replace(
        task, state="checking", head_sha=event.head_sha, note="", passed=(), judged="", reruns=0, announced=""
    )
    track = track.with_task(task)
    if not ours:
        who = f"by {event.actor.login}"
        track = track.noting(stamp(now), f"new commits on #{task.pull}", who, task.id)
    return Decision(track=assessed(track), actions=(SyncStatus(),), timers=(look(task, 0),))


def reviewed(track: Track, task: TaskTrack, event: ReviewSubmitted, said: str, now: datetime) -> Decision:
    """Note a review by somebody who may write; one that asks for changes goes to the agent in its own words."""
    task = replace(task, reviewed=True)
    track = track.with_task(task)
    if event.state != "changes_requested" or task.state not in {*OPEN_PULL, "blocked"}:
        return Decision(track=track)
    who = event.author.login
    feedback = strip_hidden(said)[0].strip()[:LONGEST]
    track = track.noting(stamp(now), f"{who} asked for changes of #{task.pull}", "", task.id)
    told = f"A reviewer of your pull request asks for changes:\n{feedback}"
    track, actions = life_repair.fix(track, task, now, told)
    return Decision(track=assessed(track), actions=(*actions, SyncStatus()))


def _said(track: Track, number: int, key: str, text: str) -> Action:
    return PostComment(repo=track.repo, number=number, body=messages.answer(track.id, key, text))
