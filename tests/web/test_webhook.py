"""The webhook: what is taken, what is refused, and that nothing that arrives makes it fail."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from bot import __version__
from bot.engine.store import Delivery
from bot.errors import RetryableError
from bot.web.app import create_app
from bot.web.dashboard import Overview
from bot.web.webhook import LIMIT, Webhook

OLD, NEW = b"old secret", "nëw secret".encode()
BODY = b'{"action": "labeled"}'


class _Noon:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, 12, tzinfo=UTC)


class _Inbox:
    """Keeps what it is given, once for each id, as the store does; it can be full."""

    def __init__(self) -> None:
        self.kept: dict[str, Delivery] = {}
        self.error: Exception | None = None

    async def add(self, delivery: Delivery) -> bool:
        if self.error is not None:
            raise self.error
        new = delivery.id not in self.kept
        self.kept.setdefault(delivery.id, delivery)
        return new


class _Web:
    """The application as a client over HTTP sees it."""

    def __init__(self, client: httpx.AsyncClient, inbox: _Inbox, health: dict[str, str]) -> None:
        self.client, self.inbox, self.health = client, inbox, health

    async def post(self, body: bytes = BODY, secret: bytes = OLD, **headers: str | bytes | None) -> int:
        """Post a signed delivery; a header given here replaces its usual value, None leaves it out."""
        sent: dict[str, str | bytes | None] = {
            "content-type": "application/json",
            "x-github-event": "issues",
            "x-github-delivery": "d-1",
            "x-hub-signature-256": sign(body, secret),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        given = [(name.encode(), _raw(value)) for name, value in sent.items() if value is not None]
        return (await self.client.post("/webhook", content=body, headers=given)).status_code


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def sign(body: bytes, secret: bytes = OLD, algorithm: str = "sha256") -> str:
    return f"{algorithm}=" + hmac.new(secret, body, getattr(hashlib, algorithm)).hexdigest()


def _client(inbox: _Inbox, health: dict[str, str]) -> httpx.AsyncClient:
    async def ready() -> dict[str, str]:
        return health

    async def look() -> Overview:
        return Overview("strong", "bubblewrap <b>", health, {"sessions": 3, "timers": 0})

    app = create_app(Webhook([OLD, NEW], inbox.add, _Noon()), ready, look)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test")


@pytest.fixture
async def web() -> AsyncIterator[_Web]:
    inbox, health = _Inbox(), {"database": "ok", "forge": "ok"}
    async with _client(inbox, health) as client:
        yield _Web(client, inbox, health)


async def test_a_signed_delivery_is_stored_before_the_answer_and_a_repeated_one_is_accepted_too(
    web: _Web,
) -> None:
    assert [await web.post(), await web.post()] == [202, 202]
    assert web.inbox.kept == {
        "d-1": Delivery(
            id="d-1",
            event="issues",
            headers={"x-github-event": "issues", "x-github-delivery": "d-1"},
            body=BODY,
            received_at=_Noon().now(),
        )
    }


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param(sign(BODY, b"another secret"), id="of another secret"),
        pytest.param(sign(b"{}"), id="of another body"),
        pytest.param(sign(BODY, algorithm="sha1"), id="sha1 in its place"),
        pytest.param(sign(BODY).removeprefix("sha256="), id="without its name"),
        pytest.param(sign(BODY)[:-1], id="cut"),
        pytest.param(sign(BODY).upper(), id="in capitals"),
        pytest.param("sha256=é\U0001f600".encode(), id="not ASCII"),
        pytest.param(b"sha256=\xff\xfe", id="not UTF-8"),
    ],
)
async def test_a_signature_that_does_not_fit_is_refused(web: _Web, signature: str | bytes | None) -> None:
    assert await web.post(x_hub_signature_256=signature) == 401
    assert not web.inbox.kept


async def test_a_sha1_signature_alone_is_not_enough(web: _Web) -> None:
    assert await web.post(x_hub_signature_256=None, x_hub_signature=sign(BODY, algorithm="sha1")) == 401


async def test_while_secrets_are_rotated_both_are_good(web: _Web) -> None:
    assert [await web.post(secret=OLD), await web.post(secret=NEW, x_github_delivery="d-2")] == [202, 202]
    assert len(web.inbox.kept) == 2


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"[]", {}),
        (b'"text"', {}),
        (b"null", {}),
        (b"{", {}),
        (b"\xff\xfe", {}),
        (b"[" * 100_000, {}),
        (b'{"number": ' + b"9" * 5_000 + b"}", {}),
        (BODY, {"x_github_event": None}),
        (BODY, {"x_github_event": ""}),
        (BODY, {"x_github_delivery": None}),
        (BODY, {"x_github_delivery": "d" * 101}),
        (BODY, {"x_github_event": "e" * 101}),
    ],
)
async def test_what_is_no_delivery_is_refused(web: _Web, body: bytes, headers: dict[str, Any]) -> None:
    assert await web.post(body, **headers) == 400
    assert not web.inbox.kept


@pytest.mark.parametrize("media", [None, "", "text/plain", "application/x-www-form-urlencoded", "é"])
async def test_another_content_type_is_refused(web: _Web, media: str | None) -> None:
    assert await web.post(content_type=media) == 415


async def test_a_content_type_with_its_charset_is_fine(web: _Web) -> None:
    assert await web.post(content_type="Application/JSON; charset=utf-8") == 202


async def test_a_body_at_the_limit_is_taken_and_a_larger_one_is_not(web: _Web) -> None:
    body = b'{"a": "' + b"x" * (LIMIT - 9) + b'"}'
    assert len(body) == LIMIT
    assert await web.post(body) == 202
    assert await web.post(body + b" ") == 413


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(web: _Web) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"x" * (1 << 20)

    async def post(**signature: str) -> int:
        answer = await web.client.post(
            "/webhook", content=endless(), headers={"content-type": "application/json", **signature}
        )
        assert "transfer-encoding" in answer.request.headers
        return answer.status_code

    assert await post(**{"x-hub-signature-256": sign(b"")}) == 413
    assert taken == (LIMIT >> 20) + 1
    taken = 0
    assert await post() == 401
    assert taken == 0, "what is not signed at all is not read"


async def test_a_body_that_does_not_come_is_waited_for_no_longer_than_github_would_wait() -> None:
    inbox = _Inbox()
    webhook = Webhook([OLD], inbox.add, _Noon(), patience=0.05)
    went: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        went.append(message)

    async with asyncio.timeout(60):
        await webhook(_signed_scope(), receive, send)
    assert went[0]["status"] == 408
    assert (b"connection", b"close") in went[0]["headers"]
    assert not inbox.kept


async def test_bodies_that_arrive_at_once_have_bounded_room_together() -> None:
    inbox = _Inbox()
    webhook = Webhook([OLD], inbox.add, _Noon(), room=len(BODY) + 10)
    goes_on = asyncio.Event()

    async def post(*parts: bytes, until: asyncio.Event | None = None) -> Message:
        left, went = list(parts), list[Message]()

        async def receive() -> Message:
            if until is not None and len(left) < len(parts):
                await until.wait()
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Message) -> None:
            went.append(message)

        await webhook(_signed_scope(), receive, send)
        return went[0]

    async with asyncio.timeout(60):
        slow = asyncio.create_task(post(b" " * 20, b"", until=goes_on))
        await asyncio.sleep(0)
        refused = await post(BODY)
        goes_on.set()
        assert (await slow)["status"] == 401
        assert (await post(BODY))["status"] == 400, "read again, and only its headers are missing"
    assert refused["status"] == 503
    assert (b"connection", b"close") in refused["headers"]


async def test_a_client_that_goes_away_in_the_middle_is_no_error() -> None:
    inbox = _Inbox()
    parts: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    went: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        went.append(message)

    await Webhook([OLD], inbox.add, _Noon())(_signed_scope(), receive, send)
    assert went[0]["status"] == 400
    assert not inbox.kept


def _signed_scope() -> Scope:
    headers = [(b"content-type", b"application/json"), (b"x-hub-signature-256", sign(BODY).encode())]
    return {"type": "http", "method": "POST", "path": "/webhook", "query_string": b"", "headers": headers}


async def test_what_cannot_be_stored_is_not_accepted(web: _Web) -> None:
    web.inbox.error = RetryableError("the database is locked")
    assert await web.post() == 503
    web.inbox.error = OSError("no space left on device")
    assert await web.post() == 503
    web.inbox.error = None
    assert await web.post() == 202


async def test_health_is_about_the_process_and_readiness_about_what_it_needs(web: _Web) -> None:
    async def ask(path: str) -> tuple[int, object]:
        answer = await web.client.get(path)
        return answer.status_code, answer.json()

    assert await ask("/readyz") == (200, {"database": "ok", "forge": "ok"})
    web.health["forge"] = "no answer"
    assert await ask("/readyz") == (503, {"database": "ok", "forge": "no answer"})
    assert await ask("/healthz") == (200, {"status": "ok", "version": __version__})


_headers = st.binary(max_size=60).map(lambda raw: bytes(b for b in raw if b not in b"\r\n\0"))


@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    signed=st.booleans(),
    headers=st.dictionaries(
        st.sampled_from(["content_type", "x_github_event", "x_github_delivery"]), _headers, max_size=2
    ),
)
async def test_whatever_is_posted_the_webhook_answers_and_never_fails(
    body: bytes, signed: bool, headers: dict[str, bytes]
) -> None:
    inbox = _Inbox()
    async with _client(inbox, {}) as client:
        more: dict[str, Any] = {} if signed else {"x_hub_signature_256": "sha256=0"}
        status = await _Web(client, inbox, {}).post(body, **{**headers, **more})
    assert status in {202, 400, 401, 415}
    assert (status == 202) == bool(inbox.kept)


async def test_the_page_at_the_root_says_how_agents_are_kept_and_what_is_at_work(web: _Web) -> None:
    web.health["forge"] = "no answer <script>"
    answer = await web.client.get("/")
    text = re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", answer.text, flags=re.DOTALL))

    assert answer.status_code == 200
    assert "Gitwright is held up" in text
    assert "Level strong By bubblewrap &lt;b&gt;" in text
    assert "forge no answer &lt;script&gt;" in text
    assert "sessions of agents 3" in text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
