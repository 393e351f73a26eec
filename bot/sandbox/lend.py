"""Owns the lending of boxes: when the block ends nothing inside lives, or it is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import structlog

from bot.errors import BotError, SandboxError
from bot.ports import Box
from bot.unbroken import unbroken

_log = structlog.get_logger(__name__)


class Openable(Box, Protocol):
    """A box that is started only when it is lent."""

    async def begin(self) -> None:
        """Start it; `close` ends what was started, also where this failed half-way. SandboxError says why."""


B = TypeVar("B", bound=Openable)


@asynccontextmanager
async def lend(box: B) -> AsyncIterator[B]:
    """Start a box, lend it and close it; SandboxError names what lives on, where nothing else went wrong.

    It is closed to the end, however often its user is cancelled.
    """
    try:
        await box.begin()
        yield box
    except BaseException:
        # What went wrong first is what its user has to hear, a cancellation above all.
        await unbroken(_closed(box))
        raise
    await unbroken(_proved(box))


async def _proved(box: Box) -> None:
    if left := await box.close():
        raise SandboxError(f"Processes of a sandbox still live: {', '.join(map(str, left))}")


async def _closed(box: Box) -> None:
    try:
        await _proved(box)
    except (BotError, OSError) as error:
        _log.error("sandbox_left_behind", error=str(error))
