"""The broker as a process: it is told by its standard input what to open the forge with, and ends when that ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import sys
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog

from bot import log, proxies
from bot.broker import hardening
from bot.broker.credential import Credential
from bot.broker.doors import Doors, Place
from bot.broker.own import Own
from bot.broker.serving import served
from bot.broker.ways import Ways
from bot.errors import UserError

_log = structlog.get_logger(__name__)


async def _lifeline() -> asyncio.StreamReader:
    """Give standard input: one line, in which the bot says what to do, and its end, which is the bot's."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def _answer(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _run() -> int:
    lifeline = await _lifeline()
    told: dict[str, Any] = json.loads(await lifeline.readline() or b"{}")
    if not told:
        return 1
    credential, place = Credential(**told["credential"]), Place(**told["place"])
    try:
        doors = Doors(credential, place, lambda: datetime.now(UTC))
    except UserError as error:
        _answer(problem=str(error))
        return 1
    log.set_up(secrets=(*doors.vault.secrets(), *proxies.secrets()), json=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(doors.aclose)
        await _rehearse(doors)
        # Before anybody is served: after a new start calls wait already.
        try:
            lacks = hardening.close()
        except UserError as error:
            _answer(problem=str(error))
            return 1
        if lacks:
            _log.warning("broker_not_closed", lacks=lacks)
        for app, number in ((Own(doors.api, doors.vault), told["api"]), (doors.git, told["git"])):
            await stack.enter_async_context(served(app, socket.socket(fileno=number)))
        _answer(ready=os.getuid())
        await lifeline.read()
    return 0


async def _rehearse(doors: Doors) -> None:
    """Have everything loaded that a call needs: after the drop the interpreter's own files may be out of reach."""
    late = ("anyio._backends._asyncio", "anyio.streams.tls", "encodings.idna", "uvicorn.lifespan.off")
    for name in late:
        importlib.import_module(name)  # others import these as they need them
    await asyncio.to_thread(doors.vault.rehearse)
    ways = Ways("http://127.0.0.1:1", httpx.Limits())
    with suppress(httpx.ConnectError):  # nobody listens there
        await ways.handle_async_request(httpx.Request("GET", "http://localhost:1/"))
    await ways.aclose()


if __name__ == "__main__":
    sys.exit(asyncio.run(_run()))
