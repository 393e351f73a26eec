"""Owns the way from a box without network to its one model: the key is added here, and what it costs is counted."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h11
import httpx
import structlog

from bot import process
from bot.agents.endpoints import Endpoint, WireFormat
from bot.agents.metering import Meter
from bot.agents.supplies import MORE, Limit, Price
from bot.core.values import Usage
from bot.ports import JsonDict

_log = structlog.get_logger(__name__)

SOCKET = "model.sock"
_BODY = 32 << 20  # bytes of a request
_ANSWER = 64 << 20  # bytes of an answer
_REQUEST_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(60.0, connect=20.0, read=600.0)
_AT_ONCE = 16
_CHUNK = 1 << 16
_TOKEN_HEADERS = (b"authorization", b"x-api-key", b"x-goog-api-key")
_SENT = re.compile(rb"content-type|accept|anthropic-(version|beta)")
_RETURNED = ("content-type", "retry-after")
_MUCH = Usage(1_000_000, 1_000_000)  # has a cost wherever something has one


@dataclass(frozen=True, slots=True)
class _Format:
    """What of a provider's API an agent may reach, and how a key is shown there."""

    paths: re.Pattern[str]
    key: Callable[[str], tuple[str, str]]
    checks_model: bool = True  # else the path names it


def _bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


FORMATS: Mapping[WireFormat, _Format] = {
    "chat": _Format(re.compile(r"POST /chat/completions|GET /models"), _bearer),
    "responses": _Format(re.compile(r"POST /responses|GET /models"), _bearer),
    "anthropic": _Format(
        re.compile(r"POST /v1/messages(/count_tokens)?(\?beta=true)?|GET /v1/models"),
        lambda key: ("x-api-key", key),
    ),
    "gemini": _Format(
        re.compile(r"POST /v1beta/models/[\w.-]+:(stream)?[gG]enerateContent(\?alt=sse)?"),
        lambda key: ("x-goog-api-key", key),
        checks_model=False,
    ),
}


@dataclass(slots=True)
class Relay:
    """What an agent needs to reach its model, and what was seen of that."""

    endpoint: Endpoint
    price: Price
    limit: Limit | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    usage: Usage = field(default_factory=Usage)
    trouble: int = 0  # the status of the last answer, where it was none of success
    alive: float = 0.0  # monotonic time of the last byte of a good answer
    denied: str = ""  # why a call was refused for its cost

    def add(self, meter: Meter) -> None:
        """Count one answer of the model, whole or cut off."""
        used, cached = meter.usage(), meter.cached
        usd, guessed = used.usd, False
        if not usd:
            usd, guessed = self.price(self.endpoint.name, used, cached.read, cached.written)
        self.usage += Usage(used.input_tokens, used.output_tokens, usd, 1)
        if self.limit is not None and guessed:  # a cached token weighs as little as it usually costs
            self.limit.unpriced += (
                used.input_tokens - min(cached.read, used.input_tokens) * 9 // 10 + used.output_tokens
            )
        elif self.limit is not None:
            self.limit.spent += usd

    def used_up(self) -> str:
        """Say what of the limit is used up, if anything."""
        most = self.limit
        if most is None:
            return ""
        usd, guessed = self.price(self.endpoint.name, _MUCH, 0, 0)
        if guessed and most.unpriced >= most.tokens:
            return f"it has used the {most.tokens:,} tokens that this run may use of a model without a list price"
        if usd and most.spent >= most.usd and (most.spent or not guessed):
            return f"it has used the ${most.usd:.2f} that this run may cost"
        return ""


@asynccontextmanager
async def relay(
    folder: Path, endpoint: Endpoint, price: Price, limit: Limit | None = None
) -> AsyncIterator[Relay]:
    """Lend a relay that listens on a socket in `folder`; at the end nothing of it listens or runs."""
    open_relay = Relay(endpoint, price, limit)
    running: set[asyncio.Task[None]] = set()
    # Not through a proxy's variables alone: a redirect would lead the key elsewhere, so none is followed.
    async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)
            try:
                async with slots:
                    await _Exchange(open_relay, client, reader, writer).run()
            finally:
                running.discard(task)
                writer.close()

        server = await asyncio.start_unix_server(accept, sock=_listen(folder / SOCKET), limit=_CHUNK)
        try:
            yield open_relay
        finally:
            server.close()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            (folder / SOCKET).unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    """Bind through a short link, since a socket's path may have about a hundred bytes only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with tempfile.TemporaryDirectory(prefix="gitwright-") as short:
            link = Path(short) / "l"
            link.symlink_to(path.parent)
            listener.bind(str(link / path.name))
        path.chmod(0o600)
        if (owner := process.sandbox_uid()) is not None:
            os.chown(path, owner, owner)
    except OSError:
        listener.close()
        raise
    return listener


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Exchange:
    """One request of the agent and its answer; every exchange has a connection of its own."""

    def __init__(
        self,
        relay: Relay,
        client: httpx.AsyncClient,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._relay = relay
        self._client = client
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        with suppress(ConnectionError, h11.RemoteProtocolError, h11.LocalProtocolError):
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    request, body = await self._request()
                    outgoing = self._checked(request, body)
                await self._forward(outgoing)
            except _RefusedError as error:
                await self._say(error.status, str(error))
            except TimeoutError:
                await self._say(408, "the request did not come to an end in time")
            except httpx.HTTPError as error:
                self._relay.trouble = 503
                _log.warning("model_unreachable", error=type(error).__name__)
                await self._say(503, "the model cannot be reached")

    async def _request(self) -> tuple[h11.Request, bytes]:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._reader.read(_CHUNK))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _BODY:
                    raise _RefusedError(413, "the request is too large")
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                raise ConnectionResetError

    def _checked(self, request: h11.Request, body: bytes) -> httpx.Request:
        """Let through what the task's own token asks of the one model, with the provider's key instead."""
        given = {name: value for name, value in request.headers if name in _TOKEN_HEADERS}
        tokens = [value.removeprefix(b"Bearer ") for value in given.values()]
        if not any(hmac.compare_digest(token, self._relay.token.encode()) for token in tokens):
            raise _RefusedError(401, "the token is not this task's")
        endpoint, target = self._relay.endpoint, request.target.decode("ascii", "replace")
        rules = FORMATS[endpoint.format]
        if not rules.paths.fullmatch(f"{request.method.decode()} {target}"):
            raise _RefusedError(404, "this is not open to agents")
        headers = {
            n.decode(): v.decode("latin-1") for n, v in request.headers if _SENT.fullmatch(n) and v.isascii()
        }
        if endpoint.key:
            name, value = rules.key(endpoint.key)
            headers[name] = value
        headers["accept-encoding"] = "identity"  # the meter reads along
        if request.method == b"POST":
            body = self._body(body, rules)
            self._paid()
        url = f"{endpoint.base_url}{target}"
        return self._client.build_request(request.method.decode(), url, headers=headers, content=body)

    def _body(self, body: bytes, rules: _Format) -> bytes:
        try:
            asked: JsonDict = json.loads(body)
            model = asked["model"] if rules.checks_model else self._relay.endpoint.model
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise _RefusedError(400, "the request is no JSON object that names a model") from error
        if model != self._relay.endpoint.model:
            raise _RefusedError(403, f"only the model {self._relay.endpoint.model} is open to this task")
        if self._relay.endpoint.format == "chat" and asked.get("stream"):
            asked["stream_options"] = {"include_usage": True}
            return json.dumps(asked).encode()
        return body

    def _paid(self) -> None:
        if used_up := self._relay.used_up():
            self._relay.denied = f"{used_up}. {MORE}"
            raise _RefusedError(402, self._relay.denied)

    async def _forward(self, outgoing: httpx.Request) -> None:
        free = outgoing.method != "POST" or outgoing.url.path.endswith("/count_tokens")
        answer: httpx.Response | None = None
        meter = Meter(len(outgoing.content), "")
        try:
            answer = await self._client.send(outgoing, stream=True)
            meter = Meter(len(outgoing.content), answer.headers.get("content-type", ""))
            await self._hand_on(answer, meter)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            free = True
            raise
        finally:
            # What was asked costs, also where nobody waited for the answer.
            if not free and (answer is None or answer.is_success):
                self._relay.add(meter)
            if answer is not None:
                await answer.aclose()

    async def _hand_on(self, answer: httpx.Response, meter: Meter) -> None:
        self._relay.trouble = 0 if answer.is_success else answer.status_code
        headers = [(name, answer.headers[name]) for name in _RETURNED if name in answer.headers]
        await self._send(
            h11.Response(status_code=answer.status_code, headers=[*headers, ("connection", "close")])
        )
        size = 0
        async for chunk in answer.aiter_raw():
            meter.feed(chunk)
            if answer.is_success:
                self._relay.alive = time.monotonic()
            size += len(chunk)
            if size > _ANSWER:
                return
            await self._send(h11.Data(data=chunk))
        await self._send(h11.EndOfMessage())

    async def _say(self, status: int, why: str) -> None:
        """Answer by ourselves, in the shape that every client understands."""
        if self._http.our_state is not h11.IDLE and self._http.our_state is not h11.SEND_RESPONSE:
            return
        text = json.dumps(
            {"error": {"message": f"gitwright: {why}", "type": "gateway_error", "code": status}}
        )
        headers = [("content-type", "application/json"), ("connection", "close")]
        await self._send(h11.Response(status_code=status, headers=headers))
        await self._send(h11.Data(data=text.encode()))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()
