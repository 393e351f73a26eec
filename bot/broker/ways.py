"""Owns the connections to the forge: a pool for each way out, straight or through a proxy."""

from __future__ import annotations

import ssl

import httpx

from bot.errors import UserError
from bot.proxies import proxy_for, shown


class Ways(httpx.AsyncBaseTransport):
    """Sends each request the way that the environment says for its host: a redirect can lead to one with another way."""

    def __init__(self, base_url: str, limits: httpx.Limits, trusted: ssl.SSLContext | None = None) -> None:
        """Refuse with UserError what could never reach the forge."""
        self._limits = limits
        self.trusted = trusted or httpx.create_ssl_context()
        self._pools: dict[str | None, httpx.AsyncHTTPTransport] = {}
        self._pool(proxy_for(base_url))  # now, and in no call: it reads all certificates

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; ProxyError, which names the proxy, where it did not get beyond that."""
        try:
            proxy = proxy_for(str(request.url))
        except UserError as error:
            raise httpx.ProxyError(str(error), request=request) from error
        try:
            return await self._pool(proxy).handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            if proxy is None:
                raise
            said = str(error) or type(error).__name__
            raise httpx.ProxyError(f"the proxy {shown(proxy)}: {said}", request=request) from error

    def _pool(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        if proxy not in self._pools:
            self._pools[proxy] = httpx.AsyncHTTPTransport(
                verify=self.trusted, limits=self._limits, proxy=proxy
            )
        return self._pools[proxy]

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
