"""Owns the time-out of every request: githubkit sets none on the one for a token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import httpx

from bot.forges.github.limits import retry_after


class HardTransport(httpx.AsyncBaseTransport):
    """Puts a time-out on every request, the token's too, and outlives the client that githubkit makes per call."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, timeout: httpx.Timeout, now: Callable[[], datetime]
    ) -> None:
        self._inner = inner
        self._timeout = timeout.as_dict()
        self._now = now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "timeout": self._timeout}
        response = await self._inner.handle_async_request(request)
        if not response.headers.get("retry-after", "0").strip().isdigit():
            # A date, as proxies send it, would crash githubkit.
            seconds = retry_after(response.headers, self._now().timestamp())
            del response.headers["retry-after"]
            if seconds is not None:
                response.headers["retry-after"] = f"{seconds:.0f}"
        return response

    async def aclose(self) -> None:
        """Stay open: the pool is shared."""

    async def really_close(self) -> None:
        """Close the pool."""
        await self._inner.aclose()
