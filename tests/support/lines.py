"""Connections to unix sockets in folders of any name, which those of tests are."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.sockets import nearby


async def connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; the path needs no longer be reachable after it."""
    with nearby(path) as name:
        return await asyncio.open_unix_connection(name)
