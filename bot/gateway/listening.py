"""Owns how a way out of a box listens: a unix socket that only the box's user may use, its tasks, their end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot import process
from bot.sockets import nearby

# The ports of a box's own loopback under which the ways out are found inside.
MODEL_PORT = 4180
EGRESS_PORT = 4181
CHUNK = 1 << 16

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Door:
    """An open socket; `shut` lets nobody in any more, while those inside go on."""

    path: Path
    server: asyncio.Server
    running: set[asyncio.Task[None]] = field(default_factory=set)
    open: bool = True

    def shut(self) -> None:
        self.open = False
        self.server.close()
        self.path.unlink(missing_ok=True)


@asynccontextmanager
async def door(path: Path, handle: Handle, *, at_once: int, waiting: int = 64) -> AsyncIterator[Door]:
    """Listen at `path` and handle each connection, `at_once` of them, with more waiting; the rest are hung up on.

    At the end nothing of it listens or runs.
    """
    running: set[asyncio.Task[None]] = set()
    slots = asyncio.Semaphore(at_once)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        # From a connection to this task the loop takes some rounds, in which the end may have come.
        if not opened.open or len(running) >= at_once + waiting:
            writer.close()
            return
        running.add(task)
        try:
            # The task is this connection's own, and asyncio would log its being cancelled as an error.
            with suppress(asyncio.CancelledError):
                async with slots:
                    if opened.open:
                        await handle(reader, writer)
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(accept, sock=listen(path), limit=CHUNK)
    opened = Door(path, server, running)
    try:
        yield opened
    finally:
        opened.shut()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def listen(path: Path) -> socket.socket:
    """Bind a socket for those of this user, and for the sandbox's own."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with nearby(path) as name:
            listener.bind(name)
        path.chmod(0o600)
        if (owner := process.sandbox_uid()) is not None:
            os.chown(path, owner, owner)
    except OSError:
        listener.close()
        raise
    return listener
