"""Owns how requests travel: one pool, hard time-outs, few at once, writes spaced, repeated only where that is safe."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import structlog
from githubkit import BaseAuthStrategy, GitHub
from githubkit.cache import MemCacheStrategy
from githubkit.exception import GitHubException, RequestError, RequestFailed
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from bot.errors import ForgeError, NotFoundError, RetryableError
from bot.forges.github.limits import covers_all, retry_after, until_reset, wait_for

_log = structlog.get_logger(__name__)

TRIES = 4
PATIENCE = 10.0  # seconds; a longer wait parks the job instead of holding its place
MAX_ELAPSED = 300.0  # seconds for a call with its repeats and all that it waits for
BASE, CAP = 0.5, 60.0  # seconds; the bounds of back-off where nobody says how long to wait
_PASSES = frozenset({408, 425, 500, 502, 503, 504})
MAX_PAGES = 100
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_REVOKE = "/installation/token"
_NOT_SPACED = ("/access_tokens", _REVOKE)


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


@dataclass(frozen=True, slots=True)
class Access:
    """In whose name a request is sent; writes of one lane keep a distance."""

    strategy: BaseAuthStrategy
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """How time passes here: a test has time of its own."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    max_elapsed: float = MAX_ELAPSED


class _PassingError(RetryableError):
    """A failure that passes; `here` tells whether this call may wait for it."""

    def __init__(self, message: str, after: float | None, here: bool) -> None:
        super().__init__(message, after)
        self.here = here


class Api:
    """Sends requests to one forge; answers are JSON, failures are our errors."""

    def __init__(
        self,
        base_url: str,
        *,
        version: str,
        limit: int,
        write_gap: float,
        now: Callable[[], datetime],
        timeout: float = 20.0,
        timing: Timing = Timing(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base = base_url
        pool = transport or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=max(limit, 1)))
        hard = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        self._transport = HardTransport(pool, hard, now)
        self._client = GitHub(
            base_url=base_url + "/",
            user_agent="gitwright",
            async_transport=self._transport,
            http_cache=False,
            # Of its own: by default all clients of a process share one, and Apps of two hosts may have the same id.
            cache_strategy=MemCacheStrategy(),
            auto_retry=False,
            timeout=timeout,
        )
        self._headers = {"X-GitHub-Api-Version": version} if version else {}
        self._slots = asyncio.Semaphore(limit)
        self._capped: dict[str, tuple[int, asyncio.Semaphore]] = {}
        self._gap = write_gap
        self._lanes: dict[int, _Lane] = {}
        self._now = now
        self._timing = timing

    def now(self) -> datetime:
        """Tell the time by the clock that waits are measured with."""
        return self._now()

    def cap(self, prefix: str, limit: int) -> None:
        """Let at most so many calls to paths that begin so travel at once, beside the limit for all."""
        if self._capped.get(prefix, (0, None))[0] != limit:
            self._capped[prefix] = (limit, asyncio.Semaphore(limit))

    async def send(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        repeatable: bool | None = None,
    ) -> httpx.Response:
        """Send a request; what passes is waited for, briefly, and a POST only where it is said to be repeatable.

        Raises RetryableError (try later; a POST may have happened: look before repeating), NotFoundError, ForgeError.
        """
        safe = method != "POST" if repeatable is None else repeatable
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, _PassingError) and error.here),
            wait=_pause,
            stop=stop_after_attempt(TRIES),
            sleep=self._timing.sleep,
            reraise=True,
        )
        lane = self._lanes.setdefault(access.lane, _Lane(self._timing))

        async def once() -> httpx.Response:
            await self._space(method, path, lane)
            async with AsyncExitStack() as places:
                for slots in self._places(path):
                    await places.enter_async_context(slots)
                if path != _REVOKE:  # a token must not outlive its use for the sake of manners
                    lane.check(f"{method} {path}")
                return await self._once(method, path, access, json, params, safe)

        most = self._timing.max_elapsed
        try:
            async with asyncio.timeout(most):
                return await retrying(once)
        except TimeoutError as error:
            raise RetryableError(f"{method} {path}: no answer within {most:g} s") from error

    def _places(self, path: str) -> list[asyncio.Semaphore]:
        """Give what a call has to get a place in: that of its repository first, so that nobody waits with a place of all."""
        prefix = "/".join(path.split("/")[:4])
        capped = self._capped.get(prefix)
        return [capped[1], self._slots] if capped else [self._slots]

    async def pages(
        self,
        path: str,
        access: Access,
        *,
        params: Mapping[str, str | int] | None = None,
        key: str | None = None,
        most: int = MAX_PAGES,
    ) -> AsyncGenerator[Any, None]:
        """Give the items of every page, 100 at a time; `key` names the list where it is wrapped."""
        query: dict[str, str | int] = {"per_page": 100, **(params or {})}
        for _ in range(most):
            answer = await self.send("GET", path, access, params=query)
            data = answer.json()
            for item in data[key] if key else data:
                yield item
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            # Only the query is taken over: the token must not follow a link to another host.
            query = dict(httpx.URL(following).params)
        raise ForgeError(f"{path} has more than {most} pages")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.really_close()

    async def _space(self, method: str, path: str, lane: _Lane) -> None:
        if self._gap <= 0 or method in {"GET", "HEAD"} or path.endswith(_NOT_SPACED):
            return
        await lane.turn(self._gap)

    async def _once(
        self,
        method: str,
        path: str,
        access: Access,
        json: object,
        params: Mapping[str, str | int] | None,
        safe: bool,
    ) -> httpx.Response:
        client = self._client.with_auth(access.strategy)
        where = f"{method} {path}"
        try:
            answer = await client.arequest(
                method, path, json=json, params=dict(params or {}), headers=self._headers
            )
        except RequestFailed as error:
            raise self._refusal(where, error.response.raw_response, safe, access.lane) from error
        except RequestError as error:
            unsent = isinstance(error.exc, _UNSENT)
            if not isinstance(error.exc, httpx.HTTPError):
                raise  # a mistake of ours that githubkit wrapped
            raise _PassingError(
                f"{where}: no answer ({type(error.exc).__name__})", None, safe or unsent
            ) from error
        except GitHubException as error:
            raise ForgeError(f"{where}: {error!r}") from error
        left = until_reset(answer.headers, self._now().timestamp())
        if left is not None and left > 0 and covers_all(answer.headers):
            self._lanes[access.lane].silence(left)
        if answer.raw_response.history and method not in {"GET", "HEAD"}:
            # The redirect may have turned the write into a read; the caller reads the new name and repeats.
            raise RetryableError(f"{where}: was redirected, the repository was probably renamed")
        if answer.content and "json" not in answer.headers.get("content-type", ""):
            # Something between us and the forge answered, such as a proxy with a page for people.
            raise _PassingError(f"{where}: the answer is no JSON", None, safe)
        return answer.raw_response

    def _refusal(self, where: str, answer: httpx.Response, safe: bool, lane: int) -> Exception:
        status, now = answer.status_code, self._now().timestamp()
        said = f"{where}: {status} {_message(answer)}"
        wait = wait_for(status, answer.headers, answer.text, now)
        if wait is not None:
            _log.warning("rate_limited", request=where, status=status, wait=wait)
            if covers_all(answer.headers):
                self._lanes[lane].silence(wait)
            return _PassingError(said, wait, wait <= PATIENCE)
        if status in _PASSES or status >= 500:
            after = retry_after(answer.headers, now)
            return _PassingError(said, after, safe and (after or 0) <= PATIENCE)
        if status in {404, 410}:
            return NotFoundError(said)
        return ForgeError(said, status)


class _Lane:
    """Keeps the distance between the writes of one installation, and its silence after a rate limit."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._lock = asyncio.Lock()
        self._free_at = 0.0
        self._silent_until = 0.0

    async def turn(self, gap: float) -> None:
        async with self._lock:
            now = self._timing.monotonic()
            if self._free_at > now:
                await self._timing.sleep(self._free_at - now)
            self._free_at = max(now, self._free_at) + gap

    def silence(self, seconds: float) -> None:
        """Let nothing travel for so long: who goes on asking while limited is shut out."""
        self._silent_until = max(self._silent_until, self._timing.monotonic() + seconds)

    def check(self, where: str) -> None:
        """Raise what says how long to wait where another call was limited."""
        left = self._silent_until - self._timing.monotonic()
        if left > 0:
            raise _PassingError(f"{where}: the forge asked for a pause", left, left <= PATIENCE)


def _pause(state: RetryCallState) -> float:
    """Wait as long as was asked for and a little more, or back off with full jitter, so that nobody comes in step."""
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, RetryableError) else None
    if after is None:
        return random.uniform(0, min(CAP, BASE * 2.0**state.attempt_number))  # noqa: S311 - no secret
    return after * random.uniform(1, 1.1)  # noqa: S311 - no secret


def _message(answer: httpx.Response) -> str:
    """Say what GitHub says: its message, and what is wrong with which field."""
    try:
        data = answer.json()
    except ValueError:
        return answer.text[:200]
    if not isinstance(data, dict):
        return str(data)[:200]
    details = []
    for error in data.get("errors") or ():
        if isinstance(error, dict):
            details.append(error.get("message") or f"{error.get('field')} {error.get('code')}")
        else:
            details.append(str(error))
    return "; ".join([str(data.get("message", "")), *map(str, details)])[:500]
