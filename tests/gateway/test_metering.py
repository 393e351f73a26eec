"""The meter reads from an answer in any wire format what it took, however it is cut; an endpoint says what is to be set."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.values import Usage
from bot.errors import AgentError
from bot.gateway.endpoints import Endpoint, Endpoints
from bot.gateway.metering import Meter, Reading
from bot.gateway.till import Till
from bot.live_secrets import LIVE
from bot.ports import JsonDict

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
    assert meter.reading(whole=True).usage == used


_TOTAL: JsonDict = {"prompt_tokens": 100, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("told", "input_tokens", "cached"),
    [
        ({**_CACHED, "output_tokens": 1}, 107, (100, 2)),
        ({**_TOTAL, "prompt_tokens_details": {"cached_tokens": 90}}, 100, (90, 0)),
        (
            {**_TOTAL, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 5}},
            100,
            (9, 5),
        ),
        # A gateway that says everything twice.
        ({**_TOTAL, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5}, 100, (90, 5)),
        ({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 90}}, 100, (90, 0)),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 90}, 100, (90, 0)),
        ({"prompt_tokens": 100, "prompt_tokens_details": None}, 100, (0, 0)),
    ],
)
def test_what_came_from_a_cache_is_known_and_no_token_counts_twice(
    told: JsonDict, input_tokens: int, cached: tuple[int, int]
) -> None:
    for place in ("usage", "usageMetadata"):
        meter = Meter(4, "application/json")
        meter.feed(json.dumps({place: told}).encode())
        read = meter.reading(whole=True)
        assert (read.usage.input_tokens, read.cached, read.written) == (input_tokens, *cached)


async def test_a_cached_context_costs_what_it_costs() -> None:
    asked: list[tuple[Usage, int, int]] = []

    def price(_model: str, used: Usage, read: int, written: int) -> tuple[float, bool]:
        asked.append((used, read, written))
        return 0.25, False

    meter = Meter(4, "application/json")
    meter.feed(json.dumps({"usage": {**_CACHED, "output_tokens": 1}}).encode())
    till = Till(price)
    till.settle(await till.hold("anthropic:m1", 4, None), meter.reading(whole=True))
    assert asked[-1] == (Usage(107, 1), 100, 2)
    assert till.usage == Usage(107, 1, 0.25, 1)


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=20))
def test_no_answer_breaks_the_count(noise: bytes, sizes: list[int]) -> None:
    for kind in ("text/event-stream", "application/json"):
        meter = Meter(400, kind)
        rest = noise
        for size in sizes:
            meter.feed(rest[:size])
            rest = rest[size:]
        meter.feed(rest)
        assert meter.reading(whole=True).usage.input_tokens >= 0


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.lists(st.integers(1, 30), max_size=30))
def test_a_usage_is_read_however_the_stream_is_cut(asked: int, answered: int, sizes: list[int]) -> None:
    told = {"choices": [], "usage": {"prompt_tokens": asked, "completion_tokens": answered}}
    text = f'data: {{"choices": []}}\n\ndata: {json.dumps(told)}\n\ndata: [DONE]\n\n'.encode()
    meter = Meter(4, "text/event-stream; charset=utf-8")
    for size in sizes:
        meter.feed(text[:size])
        text = text[size:]
    meter.feed(text)
    assert meter.reading(whole=True) == Reading(Usage(asked, answered))


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


def test_the_key_of_a_provider_that_the_settings_do_not_know_is_a_secret_from_then_on() -> None:
    key = f"gsk-{secrets.token_hex(12)}"
    own = Endpoints({"SOMEBODY_API_KEY": key}, "http://localhost:1234/v1")
    assert key not in LIVE()
    for _ in range(2):
        assert own.find("somebody:m", "chat").key == key
    assert key in LIVE()
    LIVE.discard((key,))
    assert key not in LIVE(), "it was taken in once"


def test_what_was_not_heard_to_its_end_is_estimated_and_said_to_be() -> None:
    meter = Meter(400, "text/event-stream")
    meter.feed(
        b'data: {"type": "message_start", "message": {"usage": {"input_tokens": 70, "output_tokens": 1}}}\n\n'
    )
    meter.feed(b'data: {"delta": {"text": "' + b"word " * 40 + b'"}}\n\n')
    assert meter.reading(whole=False) == Reading(Usage(70, 50), estimated=True)
    assert Meter(400, "").reading(whole=False) == Reading(Usage(100, 0), estimated=True)
    silent = Meter(400, "application/json")
    silent.feed(b"{}")
    assert silent.reading(whole=True) == Reading(Usage(100, 0), estimated=True)
