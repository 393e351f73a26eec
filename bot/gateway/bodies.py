"""Owns bodies of requests as JSON: bounded before they are parsed, handled off the loop, one at a time in the process.

A box sends what it likes, as often as it likes. Python's parser holds the interpreter while it works, so what is parsed
must be done soon: some 0.1 s for a body of the most marks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import httpx

from bot.gateway.endpoints import Endpoint
from bot.gateway.exchange import RefusedError
from bot.ports import JsonDict

P = ParamSpec("P")
T = TypeVar("T")

MOST = 8 << 20  # bytes of a body
_MARKS = 300_000  # of them that may begin or part values; a conversation of a million tokens has fewer
_ONE = ThreadPoolExecutor(1, "bodies")


async def apart(work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Do what takes long with a body in the one thread for that."""
    return await asyncio.get_running_loop().run_in_executor(_ONE, lambda: work(*args, **more))


def parsed(data: bytes) -> JsonDict:
    """Parse a body; RefusedError where it has too many parts, ValueError or RecursionError where it is no JSON."""
    if sum(map(data.count, (b"[", b"{", b","))) > _MARKS:
        raise RefusedError(413, "the request has too many parts")
    found: JsonDict = json.loads(data)
    return found


def written(body: JsonDict) -> bytes:
    """Give a body as it is sent; ValueError where a number in it is none."""
    return json.dumps(body, allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Ask:
    """What is sent for a request of an agent."""

    method: str
    target: str
    endpoint: Endpoint
    headers: dict[str, str]
    body: JsonDict
    free: bool

    async def built(self, client: httpx.AsyncClient) -> httpx.Request:
        data = await apart(written, self.body)
        url = f"{self.endpoint.base_url}{self.target}"
        return client.build_request(self.method, url, headers=self.headers, content=data)
