"""Owns what a request to a model may ask for beyond the model's answer: in each wire format only what is named here.

An agent holds the token of its task and is hostile. Beside tokens, which are metered, a provider sells and opens much that
a body can ask for. Fields that are not named here are left out. Refused, since leaving it out would change what is meant:

- several answers to one question (`n`, `best_of`, `candidateCount`): they are paid for, and only one is wanted
- work in the background (`background`): it would go on, and cost, after the session
- what is kept by the account, which other tasks share: stored answers and conversations (`previous_response_id`,
  `conversation`, `item_reference`, `prompt`), files by their id, cached contents; and contents at an address, which the
  provider itself would load: a way out of the box to any host (`image_url`, `file_url`, `fileUri`, `source.type: url`;
  some providers load what `file_data` and `input_audio.data` name, too)

Left out: tools that run at the provider (web search, fetching, code interpreters, remote MCP servers, image making, file
search), since clients name them by default; a request that has no other tool is refused. Keeping answers (`store` becomes
false), batches, dearer service levels (`service_tier`, `speed`, `inference_geo`), audio, predicted outputs, routing to
other models (`models`, `plugins`, `provider`), dearer cache times (`ttl`), names of users. How long an answer may get is
bounded by bot.gateway.till. Sources: the providers' API references, 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.gateway.exchange import RefusedError
from bot.ports import JsonDict, WireFormat


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CHAT = _words(
    "model messages stream max_tokens max_completion_tokens temperature top_p top_k min_p stop seed presence_penalty "
    "frequency_penalty repetition_penalty logit_bias logprobs top_logprobs response_format tools tool_choice "
    "parallel_tool_calls functions function_call reasoning_effort reasoning verbosity thinking enable_thinking "
    "chat_template_kwargs prompt_cache_key"
)
_RESPONSES = _words(
    "model input instructions stream max_output_tokens temperature top_p tools tool_choice parallel_tool_calls reasoning "
    "text truncation max_tool_calls prompt_cache_key top_logprobs"
)
_ANTHROPIC = _words(
    "model messages system stream max_tokens temperature top_p top_k stop_sequences tools tool_choice thinking "
    "output_config output_format context_management cache_control"
)
_GEMINI = _words("contents systemInstruction tools toolConfig generationConfig safetySettings")
_GENERATION = _words(
    "maxOutputTokens temperature topP topK seed stopSequences responseMimeType responseSchema responseJsonSchema "
    "presencePenalty frequencyPenalty thinkingConfig responseLogprobs logprobs"
)
_KEPT = ("previous_response_id", "conversation", "prompt", "cachedContent", "mcp_servers", "container")
_BY_ID = frozenset({"fileId", "fileIds", "fileUrl", "fileUri"})
_ADDRESSES = frozenset({"imageUrl", "videoUrl", "audioUrl"})
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]*", re.ASCII)
_LOCAL_RESPONSES = frozenset({"function", "custom", "local_shell", "apply_patch"})
_LOCAL_ANTHROPIC = re.compile(r"custom|(bash|text_editor|memory|computer|tool_search_tool_\w+?)_\d{8}")
_SNAKE = re.compile(r"_([a-z])")


def let_through(wire: WireFormat, asked: JsonDict) -> JsonDict:
    """Give what of a request's body may be sent; RefusedError names what an agent must not ask for."""
    if wire == "gemini":
        asked = _camel(asked)
    if asked.get("background"):
        raise RefusedError(400, "work in the background is not open to agents")
    for name in _KEPT:
        if asked.get(name):
            raise RefusedError(400, f"`{name}` is not open to agents")
    return _FORMATS[wire](asked)


def _chat(asked: JsonDict) -> JsonDict:
    _one(asked, "n", "best_of")
    sent = _only(asked, _CHAT)
    _local(sent, lambda tool: tool.get("type", "function") in {"function", "custom"})
    for message in _dicts(sent.get("messages")):
        message.pop("audio", None)  # an earlier answer, by its id
        _usual_cache(message)
        _contents(message.get("content"), _openai_part)
    if sent.get("stream"):
        sent["stream_options"] = {"include_usage": True}
    return sent


def _responses(asked: JsonDict) -> JsonDict:
    sent = _only(asked, _RESPONSES)
    _local(sent, _local_responses)
    for item in _dicts(sent.get("input")):
        kind = item.get("type") or (isinstance(item.get("role"), str) and "message")
        if not isinstance(kind, str) or kind == "item_reference":  # which needs no type
            raise RefusedError(400, "stored answers are not open to agents")
        _openai_part(item)
        for place in ("content", "output"):
            _contents(item.get(place), _openai_part)
    wanted = asked.get("include")
    kept = "reasoning.encrypted_content"
    if isinstance(wanted, list) and kept in wanted:
        sent["include"] = [kept]
    sent["store"] = False
    return sent


def _local_responses(tool: JsonDict) -> bool:
    if tool.get("type") == "namespace":
        inner = list(_dicts(tool.get("tools")))
        return bool(inner) and all(map(_local_responses, inner))
    if tool.get("type") == "shell":
        return _dict(tool.get("environment")).get("type") == "local"
    return tool.get("type") in _LOCAL_RESPONSES


def _openai_part(part: JsonDict) -> None:
    """Let contents through that are in the request itself."""
    _usual_cache(part)
    for name, url in part.items():
        url = url.get("url") if isinstance(url, dict) else url
        if _camel_name(name) in _ADDRESSES and url is not None and not _is_data(url):
            raise RefusedError(400, f"`{name}` may only be a data: address, which nobody has to load")
    audio = _dict(part.get("input_audio")).get("data")
    for place in (part, _dict(part.get("file")), {"file_data": audio}):
        _not_by_id(place)
        for name, data in place.items():
            here = _is_data(data) or (isinstance(data, str) and _BASE64.fullmatch(data) is not None)
            if _camel_name(name) == "fileData" and data is not None and not here:
                raise RefusedError(400, "a file may only be in the request itself, as base64")


def _is_data(url: object) -> bool:
    return isinstance(url, str) and url.startswith("data:")


def _anthropic(asked: JsonDict) -> JsonDict:
    sent = _only(asked, _ANTHROPIC)
    _local(sent, _local_anthropic)
    _usual_cache(sent)
    _contents(sent.get("system"), _anthropic_block)
    for message in _dicts(sent.get("messages")):
        _contents(message.get("content"), _anthropic_block)
    for tool in _dicts(sent.get("tools")):
        _usual_cache(tool)
    return sent


def _local_anthropic(tool: JsonDict) -> bool:
    kind = tool.get("type")
    return kind is None or (isinstance(kind, str) and _LOCAL_ANTHROPIC.fullmatch(kind) is not None)


def _anthropic_block(block: JsonDict) -> None:
    _usual_cache(block)
    _not_by_id(block)
    if block.get("type") in {"image", "document"}:
        source = _dict(block.get("source"))
        if source.get("type") not in {"base64", "text", "content"}:
            raise RefusedError(
                400, "contents may only be in the request itself, not at an address or in a file"
            )
        _contents(source.get("content"), _anthropic_block)
    _contents(block.get("content"), _anthropic_block)


def _usual_cache(place: JsonDict) -> None:
    if "cache_control" in place:
        place["cache_control"] = {"type": "ephemeral"}


def _gemini(asked: JsonDict) -> JsonDict:
    sent = _only(asked, _GEMINI)
    generation = _camel(_dict(sent.get("generationConfig")))
    _one(generation, "candidateCount")
    if generation:
        sent["generationConfig"] = _only(generation, _GENERATION)
    tools = [_camel(tool) for tool in _dicts(sent.get("tools"))]
    if tools:
        sent["tools"] = [
            {"functionDeclarations": tool["functionDeclarations"]}
            for tool in tools
            if tool.get("functionDeclarations")
        ]
        _some_left(sent["tools"])
    for content in (*_dicts(sent.get("contents")), _dict(sent.get("systemInstruction"))):
        _contents(content.get("parts"), _gemini_part)
    return sent


def _gemini_part(part: JsonDict) -> None:
    for name, value in part.items():
        if _camel_name(name) == "fileData":
            raise RefusedError(
                400, "contents may only be in the request itself, not at an address or in a file"
            )
        if _camel_name(name) == "functionResponse":
            _contents(_dict(value).get("parts"), _gemini_part)


def _only(asked: JsonDict, names: frozenset[str]) -> JsonDict:
    return {name: value for name, value in asked.items() if name in names}


def _one(asked: JsonDict, *names: str) -> None:
    for name in names:
        if asked.get(name) not in (None, 1):
            raise RefusedError(400, f"`{name}` may only be 1: a single answer is wanted")


def _local(sent: JsonDict, local: Callable[[JsonDict], bool]) -> None:
    """Leave out the tools that do not run in the box."""
    tools = sent.get("tools")
    if not tools:
        return
    sent["tools"] = [tool for tool in _dicts(tools) if local(tool)]
    _some_left(sent["tools"])


def _some_left(tools: list[JsonDict]) -> None:
    if not tools:
        raise RefusedError(400, "tools that run at the provider, such as web search, are not open to agents")


def _contents(parts: object, look: Callable[[JsonDict], None]) -> None:
    for part in _dicts(parts):
        look(part)


def _not_by_id(part: JsonDict) -> None:
    for name, value in part.items():
        if _camel_name(name) in _BY_ID and value is not None:
            raise RefusedError(
                400, f"`{name}` is not open to agents: contents may only be in the request itself"
            )


def _dicts(value: object) -> Iterable[JsonDict]:
    """Give the objects of a list, or a single one: providers take both."""
    if isinstance(value, dict):
        return (value,)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else ()


def _dict(value: object) -> JsonDict:
    return value if isinstance(value, dict) else {}


def _camel_name(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _camel(asked: JsonDict) -> JsonDict:
    """Give the fields their one name: Gemini takes `cached_content` for `cachedContent`."""
    named: dict[str, Any] = {}
    for name, value in asked.items():
        camel = _camel_name(name)
        if camel in named:
            raise RefusedError(400, f"`{camel}` is there twice")
        named[camel] = value
    return named


_FORMATS: Mapping[WireFormat, Callable[[JsonDict], JsonDict]] = {
    "chat": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
