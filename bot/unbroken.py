"""Owns waiting for work that must come to its end, however often whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

_log = structlog.get_logger(__name__)

T = TypeVar("T")


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Do it to its end and give its result; a cancellation is raised after that, and what went wrong is logged.

    The work bounds its own time: nothing else does. It runs in a task of its own.
    """
    running = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return running.result()
    if not running.cancelled() and (problem := running.exception()) is not None:
        _log.error("failed_while_cancelled", error=str(problem), exc_info=problem)
    raise cancelled
