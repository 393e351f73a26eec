"""The gateway's count is the provider's own: in every wire format, whole or streamed, and where nobody waits for the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bot.core.values import Usage
from bot.gateway.endpoints import Endpoint
from bot.gateway.limits import Limit, Patience
from bot.gateway.model import SOCKET, ModelGateway, model_gateway
from bot.ports import JsonDict, WireFormat
from bot.sockets import nearby
from tests.agents.scripted_model import ScriptedModel, serving

WIRES: tuple[WireFormat, ...] = ("chat", "responses", "anthropic", "gemini")
WORDS: JsonDict = {"text": "word " * 12, "usage": [700, 90], "delay": 0.01}


def price(_model: str, used: Usage, _read: int, _written: int) -> tuple[float, bool]:
    return (used.input_tokens + 4 * used.output_tokens) / 1_000_000, False


def request_of(wire: WireFormat, *, stream: bool) -> tuple[str, JsonDict]:
    """Give where and what a client asks."""
    said = [{"role": "user", "content": "hello"}]
    if wire == "chat":
        return "/chat/completions", {"model": "m1", "messages": said, "stream": stream}
    if wire == "responses":
        return "/responses", {"model": "m1", "input": said, "stream": stream}
    if wire == "anthropic":
        return "/v1/messages", {"model": "m1", "max_tokens": 4096, "messages": said, "stream": stream}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/m1:{verb}", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def base_of(model: ScriptedModel, wire: WireFormat) -> str:
    return model.url.removesuffix("/v1") if wire in {"anthropic", "gemini"} else model.url


@asynccontextmanager
async def gated(
    folder: Path,
    wire: WireFormat,
    *steps: JsonDict,
    limit: Limit | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[tuple[ModelGateway, httpx.AsyncClient, ScriptedModel]]:
    script = {"scenarios": [{"when": "", "plain": True, "steps": list(steps) or [WORDS]}]}
    with serving(script) as model:
        endpoint = Endpoint(base_of(model, wire), "openai:m1", wire, "sk-real")
        async with (
            model_gateway(folder, [endpoint], price, limit, patience) as gateway,
            client_of(gateway) as client,
        ):
            yield gateway, client, model


@asynccontextmanager
async def client_of(gateway: ModelGateway) -> AsyncIterator[httpx.AsyncClient]:
    with nearby(gateway.outlet.socket) as path:
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path),
            base_url="http://127.0.0.1:4180",
            headers={"authorization": f"Bearer {gateway.token}"},
            timeout=60,
        ) as client:
            yield client


async def hang_up(client: httpx.AsyncClient, path: str, body: JsonDict) -> None:
    """Ask for a stream and go away after its first piece."""
    answer = await client.send(client.build_request("POST", path, json=body), stream=True)
    assert answer.status_code == 200, await answer.aread()
    await anext(answer.aiter_bytes())
    await answer.aclose()


async def left(model: ScriptedModel) -> None:
    """Wait until the server has noticed, at one of its next words, that nobody hears it any more."""
    async with asyncio.timeout(60):
        while not model.hung_up:
            await asyncio.sleep(0.01)


def same(gateway: ModelGateway, model: ScriptedModel) -> None:
    """The gateway's count and what it costs are the server's."""
    used = gateway.usage
    assert [used.input_tokens, used.output_tokens] == model.usage
    assert used.usd == pytest.approx(price("", Usage(*model.usage), 0, 0)[0])
    assert used.estimated == 0


@pytest.mark.parametrize("wire", WIRES)
async def test_tokens_and_cost_equal_the_servers_cancelled_turns_included(
    tmp_path: Path, wire: WireFormat
) -> None:
    async with gated(tmp_path, wire) as (gateway, client, model):
        whole, streamed = request_of(wire, stream=False), request_of(wire, stream=True)
        assert (await client.post(whole[0], json=whole[1])).status_code == 200
        assert (await client.post(streamed[0], json=streamed[1])).status_code == 200
        for _ in range(3):
            await hang_up(client, *streamed)
        assert (await client.post(whole[0], json=whole[1])).status_code == 200
    same(gateway, model)
    assert gateway.usage.requests == 6
    assert gateway.by_model == {"openai:m1": gateway.usage}
    assert model.hung_up == 0  # it was heard to its end each time
    assert set(model.keys) == {"sk-real"}
    assert not (tmp_path / SOCKET).exists()


@pytest.mark.parametrize("wire", WIRES)
async def test_who_hangs_up_before_the_first_byte_is_counted_too(tmp_path: Path, wire: WireFormat) -> None:
    async with gated(tmp_path, wire, {**WORDS, "delay": 0.3}) as (gateway, client, model):
        path, body = request_of(wire, stream=False)
        asking = asyncio.create_task(client.post(path, json=body))
        async with asyncio.timeout(60):
            while not model.requests:
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    same(gateway, model)
    assert gateway.usage.requests == 1


@pytest.mark.parametrize("patience", [Patience(gone=0.1), Patience(end=0.1), Patience(data=200)])
async def test_only_where_the_bound_is_hit_it_is_estimated_and_said_so(
    tmp_path: Path, patience: Patience
) -> None:
    slow = {"text": "word " * 400, "usage": [700, 900], "delay": 0.05}
    async with gated(tmp_path, "chat", slow, patience=patience) as (gateway, client, model):
        await hang_up(client, *request_of("chat", stream=True))
        if patience.end == Patience().end:
            await left(model)
    used = gateway.usage
    assert (used.requests, used.estimated) == (1, 1)
    assert 0 < used.output_tokens < 900
    await left(model)
    assert (model.usage, model.hung_up) == ([0, 0], 1)


async def test_where_the_process_ends_nobody_waits_for_the_rest_of_an_answer(tmp_path: Path) -> None:
    slow = {"text": "word " * 2_000, "usage": [700, 9_000], "delay": 0.05}
    patience = Patience(closed=0.3, end=3600.0)
    async with gated(tmp_path, "chat", slow, patience=patience) as (gateway, client, _):
        await hang_up(client, *request_of("chat", stream=True))
        patience.closing.set()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 60  # of the 100 that the answer takes
    assert (gateway.usage.requests, gateway.usage.estimated) == (1, 1)


async def test_a_server_that_dies_in_its_answer_is_down_and_estimated(tmp_path: Path) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n")
        writer.write(b'data: {"choices": [{"delta": {"content": "some words of an answer"}}]}\n\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(die, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "openai:m1", "chat", "sk-real")
    async with server, model_gateway(tmp_path, [endpoint], price) as gateway, client_of(gateway) as client:
        path, body = request_of("chat", stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(path, json=body)
        assert gateway.last is not None
        assert (gateway.trouble, gateway.last.kind) == (503, "down")
    assert (gateway.usage.requests, gateway.usage.estimated) == (1, 1)


async def test_an_error_inside_a_stream_is_trouble(tmp_path: Path) -> None:
    async def overloaded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = b'event: error\ndata: {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}\n\n'
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(overloaded, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "anthropic:m1", "anthropic", "sk-real")
    async with server, model_gateway(tmp_path, [endpoint], price) as gateway, client_of(gateway) as client:
        path, body = request_of("anthropic", stream=True)
        assert (await client.post(path, json=body)).status_code == 200
        assert gateway.last is not None
        assert (gateway.trouble, gateway.last.kind) == (429, "quota")


async def test_calls_at_once_cannot_overrun_the_limit_by_more_than_one(tmp_path: Path) -> None:
    step = {"text": "hi", "usage": [1000, 1000], "delay": 0.2}  # $0.005 each
    limit = Limit(0.02, 0)
    async with gated(tmp_path, "chat", step, limit=limit) as (gateway, client, model):
        path, body = request_of("chat", stream=False)
        asked = [client.post(path, json={**body, "max_tokens": 4000}) for _ in range(12)]
        answers = await asyncio.gather(*asked)
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 4
    assert codes.count(402) == 8
    same(gateway, model)
    assert limit.spent == pytest.approx(0.02)
    assert (limit.calls, limit.held) == (0, 0.0)


@asynccontextmanager
async def slow_model(seen: list[bytes]) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Lend the address of a server that takes any number of calls at once, keeps them, and answers none before it may."""
    may = asyncio.Event()
    answer = b'{"usage":{"prompt_tokens":1000,"completion_tokens":1000}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await may.wait()
        writer.write(head % len(answer) + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=100)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", may
    finally:
        may.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("limit", [None, Limit(0.11, 0)])
async def test_what_waits_when_the_session_ends_is_neither_asked_nor_counted(
    tmp_path: Path, limit: Limit | None
) -> None:
    seen: list[bytes] = []
    async with slow_model(seen) as (url, may):
        endpoint = Endpoint(url, "openai:m1", "chat", "sk-real")
        async with model_gateway(tmp_path, [endpoint], price, limit) as gateway, client_of(gateway) as client:
            path, body = request_of("chat", stream=False)
            asking = [asyncio.create_task(client.post(path, json=body)) for _ in range(40)]
            async with asyncio.timeout(60):
                while len(seen) < (16 if limit is None else 1):
                    await asyncio.sleep(0.01)
            for each in asking:  # the box is dead
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            before = len(seen)
            asyncio.get_running_loop().call_later(0.5, may.set)  # while the session ends
        assert len(seen) == before < 40
    assert gateway.usage.requests == before
    assert gateway.usage.input_tokens == 1000 * before
    assert limit is None or (limit.calls, limit.held) == (0, 0.0)


@pytest.mark.parametrize(("limit", "before"), [(Limit(0.1, 0), 1), (None, 16)])
async def test_who_has_gone_away_while_it_waited_is_not_asked_for(
    tmp_path: Path, limit: Limit | None, before: int
) -> None:
    seen: list[bytes] = []
    async with slow_model(seen) as (url, may):
        endpoint = Endpoint(url, "openai:m1", "chat", "sk-real")
        async with model_gateway(tmp_path, [endpoint], price, limit) as gateway, client_of(gateway) as client:
            path, body = request_of("chat", stream=False)
            first = [asyncio.create_task(client.post(path, json=body)) for _ in range(before)]
            async with asyncio.timeout(60):
                while len(seen) < before:
                    await asyncio.sleep(0.01)
            for _ in range(5):  # it tries again, as clients do
                with pytest.raises(httpx.ReadTimeout):
                    await client.post(path, json=body, timeout=httpx.Timeout(60, read=0.1))
            may.set()
            assert {answer.status_code for answer in await asyncio.gather(*first)} == {200}
            assert (await client.post(path, json=body)).status_code == 200  # who is there is asked for
    assert len(seen) == before + 1
    assert gateway.usage.requests == before + 1
    assert limit is None or (limit.calls, limit.held) == (0, 0.0)


async def test_after_an_answer_was_cut_off_the_next_call_does_not_wait_for_its_end(tmp_path: Path) -> None:
    long = {"text": "word " * 2_000, "usage": [700, 9_000], "delay": 0.05}
    patience = Patience(end=0.0)
    async with gated(tmp_path, "chat", long, limit=Limit(3.0, 0), patience=patience) as (_, client, model):
        path, body = request_of("chat", stream=True)
        await hang_up(client, path, body)
        async with asyncio.timeout(60):  # of the 100 that the answer takes
            await hang_up(client, path, body)
        assert model.slow == 2
        assert model.usage == [0, 0]  # both are under way


@pytest.mark.parametrize("wire", ["chat", "responses", "gemini"])
async def test_an_answer_that_nothing_bounds_has_for_itself_what_the_longest_costs(
    tmp_path: Path, wire: WireFormat
) -> None:
    step = {"text": "hi", "usage": [1000, 30_000], "delay": 0.1}  # $0.121 each
    limit = Limit(0.2, 0)
    async with gated(tmp_path, wire, step, limit=limit) as (gateway, client, model):
        path, body = request_of(wire, stream=False)
        answers = await asyncio.gather(*[client.post(path, json=body) for _ in range(12)])
    assert sorted(answer.status_code for answer in answers) == [*[200] * 2, *[402] * 10]
    same(gateway, model)
    assert limit.spent == pytest.approx(2 * 0.121)
    assert (limit.calls, limit.held) == (0, 0.0)


@pytest.mark.parametrize("wire", WIRES)
async def test_an_answer_is_no_longer_than_what_is_left_pays_for(tmp_path: Path, wire: WireFormat) -> None:
    limit = Limit(0.02, 0)  # 5,000 tokens of an answer
    async with gated(tmp_path, wire, {"text": "hi", "usage": [1, 1]}, limit=limit) as (_, client, model):
        path, body = request_of(wire, stream=False)
        many = 1_000_000
        if wire == "gemini":
            body["generationConfig"] = {"maxOutputTokens": many, "temperature": 0}
        elif wire == "responses":
            body["max_output_tokens"] = many
        else:
            body["max_tokens"] = many
        if wire == "anthropic":
            body["thinking"] = {"type": "enabled", "budget_tokens": 50_000}
        await client.post(path, json=body)
    (seen,) = model.requests
    most = {
        "chat": seen.get("max_tokens"),
        "responses": seen.get("max_output_tokens"),
        "anthropic": seen.get("max_tokens"),
        "gemini": seen.get("generationConfig", {}).get("maxOutputTokens"),
    }[wire]
    assert most is not None
    assert 4_000 < most <= 5_000
    if wire == "anthropic":
        assert seen["thinking"]["budget_tokens"] < most
