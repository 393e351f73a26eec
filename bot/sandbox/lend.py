"""Owns the lending of boxes: when the block ends nothing inside lives, or it is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog

from bot.errors import SandboxError
from bot.ports import Box

_log = structlog.get_logger(__name__)
B = TypeVar("B", bound=Box)


@asynccontextmanager
async def lend(make: Callable[[], B]) -> AsyncIterator[B]:
    """Make a box, lend it and close it; SandboxError names what lives on, where nothing else went wrong."""
    box = await asyncio.to_thread(make)
    try:
        yield box
    except BaseException:
        if left := await box.close():
            _log.error("sandbox_left_behind", pids=left)
        raise
    if left := await box.close():
        raise SandboxError(f"Processes of a sandbox still live: {', '.join(map(str, left))}")
