"""Owns how requests travel: one pool, hard time-outs, few at once, writes spaced, repeated only where that is safe."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx
import structlog
from githubkit import BaseAuthStrategy, GitHub
from githubkit.cache import MemCacheStrategy
from githubkit.exception import GitHubException, RequestError, RequestFailed
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from bot.broker.vault import REVOKE
from bot.broker.ways import Ways
from bot.errors import ArchivedError, ForgeError, LimitedError, LockedError, NotFoundError, RetryableError
from bot.forges.github import limits
from bot.forges.github.etags import Etags
from bot.forges.github.hard import HardTransport
from bot.forges.github.quota import ALL, Lane
from bot.ports import Quota

_log = structlog.get_logger(__name__)

TRIES = 4
PATIENCE = 10.0  # seconds; a longer wait parks the job instead of holding its place
MAX_ELAPSED = 300.0  # seconds for a call with its repeats and all that it waits for
BASE, CAP = 0.5, 60.0  # seconds; the bounds of back-off where nobody says how long to wait
_PASSES = frozenset({408, 425, 500, 502, 503, 504})
MAX_PAGES = 100
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_READS = frozenset({"GET", "HEAD"})
_NOT_SPACED = ("/access_tokens", REVOKE, "/graphql")  # who sends a mutation says so


@dataclass(frozen=True, slots=True)
class Access:
    """In whose name a request is sent, and what the broker is told of it; writes of one lane keep a distance."""

    strategy: BaseAuthStrategy
    lane: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """How time passes here: a test has time of its own."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    max_elapsed: float = MAX_ELAPSED


class RenamedError(RetryableError):
    """A write was to be sent on to another place; nothing was written there nor here."""


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
        pool = transport or Ways(base_url, httpx.Limits(max_connections=max(limit, 1)))
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
        # An issue may have moved to another repository: where a write goes then is not for the forge alone to say.
        self._staying = GitHub(config=replace(self._client.config, follow_redirects=False))
        self._version = version
        self._headers = {"X-GitHub-Api-Version": version} if version else {}
        self._etags = Etags()
        self._slots = asyncio.Semaphore(limit)
        self._capped: dict[str, tuple[int, asyncio.Semaphore]] = {}
        self._gap = write_gap
        self._lanes: dict[int, Lane] = {}
        self._now = now
        self._timing = timing

    def now(self) -> datetime:
        """Tell the time by the clock that waits are measured with."""
        return self._now()

    async def pause(self, seconds: float) -> None:
        """Let some seconds go by, as tests measure them too."""
        await self._timing.sleep(seconds)

    def quotas(self) -> tuple[Quota, ...]:
        """Give what is left of the limits, as the last answers said."""
        return tuple(quota for _, lane in sorted(self._lanes.items()) for quota in lane.quotas)

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
        writes: bool | None = None,
        hot: bool = False,
    ) -> httpx.Response:
        """Send a request; what passes is waited for, briefly, and a POST only where it is said to be repeatable.

        `writes` says of GraphQL whether it is a mutation; `hot` reads are kept, and cost nothing while unchanged.
        Raises RetryableError (try later; a POST may have happened: look before repeating), NotFoundError, ForgeError.
        """
        safe = method != "POST" if repeatable is None else repeatable
        lane = self._lane(access)
        spaced = _writes(method, path) if writes is None else writes
        key = Etags.key(access.lane, path, params or {}) if hot and method == "GET" else None

        async def once() -> httpx.Response:
            if spaced and self._gap > 0:
                await lane.turn(self._gap)
            async with AsyncExitStack() as places:
                for slots in self._places(path):
                    await places.enter_async_context(slots)
                if path != REVOKE:  # a token must not outlive its use for the sake of manners
                    lane.check(limits.resource(path), f"{method} {path}")
                known = None if key is None else self._etags.known(key)
                more = {**access.headers, **({} if known is None else known.condition)}
                told = await self._once(method, path, access, json, params, safe, more)
                return told if key is None else self._etags.answer(key, known, told)

        most = self._timing.max_elapsed
        try:
            async with asyncio.timeout(most):
                return await _retrying(self._timing)(once)
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

    def _lane(self, access: Access) -> Lane:
        if access.lane not in self._lanes:
            timing = self._timing
            self._lanes[access.lane] = Lane(
                access.lane, now=self._now, monotonic=timing.monotonic, sleep=timing.sleep
            )
        return self._lanes[access.lane]

    async def _once(
        self,
        method: str,
        path: str,
        access: Access,
        json: object,
        params: Mapping[str, str | int] | None,
        safe: bool,
        more: Mapping[str, str],
    ) -> httpx.Response:
        reads = method in _READS
        client = (self._client if reads else self._staying).with_auth(access.strategy)
        where = f"{method} {path}"
        try:
            answer = await client.arequest(
                method, path, json=json, params=dict(params or {}), headers={**self._headers, **more}
            )
        except RequestFailed as error:
            raise self._refusal(where, error.response.raw_response, safe, access) from error
        except RequestError as error:
            unsent = isinstance(error.exc, _UNSENT)
            if not isinstance(error.exc, httpx.HTTPError):
                raise  # a mistake of ours that githubkit wrapped
            why = str(error.exc) if isinstance(error.exc, httpx.ProxyError) else type(error.exc).__name__
            raise _PassingError(f"{where}: no answer ({why})", None, safe or unsent) from error
        except GitHubException as error:
            raise ForgeError(f"{where}: {error!r}") from error
        self._note(path, answer.raw_response, access)
        if not reads and answer.raw_response.is_redirect:
            raise RenamedError(f"{where}: was sent on to {answer.headers.get('location', 'nowhere')}")
        kind = answer.headers.get("content-type", "")
        is_log = path.endswith("/logs") and kind.startswith("text/plain")  # the one thing that is no JSON
        if answer.content and "json" not in kind and not is_log:
            # Something between us and the forge answered, such as a proxy with a page for people.
            raise _PassingError(f"{where}: the answer is no JSON", None, safe)
        return answer.raw_response

    def _note(self, path: str, answer: httpx.Response, access: Access) -> None:
        """Take over what is left, and ask nothing more after the last call that is allowed."""
        lane = self._lane(access)
        resource = answer.headers.get("x-ratelimit-resource", limits.resource(path))
        lane.heard(resource, answer.headers)
        left = limits.until_reset(answer.headers, self._now().timestamp())
        if left is not None and left > 0:
            lane.silence(resource, left)

    def _refusal(self, where: str, answer: httpx.Response, safe: bool, access: Access) -> Exception:
        status, now = answer.status_code, self._now().timestamp()
        said = f"{where}: {status} {_message(answer)}"
        wait = limits.wait_for(status, answer.headers, answer.text, now)
        if wait is not None:
            return self._limited(said, wait, answer, access)
        if status in _PASSES or status >= 500:
            after = limits.retry_after(answer.headers, now)
            return _PassingError(said, after, safe and (after or 0) <= PATIENCE)
        if status == 400 and self._version and "version" in said.lower():
            setting = f"GITWRIGHT_GITHUB_API_VERSION, now {self._version},"
            return ForgeError(f"{said} Set {setting} to a version that this server knows.", status)
        return _told(status, said)

    def _limited(self, said: str, wait: float, answer: httpx.Response, access: Access) -> LimitedError:
        lane = self._lane(access)
        everything = limits.is_secondary(answer.text) or "retry-after" in answer.headers
        resource = answer.headers.get("x-ratelimit-resource", limits.resource(answer.request.url.path))
        if wait == limits.UNSAID:
            wait = lane.unsaid()
            everything = everything or answer.headers.get("x-ratelimit-remaining") != "0"
        lane.silence(ALL if everything else resource, wait)
        _log.warning("rate_limited", request=said, wait=wait, resource="all" if everything else resource)
        return LimitedError(said, wait)


def _told(status: int, said: str) -> ForgeError:
    """Give the error for what GitHub refuses for good; some refusals are told by their words alone."""
    if status in {404, 410}:
        return NotFoundError(said, status)
    if status == 403 and "was archived" in said:
        return ArchivedError(f"{said} Unarchive the repository, then go on", status)
    return LockedError(said, status) if status == 403 and "is locked" in said else ForgeError(said, status)


def _retrying(timing: Timing) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_here),
        wait=_pause,
        stop=stop_after_attempt(TRIES),
        sleep=timing.sleep,
        reraise=True,
    )


def _here(error: BaseException) -> bool:
    """Tell whether a call may wait for this to pass where it is."""
    if isinstance(error, LimitedError):
        return (error.after or 0.0) <= PATIENCE
    return isinstance(error, _PassingError) and error.here


def _writes(method: str, path: str) -> bool:
    return method not in _READS and not path.endswith(_NOT_SPACED)


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
