"""Owns git's way to the forge: three requests of its protocol, each with the token of its handle, and only for what that may."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from bot.broker import pushes
from bot.broker.vault import Held, Pushing, Vault, handle_in

_FETCH, _PUSH = "git-upload-pack", "git-receive-pack"
_BOTH = frozenset({_FETCH, _PUSH})
_LIST = b"command=ls-refs"


class Pusher(httpx.AsyncBaseTransport):
    """Sends git's requests on to the repositories of one forge."""

    def __init__(self, vault: Vault, inner: httpx.AsyncBaseTransport, git_url: str) -> None:
        """Know where repositories are by `git_url`, with {owner} and {repo}."""
        self._vault = vault
        self._inner = inner
        template = re.escape(urlsplit(git_url).path)
        for name in ("owner", "repo"):
            template = template.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>[^/]+)", 1)
        self._place = re.compile(f"{template}/(?P<asks>info/refs|{_FETCH}|{_PUSH})")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; an answer in plain text, or one that git understands, where it is refused."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        place = self._place.fullmatch(path)
        if place is None:
            return said(404, "there is nothing here but repositories")
        asks, method = place["asks"], request.method
        service = parse_qs(query).get("service", [""])[0] if asks == "info/refs" else asks
        if service not in _BOTH or method != ("GET" if asks == "info/refs" else "POST"):
            return said(403, "this is no request that git makes")
        authorization = request.headers.get("authorization")
        held = self._vault.held(handle_in(authorization or ""))
        if held is None:
            return _stranger(authorization)
        token = base64.b64encode(f"x-access-token:{held.secret}".encode()).decode()
        request.headers["authorization"] = f"Basic {token}"
        if service == _PUSH:
            slug = f"{unquote(place['owner'])}/{unquote(place['repo'])}"
            return await self._push(request, held, slug, begins=method == "POST")
        lists_only = held.pushing is not None and method == "POST"
        return await (self._list(request) if lists_only else self._sent(request))

    async def _push(self, request: httpx.Request, held: Held, slug: str, *, begins: bool) -> httpx.Response:
        if held.pushing is None:
            return said(403, "this handle is for fetching; one for a push says where to")
        if held.pushing.slug.casefold() != slug.casefold():
            return said(403, f"this handle is for pushes to {held.pushing.slug}")
        return await self._judged(request, held.pushing) if begins else await self._sent(request)

    async def _judged(self, request: httpx.Request, pushing: Pushing) -> httpx.Response:
        body = _Body(request)
        try:
            refused = pushes.judge(await body.head(), pushing)
        except ValueError as error:
            refused = pushes.Refused(f"the broker does not understand this push: {error}")
        if refused is None:
            request.stream = body
            return await self._sent(request)
        await body.swallow()  # git reads no answer before it has sent everything
        if not refused.ref:
            return said(403, refused.why)
        kind = {"content-type": f"application/x-{_PUSH}-result", "cache-control": "no-cache"}
        return httpx.Response(200, headers=kind, content=refused.told())

    async def _list(self, request: httpx.Request) -> httpx.Response:
        """Let who pushes look where its branch is, and no more."""
        body = _Body(request)
        try:
            lines = await body.head()
        except ValueError:
            lines = []
        if [line.rstrip(b"\n") for line in lines[:1]] != [_LIST]:
            await body.swallow()
            return said(403, "this handle is for pushing; fetching takes another one")
        request.stream = body
        return await self._sent(request)

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Body(httpx.AsyncByteStream):
    """A request's body whose beginning was looked at."""

    def __init__(self, request: httpx.Request) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._plain = request.headers.get("content-encoding", "identity") == "identity"
        self._rest = aiter(request.stream)
        self._seen = b""

    async def head(self) -> list[bytes]:
        """Read up to the first flush, and give the lines before it; ValueError where none comes soon enough."""
        if not self._plain:
            raise ValueError("it is packed")
        while True:
            lines, whole = pushes.begun(self._seen)
            if whole:
                return lines
            if len(self._seen) > pushes.MOST:
                raise ValueError("it begins with too much")
            try:
                self._seen += await anext(self._rest)
            except StopAsyncIteration:
                raise ValueError("it ends too early") from None

    async def swallow(self) -> None:
        """Read what is left, and keep none of it."""
        async for _ in self._rest:
            pass

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._seen
        async for chunk in self._rest:
            yield chunk


def _stranger(authorization: str | None) -> httpx.Response:
    """Refuse who shows no handle that is known."""
    if authorization is None:
        return said(401, "git shows a handle here", {"www-authenticate": 'Basic realm="broker"'})
    # Not 401 again: git would ask a person for a password. What passes is tried again, with another handle.
    return said(503, "the broker does not know this handle: it has ended, or the broker was started again")


def said(status: int, why: str, more: Mapping[str, str] = MappingProxyType({})) -> httpx.Response:
    """Refuse in words that git shows to whoever called it."""
    headers = {"content-type": "text/plain; charset=utf-8", **more}
    return httpx.Response(status, headers=headers, content=f"{why}\n".encode())
