"""Owns the broker's doors: HTTP that comes in becomes a request for one origin, streamed both ways, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

import httpx
import structlog
from starlette.types import Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

FAILED = (
    "gitwright-broker"  # header of an answer that is not the forge's: what kept the broker from asking it
)
ALIVE = "/_broker/alive"  # at the API's door: whether somebody is behind it
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade expect".split()
)
_Header = tuple[bytes, bytes]


class Door:
    """An ASGI application that hands requests to a transport, addressed to one origin."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        origin: str,
        timeout: httpx.Timeout,
        opens: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Send to `origin` (an address of which scheme, host and port count) what `opens` says of its path may pass."""
        self._transport = transport
        self._origin = httpx.URL(origin)
        self._timeout = timeout.as_dict()
        self._opens = opens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whoever goes away meanwhile is not waited for."""
        if scope["type"] != "http":
            return
        body = _Body(receive, scope["headers"])
        answering = asyncio.create_task(self._answer(scope, body, send))
        leaving = asyncio.create_task(body.left())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            answering.cancel() if not answering.done() else None
            with suppress(asyncio.CancelledError):
                await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled() and (error := answering.exception()) is not None:
            raise error

    async def _answer(self, scope: Scope, body: _Body, send: Send) -> None:
        answer = await self._asked(scope, body)
        headers = _kept(answer.headers.raw, {b"transfer-encoding"})
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        try:
            async for chunk in answer.stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            await answer.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _asked(self, scope: Scope, body: _Body) -> httpx.Response:
        raw, query = scope["raw_path"], scope["query_string"]
        if not self._opens(raw.decode("latin-1")):
            return httpx.Response(404, json={"message": "Not Found: the broker leads to the API alone"})
        url = self._origin.copy_with(raw_path=raw + (b"?" + query if query else b""))
        headers = [(b"host", url.netloc), *_kept(scope["headers"], {b"host"})]
        request = httpx.Request(
            scope["method"], url, headers=headers, stream=body, extensions={"timeout": self._timeout}
        )
        try:
            return await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            kind, text = type(error).__name__, str(error)
            _log.info("forge_not_reached", method=scope["method"], error=kind)
            return httpx.Response(502, headers={FAILED: kind}, text=text or kind)


def _kept(headers: Iterable[_Header], without: set[bytes]) -> list[_Header]:
    """Drop what is between two neighbours only."""
    return [(name, value) for name, value in headers if name.lower() not in _HOP | without]


class _Body(httpx.AsyncByteStream):
    """What a caller sends, as it comes."""

    def __init__(self, receive: Receive, headers: Iterable[_Header]) -> None:
        self._receive = receive
        self._whole = asyncio.Event()
        names = dict(headers)
        if names.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in names:
            self._whole.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._whole.is_set():
            message: Message = await self._receive()
            if message["type"] != "http.request":
                raise httpx.ReadError("who asked has gone")
            if not message.get("more_body", False):
                self._whole.set()
            if message.get("body"):
                yield message["body"]

    async def left(self) -> None:
        """Wait until who asked is gone; it can be seen only once its body has been read."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
