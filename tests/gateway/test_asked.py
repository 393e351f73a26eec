"""What an agent may ask its model for: the answer, and nothing else that a provider sells or opens, in any format."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway.asked import let_through
from bot.gateway.exchange import RefusedError
from bot.ports import JsonDict, WireFormat
from tests.gateway.test_counting import WIRES, gated, request_of

FUNCTION: Mapping[WireFormat, JsonDict] = {
    "chat": {"type": "function", "function": {"name": "read"}},
    "responses": {"type": "function", "name": "read"},
    "anthropic": {"name": "read", "input_schema": {"type": "object"}},
    "gemini": {"functionDeclarations": [{"name": "read"}]},
}


def asked(wire: WireFormat, **more: object) -> JsonDict:
    return {**request_of(wire, stream=False)[1], **more}


def said(wire: WireFormat, part: JsonDict) -> JsonDict:
    """Give a request with a part among what was said."""
    if wire == "responses":
        return asked(wire, input=[{"role": "user", "content": [part]}])
    if wire == "gemini":
        return asked(wire, contents=[{"role": "user", "parts": [part]}])
    return asked(wire, messages=[{"role": "user", "content": [part]}])


@pytest.mark.parametrize(
    ("wire", "more"),
    [
        ("chat", {"n": 2}),
        ("chat", {"n": "2"}),
        ("chat", {"best_of": 3}),
        ("gemini", {"generationConfig": {"candidateCount": 8}}),
        ("gemini", {"generation_config": {"candidate_count": 8}}),
        ("gemini", {"generationConfig": {}, "generation_config": {"candidateCount": 8}}),
        ("gemini", {"cachedContent": "cachedContents/others"}),
        ("gemini", {"cached_content": "cachedContents/others"}),
        ("responses", {"background": True}),
        ("responses", {"previous_response_id": "resp_1"}),
        ("responses", {"conversation": "conv_1"}),
        ("responses", {"prompt": {"id": "pmpt_1"}}),
        ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("responses", {"input": [{"id": "msg_1"}]}),
        ("responses", {"input": [{"id": "msg_1", "type": None}]}),
        ("responses", {"input": [{"id": "msg_1", "type": "", "role": None}]}),
        ("responses", {"input": [{"id": "msg_1", "type": ["item_reference"]}]}),
        ("anthropic", {"mcp_servers": [{"type": "url", "url": "https://x.example"}]}),
        ("anthropic", {"container": "container_1"}),
        ("responses", {"tools": [{"type": "web_search"}]}),
        ("responses", {"tools": [{"type": "mcp", "server_url": "https://x.example"}]}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("gemini", {"tools": [{"urlContext": {}}, {"google_search": {}}]}),
        ("gemini", {"tools": {"codeExecution": {}}}),
    ],
)
def test_what_would_mean_something_else_without_it_is_refused(wire: WireFormat, more: JsonDict) -> None:
    let_through(wire, asked(wire))  # else it is let through
    with pytest.raises(RefusedError) as caught:
        let_through(wire, asked(wire, **more))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("wire", "part", "fine"),
    [
        ("chat", {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}, False),
        ("chat", {"type": "image_url", "image_url": "https://x.example/a.png"}, False),
        ("chat", {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}, True),
        ("chat", {"type": "file", "file": {"file_id": "file-1"}}, False),
        ("chat", {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, True),
        ("chat", {"type": "file", "file": {"file_data": "aGk_-+/=\n"}}, True),
        ("chat", {"type": "file", "file": {"file_data": "https://x.example/a.pdf"}}, False),
        ("chat", {"type": "file", "file": {"file_data": " https://x.example/a.pdf"}}, False),
        ("chat", {"type": "file", "file": {"fileData": "https://x.example/a.pdf"}}, False),
        ("chat", {"type": "file", "file": {"file_data": {"url": "https://x.example/a.pdf"}}}, False),
        ("chat", {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, True),
        ("chat", {"type": "input_audio", "input_audio": {"data": "https://x.example/a.wav"}}, False),
        ("chat", {"type": "image_url", "imageUrl": {"url": "https://x.example/a.png"}}, False),
        ("responses", {"type": "input_file", "filename": "a.pdf", "file_data": "AA=="}, True),
        ("responses", {"type": "input_file", "file_data": "https://x.example/a.pdf"}, False),
        ("responses", {"type": "input_file", "fileUrl": "https://x.example/a.pdf"}, False),
        ("responses", {"type": "input_image", "image_url": "https://x.example/a.png"}, False),
        ("responses", {"type": "input_image", "image_url": "data:image/png;base64,AA"}, True),
        ("responses", {"type": "input_image", "file_id": "file-1"}, False),
        ("responses", {"type": "input_file", "file_url": "https://x.example/a.pdf"}, False),
        ("responses", {"type": "input_file", "file_id": "file-1"}, False),
        ("anthropic", {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}, False),
        ("anthropic", {"type": "image", "source": {"type": "base64", "data": "AA"}}, True),
        ("anthropic", {"type": "document", "source": {"type": "file", "file_id": "file_1"}}, False),
        ("anthropic", {"type": "document"}, False),
        ("anthropic", {"type": "container_upload", "file_id": "file_1"}, False),
        (
            "anthropic",
            {"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]},
            False,
        ),
        (
            "anthropic",
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "image", "source": {"type": "url"}}]},
            },
            False,
        ),
        ("gemini", {"fileData": {"fileUri": "https://x.example/a"}}, False),
        ("gemini", {"file_data": {"file_uri": "https://x.example/a"}}, False),
        ("gemini", {"inlineData": {"data": "AA"}}, True),
        ("gemini", {"functionResponse": {"name": "f", "parts": [{"fileData": {"fileUri": "x"}}]}}, False),
        ("gemini", {"functionCall": {"name": "f", "args": {"fileData": "its own"}}}, True),
    ],
)
def test_contents_are_in_the_request_or_nowhere(wire: WireFormat, part: JsonDict, fine: bool) -> None:
    if fine:
        let_through(wire, said(wire, part))
        return
    with pytest.raises(RefusedError):
        let_through(wire, said(wire, part))


@pytest.mark.parametrize(
    ("wire", "tool"),
    [
        ("chat", {"type": "web_search"}),
        ("chat", {"type": ["function"]}),
        ("responses", {"type": "web_search", "external_web_access": True}),
        ("responses", {"type": "web_search_preview"}),
        ("responses", {"type": "code_interpreter", "container": {"type": "auto"}}),
        ("responses", {"type": "file_search", "vector_store_ids": ["vs_1"]}),
        ("responses", {"type": "image_generation"}),
        ("responses", {"type": "mcp", "server_url": "https://x.example"}),
        ("responses", {"type": "shell", "environment": {"type": "container_auto"}}),
        ("responses", {"type": "namespace", "tools": [{"type": "mcp"}]}),
        ("anthropic", {"type": "web_search_20250305", "name": "web_search"}),
        ("anthropic", {"type": "web_fetch_20250910", "name": "web_fetch"}),
        ("anthropic", {"type": "code_execution_20250825", "name": "code_execution"}),
        ("anthropic", {"type": "mcp_toolset", "mcp_server_name": "x"}),
        ("gemini", {"googleSearch": {}}),
        ("gemini", {"google_search_retrieval": {}}),
        ("gemini", {"url_context": {}}),
        ("gemini", {"codeExecution": {}}),
        ("gemini", {"fileSearch": {"fileSearchStoreNames": ["x"]}}),
    ],
)
def test_tools_that_run_at_the_provider_are_left_out(wire: WireFormat, tool: JsonDict) -> None:
    try:
        sent = let_through(wire, asked(wire, tools=[tool, FUNCTION[wire]]))
    except TypeError:  # the gateway answers 400
        assert tool == {"type": ["function"]}
        return
    assert sent["tools"] == [FUNCTION[wire]]


def test_one_tool_of_gemini_may_hold_several() -> None:
    mixed = {**FUNCTION["gemini"], "googleSearch": {}}
    assert let_through("gemini", asked("gemini", tools=[mixed]))["tools"] == [FUNCTION["gemini"]]


@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        ("responses", {"type": "custom", "name": "apply_patch"}),
        ("responses", {"type": "local_shell"}),
        ("responses", {"type": "shell", "environment": {"type": "local"}}),
        ("responses", {"type": "namespace", "tools": [{"type": "function", "name": "f"}]}),
        ("anthropic", {"type": "bash_20250124", "name": "bash"}),
        ("anthropic", {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
        ("anthropic", {"type": "custom", "name": "x"}),
    ],
)
def test_tools_that_run_in_the_box_stay(wire: WireFormat, kept: JsonDict) -> None:
    assert let_through(wire, asked(wire, tools=[kept]))["tools"] == [kept]


@pytest.mark.parametrize(
    ("wire", "names"),
    [
        (
            "chat",
            "service_tier store metadata user audio modalities prediction web_search_options models plugins provider route "
            "transforms extra_body safety_identifier prompt_cache_retention",
        ),
        ("responses", "service_tier metadata user safety_identifier context_management betas"),
        ("anthropic", "service_tier metadata inference_geo speed betas"),
        ("gemini", "labels store serviceTier model"),
    ],
)
def test_what_is_dearer_kept_or_led_elsewhere_is_left_out(wire: WireFormat, names: str) -> None:
    plain = let_through(wire, asked(wire))
    assert let_through(wire, asked(wire, **dict.fromkeys(names.split(), "x"))) == plain


def test_answers_are_not_kept_and_only_sealed_thoughts_are_included() -> None:
    wanted = ["reasoning.encrypted_content", "web_search_call.results"]
    sent = let_through("responses", asked("responses", store=True, include=wanted))
    assert (sent["store"], sent["include"]) == (False, ["reasoning.encrypted_content"])


def test_caches_last_as_long_as_is_reckoned() -> None:
    hour, usual = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}
    block = {"type": "text", "text": "x", "cache_control": hour}
    more = {
        "system": [block],
        "tools": [{"name": "f", "cache_control": hour}],
        "messages": [{"role": "user", "content": [block]}],
    }
    assert str(let_through("anthropic", asked("anthropic", **more))).count(str(usual)) == 3
    assert "ttl" not in str(let_through("chat", said("chat", dict(block))))


def test_the_first_models_of_a_stream_tell_their_usage() -> None:
    sent = let_through("chat", asked("chat", stream=True, stream_options={"include_usage": False}))
    assert sent["stream_options"] == {"include_usage": True}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(
    [
        "tools",
        "messages",
        "input",
        "contents",
        "system",
        "generationConfig",
        "n",
        "include",
        "stream",
        "background",
        "content",
        "systemInstruction",
    ]
)


@given(st.sampled_from(WIRES), st.dictionaries(_NAMES, _JSON, max_size=6))
def test_no_request_breaks_it(wire: WireFormat, more: JsonDict) -> None:
    with suppress(RefusedError, TypeError, AttributeError):  # what the gateway answers with 400
        let_through(wire, more)


async def test_it_is_so_on_the_way(tmp_path: Path) -> None:
    async with gated(tmp_path, "chat") as (gateway, client, model):
        path, body = request_of("chat", stream=False)
        answer = await client.post(path, json={**body, "n": 5})
        assert answer.status_code == 400
        assert "`n`" in answer.json()["error"]["message"]
        assert model.requests == []
        assert (await client.post(path, json={**body, "service_tier": "priority"})).status_code == 200
        assert "service_tier" not in model.requests[0]
        twice = '{"model": "m1", "model": "m2", "messages": []}'
        assert (await client.post(path, content=twice)).status_code == 403
        for nonsense in (
            '{"model": "m1", "temperature": NaN}',
            '{"model": "m1", "tools": [{"type": []}]}',
            "[" * 9999,
        ):
            assert (await client.post(path, content=nonsense)).status_code == 400, nonsense
        assert len(model.requests) == 1
        assert gateway.usage.requests == 1
