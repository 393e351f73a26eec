"""Owns the connections from the host outwards: whom they trust, by which proxy they go, that a redirect leads nowhere."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from urllib.parse import unquote, urlsplit

import httpx

from bot.proxies import proxy_for

_TIMEOUT = httpx.Timeout(60.0, connect=20.0, read=600.0)
_CONNECT_SECONDS = 20.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[str, int, Sequence[str], str | None], Awaitable[Streams]]


def client(proxy: str | None, trust: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Give a client that goes through this proxy, or straight, and follows no redirect: that would lead a key elsewhere."""
    transport = httpx.AsyncHTTPTransport(verify=trust or roots(), proxy=proxy)
    return httpx.AsyncClient(transport=transport, timeout=_TIMEOUT, follow_redirects=False)


@asynccontextmanager
async def clients(urls: Iterable[str]) -> AsyncIterator[Mapping[str, httpx.AsyncClient]]:
    """Lend a client for each address; those that go through the same proxy share one."""
    proxies = {url: proxy_for(url) for url in urls}
    async with AsyncExitStack() as stack:
        ways = {each: await stack.enter_async_context(client(each)) for each in set(proxies.values())}
        yield {url: ways[proxy] for url, proxy in proxies.items()}


@cache
def roots() -> ssl.SSLContext:
    """Give the host's authorities; reading all of them takes a while."""
    return httpx.create_ssl_context()


async def connect(host: str, port: int, addresses: Sequence[str], proxy: str | None) -> Streams:
    """Connect to the first of a host's addresses that answers, or to one of them through a proxy; OSError."""
    last: OSError = ConnectionRefusedError(f"{host} has no address")
    for address in addresses:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if proxy is None:
                    return await asyncio.open_connection(address, port)
                return await _by(proxy, address, port)
        except (OSError, asyncio.IncompleteReadError) as error:
            last = error if isinstance(error, OSError) else ConnectionResetError(str(error))
    raise last


async def _by(proxy: str, address: str, port: int) -> Streams:
    """Have a proxy connect, to an address: it must not look up the name once more."""
    parts = urlsplit(proxy)
    secure = roots() if parts.scheme == "https" else None
    default = 443 if secure else 80
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or default, ssl=secure)
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if parts.username is not None:
        given = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(given.encode()).decode()}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        writer.close()
        raise ConnectionResetError("the proxy does not answer") from error
    if answer[:5] != b"HTTP/" or answer[9:12] != b"200":
        writer.close()
        raise ConnectionRefusedError("the proxy refuses")
    return reader, writer
