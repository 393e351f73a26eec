"""Owns the webhook: a delivery is checked, stored durably, and only then accepted."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Sequence

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from bot.engine.store import Delivery
from bot.errors import BotError
from bot.ports import Clock

_log = structlog.get_logger(__name__)

LIMIT = 25 << 20  # bytes; GitHub sends no larger payload
ROOM = 256 << 20  # bytes; anybody may send a body, only its end tells who signed it
PATIENCE = 10.0  # seconds for a body to arrive; GitHub gives up by then
MAX_ID = 100  # characters of a delivery id; GitHub's are GUIDs
MAX_EVENT = 100
KEPT_HEADERS = (
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
)
_SIGNED = re.compile(r"sha256=[0-9a-f]{64}")
_UNSIGNED = "X-Hub-Signature-256 is missing or does not fit; compare the webhook secrets"


class Refused(Exception):  # noqa: N818 - no error: an answer
    """A request that is not taken, with the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def signature_ok(secrets: Sequence[bytes], body: bytes, header: str) -> bool:
    """Check `X-Hub-Signature-256` in constant time against each secret; several are valid while rotating."""
    given = header.encode("utf-8", "surrogateescape")
    valid = [b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in secrets]
    # No early exit: how long it takes must not tell which secret fitted.
    fitted = [hmac.compare_digest(given, each) for each in valid]
    return any(fitted)


class Webhook:
    """Takes deliveries; 202 means that the delivery will not be lost."""

    def __init__(
        self,
        secrets: Sequence[bytes],
        store: Callable[[Delivery], Awaitable[bool]],
        clock: Clock,
        patience: float = PATIENCE,
        room: int = ROOM,
    ) -> None:
        self._secrets = tuple(secrets)
        self._store = store
        self._clock = clock
        self._patience = patience
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application: the way of a delivery is short."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Answer 202, or say with 400, 401, 408, 413, 415 or 503 why the delivery was not taken."""
        try:
            delivery = await self._checked(request)
        except Refused as refused:
            # A connection on which the rest of a body may come some time is of no use any more.
            ends = {"connection": "close"} if refused.status in {408, 503} else None
            return JSONResponse({"message": refused.reason}, refused.status, ends)
        try:
            new = await self._store(delivery)
        except (BotError, OSError) as error:
            _log.error("delivery_not_stored", delivery=delivery.id, error=str(error))
            return JSONResponse({"message": "the delivery could not be stored; redeliver it later"}, 503)
        return JSONResponse({"message": "accepted" if new else "known already"}, 202)

    async def _checked(self, request: Request) -> Delivery:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise Refused(415, "set the webhook's content type to application/json")
        header = request.headers.get("x-hub-signature-256", "")
        if not _SIGNED.fullmatch(header):  # nothing is kept in memory for whoever cannot have signed it
            raise Refused(401, _UNSIGNED)
        body = await self._body(request)
        if not signature_ok(self._secrets, body, header):
            raise Refused(401, _UNSIGNED)
        event = request.headers.get("x-github-event", "")
        id_ = request.headers.get("x-github-delivery", "")
        if not event or not id_ or len(id_) > MAX_ID or len(event) > MAX_EVENT:
            raise Refused(400, "X-GitHub-Event or X-GitHub-Delivery is missing or too long")
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "the body is no JSON") from error
        if not isinstance(payload, dict):
            raise Refused(400, "the body is no JSON object")
        kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        return Delivery(id=id_, event=event, headers=kept, body=body, received_at=self._clock.now())

    async def _body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                return await self._read(request)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self._patience:g} s") from None
        except ClientDisconnect:  # nobody is there to read it
            raise Refused(400, "the connection ended before the body did") from None

    async def _read(self, request: Request) -> bytes:
        """Read the body up to the limit, whatever its length was said to be, and while there is room for all."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > LIMIT:
            raise Refused(413, "the body is larger than 25 MiB")
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._room -= len(chunk)
                if size > LIMIT:
                    raise Refused(413, "the body is larger than 25 MiB")
                if self._room < 0:
                    raise Refused(503, "too much is arriving at once; redeliver this later")
                chunks.append(chunk)
        finally:
            self._room += size
        return b"".join(chunks)
