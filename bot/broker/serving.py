"""Owns how the broker's doors are served: on sockets that are open already, with few connections at once, and without news of its own."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

CONNECTIONS = 256
_KEPT = 75  # seconds for a connection to be used again; who calls lets go of it sooner
_GRACE = 2.0  # seconds for answers under way at the end


@asynccontextmanager
async def served(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a socket that listens, inside of the block; what is under way at its end has a moment."""
    # uvicorn's own server takes over signals, and adds headers that an answer of somebody else has already.
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=_KEPT,
    )
    config.load()
    state = ServerState()

    def connected() -> H11Protocol:
        return H11Protocol(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    # The keeper's socket outlives us: whoever is started after us serves it under the same path.
    if listening.family != socket.AF_UNIX:
        server: asyncio.Server = await loop.create_server(connected, sock=listening)
    elif sys.version_info >= (3, 13):
        server = await loop.create_unix_server(connected, sock=listening, cleanup_socket=False)
    else:
        server = await loop.create_unix_server(connected, sock=listening)
    try:
        yield
    finally:
        server.close()
        for each in list(state.connections):
            each.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_GRACE)
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


def loopback() -> socket.socket:
    """Listen on a free port of this machine's own address."""
    # With the protocol named asyncio switches off Nagle's algorithm, which costs 40 ms an answer.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.bind(("127.0.0.1", 0))
        made.listen(CONNECTIONS)
    except OSError:
        made.close()
        raise
    return made
