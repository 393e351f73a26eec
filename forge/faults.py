"""Owns the forge's fault switches: what goes wrong on purpose, how often, and where."""

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forge.clock import Clock

if TYPE_CHECKING:
    from forge.state import Forge

CallFault = Literal[
    "error_before",
    "error_after",
    "primary_limit",
    "primary_limit_past_reset",
    "secondary_limit_retry_after",
    "secondary_limit_bare",
    "too_many_bare",
    "forbidden_integration",
    "slow",
    "cut",
    "mergeable_null",
    "graphql_limited",
    "lag",
]
DeliveryFault = Literal["duplicate", "delay", "reorder", "lost"]
_GLANCE = 0.02  # seconds between two looks whether a call is still held back
CALL_FAULTS: tuple[str, ...] = get_args(CallFault)
DELIVERY_FAULTS: tuple[str, ...] = get_args(DeliveryFault)


@dataclass(slots=True)
class Fault:
    """One switch: `count` calls or deliveries that match `route` or `event` (regular expressions) go wrong.

    `agent`, one on the User-Agent, says whose calls.
    """

    kind: str
    route: str = ""
    event: str = ""
    agent: str = ""
    count: int = 1
    seconds: float = 1.0
    status: int = 0
    hits: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the switch as its endpoint shows it."""
        shown = asdict(self)
        del shown["seen"]
        return shown


class Faults:
    """The switches that are on, in the order in which they were set."""

    def __init__(self, forge: "Forge") -> None:
        self._clock = forge.clock
        self._on: list[Fault] = []

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return `app` behind these switches."""
        return FaultMiddleware(app, self, self._clock)

    def add(self, fault: Fault) -> None:
        """Switch `fault` on."""
        self._on.append(fault)

    def clear(self) -> None:
        """Switch everything off."""
        self._on.clear()

    async def hold(self, fault: Fault) -> None:
        """Wait as long as `fault` says, or until the switches are cleared, which another thread may do."""
        loop = asyncio.get_running_loop()
        end = loop.time() + fault.seconds
        while (left := end - loop.time()) > 0 and any(each is fault for each in self._on):  # noqa: ASYNC110 - an event is for one thread
            await asyncio.sleep(min(left, _GLANCE))

    def list(self) -> "list[Fault]":
        """Return every switch that was set since the last clear, used up or not."""
        return list(self._on)

    def take(self, call: str, agent: str = "") -> Fault | None:
        """Return the first live switch for `call` ("METHOD /path") by `agent` and use it up once."""
        for fault in self._on:
            if fault.kind not in CALL_FAULTS or fault.kind == "mergeable_null" or fault.hits >= fault.count:
                continue
            if re.search(fault.route, call) and re.search(fault.agent, agent):
                fault.hits += 1
                return fault
        return None

    def hiding(self, call: str, agent: str = "") -> Fault | None:
        """Return the first switch that hides from `agent` whether the pull requests in the answer to `call` merge."""
        if not _TELLS_OF_MERGING.fullmatch(call):
            return None
        for fault in self._on:
            if (
                fault.kind == "mergeable_null"
                and re.search(fault.route, call)
                and re.search(fault.agent, agent)
            ):
                return fault
        return None

    def take_delivery(self, event: str) -> Fault | None:
        """Return the first live switch for a delivery of `event` ("name" or "name.action") and use it up once."""
        for fault in self._on:
            if fault.kind in DELIVERY_FAULTS and fault.hits < fault.count and re.search(fault.event, event):
                fault.hits += 1
                return fault
        return None


class FaultMiddleware:
    """Applies the switches to REST and git calls; pages and test-only routes always work."""

    def __init__(self, app: ASGIApp, faults: Faults, clock: Clock) -> None:
        self._app = app
        self._faults = faults
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, wrongly if a switch says so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        part = scope.get("forge.surface")
        fault = hiding = None
        if part in ("rest", "git"):
            call = f"{scope['method']} {scope['path']}"
            fault = self._faults.take(call, _agent(scope))
            hiding = self._faults.hiding(call, _agent(scope))
        if fault is None and hiding is not None:
            await self._hide_mergeable(hiding, scope, receive, send)
        elif fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "slow":
            await self._faults.hold(fault)
            await self._app(scope, receive, send)
        elif fault.kind == "cut":
            await _served(self._app, scope, receive)
            await _cut(send)
        else:
            if fault.kind == "error_after":
                await _served(self._app, scope, receive)
            await self._refuse(fault, receive, send)

    async def _refuse(self, fault: Fault, receive: Receive, send: Send) -> None:
        status, message, extra = _answer(fault, int(self._clock.now().timestamp()))
        told: dict[str, Any] = {
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": str(status),
        }
        if fault.kind == "graphql_limited":  # comes with status 200
            told = {"errors": [{"type": "RATE_LIMITED", "message": message}]}
        body = json.dumps(told).encode()
        await _drain(receive, fault)
        await _answer_with(send, status, [*extra, ("content-type", "application/json; charset=utf-8")], body)

    async def _hide_mergeable(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        # Without the condition the answer could be 304: the client would keep what it knew.
        headers = [pair for pair in scope["headers"] if pair[0] != b"if-none-match"]
        graphql = scope["path"] == "/graphql"
        if not graphql and not _hides(fault, scope["path"].rpartition("/")[2]):
            await self._app(scope, receive, send)
            return
        start, body = await _served(self._app, {**scope, "headers": headers}, receive)
        kept = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in start["headers"]
            if name not in (b"content-length", b"etag")
        ]
        if start["status"] == 200:
            told = json.loads(body)
            body = json.dumps(_unknown(told, fault) if graphql else _hidden(told, fault)).encode()
        await _answer_with(send, start["status"], kept, body)


def _agent(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")


_TELLS_OF_MERGING = re.compile(r"GET /repos/[^/]+/[^/]+/pulls/\d+|POST /graphql")
_UNKNOWN = {"mergeable": None, "rebaseable": None, "mergeable_state": "unknown"}


def _hides(fault: Fault, number: str) -> bool:
    """Counted per pull request: each one is first asked for while GitHub still computes."""
    return fault.seen.get(number, 0) < fault.count


def _count(fault: Fault, number: str) -> None:
    fault.seen[number] = fault.seen.get(number, 0) + 1
    fault.hits += 1


def _hidden(told: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """A pull request over REST that is not known to merge or not."""
    _count(fault, str(told["number"]))
    return {**told, **_UNKNOWN}


def _unknown(told: Any, fault: Fault) -> Any:
    """A GraphQL answer in which no pull request that is to be hidden is known to merge or not."""
    if isinstance(told, list):
        return [_unknown(each, fault) for each in told]
    if not isinstance(told, dict):
        return told
    within = {key: _unknown(value, fault) for key, value in told.items()}
    number = str(told.get("number"))
    if told.get("mergeable") in ("MERGEABLE", "CONFLICTING") and _hides(fault, number):
        _count(fault, number)
        return {**within, **{key: "UNKNOWN" for key in ("mergeable", "mergeStateStatus") if key in told}}
    return within


def _answer(fault: Fault, now: int) -> tuple[int, str, list[tuple[str, str]]]:
    """Return status, message and headers of a refusal, as GitHub words them."""
    spent = [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-used", "5000")]
    left = [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "4900"), ("x-ratelimit-used", "100")]
    secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    wait = max(1, round(fault.seconds))
    table: dict[str, tuple[int, str, list[tuple[str, str]]]] = {
        "primary_limit": (403, "API rate limit exceeded.", [*spent, ("x-ratelimit-reset", str(now + wait))]),
        "primary_limit_past_reset": (
            403,
            "API rate limit exceeded.",
            [*spent, ("x-ratelimit-reset", str(now - 1))],
        ),
        "secondary_limit_retry_after": (403, secondary, [*left, ("retry-after", str(wait))]),
        "secondary_limit_bare": (403, secondary, left),
        "graphql_limited": (
            200,
            "API rate limit exceeded.",
            [*spent, ("x-ratelimit-resource", "graphql"), ("x-ratelimit-reset", str(now + wait))],
        ),
        "too_many_bare": (429, "Too many requests.", []),
        "forbidden_integration": (403, "Resource not accessible by integration", left),
        # A replica that has not heard of it yet; with status 409 where git's side lags.
        "lag": (404, "Not Found", left),
        "error_before": (502, "Server Error", []),
        "error_after": (502, "Server Error", []),
    }
    status, message, headers = table[fault.kind]
    return fault.status or status, message, headers


async def _served(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Let `app` do its work and return the start and the body of an answer that nobody has seen yet."""
    start: Message = {}
    chunks: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    return start, b"".join(chunks)


async def _cut(send: Send) -> None:
    """Promise more bytes than are sent: the server then closes the connection under the client."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4096")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def _drain(receive: Receive, fault: Fault) -> None:
    """Read the request to its end, so that the client sees the answer and not a broken pipe."""
    if fault.kind == "error_after":
        return
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


async def _answer_with(send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
