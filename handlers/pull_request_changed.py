"""Owns what people do to one of the bot's pull requests while it is open, and reopening it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_pulls
from bot.core.actions import Decision
from bot.core.events import PullEdited, PullPushed, PullReopened
from bot.core.track import TaskTrack, Track
from bot.core.values import Pull
from bot.handler import Handler, Reads


@dataclass(frozen=True, slots=True)
class Facts:
    pull: Pull | None = None  # as it is now: a webhook is a hint
    ours: bool = False  # the bot did it


async def gather(track: Track | None, event: PullReopened | PullEdited | PullPushed, reads: Reads) -> Facts:
    """Read the pull request as it is now."""
    if track is None:
        return Facts()
    ours = event.actor.id in await reads.forge.bot_ids(event.repo)
    return Facts(await reads.forge.pull(event.repo, event.number), ours)


def task_of(track: Track, number: int) -> TaskTrack | None:
    return next((task for task in track.tasks if task.pull == number), None)


def decide_reopened(track: Track | None, event: PullReopened, facts: Facts, now: datetime) -> Decision:
    """A cancelled backlog is in review again; a held task goes on."""
    if track is None or facts.pull is None or facts.pull.state != "open":
        return life.nothing(track)
    by = f"by {event.actor.login}"
    if event.number == track.backlog_pull:
        return life_pulls.backlog_reopened(track, now, by)
    task = task_of(track, event.number)
    return (
        life.nothing(track) if track.ended or task is None else life_pulls.task_reopened(track, task, now, by)
    )


def decide_edited(track: Track | None, event: PullEdited, facts: Facts, now: datetime) -> Decision:
    """Only another base branch matters."""
    if track is None or track.ended or facts.pull is None:
        return life.nothing(track)
    return life_pulls.base_changed(track, replace(event, base_branch=facts.pull.base_branch), now)


def decide_pushed(track: Track | None, event: PullPushed, facts: Facts, now: datetime) -> Decision:
    """Follow the new head of a task's branch; that of the backlog is told by the push itself."""
    task = task_of(track, event.number) if track else None
    if track is None or track.ended or task is None or facts.pull is None:
        return life.nothing(track)
    current = replace(event, head_sha=facts.pull.head_sha)
    return life_pulls.pushed(track, task, current, now, ours=facts.ours)


HANDLERS = (
    Handler(
        event=PullReopened,
        github="pull_request",
        actions=("reopened",),
        permissions={"pull_requests": "write"},
        keys=lambda event: (f"pull:{event.number}",),
        gather=gather,
        decide=decide_reopened,
    ),
    Handler(
        event=PullEdited,
        github="pull_request",
        actions=("edited",),
        permissions={"pull_requests": "write"},
        keys=lambda event: (f"pull:{event.number}",),
        gather=gather,
        decide=decide_edited,
    ),
    Handler(
        event=PullPushed,
        github="pull_request",
        actions=("synchronize",),
        permissions={"pull_requests": "write"},
        keys=lambda event: (f"pull:{event.number}",),
        gather=gather,
        decide=decide_pushed,
    ),
)
