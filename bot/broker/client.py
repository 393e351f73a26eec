"""Owns the bot's side of the broker's doors: how requests reach it, and what is made of its failures."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import httpx

from bot.broker.door import FAILED
from bot.broker.own import Found
from bot.broker.ways import Ways

_FAILURES: dict[str, type[httpx.RequestError]] = {
    each.__name__: each
    for each in (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.ReadTimeout,
        httpx.ReadError,
        httpx.WriteTimeout,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
    )
}


class Broker(Protocol):
    """Where a forge is asked by who holds no secret: with handles, here and for git."""

    @property
    def mode(self) -> str:
        """Tell how the bot identifies itself: `app` or `token`."""

    def transport(self) -> httpx.AsyncBaseTransport:
        """Give the way for calls of the API, which whoever gets it closes."""

    async def git(self, url: str) -> str:
        """Give the address at which git reaches the repository that the forge has at `url`."""

    async def find(self, data: bytes) -> list[Found]:
        """Find where secrets that it alone knows begin in these bytes; RetryableError where it does not tell."""

    async def trouble(self) -> str:
        """Say why the broker does not answer; empty where it does."""

    async def aclose(self) -> None:
        """End it, and what is under way."""


class Line(httpx.AsyncBaseTransport):
    """Speaks with the broker over its unix socket; raises what kept the broker from reaching the forge as if it were here."""

    def __init__(self, path: str, limits: httpx.Limits) -> None:
        self._pool = httpx.AsyncHTTPTransport(uds=path, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; the broker alone speaks TLS, so in the clear."""
        plain = httpx.Request(
            request.method,
            request.url.copy_with(scheme="http"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        answer = await self._pool.handle_async_request(plain)
        failed = answer.headers.get(FAILED)
        if failed is None:
            return answer
        await answer.aread()
        await answer.aclose()
        raise _FAILURES.get(failed, httpx.ReadError)(answer.text, request=request)

    async def aclose(self) -> None:
        await self._pool.aclose()


class Apart(httpx.AsyncBaseTransport):
    """Sends what is for the forge's API to the broker, and what a redirect leads elsewhere straight there, with no secret."""

    def __init__(self, api_url: str, broker: httpx.AsyncBaseTransport, straight: Ways) -> None:
        self._origin = _origin(httpx.URL(api_url))
        self._broker = broker
        self._straight = straight

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        if _origin(request.url) == self._origin:
            return await self._broker.handle_async_request(request)
        request.headers.pop("authorization", None)
        return await self._straight.handle_async_request(request)

    async def aclose(self) -> None:
        await self._broker.aclose()
        await self._straight.aclose()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def git_at(port: int, url: str) -> str:
    """Give the broker's address for the repository at `url`."""
    return f"http://127.0.0.1:{port}{urlsplit(url).path}"
