"""Who speaks HTTP in a way that two readers could understand differently gets an error, in the words of its own format."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bot.gateway.endpoints import Endpoint
from bot.gateway.limits import Limit, free
from bot.gateway.model import SOCKET, ModelGateway, model_gateway
from bot.gateway.trouble import Trouble, trouble_of
from bot.ports import JsonDict, WireFormat
from tests.agents.scripted_model import serving
from tests.gateway.test_counting import WIRES, client_of, gated, request_of
from tests.support.lines import connected

BODY = json.dumps({"model": "m1", "messages": [{"role": "user", "content": "x"}]})


async def say(
    gateway: ModelGateway, line: str, headers: str = "", body: str = BODY, host: str = "127.0.0.1:4180"
) -> str:
    """Say something word for word and give the whole answer."""
    reader, writer = await connected(gateway.outlet.socket)
    known = f"Host: {host}\r\nAuthorization: Bearer {gateway.token}\r\n"
    writer.write(f"{line}\r\n{known}{headers}\r\n{body}".encode("latin-1"))
    try:
        return (await asyncio.wait_for(reader.read(), 60)).decode("latin-1")
    finally:
        writer.close()


LENGTH = f"Content-Length: {len(BODY)}\r\n"
POST = "POST /chat/completions HTTP/1.1"


async def test_plain_and_chunked_bodies_are_read(tmp_path: Path) -> None:
    async with gated(tmp_path, "chat") as (gateway, _, model):
        assert (await say(gateway, POST, LENGTH)).startswith("HTTP/1.1 200 ")
        chunked = f"{len(BODY):x};ext=1\r\n{BODY}\r\n0\r\n\r\n"
        answer = await say(gateway, POST, "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", chunked)
        assert "HTTP/1.1 200 " in answer
        # What stands behind the first request is nobody's.
        behind = f"{BODY}POST /chat/completions HTTP/1.1\r\n{LENGTH}\r\n{BODY}"
        assert (await say(gateway, POST, LENGTH, behind)).count("HTTP/1.1 ") == 1
    assert len(model.requests) == 3


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (POST, f"{LENGTH}Transfer-Encoding: chunked\r\n", 400),
        (POST, f"{LENGTH}Content-Length: 5\r\n", 400),
        (POST, "Content-Length: +5\r\n", 400),
        (POST, "Transfer-Encoding: gzip, chunked\r\n", 501),
        (POST, "Transfer-Encoding : chunked\r\n", 400),
        (POST, f"{LENGTH}X: a\r\n b: folded\x00\r\n", 400),
        (POST, f"{LENGTH}X: {'x' * 40_000}\r\n", 431),
        (POST, f"{LENGTH}Host: evil.example\r\n", 400),
        (POST, f"{LENGTH}Authorization: Bearer other\r\n", 400),
        ("POST http://127.0.0.1:4180/chat/completions HTTP/1.1", LENGTH, 404),
        ("POST http://evil.example/chat/completions HTTP/1.1", LENGTH, 404),
        ("POST //chat/completions HTTP/1.1", LENGTH, 404),
        ("POST /./chat/completions HTTP/1.1", LENGTH, 404),
        ("POST /x/../chat/completions HTTP/1.1", LENGTH, 404),
        ("POST /%63hat/completions HTTP/1.1", LENGTH, 404),
        ("POST /chat%2fcompletions HTTP/1.1", LENGTH, 404),
        ("POST /chat/completions? HTTP/1.1", LENGTH, 404),
        ("POST /chat/completions?x=1 HTTP/1.1", LENGTH, 404),
        ("POST /chat/completions# HTTP/1.1", LENGTH, 404),
        ("POST /chat/completions/ HTTP/1.1", LENGTH, 404),
        ("post /chat/completions HTTP/1.1", LENGTH, 404),
        ("POST /v1/files HTTP/1.1", LENGTH, 404),
        ("POST /batches HTTP/1.1", LENGTH, 404),
        ("GET /responses/resp_1 HTTP/1.1", "", 404),
        ("CONNECT evil.example:443 HTTP/1.1", "", 404),
        ("OPTIONS * HTTP/1.1", "", 404),
        ("POST /chat/completions HTTP/9.9", LENGTH, 505),
        ("PRI * HTTP/2.0", "", 505),
    ],
)
async def test_nothing_odd_reaches_the_model(tmp_path: Path, line: str, headers: str, status: int) -> None:
    async with gated(tmp_path, "chat") as (gateway, _, model):
        answer = await say(gateway, line, headers, BODY if "Content-Length" in headers else "")
        assert answer.startswith(f"HTTP/1.1 {status} "), answer
        assert "gitwright" in json.loads(answer.partition("\r\n\r\n")[2])["error"]["message"]
        assert model.requests == []
        assert (await say(gateway, POST, LENGTH)).startswith("HTTP/1.1 200 ")  # the way itself is open


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "127.0.0.1:4180@x"]
)
async def test_it_is_found_under_its_own_address_only(tmp_path: Path, host: str) -> None:
    async with gated(tmp_path, "chat") as (gateway, _, model):
        assert (await say(gateway, POST, LENGTH, host=host)).startswith("HTTP/1.1 400 ")
        assert model.requests == []


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with gated(tmp_path, "chat") as (_, client, model):
        answer = await client.post("/chat/completions", content=b" " * (9 << 20))
    assert answer.status_code == 413
    assert model.requests == []


async def test_a_body_of_very_many_values_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    few, many = (BODY[:-1].encode() + b', "stop": [' + b"0," * count + b"0]}" for count in (1_000, 400_000))
    async with gated(tmp_path, "chat") as (_, client, model):
        assert (await client.post("/chat/completions", content=few)).status_code == 200
        assert (await client.post("/chat/completions", content=many)).status_code == 413
    assert len(model.requests) == 1


async def test_while_a_body_comes_in_very_many_parts_others_have_their_turn(tmp_path: Path) -> None:
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with gated(tmp_path, "chat") as (gateway, _, model):
        running = asyncio.create_task(neighbour())
        headers = "Transfer-Encoding: chunked\r\n"
        ended = "".join(f"1\r\n{each}\r\n" for each in f"{BODY:<9000}") + "0\r\n\r\n"
        assert (await say(gateway, POST, headers, ended)).startswith("HTTP/1.1 200 ")
        assert turns > 9_000
        answer = await say(gateway, POST, headers, "1\r\n \r\n" * 20_000)
        assert answer.startswith("HTTP/1.1 413 ")
        running.cancel()
    assert len(model.requests) == 1


async def test_who_sends_large_bodies_in_a_row_that_cannot_be_used_is_read_no_more(tmp_path: Path) -> None:
    async with gated(tmp_path, "chat") as (gateway, client, model):
        large = b"{" + b" " * ((8 << 20) - 1)
        for _ in range(4):
            assert (await client.post("/chat/completions", content=large)).status_code == 400
        # What is paid for makes up for it.
        assert (await say(gateway, POST, LENGTH)).startswith("HTTP/1.1 200 ")
        codes = [(await client.post("/chat/completions", content=large)).status_code for _ in range(9)]
        assert codes == [*[400] * 8, 403]
        assert (await say(gateway, POST, LENGTH)).startswith("HTTP/1.1 403 ")
    assert len(model.requests) == 1


async def test_an_agent_that_asks_for_other_models_again_and_again_goes_on_with_its_own(
    tmp_path: Path,
) -> None:
    other = BODY.replace("m1", "flash")
    async with gated(tmp_path, "chat") as (gateway, client, _):
        codes = [(await client.post("/chat/completions", content=other)).status_code for _ in range(120)]
        assert set(codes) == {403}
        assert (await say(gateway, POST, LENGTH)).startswith("HTTP/1.1 200 ")
        assert gateway.trouble == 0


SHAPES: dict[WireFormat, dict[int, JsonDict]] = {
    "chat": {401: {"type": "authentication_error"}, 402: {"type": "insufficient_quota"}},
    "responses": {401: {"type": "authentication_error"}, 402: {"type": "insufficient_quota"}},
    "anthropic": {401: {"type": "authentication_error"}, 402: {"type": "billing_error"}},
    "gemini": {401: {"status": "UNAUTHENTICATED"}, 402: {"status": "FAILED_PRECONDITION"}},
}


@pytest.mark.parametrize("wire", WIRES)
async def test_errors_have_the_formats_own_shape(tmp_path: Path, wire: WireFormat) -> None:
    async with gated(tmp_path, wire, limit=Limit(0.0001, 0)) as (_, client, __):
        path, body = request_of(wire, stream=False)
        wrong = await client.post(path, json=body, headers={"authorization": "Bearer guessed"})
        await client.post(path, json=body)
        broke = await client.post(path, json=body)
        for answer, status in ((wrong, 401), (broke, 402)):
            assert answer.status_code == status
            error = answer.json()["error"]
            assert error.items() >= SHAPES[wire][status].items()
            assert error["message"].startswith("gitwright: ")
            assert answer.json().get("type") == ("error" if wire == "anthropic" else None)


async def test_only_the_routed_models_are_open_each_with_its_own_endpoint_and_key(tmp_path: Path) -> None:
    script = {"scenarios": [{"when": "", "plain": True, "steps": [{"text": "hi", "usage": [5, 2]}]}]}
    with serving(script) as one, serving(script) as other:
        routes = [
            Endpoint(one.url, "openai:m1", "chat", "sk-one"),
            Endpoint(other.url, "openrouter:m2", "chat", "sk-other"),
        ]
        async with model_gateway(tmp_path, routes, free) as gateway, client_of(gateway) as client:
            for name, status in (
                ("m1", 200),
                ("m2", 200),
                ("openrouter:m2", 200),
                ("m3", 403),
                ("m2:online", 403),
            ):
                answer = await client.post("/chat/completions", json={**json.loads(BODY), "model": name})
                assert answer.status_code == status
            listed = await client.get("/models")
            assert [each["id"] for each in listed.json()["data"]] == ["m1", "m2"]
    assert (one.keys, other.keys) == (["sk-one"], ["sk-other", "sk-other"])
    assert [each["model"] for each in other.requests] == ["m2", "m2"]
    assert {name: used.requests for name, used in gateway.by_model.items()} == {
        "openai:m1": 1,
        "openrouter:m2": 2,
    }


@pytest.mark.parametrize(
    ("status", "header", "trouble"),
    [
        (401, None, Trouble(401, "auth")),
        (403, None, Trouble(403, "auth")),
        (402, None, Trouble(402, "quota")),
        (429, "3", Trouble(429, "quota", 3.0)),
        (429, "0.5", Trouble(429, "quota", 0.5)),
        (429, "Mon, 23 Nov 2026 12:00:30 GMT", Trouble(429, "quota", 30.0)),
        (429, "Mon, 23 Nov 2026 11:00:00 GMT", Trouble(429, "quota", 0.0)),
        (503, "soon", Trouble(503, "down")),
        (529, "nan", Trouble(529, "down")),
        (500, "1e99", Trouble(500, "down", 7 * 24 * 3600.0)),
        (408, None, Trouble(408, "down")),
        (302, None, Trouble(302, "down")),
        (400, None, Trouble(400, "asked")),
    ],
)
def test_a_providers_trouble_is_a_value(status: int, header: str | None, trouble: Trouble) -> None:
    assert trouble_of(status, header, datetime(2026, 11, 23, 12, tzinfo=UTC)) == trouble


async def test_a_redirect_is_not_followed_and_a_key_that_is_said_back_is_hidden(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).lower())
        text = b'{"error": {"message": "Incorrect API key provided: sk-real"}}'
        first = len(asked) == 1
        head = "302 Found\r\nlocation: http://127.0.0.1:9/" if first else "401 Unauthorized"
        writer.write(
            f"HTTP/1.1 {head}\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n".encode() + text
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "openai:m1", "chat", "sk-real")
    async with server, model_gateway(tmp_path, [endpoint], free) as gateway, client_of(gateway) as client:
        redirected = await client.post("/chat/completions", content=BODY)
        assert (redirected.status_code, gateway.trouble) == (502, 302)
        refused = await client.post("/chat/completions", content=BODY)
        assert (refused.status_code, gateway.trouble) == (401, 401)
        assert "sk-real" not in redirected.text + refused.text
    assert [b"authorization: bearer sk-real" in each for each in asked] == [True, True]
    assert gateway.usage.requests == 0


async def test_what_an_agent_sends_beside_its_request_goes_nowhere(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\nconnection: close\r\n\r\n{}"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "anthropic:m1", "anthropic", "sk-real")
    async with server, model_gateway(tmp_path, [endpoint], free) as gateway, client_of(gateway) as client:
        path, body = request_of("anthropic", stream=False)
        headers = {
            "x-api-key": gateway.token,
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "interleaved-thinking-2025-05-14,files-api-2025-04-14,context-1m-2025-08-07,mcp-client-2025-04-04",
            "openai-organization": "org-secret",
            "cookie": "secret",
            "x-forwarded-host": "secret",
            "user-agent": "secret",
        }
        got = await client.post(path, json=body, headers=headers)
    assert got.status_code == 200
    assert "set-cookie" not in got.headers
    (head,) = seen
    assert b"secret" not in head
    assert gateway.token.lower().encode() not in head
    assert b"x-api-key: sk-real" in head
    assert b"anthropic-beta: interleaved-thinking-2025-05-14\r\n" in head


async def test_nothing_is_left_of_a_gateway(tmp_path: Path) -> None:
    async with gated(tmp_path, "chat") as (gateway, client, _):
        assert gateway.outlet.socket == tmp_path / SOCKET
    with pytest.raises((httpx.ConnectError, RuntimeError)):
        await client.get("/models")
    assert list(tmp_path.iterdir()) == []
