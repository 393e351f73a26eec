"""Owns what is asked of the broker itself: whether it is alive, and whether any of its secrets stands in some bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.broker.door import ALIVE
from bot.errors import RetryableError

FIND = "/_broker/find"  # at the API's door: where secrets of the broker's begin in the body
PART = 1 << 20  # bytes of a question
OVERLAP = 64 << 10  # bytes that two questions share: no secret is written in more
_PAUSES = (0.2, 1.0, 3.0, 10.0)  # seconds before it is asked again; meanwhile it may be started again
_TIME = httpx.Timeout(30.0, connect=5.0)

Found = tuple[
    str, int
]  # a name without meaning, the same for each time that the secret is found; and where it begins


class Knows(Protocol):
    """Who has the secrets."""

    def find(self, data: bytes) -> list[Found]:
        """Find where one begins, however it is written."""


class Own:
    """Answers these, and lets others pass to `app`."""

    def __init__(self, app: ASGIApp, knows: Knows) -> None:
        self._app = app
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path == ALIVE:
            return await JSONResponse({"pid": os.getpid(), "uid": os.getuid()})(scope, receive, send)
        if path == FIND and scope["method"] == "POST":
            return await (await self._find(Request(scope, receive)))(scope, receive, send)
        return await self._app(scope, receive, send)

    async def _find(self, request: Request) -> Response:
        seen = b""
        try:
            async for chunk in request.stream():
                seen += chunk
                if len(seen) > PART + OVERLAP:
                    return Response("too much at once", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse(await asyncio.to_thread(self._knows.find, seen))


async def find(data: bytes, ask: Callable[[bytes], Awaitable[list[Found]]]) -> list[Found]:
    """Ask for data of any length in parts that overlap."""
    found: set[Found] = set()
    for start in range(0, max(len(data), 1), PART):
        part = data[start : start + PART + OVERLAP]
        found |= {(name, start + at) for name, at in await ask(part)}
    return sorted(found)


async def asked(path: str, data: bytes, pauses: tuple[float, ...] = _PAUSES) -> list[Found]:
    """Ask the broker at a socket; RetryableError where it does not tell, for then nobody can."""
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=path), base_url="http://broker", timeout=_TIME
    ) as client:

        async def once(part: bytes) -> list[Found]:
            answer = await client.post(FIND, content=part)
            answer.raise_for_status()
            return [(str(name), int(at)) for name, at in answer.json()]

        async def until_told(part: bytes) -> list[Found]:
            for pause in pauses:
                with suppress(httpx.HTTPError, ValueError):
                    return await once(part)
                await asyncio.sleep(pause)
            try:
                return await once(part)
            except (httpx.HTTPError, ValueError) as error:
                said = f"the broker does not say whether its secrets are in a change: {error!r}"
                raise RetryableError(said) from error

        return await find(data, until_told)
