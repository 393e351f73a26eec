"""Owns hints of CI beside complete suites: commit statuses, and runs of workflows; they come in crowds, so one look follows all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import life, life_checks
from bot.core.actions import Decision, Timer
from bot.core.events import ChecksDue, StatusSet, WorkflowEnded
from bot.core.life_repair import look
from bot.core.track import OPEN_PULL, TaskTrack, Track
from bot.handler import Handler, TrackReads

SETTLE = timedelta(seconds=10)  # after the last hint the state is read once


async def gather(_track: Track | None, _event: StatusSet | WorkflowEnded, _reads: TrackReads) -> None:
    """Read nothing yet: more hints will come."""


def _status(track: Track | None, event: StatusSet, _facts: None, _now: datetime) -> Decision:
    return _hinted(track, event.branches, event.sha, passed=event.passed)


def _workflow(track: Track | None, event: WorkflowEnded, _facts: None, _now: datetime) -> Decision:
    return _hinted(track, (event.branch or "",), event.sha, passed=event.passed)


def _hinted(track: Track | None, branches: Sequence[str], sha: str, *, passed: bool) -> Decision:
    """Look at the current head a little later; where it waits for review already, only a failure is news."""
    if track is None or track.ended:
        return life.nothing(track)
    task = next((t for t in track.tasks if t.branch and t.branch in branches), None)
    if task is None:
        return life.nothing(track)
    if task.state == "running":
        return life_checks.checks_announced_early(track, task, sha)
    if task.state not in OPEN_PULL or (passed and task.state == "in_review"):
        return life.nothing(track)
    return Decision(track=track, timers=(soon(task, SETTLE, passed=passed),))


def soon(task: TaskTrack, after: timedelta, *, passed: bool) -> Timer:
    """Read a head's checks once, so long after the last hint of them."""
    later = look(task, 0)
    assert isinstance(later.event, ChecksDue)
    return replace(later, after=after, event=replace(later.event, hinted=passed))


HANDLERS = (
    Handler(
        event=StatusSet,
        github="status",
        permissions={"statuses": "read", "checks": "write", "pull_requests": "write"},
        keys=lambda event: tuple(f"branch:{name}" for name in event.branches),
        gather=gather,
        decide=_status,
    ),
    Handler(
        event=WorkflowEnded,
        github="workflow_run",
        actions=("completed",),
        permissions={"actions": "read", "checks": "write", "pull_requests": "write"},
        keys=lambda event: (f"branch:{event.branch}",) if event.branch else (),
        gather=gather,
        decide=_workflow,
    ),
)
