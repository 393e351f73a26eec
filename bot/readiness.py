"""Owns whether what the bot stands on answers: the database, the forge, the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from bot.broker.client import Broker
from bot.engine.store import Store
from bot.errors import BotError
from bot.ports import Forge

_SECONDS = 5.0


class Readiness:
    """Asks each part anew, the forge now and then: whoever reaches the port may ask, but not spend the forge's limits.

    Of the forge an `ok` is good for `good` seconds, anything else for `bad` ones.
    """

    def __init__(
        self, store: Store, forge: Forge, broker: Broker | None, good: float = 30.0, bad: float = 3.0
    ) -> None:
        self._store = store
        self._forge = forge
        self._broker = broker
        self._good, self._bad = good, bad
        self._asking = asyncio.Lock()
        self._heard: tuple[float, str] | None = (
            None  # until when (time.monotonic) it is good, and what was said
        )

    async def __call__(self) -> dict[str, str]:
        """Name each part, with `ok` or what is wrong with it."""
        found = {"database": await _said(self._store.counts()), "forge": await self._of_forge()}
        if self._broker is not None:
            found["broker"] = await self._broker.trouble() or "ok"
        return found

    async def overview(self) -> tuple[dict[str, str], dict[str, int]]:
        """Give the same, and how much of each kind is under way; no numbers where the database is silent."""
        parts = await self()
        return parts, await self._store.counts() if parts["database"] == "ok" else {}

    async def _of_forge(self) -> str:
        async with self._asking:
            now = time.monotonic()
            if self._heard is None or now >= self._heard[0]:
                said = await _said(self._forge.answers())
                self._heard = (now + (self._good if said == "ok" else self._bad), said)
            return self._heard[1]


async def _said(asking: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            await asking
    except (BotError, OSError, TimeoutError) as error:
        return str(error) or "no answer"
    return "ok"
