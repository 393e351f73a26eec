"""Owns what people do to one of the bot's pull requests while it is open, and reopening it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_pulls, unboxed
from bot.core.actions import Decision
from bot.core.events import PullEdited, PullPushed, PullReopened
from bot.core.track import Track
from bot.core.values import Pull
from bot.handler import Handler, Reads

E = TypeVar("E", PullReopened, PullEdited, PullPushed)


@dataclass(frozen=True, slots=True)
class Facts:
    pull: Pull  # as it is now: a webhook is a hint
    ours: bool  # the bot did it
    unboxed: str = ""  # why nothing is started for who reopened it, where there is no sandbox


async def gather(
    track: Track | None, event: PullReopened | PullEdited | PullPushed, reads: Reads
) -> Facts | None:
    """Read the pull request as it is now."""
    if track is None:
        return None
    ours = event.actor.id in await reads.forge.bot_ids(event.repo)
    why = ""
    if reads.unboxed and isinstance(event, PullReopened):
        why = unboxed.refusal(event.repo, await reads.forge.permission(event.repo, event.actor.login))
    return Facts(await reads.forge.pull(event.repo, event.number), ours, why)


def reopened(track: Track, event: PullReopened, facts: Facts, now: datetime) -> Decision:
    """A cancelled backlog is in review again; a held task goes on."""
    by = f"by {event.actor.login}"
    if event.number == track.backlog_pull and facts.pull.state == "open":
        return life_pulls.backlog_reopened(track, facts.pull.head_sha, now, by)
    task = track.task_of(event.number)
    if track.ended or task is None or facts.pull.state != "open":
        return life.nothing(track)
    if task.pull != event.number:
        return life_pulls.replaced_reopened(track, task, event.number, now)
    if facts.unboxed and task.state == "held":
        key = f"reopened-{event.number}-{life.moment(now)}"
        return life.answer(track, event.repo, event.number, track.id, key, facts.unboxed)
    return life_pulls.task_reopened(track, task, now, by)


def edited(track: Track, event: PullEdited, facts: Facts, now: datetime) -> Decision:
    """Only another base branch matters."""
    if track.ended:
        return life.nothing(track)
    return life_pulls.base_changed(track, replace(event, base_branch=facts.pull.base_branch), now)


def pushed(track: Track, event: PullPushed, facts: Facts, now: datetime) -> Decision:
    """Follow the new head of a task's branch; that of the backlog is told by the push itself."""
    task = track.task_of(event.number)
    if track.ended or task is None or task.pull != event.number:
        return life.nothing(track)
    current = replace(event, head_sha=facts.pull.head_sha)
    return life_pulls.pushed(track, task, current, now, ours=facts.ours)


def _handler(
    event: type[E], action: str, step: Callable[[Track, E, Facts, datetime], Decision]
) -> Handler[E, Facts | None]:
    def decide(track: Track | None, happened: E, facts: Facts | None, now: datetime) -> Decision:
        return life.nothing(track) if track is None or facts is None else step(track, happened, facts, now)

    return Handler(
        event=event,
        github="pull_request",
        actions=(action,),
        permissions={"pull_requests": "write"},
        keys=lambda happened: (f"pull:{happened.number}",),
        gather=gather,
        decide=decide,
    )


HANDLERS = (
    _handler(PullReopened, "reopened", reopened),
    _handler(PullEdited, "edited", edited),
    _handler(PullPushed, "synchronize", pushed),
)
