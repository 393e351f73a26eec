"""Owns reading from a registry for a box: GET and HEAD, without a body, a credential or much of an address."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

import h11
import httpx

from bot.gateway import outward
from bot.gateway.exchange import Exchange, RefusedError
from bot.gateway.registries import Registry
from bot.proxies import proxy_for

if TYPE_CHECKING:
    from bot.gateway.egress import EgressProxy

_PATH = 1_500  # characters
_QUERY = 500
_REQUESTS = 1_000  # of a connection
_IDLE = 30.0
_SENT = frozenset(
    (b"accept", b"accept-encoding", b"range", b"if-range", b"if-none-match", b"if-modified-since")
)
_VALUE = 300  # characters of such a header
_KEPT = (
    *("content-type", "content-length", "content-encoding", "content-range", "accept-ranges"),
    *("etag", "last-modified", "cache-control", "age", "date", "vary", "location", "retry-after"),
    *("x-pypi-last-serial", "npm-notice"),
)
_FORBIDDEN = re.compile(
    rb"authorization|proxy-authorization|cookie|upgrade|transfer-encoding|x-.*(key|token).*"
)
_TARGET = re.compile(r"/[\x21-\x7e]*")
_AGENT = "gitwright"


class Fetching:
    """Reads from registries; each has connections of its own, to the addresses that were looked up."""

    def __init__(self, proxy: EgressProxy, trust: ssl.SSLContext) -> None:
        self._proxy = proxy
        self._trust = trust
        self._stack = AsyncExitStack()
        self._clients: dict[Registry, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *about: object) -> None:
        await self._stack.aclose()

    async def serve(self, registry: Registry, exchange: Exchange) -> None:
        """Answer one request after the other of a connection that belongs to this registry alone."""
        for _ in range(_REQUESTS):
            try:
                async with asyncio.timeout(_IDLE):
                    request = await exchange.head()
                await self.answer(registry, exchange, request, request.target.decode("ascii", "replace"))
            except RefusedError as error:
                await exchange.answer(error.status, "text/plain", f"gitwright: {error}\n".encode())
                return
            except TimeoutError:
                return
            if not exchange.again():
                return

    async def answer(self, registry: Registry, exchange: Exchange, request: h11.Request, target: str) -> None:
        """Read what was asked for, and hand it on."""
        headers = _checked(request, target)
        proxy = proxy_for(_base(registry, registry.host))
        # A proxy of the host's looks names up itself; whoever has one may not be able to.
        found = await self._proxy.find(registry.host, registry.port) if proxy is None else (registry.host,)
        await exchange.body(0)
        self._proxy.passed(up=len(target))
        last: httpx.HTTPError | None = None
        for address in found:
            url = httpx.URL(_base(registry, address)).copy_with(raw_path=target.encode("ascii"))
            sent = self._client(registry, proxy).build_request(
                request.method.decode(),
                url,
                headers={**headers, "host": _host(registry), "user-agent": _AGENT},
                extensions={"sni_hostname": registry.host},
            )
            try:
                answer = await self._client(registry, proxy).send(sent, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
                continue
            except httpx.HTTPError as error:
                raise RefusedError(502, f"{registry.host} does not answer") from error
            try:
                await self._hand_on(answer, exchange)
            finally:
                await answer.aclose()
            return
        raise RefusedError(502, f"{registry.host} cannot be reached") from last

    def _client(self, registry: Registry, proxy: str | None) -> httpx.AsyncClient:
        """One for each registry: two that share an address must not share a connection."""
        if registry not in self._clients:
            client = outward.client(proxy, self._trust)
            self._clients[registry] = client
            self._stack.push_async_callback(client.aclose)
        return self._clients[registry]

    async def _hand_on(self, answer: httpx.Response, exchange: Exchange) -> None:
        headers = [(name, answer.headers[name]) for name in _KEPT if name in answer.headers]
        await exchange.send(h11.Response(status_code=answer.status_code, headers=headers))
        size = 0
        with suppress(httpx.HTTPError):  # then its end lacks, and the client knows
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                self._proxy.passed(down=len(chunk))
                if size > self._proxy.caps.down:
                    raise ConnectionAbortedError
                await exchange.send(h11.Data(data=chunk))
            await exchange.send(h11.EndOfMessage())


def _base(registry: Registry, address: str) -> str:
    place = f"[{address}]" if ":" in address else address
    return f"{'http' if registry.plain else 'https'}://{place}:{registry.port}"


def _host(registry: Registry) -> str:
    usual = 80 if registry.plain else 443
    return registry.host if registry.port == usual else f"{registry.host}:{registry.port}"


def _checked(request: h11.Request, target: str) -> Mapping[str, str]:
    """Give the headers that may be sent; RefusedError for all that could bring something to a registry."""
    if request.method not in {b"GET", b"HEAD"}:
        raise RefusedError(405, "registries are only read: GET and HEAD")
    path, _, query = target.partition("?")
    if not _TARGET.fullmatch(target) or len(path) > _PATH or len(query) > _QUERY:
        raise RefusedError(414, "this address is too long, or none")
    headers = {}
    for name, value in request.headers:
        if _FORBIDDEN.fullmatch(name):
            raise RefusedError(403, f"a registry gets no `{name.decode('ascii', 'replace')}`")
        if name == b"content-length" and value != b"0":
            raise RefusedError(403, "a registry gets no body")
        if name in _SENT and len(value) <= _VALUE and value.isascii():
            headers[name.decode()] = value.decode()
    return headers
