"""Owns what people do to an issue after its label was set: edit, close, reopen, delete, move it, take the label off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_issue, unboxed
from bot.core.actions import Decision
from bot.core.events import (
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueReopened,
    IssueUnlabeled,
)
from bot.core.roles import allows
from bot.core.track import Track
from bot.errors import NotFoundError
from bot.handler import Asked, Handler, Reads, on_open_track
from handlers.calling import hears
from handlers.freezing import visible

E = TypeVar("E", IssueUnlabeled, IssueClosed, IssueGone)


async def gather_edited(track: Track | None, event: IssueEdited, reads: Reads) -> bool | None:
    """Tell whether the issue reads otherwise than when it was frozen; None where it cannot be read."""
    if track is None or track.ended:
        return None
    try:
        issue = await reads.forge.issue(event.repo, event.issue)
    except NotFoundError:
        return None
    return visible(issue.title, issue.body)[0] != (track.frozen.title, track.frozen.body)


def decide_edited(track: Track | None, event: IssueEdited, stale: bool | None, now: datetime) -> Decision:
    if track is None or stale is None:
        return life.nothing(track)
    return life_issue.issue_edited(track, event, now, stale=stale)


@dataclass(frozen=True, slots=True)
class Reopened:
    may: bool = False  # have work done
    unboxed: str = ""  # why not, where there is no sandbox


async def gather_reopened(track: Track | None, event: IssueReopened, reads: Reads) -> Reopened:
    """Ask whether whoever reopened the issue may have work done; an account that is gone or not known may not."""
    if track is None or track.state != "paused":
        return Reopened(may=True)
    if event.actor.id == 0:
        return Reopened()
    config, _ = await reads.config(event.repo)
    asked = Asked(repo=event.repo, number=event.issue, is_pull=False, actor=event.actor, key="reopened")
    if not await hears(asked, config, reads):
        return Reopened()
    role = await reads.forge.permission(event.repo, event.actor.login)
    why = unboxed.refusal(event.repo, role) if reads.unboxed else ""
    return Reopened(may=allows(role, "write") and not why, unboxed=why)


def decide_reopened(track: Track | None, event: IssueReopened, facts: Reopened, now: datetime) -> Decision:
    if track is None or track.ended:
        return life.nothing(track)
    return life_issue.issue_reopened(track, event, now, may=facts.may, why=facts.unboxed)


def _handler(
    event: type[E], actions: tuple[str, ...], step: Callable[[Track, E, datetime], Decision]
) -> Handler[E, None]:
    return replace(
        on_open_track(event, step),
        github="issues",
        actions=actions,
        permissions={"issues": "write"},
        keys=lambda happened: (f"issue:{happened.issue}",),
        sees_hold=True,
    )


HANDLERS = (
    _handler(IssueUnlabeled, ("unlabeled",), life_issue.label_removed),
    Handler(
        event=IssueEdited,
        github="issues",
        actions=("edited",),
        permissions={"issues": "write"},
        keys=lambda event: (f"issue:{event.issue}",),
        sees_hold=True,
        gather=gather_edited,
        decide=decide_edited,
    ),
    _handler(IssueClosed, ("closed",), life_issue.issue_closed),
    Handler(
        event=IssueReopened,
        github="issues",
        actions=("reopened",),
        permissions={"issues": "write"},
        keys=lambda event: (f"issue:{event.issue}",),
        sees_hold=True,
        gather=gather_reopened,
        decide=decide_reopened,
    ),
    _handler(IssueGone, ("deleted", "transferred"), life_issue.issue_gone),
)
