"""Owns the exchange of handles for secrets: what the bot sends bears a handle, what leaves for the forge a token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx
import jwt
import structlog

from bot.broker import writes
from bot.broker.credential import Credential
from bot.broker.own import Found
from bot.core.secret_values import Needles

_log = structlog.get_logger(__name__)

APP, PERSON = "app", "person"  # what the bot says instead of a statement of the App, and of a person's token
HANDLE = "gwh_"
PUSHES = (
    "gitwright-pushes"  # header of a request for a token: `owner/name default-branch`, each percent-encoded
)
REVOKE = "/installation/token"
_MINT = re.compile(r"/app/installations/(\d+)/access_tokens")
_STATEMENT = 480.0  # seconds for which a statement of the App is used; it is good for ten minutes
_LENT = timedelta(hours=1)  # for which a handle of a person's token is said to be good
_LIFE = 3900.0  # seconds for which a handle is known: the forge's tokens live for an hour, and it says when one has ended
_MOST_BYTES = 1 << 20  # of an answer that holds a token
_MOST_HANDLES = 20_000


@dataclass(frozen=True, slots=True)
class Pushing:
    """What a handle may push to: the bot's own branches of one repository, and never its default one."""

    slug: str  # owner/name
    default: str


@dataclass(frozen=True, slots=True)
class Held:
    """A token behind a handle."""

    secret: str = field(repr=False)
    installation: int
    pushing: Pushing | None = None  # None: it may fetch, and not push
    since: float = field(default_factory=time.monotonic)  # no clock that may be set wrong: a handle is ours


class Vault(httpx.AsyncBaseTransport):
    """Sends requests for the forge's API on, with the secret that their handle stands for; knows each handle's token."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        credential: Credential,
        api_url: str,
        now: Callable[[], datetime],
    ) -> None:
        """UserError where the credential cannot be used."""
        self._inner = inner
        self._app_id = credential.app_id
        self._secret = credential.opened()
        self._base = httpx.URL(api_url).path.rstrip("/")
        self._graphql = f"{self._base.removesuffix('/v3')}/graphql"
        self._now = now
        self._statement = ("", float("-inf"))
        self._held: dict[str, Held] = {}
        self._salt = secrets.token_bytes(16)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it with what its handle stands for.

        401, as the forge would say it, for a handle that stands for nothing; 403 for what the bot never asks for.
        """
        # A copy: who asks goes on from its own request, where a redirect is followed, and learns no secret from it.
        request = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        said = request.headers.get("authorization")
        pushing = _pushing(request.headers.pop(PUSHES, None))
        if said is None:
            return await self._inner.handle_async_request(request)
        name = handle_in(said)
        if name == (APP if self._app_id else PERSON):
            return await self._as_itself(request, pushing)
        held = self.held(name)
        if held is None:
            return _unknown()
        if request.method == "DELETE" and self._path(request) == REVOKE:
            return await self._end(request, name, held)
        return await self._judged(request, held.secret)

    async def _as_itself(self, request: httpx.Request, pushing: Pushing | None) -> httpx.Response:
        """Ask as the App or the person; what asks for a token gets a handle."""
        mint = _MINT.fullmatch(self._path(request)) if request.method == "POST" else None
        if mint is None and request.method not in {"GET", "HEAD"} and self._app_id is not None:
            # The App changes nothing but this; and an answer to another spelling would hold the token itself.
            return _refused(f"the broker asks only for tokens as the App: {_MINT.pattern}")
        if self._app_id is None:
            return self._lent(pushing) if mint else await self._judged(request, self._secret)
        answer = await self._sent(request, f"Bearer {self._signed()}")
        return await self._kept(answer, int(mint[1]), pushing) if mint else answer

    async def _judged(self, request: httpx.Request, token: str) -> httpx.Response:
        """Send what the bot may do with a token: reads, and the writes of bot/broker/writes.py."""
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        graphql = path == self._graphql
        below = "/graphql" if graphql else path.removeprefix(self._base)
        why = await writes.refusal(request, below, graphql=graphql)
        if not why:
            return await self._sent(request, f"token {token}")
        _log.warning("write_refused", method=request.method, path=below, why=why)
        return _refused(f"the broker refuses {request.method} {below}: {why}")

    async def _sent(self, request: httpx.Request, authorization: str) -> httpx.Response:
        request.headers["authorization"] = authorization
        return await self._inner.handle_async_request(request)

    def _path(self, request: httpx.Request) -> str:
        return request.url.path.removeprefix(self._base)

    def held(self, handle: str) -> Held | None:
        """Give what a handle stands for; None where it never did, or does not any more."""
        found = self._held.get(handle)
        return found if found is not None and _alive(found) else None

    def secrets(self) -> tuple[str, ...]:
        """List what must never be shown, as it is now."""
        statement = self._statement[0].rpartition(".")[2]  # its signature; the rest of it is no secret
        kept = list(self._held.values())  # at once: the loop changes it while a thread looks for them
        held = sorted({each.secret for each in kept} - {self._secret})
        return (self._secret, *filter(None, [statement]), *held)

    def find(self, data: bytes) -> list[Found]:
        """Find where any of these begins, however it is written, each under a name that says nothing of it."""
        found = []
        for ways, at in Needles(self.secrets()).find(data):
            name = hashlib.sha256(self._salt + b"\0".join(ways)).hexdigest()[:16]
            found.append((name, at))
        return found

    def rehearse(self) -> None:
        """Do once what a call of the App needs."""
        self.find(b"")
        if self._app_id is not None:
            self._signed()

    def _signed(self) -> str:
        """Give a statement that the App itself asks, dated back a little: clocks differ."""
        statement, made = self._statement
        if time.monotonic() - made > _STATEMENT:
            at = int(time.time()) - 60
            claims = {"iss": self._app_id, "iat": at, "exp": at + 600}
            statement = jwt.encode(claims, self._secret, algorithm="RS256")
            self._statement = (statement, time.monotonic())
        return statement

    async def _kept(
        self, answer: httpx.Response, installation: int, pushing: Pushing | None
    ) -> httpx.Response:
        """Keep the token of an answer, and give the answer with a handle in its place."""
        if answer.status_code != 201:
            return answer
        told: Any = json.loads(await _whole(answer))
        told["token"] = self._keep(Held(str(told["token"]), installation, pushing))
        headers = [
            (key, value)
            for key, value in answer.headers.multi_items()
            if key not in {"content-length", "content-encoding", "transfer-encoding"}
        ]
        return httpx.Response(
            201, headers=headers, content=json.dumps(told).encode(), extensions=answer.extensions
        )

    def _lent(self, pushing: Pushing | None) -> httpx.Response:
        """Give a handle of the person's token: the forge mints none in a person's name."""
        ends = (self._now() + _LENT).strftime("%Y-%m-%dT%H:%M:%SZ")
        handle = self._keep(Held(self._secret, 0, pushing))
        return httpx.Response(201, json={"token": handle, "expires_at": ends})

    def _keep(self, held: Held) -> str:
        alive = {handle: each for handle, each in self._held.items() if _alive(each)}
        handle = HANDLE + secrets.token_urlsafe(24)
        self._held = dict([*alive.items(), (handle, held)][-_MOST_HANDLES:])
        return handle

    async def _end(self, request: httpx.Request, handle: str, held: Held) -> httpx.Response:
        if not self._app_id:  # a person's token is theirs to revoke
            self._held.pop(handle, None)
            return httpx.Response(204)
        answer = await self._sent(request, f"token {held.secret}")
        if answer.status_code in {204, 401, 404}:  # the last two mean that it has ended already
            self._held.pop(handle, None)
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def handle_in(authorization: str) -> str:
    """Read the handle in an Authorization header, as the API and git send it; empty where there is none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() in {"token", "bearer"}:
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _alive(held: Held) -> bool:
    return time.monotonic() - held.since < _LIFE


def _pushing(said: str | None) -> Pushing | None:
    slug, _, default = (said or "").partition(" ")
    return Pushing(unquote(slug), unquote(default)) if slug and default else None


async def _whole(answer: httpx.Response) -> bytes:
    """Read an answer that holds a token; what is as long as none is cut off, and then no JSON."""
    found = b""
    try:
        async for chunk in answer.aiter_bytes():
            found += chunk
            if len(found) > _MOST_BYTES:
                break
    finally:
        await answer.aclose()
    return found


def _refused(why: str) -> httpx.Response:
    return httpx.Response(403, json={"message": why})


def _unknown() -> httpx.Response:
    return httpx.Response(
        401,
        json={
            "message": "Bad credentials",
            "documentation_url": "https://docs.github.com/rest",
            "status": "401",
        },
    )
