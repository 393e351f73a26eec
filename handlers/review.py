"""Owns submitted reviews: one that asks for changes, by somebody who may write, goes to the agent in its own words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_pulls, unboxed
from bot.core.actions import Decision
from bot.core.commands import Invocation, NearMiss
from bot.core.events import ReviewSubmitted
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import TaskTrack, Track
from bot.core.values import Role
from bot.handler import Asked, Handler, Reads
from handlers import hearing
from handlers.calling import hears


@dataclass(frozen=True, slots=True)
class Facts:
    role: Role = "none"
    said: str = ""  # the review's text, and its comments on lines, but for commands
    command: str = ""  # that the review's text is, which nobody follows
    unboxed: str = ""  # why no agent gets it, where there is no sandbox


async def gather(track: Track | None, event: ReviewSubmitted, reads: Reads) -> Facts:
    """Ask what the reviewer may do, and read the comments on lines where they are wanted."""
    if track is None or track.ended:
        return Facts()
    task = _task(track, event)
    wanted = task is not None and event.state == "changes_requested"
    words, command = _words(event.body, wanted=wanted)
    if task is None and not command:
        return Facts()
    config, _ = await reads.config(event.repo)
    asked = Asked(repo=event.repo, number=event.number, is_pull=True, actor=event.author, key="review")
    if not await hears(asked, config, reads):
        return Facts()
    role = await reads.forge.permission(event.repo, event.author.login)
    if not wanted or not allows(role, "write"):
        return Facts(role, command=command)
    if reads.unboxed and (why := unboxed.refusal(event.repo, role)):
        return Facts(role, command=command, unboxed=why)
    comments = await reads.forge.review_comments(event.repo, event.number, event.review)
    said = [c for c in comments if hearing.find(c.body) is None]  # a command on a line is heard by itself
    lines = [f"{c.path}:{c.line}: {c.body}" if c.line else f"{c.path}: {c.body}" for c in said]
    return Facts(role, "\n".join(filter(None, (words, *lines))), command)


def _words(body: str, *, wanted: bool) -> tuple[str, str]:
    """Divide a review's text into words for the agent, and a command for nobody; a note of `revise` is words."""
    found = hearing.find(body)
    if found is None:
        return body, ""
    if isinstance(found, Invocation) and found.name == "revise" and found.text and wanted:
        return found.text, ""
    below = body.strip().partition("\n")[2].strip() if wanted else ""
    return below, found.typed if isinstance(found, NearMiss) else f"/agent {found.name}"


def _task(track: Track, event: ReviewSubmitted) -> TaskTrack | None:
    task = track.task_of(event.number)
    return task if task is not None and task.pull == event.number else None


def decide(track: Track | None, event: ReviewSubmitted, facts: Facts, now: datetime) -> Decision:
    """A stranger's review is for people to read."""
    if track is None or track.ended or not allows(facts.role, "write"):
        return life.nothing(track)
    if facts.unboxed:
        return life.answer(track, event.repo, event.number, track.id, f"review-{event.review}", facts.unboxed)
    task = _task(track, event)
    decision = life_pulls.reviewed(track, task, event, facts.said, now) if task else life.nothing(track)
    if not facts.command:
        return decision
    text = (
        f"{code(facts.command)} is not followed in the text of a review: write it as a comment, or on a line."
    )
    told = life.answer(track, event.repo, event.number, track.id, f"review-{event.review}", text)
    return replace(decision, actions=(*told.actions, *decision.actions))


HANDLER = Handler(
    event=ReviewSubmitted,
    github="pull_request_review",
    actions=("submitted",),
    permissions={"pull_requests": "write"},
    keys=lambda event: (f"pull:{event.number}",),
    gather=gather,
    decide=decide,
)
