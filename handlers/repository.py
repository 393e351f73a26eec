"""Owns what happens to a repository as such: its tracks follow its name, wait while it is out of reach, and end with it."""

from __future__ import annotations

from datetime import datetime

from bot.core import life, life_away
from bot.core.actions import Decision
from bot.core.events import RepositoryAdded, RepositoryChanged
from bot.core.repo_actions import ForgetRepository, RepoAction
from bot.core.repo_events import ENDS
from bot.core.track import Track
from bot.handler import Handler, Reads, RepoHandler, TrackReads

KEY = "repository"  # every open track hears of it


async def _nothing_read(_track: Track | None, _event: object, _reads: TrackReads) -> None:
    """The event says it all."""


def decide(track: Track | None, event: RepositoryChanged, _facts: None, now: datetime) -> Decision:
    """Follow, wait, go on, or end."""
    if track is None:
        return life.nothing(track)
    match event.how:
        case "renamed" | "transferred":
            return life_away.moved(track, event.how, now)
        case "archived" | "suspended" | "removed":
            return life_away.away(track, event.how, now)
        case "deleted":
            return life_away.gone(track, now)
        case "unarchived" | "unsuspended":
            return life_away.back(track, ENDS[event.how], now)


def decide_added(track: Track | None, _event: RepositoryAdded, _facts: None, now: datetime) -> Decision:
    """Go on where the App is on the repository again."""
    return life.nothing(track) if track is None else life_away.back(track, ENDS["added"], now)


async def _nothing_to_read(_event: RepositoryChanged, _reads: Reads) -> None:
    """The event says it all."""


def forget(event: RepositoryChanged, _facts: None) -> tuple[RepoAction, ...]:
    return (ForgetRepository(repo=event.repo),)


HANDLERS = (
    Handler(
        event=RepositoryChanged,
        github="repository",
        actions=("renamed", "transferred", "archived", "unarchived", "deleted"),
        keys=lambda _: (KEY,),
        sees_hold=True,
        gather=_nothing_read,
        decide=decide,
    ),
    Handler(
        event=RepositoryAdded,
        github="installation_repositories",
        actions=("added",),
        keys=lambda _: (KEY,),
        sees_hold=True,
        gather=_nothing_read,
        decide=decide_added,
    ),
)
REPO_HANDLERS = (
    RepoHandler(
        event=RepositoryChanged,
        webhooks=(
            "repository.deleted",
            "installation.deleted",
            "installation.suspend",
            "installation.unsuspend",
            "installation.new_permissions_accepted",
            "installation_repositories.removed",
        ),
        concerns=lambda event: event.how == "deleted",
        gather=_nothing_to_read,
        decide=forget,
    ),
)
