"""ETags: every JSON answer to a GET carries one, and a request that names it gets 304 without a body."""

import hashlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Etags:
    """ASGI middleware for REST answers; git and pages pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; holds back the answer to a GET until its body is complete."""
        if scope["type"] != "http" or scope.get("forge.surface") != "rest" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        chunks: list[bytes] = []

        async def held(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                await _send(scope, start, b"".join(chunks), send)

        await self._app(scope, receive, held)


async def _send(scope: Scope, start: Message, body: bytes, send: Send) -> None:
    if start["status"] == 200:
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'.encode()
        start["headers"] = [
            *start["headers"],
            (b"etag", etag),
            (b"cache-control", b"private, max-age=60, s-maxage=60"),
        ]
        known = dict(scope["headers"]).get(b"if-none-match", b"")
        if etag.removeprefix(b"W/") in (tag.strip().removeprefix(b"W/") for tag in known.split(b",")):
            start["status"] = 304
            start["headers"] = [
                pair for pair in start["headers"] if pair[0] not in (b"content-length", b"content-type")
            ]
            body = b""
    await send(start)
    await send({"type": "http.response.body", "body": body})
