"""Owns what closing or merging one of the bot's pull requests means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_backlog, life_hold, life_pulls, unboxed
from bot.core.actions import Decision
from bot.core.backlog import Loaded
from bot.core.events import PullClosed
from bot.core.track import HELD, Track
from bot.handler import Handler, TrackReads


@dataclass(frozen=True, slots=True)
class Facts:
    closed: PullClosed | None = None  # as the forge says it now: a webhook is a hint
    loaded: Loaded | None = None
    unboxed: str = ""  # why nothing is started for who merged, where there is no sandbox


async def gather(track: Track | None, event: PullClosed, reads: TrackReads) -> Facts:
    """Read the pull request as it is now and, for a merged backlog, the file that people merged."""
    task = track.task_of(event.number) if track else None
    if track is None or (task is not None and task.state == "done"):
        return Facts()  # nothing can come of it: what told of its checks may have told this too
    pull = (await reads.forge.pull_state(event.repo, event.number, await reads.look(track))).pull
    if pull.state == "open":  # reopened meanwhile
        return Facts()
    now = replace(
        event,
        head_branch=pull.head_branch,
        head_sha=pull.head_sha,
        base_branch=pull.base_branch,
        merged=pull.merged,
        merge_sha=pull.merge_sha,
    )
    if not _is_backlog(track, now) or not pull.merged or pull.merge_sha is None:
        return Facts(now)
    why = ""
    if reads.unboxed:
        why = unboxed.refusal(event.repo, await reads.forge.permission(event.repo, event.actor.login))
    return Facts(now, await reads.backlog(event.repo, pull.merge_sha, f"{track.folder}/BACKLOG.yaml"), why)


def decide(track: Track | None, _event: PullClosed, facts: Facts, now: datetime) -> Decision:
    """Hand the closed pull request to what it is for: the backlog or a task."""
    if track is None or track.ended or facts.closed is None:
        return life.nothing(track)
    if track.state == "stopped" and not facts.closed.merged:
        return life.nothing(track)  # the stop itself closed it
    if facts.unboxed and track.state not in HELD:
        return _waiting(track, facts, now)
    return (
        life_hold.held(track, lambda t: _closed(t, facts, now))
        if track.state in HELD
        else _closed(track, facts, now)
    )


def _waiting(track: Track, facts: Facts, now: datetime) -> Decision:
    """Take the merge as it is, and start nothing until somebody who may start something resumes."""
    paused = life_hold.pause(track, now, "who merged may start nothing without a sandbox").track
    assert paused is not None
    decision = life_hold.held(paused, lambda t: _closed(t, facts, now))
    if decision.track is None or decision.track.ended:
        return decision
    told = life.say(decision.track, "unboxed", f"{facts.unboxed} They can comment `/agent resume`.", now)
    return replace(decision, track=told.track, actions=(*decision.actions, *told.actions))


def _closed(track: Track, facts: Facts, now: datetime) -> Decision:
    assert facts.closed is not None
    if facts.closed.number == track.record_pull:
        return life_pulls.record_closed(track, facts.closed, now)
    if _is_backlog(track, facts.closed):
        if track.tasks or track.state not in {"planning", "review", "blocked"}:
            return life.nothing(track)
        track = replace(track, backlog_pull=facts.closed.number)
        return life_backlog.backlog_closed(track, facts.closed, facts.loaded, now)
    # By its branch too: see below.
    task = track.task_of(facts.closed.number) or next(
        (task for task in track.tasks if task.branch and task.branch == facts.closed.head_branch), None
    )
    return life_pulls.task_closed(track, task, facts.closed, now) if task else life.nothing(track)


def _is_backlog(track: Track, event: PullClosed) -> bool:
    # By its branch too: after a kill people may merge what the bot has not yet noted that it opened.
    return event.number == track.backlog_pull or event.head_branch == track.backlog_branch


HANDLER = Handler(
    event=PullClosed,
    github="pull_request",
    actions=("closed",),
    permissions={"pull_requests": "write", "contents": "write"},
    keys=lambda event: (f"pull:{event.number}", f"branch:{event.head_branch}"),
    sees_hold=True,
    gather=gather,
    decide=decide,
)
