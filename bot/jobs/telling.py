"""Owns telling people of a long wait for money or models, in a comment on the track's issue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from bot.core import messages
from bot.core.ids import identity
from bot.core.life import stamp
from bot.core.sanitize import inline
from bot.core.track import Track
from bot.errors import BotError
from bot.ports import Forge

_log = structlog.get_logger(__name__)

Tell = Callable[
    [Track, str, str, datetime], Awaitable[None]
]  # what waits, the reason as plain text, until when


def telling(forge: Forge) -> Tell:
    """Tell of a long wait in a comment on the track's issue: one for what waits, edited while it waits again."""
    in_turn = asyncio.Lock()  # planners wait at the same moment

    async def tell(track: Track, waits: str, reason: str, until: datetime) -> None:
        # Its words may be an agent's.
        text = f"Waiting until {stamp(until)}: {inline(reason)}. It goes on by itself then."
        body = messages.answer(track.id, f"waits-{waits}", text, "problem")
        try:
            async with in_turn:
                await _told(forge, track, body)
        except (
            BotError
        ) as error:  # a locked issue, say: the status tells of it, too, and the wait is no less one
            _log.warning("wait_not_told", track=track.key, error=str(error))

    return tell


async def _told(forge: Forge, track: Track, body: str) -> None:
    older = await forge.find_comment(track.repo, track.issue, identity(body))
    if older is None:
        await forge.create_comment(track.repo, track.issue, body, first=True)
    elif older.body.strip() != body.strip():
        await forge.update_comment(track.repo, older.id, body)
