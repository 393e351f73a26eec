"""The gateway lets through what one session may ask of one model, adds the key, counts, and ends with its session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bot.core.values import Usage
from bot.gateway.endpoints import Endpoint
from bot.gateway.limits import MORE, Limit, Most, Price, free
from bot.gateway.model import SOCKET, ModelGateway, model_gateway
from bot.ports import JsonDict, WireFormat
from tests.agents.scripted_model import ScriptedModel, serving
from tests.gateway.test_counting import client_of, slow_model
from tests.support.lines import connected

ASKED: JsonDict = {"model": "m1", "messages": [{"role": "user", "content": "hello"}]}


def a_dime(_model: str, used: Usage, _read: int, _written: int) -> tuple[float, bool]:
    """Take a dime for each token of an answer."""
    return used.output_tokens / 10, False


@asynccontextmanager
async def gated(
    folder: Path,
    *steps: JsonDict,
    wire: WireFormat = "chat",
    price: Price | None = None,
    limit: Limit | None = None,
) -> AsyncIterator[tuple[ModelGateway, httpx.AsyncClient, ScriptedModel]]:
    """Lend a gateway to a scripted model, and a client with the session's token."""
    script = {"scenarios": [{"when": "", "plain": True, "steps": list(steps) or [{"text": "hi"}]}]}
    with serving(script) as model:
        endpoint = Endpoint(model.url, "openai:m1", wire, "sk-real")
        async with (
            model_gateway(folder, [endpoint], price or a_dime, limit) as way,
            client_of(way) as client,
        ):
            yield way, client, model


async def test_an_answer_is_given_with_the_real_key_and_counted(tmp_path: Path) -> None:
    async with gated(tmp_path, {"text": "hi", "usage": [7, 3]}) as (way, client, model):
        answer = await client.post("/chat/completions", json=ASKED)
        assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert model.keys == ["sk-real"]
    assert way.usage == Usage(7, 3, 0.3, 1)
    assert not (tmp_path / SOCKET).exists()


async def test_a_stream_comes_as_it_is_made_and_its_usage_is_asked_for(tmp_path: Path) -> None:
    asked: list[JsonDict] = []
    heard = asyncio.Event()
    said = [{"choices": [{"delta": {"content": word}}]} for word in "abc"]
    told = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
    pieces = [*(f"data: {json.dumps(each)}\n\n".encode() for each in (*said, told)), b"data: [DONE]\n\n"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say no piece before the one before it was heard."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        asked.append(json.loads(await reader.readexactly(length)))
        size = sum(map(len, pieces))
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {size}\r\n\r\n".encode()
        )
        for piece in pieces:
            writer.write(piece)
            await heard.wait()
            heard.clear()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    endpoint = Endpoint(url, "openai:m1", "chat", "sk-real")
    async with server, model_gateway(tmp_path, [endpoint], a_dime) as way, client_of(way) as client:
        request = client.build_request("POST", "/chat/completions", json={**ASKED, "stream": True})
        chunks = []
        async for chunk in (await client.send(request, stream=True)).aiter_bytes():
            chunks.append(chunk)
            heard.set()
    assert chunks == pieces
    assert asked[0]["stream_options"] == {"include_usage": True}
    assert (way.usage.input_tokens, way.usage.output_tokens) == (9, 4)


@pytest.mark.parametrize(
    ("method", "path", "changes", "status"),
    [
        ("POST", "/chat/completions", {"headers": {"authorization": "Bearer guessed"}}, 401),
        ("POST", "/chat/completions", {"headers": {"authorization": ""}}, 401),
        ("POST", "/chat/completions", {"json": {**ASKED, "model": "dearer"}}, 403),
        ("POST", "/chat/completions", {"json": [1]}, 400),
        ("POST", "/chat/completions", {"content": b"{"}, 400),
        ("POST", "/embeddings", {}, 404),
        ("POST", "/../admin", {}, 404),
        ("POST", "/chat/completions/../../files", {}, 404),
        ("DELETE", "/models", {}, 404),
        ("GET", "/chat/completions", {}, 404),
    ],
)
async def test_all_else_is_refused_before_it_reaches_the_model(
    tmp_path: Path, method: str, path: str, changes: JsonDict, status: int
) -> None:
    async with gated(tmp_path) as (way, client, model):
        request = client.build_request(
            method, "/x", **({"json": ASKED} | changes if "content" not in changes else changes)
        )
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await client.send(request)
    assert answer.status_code == status
    assert "gitwright" in answer.json()["error"]["message"]
    assert (model.requests, model.keys, way.usage) == ([], [], Usage())


async def test_what_the_provider_answers_is_remembered_and_handed_on(tmp_path: Path) -> None:
    async with gated(tmp_path, {"status": 429, "retry_after": 3}, {"text": "hi"}) as (way, client, _):
        refused = await client.post("/chat/completions", json=ASKED)
        assert (refused.status_code, refused.headers["retry-after"], way.trouble) == (429, "3", 429)
        assert way.usage == Usage()
        await client.post("/chat/completions", json=ASKED)
        assert way.trouble == 0


async def test_a_model_that_cannot_be_reached_is_told_without_its_address(tmp_path: Path) -> None:
    endpoint = Endpoint("http://127.0.0.1:9", "openai:m1", "chat", "sk-real")
    async with (
        model_gateway(tmp_path, [endpoint], free) as way,
        client_of(way) as client,
    ):
        del client.headers["authorization"]
        answer = await client.post("/chat/completions", json=ASKED, headers={"x-api-key": way.token})
    assert (answer.status_code, way.trouble) == (503, 503)
    assert "127.0.0.1" not in answer.text


async def test_rubbish_and_silence_end_with_the_session(tmp_path: Path) -> None:
    async with gated(tmp_path):
        reader, writer = await connected(tmp_path / SOCKET)
        silent, waiting = await connected(tmp_path / SOCKET)
        writer.write(b"\x00\xff not http\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 400 ")
        writer.close()
    assert await asyncio.wait_for(silent.read(), 60) == b""
    waiting.close()


async def test_a_long_folder_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 25)
    folder.mkdir()
    async with model_gateway(folder, [Endpoint("http://127.0.0.1:9", "openai:m1", "chat")], free):
        assert (folder / SOCKET).is_socket()
    assert list(folder.iterdir()) == []


async def calls_until_refused(way: ModelGateway, client: httpx.AsyncClient, most: int = 8) -> int:
    for made in range(most):
        answer = await client.post("/chat/completions", json=ASKED)
        if answer.status_code == 402:
            assert MORE in answer.json()["error"]["message"]
            assert MORE in way.denied
            return made
    return most


async def test_a_model_that_costs_nothing_is_never_refused_for_money(tmp_path: Path) -> None:
    async with gated(tmp_path, {"text": "hi"}, price=free, limit=Limit(0.0, 1_000)) as (way, client, _):
        assert await calls_until_refused(way, client) == 8
    assert way.denied == ""


@pytest.mark.parametrize("limit", [Limit(0.5, 150), Most(3.0, 150).limit(None)])
async def test_a_model_that_costs_nothing_ends_at_ten_times_the_tokens(tmp_path: Path, limit: Limit) -> None:
    step = {"text": "hi", "usage": [400, 100]}
    async with gated(tmp_path, step, price=free, limit=limit) as (way, client, model):
        assert await calls_until_refused(way, client) == 3
        assert len(model.requests) == 3
    assert "used the 1,500 tokens that this run may use of a model that costs nothing" in way.denied


async def test_where_no_tokens_are_left_a_model_that_costs_nothing_is_not_asked(tmp_path: Path) -> None:
    limit = Most(3.0, 150).limit(None, 0)
    async with gated(tmp_path, {"text": "hi"}, price=free, limit=limit) as (way, client, model):
        assert await calls_until_refused(way, client) == 0
        assert model.requests == []


async def test_calls_of_a_model_that_costs_nothing_do_not_wait_for_one_another(tmp_path: Path) -> None:
    limit = Most(3.0, 20_000).limit(None)
    seen: list[bytes] = []
    async with slow_model(seen) as (url, may):
        endpoint = Endpoint(url, "openai:m1", "chat", "sk-real")
        async with model_gateway(tmp_path, [endpoint], free, limit) as way, client_of(way) as client:
            asking = [asyncio.create_task(client.post("/chat/completions", json=ASKED)) for _ in range(4)]
            async with asyncio.timeout(60):
                while len(seen) < 4:
                    await asyncio.sleep(0.01)
            assert not any(each.done() for each in asking)
            may.set()
            assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}


async def test_where_nobody_knows_the_price_tokens_end_a_run_and_no_guessed_dollars(tmp_path: Path) -> None:
    def guess(_model: str, used: Usage, _read: int, _written: int) -> tuple[float, bool]:
        return 99.0, True

    step = {"text": "hi", "usage": [400, 100]}
    async with gated(tmp_path, step, price=guess, limit=Limit(0.01, 1_500)) as (way, client, _):
        assert await calls_until_refused(way, client) == 3
    assert "used the 1,500 tokens" in way.denied
    assert way.usage.usd == 297.0  # what the ledger reckons with


async def test_a_run_ends_at_its_dollars_where_the_price_is_known(tmp_path: Path) -> None:
    step = {"text": "hi", "usage": [400, 10]}
    async with gated(tmp_path, step, limit=Limit(2.5, 10)) as (way, client, _):
        assert await calls_until_refused(way, client) == 3
    assert "used the $2.50" in way.denied


async def test_counting_tokens_costs_nothing(tmp_path: Path) -> None:
    async with gated(tmp_path, {"text": "hi"}, wire="anthropic") as (way, client, _):
        await client.post("/v1/messages/count_tokens", json=ASKED)
    assert way.usage == Usage()


async def test_what_was_asked_and_not_answered_when_the_session_ended_is_reckoned(tmp_path: Path) -> None:
    async with gated(tmp_path, {"text": "hi", "delay": 2}) as (way, client, model):
        asking = asyncio.create_task(client.post("/chat/completions", json=ASKED))
        while not model.requests:
            await asyncio.sleep(0.01)
    await asyncio.gather(asking, return_exceptions=True)
    assert way.usage.requests == 1
    assert way.usage.input_tokens > 0
