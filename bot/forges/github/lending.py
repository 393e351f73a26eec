"""Owns lending what may push: one token for pushes that overlap or follow at once, revoked soon after the last of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.core.values import Repo
from bot.forges.github.auth import PUSH, Token, Tokens, pushes_to

LINGER = 3.0  # seconds that a token outlives its last push, for the next one
OLDEST = 1800.0  # seconds after which a token is not lent again, well before it ends

_Key = tuple[int, int, str]  # installation, repository, and where it pushes to


@dataclass(slots=True)
class _Shared:
    """A token that is lent, how many hold it, and the task that will revoke it."""

    token: Token
    holders: int = 0
    since: float = field(default_factory=time.monotonic)
    ending: asyncio.Task[None] | None = None


class Lending:
    """Lends tokens that may push to one repository; each is shared for a few seconds at most beyond its use."""

    def __init__(self, tokens: Tokens, linger: float = LINGER) -> None:
        self._tokens = tokens
        self._linger = linger
        self._current: dict[_Key, _Shared] = {}
        self._locks: dict[_Key, asyncio.Lock] = {}

    @asynccontextmanager
    async def lend(self, installation: int, repo: Repo) -> AsyncIterator[Token]:
        """Lend a token; one whose push failed is not lent again, and revoked when nobody holds it any more."""
        key = (installation, repo.id, pushes_to(repo))
        shared = await self._take(key)
        try:
            yield shared.token
        except BaseException:
            self._drop(key, shared)
            raise
        finally:
            shared.holders -= 1
            if shared.holders == 0:
                if self._current.get(key) is shared:
                    shared.ending = asyncio.create_task(self._end(key, shared))
                else:
                    await self._tokens.revoke(shared.token)

    async def _take(self, key: _Key) -> _Shared:
        async with self._locks.setdefault(key, asyncio.Lock()):
            shared = self._current.get(key)
            if shared is None or time.monotonic() - shared.since > OLDEST:
                shared = self._current[key] = _Shared(await self._minted(*key))
            if shared.ending is not None:
                shared.ending.cancel()
                shared.ending = None
            shared.holders += 1
            return shared

    async def _minted(self, installation: int, repo_id: int, pushes: str) -> Token:
        return await self._tokens.mint(installation, repo_id, PUSH, pushes)

    def _drop(self, key: _Key, shared: _Shared) -> None:
        if self._current.get(key) is shared:
            del self._current[key]

    async def _end(self, key: _Key, shared: _Shared) -> None:
        await asyncio.sleep(self._linger)
        self._drop(key, shared)
        await self._tokens.revoke(shared.token)

    async def aclose(self) -> None:
        """Wait for nothing more; whoever owns the tokens revokes those that are left."""
        endings = [each.ending for each in self._current.values() if each.ending is not None]
        self._current.clear()
        for ending in endings:
            ending.cancel()
        await asyncio.gather(*endings, return_exceptions=True)
