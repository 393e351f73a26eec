"""Owns what people do to a track's issue, and how a track ends before its work is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import messages
from bot.core.actions import Action, CancelRuns, Decision, PostComment, ReportBacklog, SyncStatus
from bot.core.events import (
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
)
from bot.core.ids import track_id
from bot.core.life import moment, nothing, stamp
from bot.core.life_hold import close_pulls, pause, resume, stop
from bot.core.sanitize import code
from bot.core.track import SETTLED, Track


def issue_closed(track: Track, event: IssueClosed, now: datetime) -> Decision:
    """Pause; where every task is settled it is the end itself that closes the issue."""
    track = replace(track, closed=True)
    if track.tasks and all(task.state in SETTLED for task in track.tasks):
        return nothing(track)
    return pause(track, now, f"{event.actor.login} closed the issue; reopening it goes on")


def issue_reopened(
    track: Track, event: IssueReopened, now: datetime, *, may: bool, why: str = ""
) -> Decision:
    """Go on, if whoever reopened it may have work done; what was stopped on purpose waits for `/agent resume`.

    `why` says why they may not, where that is no matter of writing.
    """
    track = replace(track, closed=False)
    if track.state != "paused":
        return nothing(track)
    if not may:
        known = code(event.actor.login) if event.actor.id else "Somebody whose name is not known"
        text = (
            f"{known} reopened the issue. The work goes on when somebody who may write here "
            "comments `/agent resume`."
        )
        text = f"{why} They can comment `/agent resume`." if why else text
        return Decision(track=track, actions=(_said(track, f"reopened-{moment(now)}", text),))
    return resume(track, now, f"{event.actor.login} reopened the issue")


def issue_gone(track: Track, event: IssueGone, now: datetime) -> Decision:
    """Stop; there is no place left to say so, but in the pull requests that are closed."""
    if track.ended:
        return nothing(track)
    decision = stop(replace(track, gone=True), now, f"issue #{track.issue} was {event.how}")
    actions = tuple(action for action in decision.actions if not isinstance(action, SyncStatus))
    assert decision.track is not None
    return Decision(track=replace(decision.track, gone=True), actions=actions)


def issue_edited(track: Track, event: IssueEdited, now: datetime, *, stale: bool) -> Decision:
    """Go on with the frozen text, and say so once; an edit that is taken back is forgotten."""
    if track.ended or track.stale == stale:
        return nothing(track)
    what = "the issue was edited" if stale else "the issue reads as it did when it was frozen again"
    track = replace(track, stale=stale).noting(stamp(now), what, f"by {event.actor.login}")
    actions: list[Action] = [SyncStatus()]
    if track.backlog_sha is not None and track.merged_sha is None:
        actions.append(ReportBacklog(sha=track.backlog_sha))
    if stale and track.tasks:
        text = (
            "The issue was edited. The work goes on with the text of before, which is what was planned and "
            "reviewed. `/agent plan` begins a new round with the new text."
        )
        actions.append(_said(track, "issue-edited", text))
    return Decision(track=track, actions=tuple(actions))


def label_removed(track: Track, event: IssueUnlabeled, now: datetime) -> Decision:
    """Cancel what nobody has merged yet; work that was merged goes on."""
    if event.label == track.label:
        track = replace(track, label="")
    if event.label != track.config.labels.trigger or track.ended or track.merged_sha is not None:
        return nothing(track)
    if track.state == "blocked" and track.backlog_pull is None:
        return nothing(track)  # as it was told: removed and set again, the label begins anew
    why = f"{event.actor.login} removed the label {event.label}"
    track, actions = end(track, f"Cancelled: {why}.", now)
    text = f"Cancelled: {code(event.actor.login)} removed the label {code(event.label)}. `/agent plan` begins again."
    track = replace(track, state="cancelled", problem="").noting(stamp(now), "cancelled", why)
    said = _said(track, f"cancelled-{moment(now)}", text, kind="problem")
    return Decision(track=track, actions=(*actions, said, SyncStatus()))


def label_set_again(track: Track, event: IssueLabeled, now: datetime) -> Decision:
    """Answer that a round is under way; a label alone never throws work away."""
    track = replace(track, label=event.label)
    state = messages.STATE_WORDS[track.state].lower()
    text = (
        f"`{track.id}` is under way already ({state}), so {code(event.label)} changes nothing. "
        "`/agent plan` ends it and begins a new round."
    )
    return Decision(track=track, actions=(_said(track, f"label-{moment(now)}", text),))


def superseded(track: Track, round_: int, now: datetime) -> Decision:
    """End an older round for the sake of a new one: kill what runs, close what is open, keep branches."""
    if track.ended and track.state != "cancelled":
        return nothing(track)
    newer = track_id(track.issue, round_)
    track, actions = end(track, f"Superseded by `{newer}`, a new round for #{track.issue}.", now)
    track = replace(track, state="superseded", problem="").noting(stamp(now), f"superseded by {newer}")
    return Decision(track=track, actions=(*actions, SyncStatus()))


def end(track: Track, why: str, now: datetime) -> tuple[Track, tuple[Action, ...]]:
    """Kill what runs and close what is open; branches stay."""
    if track.ended:
        return track, ()
    closing = close_pulls(track, f"closed-{moment(now)}", f"{why} Its branch is kept.")
    return replace(track, put_off=(), resume_to=None), (CancelRuns(), *closing)


def _said(track: Track, key: str, text: str, kind: str = "answer") -> PostComment:
    body = messages.answer(track.id, key, text, kind)
    return PostComment(repo=track.repo, number=track.issue, body=body)
