"""Owns submitted reviews: one that asks for changes, by somebody who may write, goes to the agent in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import life, life_pulls
from bot.core.actions import Decision
from bot.core.events import ReviewSubmitted
from bot.core.roles import allows
from bot.core.track import TaskTrack, Track
from bot.core.values import Role
from bot.handler import Asked, Handler, Reads
from handlers.calling import hears


@dataclass(frozen=True, slots=True)
class Facts:
    role: Role = "none"
    said: str = ""  # the review's text, and its comments on lines


async def gather(track: Track | None, event: ReviewSubmitted, reads: Reads) -> Facts:
    """Ask what the reviewer may do, and read the comments on lines where they are wanted."""
    if track is None or track.ended or _task(track, event) is None:
        return Facts()
    config, _ = await reads.config(event.repo)
    asked = Asked(repo=event.repo, number=event.number, is_pull=True, actor=event.author, key="review")
    if not await hears(asked, config, reads):
        return Facts()
    role = await reads.forge.permission(event.repo, event.author.login)
    if event.state != "changes_requested" or not allows(role, "write"):
        return Facts(role)
    comments = await reads.forge.review_comments(event.repo, event.number, event.review)
    lines = [f"{c.path}:{c.line}: {c.body}" if c.line else f"{c.path}: {c.body}" for c in comments]
    return Facts(role, "\n".join(filter(None, (event.body, *lines))))


def _task(track: Track, event: ReviewSubmitted) -> TaskTrack | None:
    task = track.task_of(event.number)
    return task if task is not None and task.pull == event.number else None


def decide(track: Track | None, event: ReviewSubmitted, facts: Facts, now: datetime) -> Decision:
    """A stranger's review is for people to read."""
    task = _task(track, event) if track else None
    if track is None or track.ended or task is None or not allows(facts.role, "write"):
        return life.nothing(track)
    return life_pulls.reviewed(track, task, event, facts.said, now)


HANDLER = Handler(
    event=ReviewSubmitted,
    github="pull_request_review",
    actions=("submitted",),
    permissions={"pull_requests": "write"},
    keys=lambda event: (f"pull:{event.number}",),
    gather=gather,
    decide=decide,
)
