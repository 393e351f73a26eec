"""Owns what people do to the bot's pull requests: merge, close, reopen, move, push, review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import leases, life_repair, messages
from bot.core.actions import (
    Action,
    CancelRuns,
    ClosePull,
    CloseTrack,
    Decision,
    NoteRun,
    PostComment,
    ReportBacklog,
    SyncStatus,
    Timer,
)
from bot.core.events import (
    BacklogProposed,
    LeasesFreed,
    PullClosed,
    PullEdited,
    PullPushed,
    ReviewSubmitted,
    TaskProposed,
)
from bot.core.life import finish, moment, nothing, stamp
from bot.core.life_repair import look
from bot.core.life_work import assessed, start_ready
from bot.core.sanitize import code, strip_hidden
from bot.core.track import SETTLED, TaskTrack, Track

LONGEST = 4_000  # characters of a review that an agent is told


def backlog_reopened(track: Track, head_sha: str, now: datetime, by: str) -> Decision:
    """A cancelled backlog is in review again; nobody told what was pushed to it meanwhile."""
    if track.state != "cancelled" or track.tasks:
        return nothing(track)
    track = replace(track, state="review", backlog_sha=head_sha).noting(
        stamp(now), f"#{track.backlog_pull} was reopened", by
    )
    return Decision(track=track, actions=(ReportBacklog(sha=head_sha), SyncStatus()))


def task_reopened(track: Track, task: TaskTrack, now: datetime, by: str) -> Decision:
    """A held task goes on, once nobody else works on its files."""
    if task.state != "held":
        return nothing(track)
    task = replace(task, state="waiting", note="", stopped=False, reopened=True)
    track = track.with_task(task).noting(stamp(now), f"#{task.pull} is open again", by, task.id)
    track, looks = take_up(track)
    return Decision(track=assessed(track), actions=(SyncStatus(),), timers=looks)


def replaced_reopened(track: Track, task: TaskTrack, number: int, now: datetime) -> Decision:
    """Say what an earlier attempt's pull request still means: no agent works on it, but merged it is the record."""
    newer = f" (#{task.pull})" if task.pull else ""
    text = (
        f"Attempt {task.attempt} of `{task.id}`{newer} took the place of this one, and no agent works on it any more. "
        f"Merged into {code(track.repo.default_branch)} it finishes `{task.id}`, and the later attempt is ended; "
        "else close it again."
    )
    return Decision(track=track, actions=(_said(track, number, f"replaced-{number}-{moment(now)}", text),))


def task_closed(track: Track, task: TaskTrack, event: PullClosed, now: datetime) -> Decision:
    """A merged pull request is the record, an earlier attempt's too; a closed one holds its task and frees its files."""
    number, earlier = event.number, event.number in task.replaced
    recorded = event.merged and event.base_branch == track.repo.default_branch
    if task.state == "done" or (earlier and not recorded):  # the bot closed that one itself
        return nothing(track)
    if not event.merged and (task.pull != number or task.state in SETTLED):
        return nothing(track)
    if recorded:
        state, note, what = "done", "", f"#{number} was merged"
    elif event.merged:
        what = f"#{number} was merged into {event.base_branch}, not into {track.repo.default_branch}"
        state, note = "held", what
    else:
        state, note = "held", f"#{number} was closed by {event.actor.login}"
        what = f"#{number} was closed unmerged"
    replaced = (*task.replaced, *([task.pull] if earlier and task.pull else []))
    settled = replace(
        task,
        state=state,  # type: ignore[arg-type]  # both are TaskStates
        note=note,
        pull=number,
        replaced=tuple(each for each in replaced if each != number),
    )
    over = _over(track, task, event)
    track = track.with_task(settled).noting(stamp(now), what, f"by {event.actor.login}", task.id)
    if all(t.state in SETTLED for t in track.tasks):
        ended = finish(track, now)
        return replace(ended, actions=(*over, *ended.actions))
    track, looks = take_up(track)
    track, runs = start_ready(track, now)
    return Decision(track=track, actions=(*over, *runs, SyncStatus()), timers=looks)


def _over(track: Track, task: TaskTrack, event: PullClosed) -> tuple[Action, ...]:
    """End what goes on for a pull request that people closed or merged."""
    actions: list[Action] = []
    earlier = event.number in task.replaced
    # A first run whose pull request is not noted yet has ended by itself.
    if task.state == "running" and (earlier or task.pull is not None):
        actions.append(CancelRuns(tasks=(task.id,)))
    if earlier and task.pull is not None:
        text = f"Closed: #{event.number}, an earlier attempt at `{task.id}`, was merged. Its branch is kept."
        body = messages.answer(track.id, f"{task.id}-a{task.attempt}-needless", text)
        actions.append(ClosePull(number=task.pull, body=body))
    return tuple(actions)


def late(track: Track, event: BacklogProposed | TaskProposed) -> Decision:
    """Close what a job opened after people had stopped or dropped it: nobody waits for it any more."""
    if event.pull == track.backlog_pull or track.task_of(event.pull) is not None:
        return nothing(track)
    text = "Closed: the run that made this was stopped meanwhile. Its branch is kept."
    body = messages.answer(track.id, f"late-{event.pull}", text)
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
        back = replace(task, state="checking", note="", reopened=False, judged="", rebasing="")
        if task.ask is not None:
            back = replace(back, state="waiting")  # for the same OK as before
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
    if any(task.state not in SETTLED for task in track.tasks):  # people took one up again meanwhile
        return Decision(track=replace(track, record_pull=None), actions=(SyncStatus(),))
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
    if not task.rests or task.head_sha == event.head_sha:
        return nothing(track)
    task = replace(task.at_head(event.head_sha), state="checking", note="")
    track = track.with_task(task)
    if not ours:
        who = f"by {event.actor.login}"
        track = track.noting(stamp(now), f"new commits on #{task.pull}", who, task.id)
    return Decision(track=assessed(track), actions=(SyncStatus(),), timers=(look(task, 0),))


def reviewed(track: Track, task: TaskTrack, event: ReviewSubmitted, said: str, now: datetime) -> Decision:
    """Note a review by somebody who may write; one that asks for changes goes to the agent in its own words."""
    task = replace(task, reviewed=True)
    track = track.with_task(task)
    if event.state != "changes_requested" or not (task.rests or task.state == "running"):
        return Decision(track=track)
    shown, hidden = strip_hidden(said)
    feedback, who = shown.strip()[:LONGEST], event.author.login
    answer = (_taken_out(track, event, hidden, left=bool(feedback)),) if hidden else ()
    if not feedback:
        return Decision(track=track, actions=answer)
    track = track.noting(stamp(now), f"{who} asked for changes of #{task.pull}", "", task.id)
    told = f"A reviewer of your pull request asks for changes:\n{feedback}"
    if task.state == "running":
        note = NoteRun(task=task.id, note=told, key=f"review-{event.review}")
        return Decision(track=track, actions=(*answer, note, SyncStatus()))
    track, actions = life_repair.fix(track, task, now, told)
    return Decision(track=assessed(track), actions=(*answer, *actions, SyncStatus()))


def _taken_out(track: Track, event: ReviewSubmitted, hidden: Sequence[str], *, left: bool) -> Action:
    """Say that the agent does not get all of what somebody wrote."""
    by = code(event.author.login)
    got = f"the review by {by} as people see it" if left else f"nothing of the review by {by}"
    text = f"The agent gets {got}. {messages.taken_out(hidden)}"
    return _said(track, event.number, f"review-{event.review}-hidden", text)


def _said(track: Track, number: int, key: str, text: str) -> Action:
    return PostComment(repo=track.repo, number=number, body=messages.answer(track.id, key, text))
