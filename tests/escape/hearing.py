"""Owns listening to what the bot hands into a box that is open: arguments, environment and input of commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.ports import Box, Completed, Outlet, Talk

Hear = Callable[[str, Iterable[bytes]], None]  # what it is, and its parts


@dataclass(frozen=True)
class HeardTalk:
    """A command whose input is heard."""

    inner: Talk
    hear: Hear

    @property
    def errors(self) -> str:
        return self.inner.errors

    async def read(self, most: int) -> bytes:
        return await self.inner.read(most)

    async def say(self, data: bytes) -> None:
        self.hear("input", [data])
        await self.inner.say(data)

    async def wait(self, timeout: float) -> int | None:
        return await self.inner.wait(timeout)


class HeardBox:
    """A box of which everything that is handed in is heard; `last` is awaited once, just before it is closed."""

    def __init__(self, inner: Box, hear: Hear, last: Callable[[], Awaitable[None]] | None = None) -> None:
        self.work, self.home, self.path = inner.work, inner.home, inner.path
        self._inner, self._hear, self._last = inner, hear, last

    async def end(self) -> None:
        """Tell that the job is done, unless that was told."""
        last, self._last = self._last, None
        if last is not None:
            await last()

    def _command(self, argv: Sequence[str], env: Mapping[str, str] | None, stdin: bytes) -> None:
        self._hear("arguments", (word.encode() for word in argv))
        self._hear("environment", (part.encode() for item in (env or {}).items() for part in item))
        self._hear("input", [stdin])

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: Callable[[str], Awaitable[None]] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        self._command(argv, env, stdin)
        return await self._inner.run(argv, timeout=timeout, cap=cap, on_line=on_line, env=env, stdin=stdin)

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[Talk]:
        self._command(argv, env, b"")
        async with self._inner.start(argv, env=env) as talk:
            yield HeardTalk(talk, self._hear)

    def address(self, outlet: Outlet) -> str:
        return self._inner.address(outlet)

    async def close(self) -> list[int]:
        await self.end()
        return await self._inner.close()
