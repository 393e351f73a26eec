"""Owns the way from a box without network to the models of its task: the key is added here, and what it costs is counted.

Where an agent goes away in the middle of an answer, the answer is read to its end all the same, in bounds: the provider
bills it, and only its end says how much it was.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import h11
import httpx
import structlog

from bot.core.values import Usage
from bot.gateway import bodies
from bot.gateway.asked import let_through
from bot.gateway.bodies import Ask
from bot.gateway.endpoints import Endpoint
from bot.gateway.exchange import Exchange, RefusedError
from bot.gateway.formats import FORMATS, Format, sent_headers
from bot.gateway.limits import Limit, Patience, Price
from bot.gateway.listening import MODEL_PORT, door
from bot.gateway.metering import Meter
from bot.gateway.outward import clients
from bot.gateway.till import Hold, Till, UsedUpError
from bot.gateway.trouble import Trouble, trouble_named, trouble_of
from bot.live_secrets import LIVE
from bot.ports import Outlet

_log = structlog.get_logger(__name__)

SOCKET = "model.sock"
_ANSWER = 64 << 20  # bytes of an answer
_ERROR = 1 << 16  # bytes of an answer that is an error
_REQUEST_SECONDS = 60.0
_AT_ONCE = 16
_SPOILT = 64 << 20  # bytes of bodies in a row that could not be used, after which no more are read
_BYTES_A_TOKEN = 4
_TOKENS = re.compile(rb"authorization|x-api-key|x-goog-api-key")
_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
_RETURNED = ("content-type", "retry-after")


@dataclass(slots=True)
class ModelGateway:
    """What an agent needs to reach its models, and what was seen of that. Implements bot.ports.ModelAccess."""

    outlet: Outlet
    routes: tuple[Endpoint, ...]  # the task's, the first one first
    till: Till
    patience: Patience = field(default_factory=Patience)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    last: Trouble | None = None  # of the last answer
    alive: float = 0.0  # monotonic time of the last byte of a good answer
    over: bool = False  # nothing is sent any more
    spoilt: int = 0  # bytes of bodies that could not be used, since the last call that was paid for
    counting: set[asyncio.Task[None]] = field(default_factory=set, repr=False)  # calls under way

    @property
    def model(self) -> str:
        """The first model's name as its provider knows it."""
        return self.routes[0].model

    @property
    def usage(self) -> Usage:
        """What has passed until now, cancelled turns included; `estimated` says of how many calls it is a guess."""
        return self.till.usage

    @property
    def by_model(self) -> Mapping[str, Usage]:
        """The same for each `provider:model`."""
        return self.till.by_model

    @property
    def denied(self) -> str:
        """Why a call was refused for its cost; "" while none was."""
        return self.till.denied

    @property
    def trouble(self) -> int:
        """The status of the provider's last answer where it was none of success, else 0."""
        return self.last.status if self.last is not None else 0

    @property
    def after(self) -> float | None:
        """Seconds until the provider takes calls again, by its last answer; None where it did not say."""
        return self.last.after if self.last is not None else None

    def route(self, format_: Format, named: object) -> Endpoint:
        """Give the route that a request names, by the provider's name of the model or by ours."""
        here = [each for each in self.routes if FORMATS[each.format] is format_]
        for each in here:
            if named in (each.model, each.name):
                return each
        names = ", ".join(each.model for each in here)
        raise RefusedError(403, f"only these models are open to this task: {names}")


@asynccontextmanager
async def model_gateway(
    folder: Path,
    routes: Sequence[Endpoint],
    price: Price,
    limit: Limit | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[ModelGateway]:
    """Lend a gateway that listens on a socket in `folder`; at the end nothing of it listens or runs.

    What is still being answered then is read for a while longer, so that `usage` is complete after the block.
    """
    outlet = Outlet(folder / SOCKET, MODEL_PORT)
    gateway = ModelGateway(outlet, tuple(routes), Till(price, limit), patience or Patience())
    async with AsyncExitStack() as stack:
        stack.enter_context(LIVE.lent(gateway.token))
        lent = await stack.enter_async_context(clients(route.base_url for route in routes))

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Call(gateway, lent, Exchange(reader, writer)).run()

        opened = await stack.enter_async_context(door(outlet.socket, handle, at_once=_AT_ONCE))
        try:
            yield gateway
        finally:
            gateway.over = True
            opened.shut()
            if gateway.counting:
                most = gateway.patience
                seconds = most.closed if most.closing.is_set() else most.end
                await asyncio.wait(gateway.counting, timeout=seconds)


class _Call:
    """One request of the agent and its answer; every one has a connection of its own."""

    def __init__(
        self, gateway: ModelGateway, clients: Mapping[str, httpx.AsyncClient], exchange: Exchange
    ) -> None:
        self._gateway = gateway
        self._clients = clients
        self._exchange = exchange
        self._format = FORMATS[gateway.routes[0].format]  # by whose rules errors are told

    async def run(self) -> None:
        with suppress(ConnectionError, h11.LocalProtocolError):
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    ask = await self._asked()
                if ask is not None:
                    await self._pay(ask)
            except RefusedError as error:
                await self._say(error.status, str(error))
            except UsedUpError as error:
                await self._say(402, str(error))
            except TimeoutError:
                await self._say(408, "the request did not come to an end in time")
            except httpx.HTTPError as error:
                self._gateway.last = Trouble(503, "down")
                _log.warning("model_unreachable", error=type(error).__name__)
                await self._say(503, "the model cannot be reached")

    async def _asked(self) -> Ask | None:
        """Let through what the task's own token asks of its models, with the provider's key instead."""
        request = await self._exchange.head()
        target = request.target.decode("ascii", "replace")
        line = f"{request.method.decode()} {target}"
        found = None
        for format_ in {each.format: FORMATS[each.format] for each in self._gateway.routes}.values():
            if found := (format_.ask.fullmatch(line) or format_.count.fullmatch(line)):
                self._format = format_
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        self._known(headers)
        if found is not None:
            return await self._read(headers, found, free=self._format.count.fullmatch(line) is not None)
        if not self._format.list.fullmatch(line):
            raise RefusedError(404, "this is not open to agents")
        names = [each.model for each in self._gateway.routes]
        await self._exchange.answer(200, "application/json", json.dumps(self._format.models(names)).encode())
        return None

    def _known(self, headers: Mapping[str, str]) -> None:
        if not _HOSTS.fullmatch(headers.get("host", "")):
            raise RefusedError(400, "the gateway is found under its address on loopback only")
        given = [value for name, value in headers.items() if _TOKENS.fullmatch(name.encode())]
        token = self._gateway.token.encode()
        if not any(hmac.compare_digest(v.removeprefix("Bearer ").encode("latin-1"), token) for v in given):
            raise RefusedError(401, "the token is not this task's")

    async def _read(self, headers: Mapping[str, str], found: re.Match[str], *, free: bool) -> Ask:
        """Read a body, which costs more than a head, and which nobody pays for where it is refused."""
        if self._gateway.spoilt >= _SPOILT:
            raise RefusedError(403, "too much of what this session asked for could not be used")
        size = bodies.MOST
        try:
            data = await self._exchange.body(bodies.MOST)
            size = len(data)
            return await bodies.apart(self._ask, headers, found, data, free=free)
        except RefusedError:
            self._gateway.spoilt += size
            raise

    def _ask(self, headers: Mapping[str, str], found: re.Match[str], data: bytes, *, free: bool) -> Ask:
        try:
            asked = bodies.parsed(data)
            in_path = found.groupdict().get("model")
            endpoint = self._gateway.route(self._format, asked["model"] if in_path is None else in_path)
            body = let_through(endpoint.format, asked)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RefusedError(400, "the request is no JSON object that names a model") from error
        target = found.string.partition(" ")[2]
        if in_path is None:
            body["model"] = endpoint.model
        return Ask("POST", target, endpoint, sent_headers(headers, endpoint), body, free)

    async def _pay(self, ask: Ask) -> None:
        """Have money held back for a call while it is under way."""
        client = self._clients[ask.endpoint.base_url]
        try:
            outgoing = await ask.built(client)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "the request holds a number that is none") from error
        if ask.free:
            await self._forward(client, outgoing, ask.endpoint, None)
            return
        till, most = self._gateway.till, self._format.most(ask.body)
        hold = await till.hold(ask.endpoint.name, len(outgoing.content) // _BYTES_A_TOKEN, most)
        self._gateway.spoilt = 0
        if hold.answer is not None and hold.answer != most:
            self._format.bound(ask.body, hold.answer, ask.endpoint)
            try:
                outgoing = await ask.built(client)
            except asyncio.CancelledError:
                till.settle(hold, None)
                raise
        task = asyncio.current_task()
        assert task is not None
        self._gateway.counting.add(task)
        try:
            await self._forward(client, outgoing, ask.endpoint, hold)
        finally:
            self._gateway.counting.discard(task)

    async def _forward(
        self, client: httpx.AsyncClient, outgoing: httpx.Request, endpoint: Endpoint, hold: Hold | None
    ) -> None:
        answer: httpx.Response | None = None
        meter = Meter(len(outgoing.content), "")
        begun, billed, whole = False, True, False

        async def noted(event: str, _: object) -> None:
            nonlocal begun
            begun = begun or event.endswith("send_request_headers.started")

        outgoing.extensions["trace"] = noted
        try:
            if self._gateway.over or self._exchange.left:  # it waited for its turn, or for money, until then
                raise RefusedError(503, "the session is over")
            answer = await client.send(outgoing, stream=True)
            meter = Meter(len(outgoing.content), answer.headers.get("content-type", ""))
            if answer.is_success:
                whole = await self._hand_on(answer, meter)
            else:
                await self._hand_on_error(answer, endpoint)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError):
            billed = False
            raise
        finally:
            # What was asked costs, also where nobody waited for the answer.
            billed = begun and billed and (answer is None or answer.is_success)
            if hold is not None:
                self._gateway.till.settle(hold, meter.reading(whole=whole) if billed else None)
            if answer is not None:
                await answer.aclose()

    async def _hand_on(self, answer: httpx.Response, meter: Meter) -> bool:
        """Pass a good answer on as it comes; gives whether it was heard to its end."""
        self._gateway.last = None
        patience, size, unheard = self._gateway.patience, 0, 0
        there = await self._begin(answer)
        try:
            async with asyncio.timeout(None if there else patience.gone) as bound:
                async for chunk in answer.aiter_bytes():
                    meter.feed(chunk)
                    self._gateway.alive = time.monotonic()
                    size += len(chunk)
                    unheard += 0 if there else len(chunk)
                    if size > _ANSWER or unheard > patience.data:
                        return False
                    if there and not await self._sent(h11.Data(data=chunk)):
                        there = False
                        bound.reschedule(asyncio.get_running_loop().time() + patience.gone)
        except (TimeoutError, httpx.HTTPError) as error:
            _log.info("answer_cut_off", error=type(error).__name__)
            if isinstance(error, httpx.HTTPError):
                self._gateway.last = Trouble(503, "down")
            return False
        if meter.failed:
            self._gateway.last = trouble_named(meter.failed)
        if there:
            await self._sent(h11.EndOfMessage())
        return True

    async def _begin(self, answer: httpx.Response) -> bool:
        headers = [(name, answer.headers[name]) for name in _RETURNED if name in answer.headers]
        return await self._sent(
            h11.Response(status_code=answer.status_code, headers=[*headers, ("connection", "close")])
        )

    async def _sent(self, event: h11.Event) -> bool:
        try:
            await self._exchange.send(event)
        except ConnectionError:
            return False
        return True

    async def _hand_on_error(self, answer: httpx.Response, endpoint: Endpoint) -> None:
        """Pass on what the provider says, without the key if it says that, too."""
        retry_after = answer.headers.get("retry-after")
        self._gateway.last = trouble_of(answer.status_code, retry_after, datetime.now(UTC))
        if answer.status_code < 400:
            await self._say(502, "the model's address answers with a redirect, which is not followed")
            return
        text = b""
        async for chunk in answer.aiter_bytes():
            text += chunk
            if len(text) > _ERROR:
                break
        if endpoint.key:
            text = text.replace(endpoint.key.encode(), b"***")
        kind = answer.headers.get("content-type", "application/json")
        headers = (("retry-after", retry_after),) if retry_after else ()
        await self._exchange.answer(answer.status_code, kind, text, headers)

    async def _say(self, status: int, why: str) -> None:
        """Answer by ourselves, in the shape that this format's clients understand."""
        error = self._format.error(status, f"gitwright: {why}")
        await self._exchange.answer(status, "application/json", json.dumps(error).encode())
