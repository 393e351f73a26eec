"""Owns the broker without a process of its own: for tests, and for commands that end at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

import httpx

from bot.broker.client import Apart, git_at
from bot.broker.credential import Credential
from bot.broker.doors import Doors, Place
from bot.broker.own import Found
from bot.broker.serving import loopback, served
from bot.broker.ways import Ways


class Inside:
    """A broker in the caller's own process; git's door is opened where git asks for it first."""

    def __init__(self, credential: Credential, place: Place, now: Callable[[], datetime], calls: int) -> None:
        """UserError for a credential, or a proxy, that cannot be used; at most so many calls of the API travel at once."""
        self._ways = Ways(place.api_url, httpx.Limits(max_connections=max(calls, 1)))
        self._doors = Doors(credential, place, now, self._ways)
        self._place = place
        self._mode = credential.mode
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._port = 0

    @property
    def mode(self) -> str:
        return self._mode

    def transport(self) -> httpx.AsyncBaseTransport:
        return Apart(self._place.api_url, self._doors.vault, self._ways)

    async def git(self, url: str) -> str:
        async with self._opening:
            if not self._port:
                listening = loopback()
                self._port = listening.getsockname()[1]
                await self._open.enter_async_context(served(self._doors.git, listening))
        return git_at(self._port, url)

    async def find(self, data: bytes) -> list[Found]:
        return await asyncio.to_thread(self._doors.vault.find, data)

    async def trouble(self) -> str:
        return ""

    async def aclose(self) -> None:
        await self._open.aclose()
        await self._doors.aclose()
