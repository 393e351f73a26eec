"""Owns conversations with a started command, on this machine or in a box."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot import process


class Dialog:
    """A child that one talks to over its pipes; what it says on standard error is kept from its end."""

    def __init__(self, child: process.Running, errors: process.Tail) -> None:
        self._child = child
        self._errors = errors

    async def read(self, most: int) -> bytes:
        """Read what it says, as it comes; empty at its end."""
        return await self._child.stdout.read(most)

    @property
    def errors(self) -> str:
        return self._errors.bytes().decode("utf-8", "replace")

    async def say(self, data: bytes) -> None:
        """Write to standard input; a child that has ended is no error."""
        await self._child.feed(data, close=False)

    async def wait(self, timeout: float) -> int | None:
        """Wait for the child's own end and give its code; None after `timeout` seconds."""
        return await self._child.wait(timeout)


@asynccontextmanager
async def dialog(child: process.Running, cap: int = 1 << 16) -> AsyncIterator[Dialog]:
    """Lend a child for a conversation; at the end it is stopped."""
    errors = process.Tail(cap)
    reader = asyncio.create_task(process.drain(child.stderr, errors))
    try:
        yield Dialog(child, errors)
    finally:
        await child.stop()
        await process.end([reader])
