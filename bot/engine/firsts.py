"""Owns knowing that something cannot have been done before, so that nobody has to look for it."""

from __future__ import annotations

from datetime import datetime

from bot.core.track import Track
from bot.engine.store import Store

_OURS = "ours"


async def note_look(store: Store, repo: int, issue: int, *, ours: bool) -> None:
    """Note that the comments of an issue were read, and whether the bot had said anything there."""
    await store.put_id(_looked(repo, issue), _OURS if ours else store.now().isoformat())


async def was_looked_at(store: Store, repo: int, issue: int) -> bool:
    """Tell whether the comments of an issue were read before, in the life of this database."""
    return await store.get_id(_looked(repo, issue)) is not None


async def began_here(store: Store, repo: int, issue: int) -> bool:
    """Tell whether the bot had said nothing on an issue yet when this process, or one beside it, looked there.

    An older look proves nothing: the database may be a copy that was put back between then and the start.
    """
    noted = await store.get_id(_looked(repo, issue))
    try:
        return noted is not None and datetime.fromisoformat(noted) >= store.opened_at
    except ValueError:  # it had; or an older version did not note it
        return False


async def is_first(store: Store, track: Track | None, what: str) -> bool:
    """Tell whether nobody can have done `what` for a track; it is noted before it is done, and told one caller only.

    After a kill in between, after a failure, after a start and after a lost database somebody has to look.
    """
    if track is None or not await began_here(store, track.repo.id, track.issue):
        return False
    return await store.mark(f"{track.key}:{what}:begun")


def _looked(repo: int, issue: int) -> str:
    return f"{repo}/{issue}:recalled"
