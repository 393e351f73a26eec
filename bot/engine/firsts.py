"""Owns knowing that something cannot have been done before, so that nobody has to look for it."""

from __future__ import annotations

from bot.core.track import Track
from bot.engine.store import Store


async def is_first(store: Store, track: Track | None, what: str) -> bool:
    """Tell whether nobody can have done `what` for a track; it is noted before it is done.

    After a kill in between, after a failure and after a lost database somebody has to look.
    """
    if track is None or track.heard_until:
        return False
    key = f"{track.key}:{what}:begun"
    if await store.get_id(key) is not None:
        return False
    await store.put_id(key, "begun")
    return True
