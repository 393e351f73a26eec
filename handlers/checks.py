"""Owns a head's checks: announced or due, the state of the current head is read and followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core import life, life_checks, life_pulls
from bot.core.actions import Decision
from bot.core.checks import Rollup, rollup
from bot.core.events import ChecksCompleted, ChecksDue, PullClosed
from bot.core.track import OPEN_PULL, TaskTrack, Track
from bot.core.values import Actor, Pull
from bot.handler import Handler, TrackReads
from handlers.hints import soon


@dataclass(frozen=True, slots=True)
class Facts:
    task: str | None = None
    seen: Rollup | None = None
    head_sha: str | None = None
    early: str | None = None  # the task whose pull request is not there yet
    closed: PullClosed | None = None  # nobody told that the pull request is closed
    later: float = 0.0  # seconds until its checks are to be read


async def _read(track: Track, task: TaskTrack, reads: TrackReads) -> Facts:
    if task.pull is None:
        return Facts()
    seen = await reads.forge.pull_state(track.repo, task.pull, await reads.look(track))
    pull, checks = seen.pull, seen.checks
    if pull.state != "open":
        return Facts(task.id, closed=_closed(track, pull))
    # The base is asked only where nothing ran on the head: no checks there either means that there is no CI.
    theirs = any(not check.ours for check in checks)
    base = [] if theirs else await reads.forge.checks(track.repo, pull.base_sha)
    return Facts(task.id, rollup(list(checks), base, pull.mergeable), pull.head_sha)


def _closed(track: Track, pull: Pull) -> PullClosed:
    return PullClosed(
        repo=track.repo,
        number=pull.number,
        head_branch=pull.head_branch,
        head_sha=pull.head_sha,
        base_branch=pull.base_branch,
        merged=pull.merged,
        merge_sha=pull.merge_sha,
        actor=Actor(0, "somebody"),
    )


async def gather_completed(track: Track | None, event: ChecksCompleted, reads: TrackReads) -> Facts:
    """Read the checks of the task whose head this is; the bot's own suites and older heads are nothing."""
    if track is None or event.ours:
        return Facts()
    task = next((t for t in track.tasks if t.branch and t.branch == event.branch), None)
    patience = reads.patience if event.passed else 0.0
    if task is None or task.state == "running":
        # Good news is found by the look that follows a pull request in any case.
        return Facts(early=task.id if task and not patience else None)
    if patience and task.state == "checking" and task.head_sha == event.sha:
        # More suites may follow, siblings end theirs, and people who merge what is green tell the rest.
        return Facts(task.id, later=patience)
    # A blocked one too: people were asked to push a fix to its branch.
    return await _read(track, task, reads) if task.rests else Facts()


async def gather_due(track: Track | None, event: ChecksDue, reads: TrackReads) -> Facts:
    """Read the checks that nobody announced."""
    task = track.task(event.task) if track else None
    if track is None or task is None or task.state not in OPEN_PULL or task.head_sha != event.head_sha:
        return Facts()
    if event.hinted and task.state == "in_review":
        return Facts()
    return await _read(track, task, reads)


def _decide(track: Track | None, facts: Facts, waited: int | None, now: datetime) -> Decision:
    task = track.task(facts.task) if track and facts.task else None
    if track is not None and task is not None and facts.closed is not None:
        return life_pulls.task_closed(track, task, facts.closed, now)
    if track is None or task is None or facts.seen is None:
        return life.nothing(track)
    if facts.head_sha and facts.head_sha != task.head_sha:
        if task.moving:
            return life.nothing(track)  # it may be our own; what the rebase came to says which head there is
        task = task.at_head(facts.head_sha)  # people push to it too
    return life_checks.checks_read(track, task, facts.seen, waited, now)


def decide_completed(track: Track | None, event: ChecksCompleted, facts: Facts, now: datetime) -> Decision:
    early = track.task(facts.early) if track and facts.early else None
    if track is not None and early is not None:
        return life_checks.checks_announced_early(track, early, event.sha)
    task = track.task(facts.task) if track and facts.task else None
    if track is not None and task is not None and facts.later:
        return Decision(track=track, timers=(soon(task, timedelta(seconds=facts.later), passed=True),))
    return _decide(track, facts, None, now)


def decide_due(track: Track | None, event: ChecksDue, facts: Facts, now: datetime) -> Decision:
    return _decide(track, facts, event.waited, now)


HANDLERS = (
    Handler(
        event=ChecksCompleted,
        github="check_suite",
        actions=("completed",),
        permissions={"checks": "write", "statuses": "read", "pull_requests": "write"},
        keys=lambda event: (f"branch:{event.branch}",) if event.branch else (),
        gather=gather_completed,
        decide=decide_completed,
    ),
    Handler(event=ChecksDue, gather=gather_due, decide=decide_due),
)
