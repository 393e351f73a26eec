"""Owns the bridge from ports of loopback to the unix sockets that lead out of a box.

For the back end without walls; in a box it is what a process beside process 1 does, so it uses Python's own library only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

CHUNK = 1 << 16
CONNECTIONS = 128  # at once, for each port; more wait in the listener's queue
CONNECT = 30.0  # seconds
LINGER = 10.0  # seconds for what is still sent to a side that has said its last


class Carrier:
    """Joins every connection of a listener with one to a unix socket, until it is closed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._slots = asyncio.Semaphore(CONNECTIONS)
        # Nobody else holds on to a connection whose client has said its last: it would be collected as garbage.
        self._held: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def begin(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(self._take, sock=listener, limit=CHUNK)

    async def close(self) -> None:
        """Take no more, and break off those that it carries."""
        if self._server is not None:
            self._server.close()
        for task in self._held:
            task.cancel()
        if self._held:
            await asyncio.wait(self._held)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._slots:
                with suppress(OSError):
                    await _join(reader, writer, self._path)
        except asyncio.CancelledError:
            writer.transport.abort()  # what it has not taken yet would be waited for
            raise
        finally:
            writer.close()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    out_reader, out_writer = await asyncio.open_unix_connection(sock=await _connected(path), limit=CHUNK)
    pumps = [asyncio.create_task(_pump(reader, out_writer)), asyncio.create_task(_pump(out_reader, writer))]
    try:
        # Who asks may say its last and still listen, as long as the answer takes; the other way it is a matter of seconds.
        await pumps[1]
        await asyncio.wait({pumps[0]}, timeout=LINGER)
    except asyncio.CancelledError:
        out_writer.transport.abort()
        raise
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        out_writer.close()


async def _connected(path: str) -> socket.socket:
    """Connect; a socket whose queue is full says so at once, and asyncio would take that for a connection."""
    link = socket.socket(socket.AF_UNIX)
    link.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT):
            while True:
                with suppress(BlockingIOError):
                    link.connect(path)
                    return link
                await asyncio.sleep(0.01)
    except BaseException:
        link.close()
        raise


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, and hand the end on."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()


def main(outlets: Sequence[tuple[socket.socket, str]]) -> None:
    """Serve these listeners, each with the path that it leads to, for ever."""
    asyncio.run(_serve(outlets))


async def _serve(outlets: Sequence[tuple[socket.socket, str]]) -> None:
    for listener, path in outlets:
        await Carrier(path).begin(listener)
    await asyncio.Event().wait()
