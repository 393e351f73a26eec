"""The relay lets through what one session may ask of one model, adds the key, counts, and ends with its session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents.endpoints import Endpoint, Endpoints, WireFormat
from bot.agents.metering import Cached, Meter
from bot.agents.relay import SOCKET, Relay, relay
from bot.agents.supplies import MORE, Limit, Price, free
from bot.core.values import Usage
from bot.errors import AgentError
from bot.ports import JsonDict
from tests.agents.scripted_model import ScriptedModel, serving

ASKED: JsonDict = {"model": "m1", "messages": [{"role": "user", "content": "hello"}]}


def a_dime(_model: str, used: Usage, _read: int, _written: int) -> tuple[float, bool]:
    """Take a dime for each token of an answer."""
    return used.output_tokens / 10, False


@asynccontextmanager
async def relayed(
    folder: Path,
    *steps: JsonDict,
    wire: WireFormat = "chat",
    price: Price | None = None,
    limit: Limit | None = None,
) -> AsyncIterator[tuple[Relay, httpx.AsyncClient, ScriptedModel]]:
    """Lend a relay to a scripted model, and a client with the session's token."""
    script = {"scenarios": [{"when": "", "plain": True, "steps": list(steps) or [{"text": "hi"}]}]}
    with serving(script) as model:
        endpoint = Endpoint(model.url, "openai:m1", wire, "sk-real")
        async with (
            relay(folder, endpoint, price or a_dime, limit) as way,
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(folder / SOCKET)),
                base_url="http://model",
                headers={"authorization": f"Bearer {way.token}"},
                timeout=20,
            ) as client,
        ):
            yield way, client, model


async def test_an_answer_is_given_with_the_real_key_and_counted(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "hi", "usage": [7, 3]}) as (way, client, model):
        answer = await client.post("/chat/completions", json=ASKED)
        assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert model.keys == ["sk-real"]
    assert way.usage == Usage(7, 3, 0.3, 1)
    assert not (tmp_path / SOCKET).exists()


async def test_a_stream_comes_as_it_is_made_and_its_usage_is_asked_for(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "a b c", "usage": [9, 4], "delay": 0.02}) as (way, client, _):
        request = client.build_request("POST", "/chat/completions", json={**ASKED, "stream": True})
        answer = await client.send(request, stream=True)
        chunks = [chunk async for chunk in answer.aiter_bytes()]
    assert len(chunks) > 3
    assert chunks[-1].endswith(b"data: [DONE]\n\n")
    assert (way.usage.input_tokens, way.usage.output_tokens) == (9, 4)


async def test_a_stream_that_is_cut_off_is_reckoned_not_free(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "word " * 100, "delay": 0.02}) as (way, client, model):
        request = client.build_request("POST", "/chat/completions", json={**ASKED, "stream": True})
        answer = await client.send(request, stream=True)
        await anext(answer.aiter_bytes())
        await answer.aclose()
        for _ in range(200):
            if way.usage.requests:
                break
            await asyncio.sleep(0.02)
    assert way.usage.requests == 1
    assert way.usage.input_tokens > 0
    assert model.usage == [0, 0]


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
    async with relayed(tmp_path) as (way, client, model):
        request = client.build_request(
            method, "/x", **({"json": ASKED} | changes if "content" not in changes else changes)
        )
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await client.send(request)
    assert answer.status_code == status
    assert "gitwright" in answer.json()["error"]["message"]
    assert (model.requests, model.keys, way.usage) == ([], [], Usage())


async def test_what_the_provider_answers_is_remembered_and_handed_on(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"status": 429, "retry_after": 3}, {"text": "hi"}) as (way, client, _):
        refused = await client.post("/chat/completions", json=ASKED)
        assert (refused.status_code, refused.headers["retry-after"], way.trouble) == (429, "3", 429)
        assert way.usage == Usage()
        await client.post("/chat/completions", json=ASKED)
        assert way.trouble == 0


async def test_a_model_that_cannot_be_reached_is_told_without_its_address(tmp_path: Path) -> None:
    endpoint = Endpoint("http://127.0.0.1:9", "openai:m1", "chat", "sk-real")
    async with (
        relay(tmp_path, endpoint, free) as way,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(tmp_path / SOCKET))) as client,
    ):
        headers = {"x-api-key": way.token}
        answer = await client.post("http://model/chat/completions", json=ASKED, headers=headers)
    assert (answer.status_code, way.trouble) == (503, 503)
    assert "127.0.0.1" not in answer.text


async def test_rubbish_and_silence_end_with_the_session(tmp_path: Path) -> None:
    async with relayed(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
        _, silent = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
        writer.write(b"\x00\xff not http\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    silent.close()


async def test_a_long_folder_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 25)
    folder.mkdir()
    async with relay(folder, Endpoint("http://127.0.0.1:9", "openai:m1", "chat"), free):
        assert (folder / SOCKET).is_socket()
    assert list(folder.iterdir()) == []


_CACHED = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 100}
_RESPONSES: list[JsonDict] = [
    {"type": "response.created", "response": {"usage": None}},
    {"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 3}}},
]
_ANTHROPIC: list[JsonDict] = [
    {"type": "message_start", "message": {"usage": {**_CACHED, "output_tokens": 1}}},
    {"type": "message_delta", "usage": {"output_tokens": 9}},
]
_GEMINI: list[JsonDict] = [
    {"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}},
    {"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 4}},
]


@pytest.mark.parametrize(
    ("events", "used"),
    [
        (_RESPONSES, Usage(7, 3)),
        (_ANTHROPIC, Usage(107, 9)),
        (_GEMINI, Usage(7, 6)),
        ([{"usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5}}], Usage(7, 3, 0.5)),
        ([{"usage": {"prompt_tokens": 10**400, "cost": float("inf")}}], Usage(10**9, 0)),
    ],
)
def test_every_format_says_what_was_used(events: list[JsonDict], used: Usage) -> None:
    meter = Meter(4, "text/event-stream")
    for event in events:
        meter.feed(f"event: x\ndata: {json.dumps(event)}\n\n".encode())
    assert meter.usage() == used


_TOTAL: JsonDict = {"prompt_tokens": 100, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("told", "input_tokens", "cached"),
    [
        ({**_CACHED, "output_tokens": 1}, 107, Cached(100, 2)),
        ({**_TOTAL, "prompt_tokens_details": {"cached_tokens": 90}}, 100, Cached(90)),
        (
            {**_TOTAL, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 5}},
            100,
            Cached(9, 5),
        ),
        # A gateway that says everything twice.
        ({**_TOTAL, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5}, 100, Cached(90, 5)),
        ({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 90}}, 100, Cached(90)),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 90}, 100, Cached(90)),
        ({"prompt_tokens": 100, "prompt_tokens_details": None}, 100, Cached()),
    ],
)
def test_what_came_from_a_cache_is_known_and_no_token_counts_twice(
    told: JsonDict, input_tokens: int, cached: Cached
) -> None:
    for place in ("usage", "usageMetadata"):
        meter = Meter(4, "application/json")
        meter.feed(json.dumps({place: told}).encode())
        assert (meter.usage().input_tokens, meter.cached) == (input_tokens, cached)


async def test_a_cached_context_costs_what_it_costs(tmp_path: Path) -> None:
    asked: list[tuple[Usage, int, int]] = []

    def price(_model: str, used: Usage, read: int, written: int) -> tuple[float, bool]:
        asked.append((used, read, written))
        return 0.25, False

    meter = Meter(4, "application/json")
    meter.feed(json.dumps({"usage": {**_CACHED, "output_tokens": 1}}).encode())
    way = Relay(Endpoint("http://127.0.0.1:9", "anthropic:m1", "anthropic"), price)
    way.add(meter)
    assert asked == [(Usage(107, 1), 100, 2)]
    assert way.usage == Usage(107, 1, 0.25, 1)


async def calls_until_refused(way: Relay, client: httpx.AsyncClient, most: int = 8) -> int:
    for made in range(most):
        answer = await client.post("/chat/completions", json=ASKED)
        if answer.status_code == 402:
            assert MORE in answer.json()["error"]["message"]
            assert MORE in way.denied
            return made
    return most


async def test_a_model_that_costs_nothing_is_never_refused_for_money(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "hi"}, price=free, limit=Limit(0.0, 0)) as (way, client, _):
        assert await calls_until_refused(way, client) == 8
    assert way.denied == ""


async def test_where_nobody_knows_the_price_tokens_end_a_run_and_no_guessed_dollars(tmp_path: Path) -> None:
    def guess(_model: str, used: Usage, _read: int, _written: int) -> tuple[float, bool]:
        return 99.0, True

    step = {"text": "hi", "usage": [400, 100]}
    async with relayed(tmp_path, step, price=guess, limit=Limit(0.01, 1_500)) as (way, client, _):
        assert await calls_until_refused(way, client) == 3
    assert "used the 1,500 tokens" in way.denied
    assert way.usage.usd == 297.0  # what the ledger reckons with


async def test_a_run_ends_at_its_dollars_where_the_price_is_known(tmp_path: Path) -> None:
    step = {"text": "hi", "usage": [400, 10]}
    async with relayed(tmp_path, step, limit=Limit(2.5, 10)) as (way, client, _):
        assert await calls_until_refused(way, client) == 3
    assert "used the $2.50" in way.denied


async def test_counting_tokens_costs_nothing(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "hi"}, wire="anthropic") as (way, client, _):
        await client.post("/v1/messages/count_tokens", json=ASKED)
    assert way.usage == Usage()


async def test_what_was_asked_and_not_answered_when_the_session_ended_is_reckoned(tmp_path: Path) -> None:
    async with relayed(tmp_path, {"text": "hi", "delay": 2}) as (way, client, model):
        asking = asyncio.create_task(client.post("/chat/completions", json=ASKED))
        while not model.requests:
            await asyncio.sleep(0.01)
    await asyncio.gather(asking, return_exceptions=True)
    assert way.usage.requests == 1
    assert way.usage.input_tokens > 0


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=20))
def test_no_answer_breaks_the_count(noise: bytes, sizes: list[int]) -> None:
    for kind in ("text/event-stream", "application/json"):
        meter = Meter(400, kind)
        rest = noise
        for size in sizes:
            meter.feed(rest[:size])
            rest = rest[size:]
        meter.feed(rest)
        assert meter.usage().input_tokens >= 0


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.lists(st.integers(1, 30), max_size=30))
def test_a_usage_is_read_however_the_stream_is_cut(asked: int, answered: int, sizes: list[int]) -> None:
    told = {"choices": [], "usage": {"prompt_tokens": asked, "completion_tokens": answered}}
    text = f'data: {{"choices": []}}\n\ndata: {json.dumps(told)}\n\ndata: [DONE]\n\n'.encode()
    meter = Meter(4, "text/event-stream; charset=utf-8")
    for size in sizes:
        meter.feed(text[:size])
        text = text[size:]
    meter.feed(text)
    assert meter.usage() == Usage(asked, answered)


def test_an_endpoint_says_what_an_operator_has_to_set() -> None:
    endpoints = Endpoints({"OPENAI_API_KEY": "sk", "GEMINI_API_KEY": "g"})
    found = endpoints.find("openai:gpt-6.1-terra", "chat")
    assert (found.base_url, found.model, found.key) == ("https://api.openai.com/v1", "gpt-6.1-terra", "sk")
    assert "sk" not in repr(found).replace("sk-", "")
    assert endpoints.find("google:gemini-3.8-flash", "gemini").key == "g"
    own = replace(endpoints, base_url="http://localhost:1234/v1/")
    assert own.find("llama:local", "chat") == Endpoint("http://localhost:1234/v1", "llama:local", "chat")
    for model, wire, said in [
        ("gpt", "chat", "names no model"),
        ("anthropic:claude", "anthropic", "set ANTHROPIC_API_KEY"),
        ("anthropic:claude", "gemini", "GITWRIGHT_MODEL_BASE_URL"),
        ("mystery:m", "chat", "GITWRIGHT_MODEL_BASE_URL"),
    ]:
        with pytest.raises(AgentError, match=said) as caught:
            endpoints.find(model, wire)  # type: ignore[arg-type]
        assert caught.value.reason == "auth"
