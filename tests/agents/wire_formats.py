"""Owns the four wire formats in which a scripted model is asked and answers: OpenAI chat and responses, Anthropic, Gemini."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

JsonDict = dict[str, Any]
Said = tuple[str, str]  # (user | call | other, text); what the model called in one answer is one `call`
Event = tuple[str, JsonDict | str]  # its name, where the format has names, and its data
USAGE = (100, 10)


@dataclass(frozen=True, slots=True)
class Format:
    """How one provider's clients ask, and what they want to hear."""

    path: re.Pattern[str]
    key: str  # the header that shows the provider's key
    heard: Callable[[JsonDict], list[Said]]
    offered: Callable[[JsonDict], list[str]]
    whole: Callable[[JsonDict, JsonDict], JsonDict]
    events: Callable[[JsonDict, JsonDict], Iterator[Event]]

    def streams(self, path: str, body: JsonDict) -> bool:
        """Say whether the answer is wanted piece by piece."""
        return bool(body.get("stream")) or ":stream" in path


def calls(step: JsonDict) -> list[JsonDict]:
    """Give the step's tool calls with an id each."""
    return [
        {"id": f"call_{uuid.uuid4().hex[:12]}", "name": name, "args": given}
        for name, given in step.get("chosen", [])
    ]


def words(step: JsonDict) -> list[str]:
    return re.findall(r"\S+\s*", step.get("text", ""))


def used(step: JsonDict) -> tuple[int, int]:
    asked, answered = step.get("usage", USAGE)
    return asked, answered


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _arguments(call: JsonDict) -> str:
    """Text is given as it is: what no JSON is can be said too."""
    return call["args"] if isinstance(call["args"], str) else json.dumps(call["args"])


# --- OpenAI chat -----------------------------------------------------------------------------------


def _chat_heard(body: JsonDict) -> list[Said]:
    said = []
    for message in body.get("messages") or []:
        kind = "call" if message.get("tool_calls") else "user" if message["role"] == "user" else "other"
        said.append((kind, text_of(message.get("content"))))
    return said


def _chat_offered(body: JsonDict) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools") or []]


def _chat_base(body: JsonDict, kind: str) -> JsonDict:
    return {"id": f"chat-{uuid.uuid4().hex[:8]}", "created": 1, "model": body.get("model"), "object": kind}


def _chat_calls(step: JsonDict) -> list[JsonDict]:
    return [
        {
            "id": each["id"],
            "type": "function",
            "function": {"name": each["name"], "arguments": _arguments(each)},
        }
        for each in calls(step)
    ]


def _chat_usage(step: JsonDict) -> JsonDict:
    asked, answered = used(step)
    counts = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    return {**counts, "cost": step["usd"]} if "usd" in step else counts


def _chat_whole(body: JsonDict, step: JsonDict) -> JsonDict:
    called = _chat_calls(step)
    message: JsonDict = {"role": "assistant", "content": step.get("text")}
    if called:
        message["tool_calls"] = called
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if called else "stop"}
    return {**_chat_base(body, "chat.completion"), "choices": [choice], "usage": _chat_usage(step)}


def _chat_events(body: JsonDict, step: JsonDict) -> Iterator[Event]:
    base = _chat_base(body, "chat.completion.chunk")
    called = _chat_calls(step)
    deltas: list[JsonDict] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words(step)]
    deltas += [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(called)]
    for delta in deltas:
        yield "", {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if called else "stop"}
    yield "", {**base, "choices": [end]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield "", {**base, "choices": [], "usage": _chat_usage(step)}
    yield "", "[DONE]"


# --- OpenAI responses ------------------------------------------------------------------------------


def _responses_heard(body: JsonDict) -> list[Said]:
    items = body.get("input") or []
    if isinstance(items, str):
        return [("user", items)]
    said: list[Said] = []
    for item in items:
        kind = item.get("type", "message")
        if kind.endswith("_call"):
            if not said or said[-1][0] != "call":
                said.append(("call", ""))
        else:
            by_user = kind == "message" and item.get("role") == "user"
            said.append(("user" if by_user else "other", text_of(item.get("content"))))
    return said


def _responses_offered(body: JsonDict) -> list[str]:
    return [tool.get("name") or tool.get("type") for tool in body.get("tools") or []]


def _responses_items(step: JsonDict) -> list[JsonDict]:
    items: list[JsonDict] = []
    if step.get("text"):
        content = [{"type": "output_text", "text": step["text"], "annotations": []}]
        head = {"type": "message", "id": f"msg_{uuid.uuid4().hex[:8]}", "role": "assistant"}
        items.append({**head, "status": "completed", "content": content})
    for call in calls(step):
        head = {"type": "function_call", "id": f"fc_{uuid.uuid4().hex[:8]}", "call_id": call["id"]}
        items.append({**head, "name": call["name"], "arguments": _arguments(call), "status": "completed"})
    return items


def _responses_whole(body: JsonDict, step: JsonDict) -> JsonDict:
    return _responses_answer(body, step, _responses_items(step))


def _responses_answer(body: JsonDict, step: JsonDict, items: list[JsonDict]) -> JsonDict:
    asked, answered = used(step)
    usage = {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }
    head = {
        "id": f"resp_{uuid.uuid4().hex[:8]}",
        "object": "response",
        "created_at": 1,
        "model": body.get("model"),
    }
    more = {"parallel_tool_calls": False, "tools": [], "tool_choice": "auto"}
    return {**head, **more, "status": "completed", "output": items, "usage": usage}


def _responses_events(body: JsonDict, step: JsonDict) -> Iterator[Event]:
    items = _responses_items(step)
    full = _responses_answer(body, step, items)
    for number, (name, data) in enumerate(_responses_pieces(full, items, step)):
        yield name, {"type": name, "sequence_number": number, **data}


def _responses_pieces(
    full: JsonDict, items: list[JsonDict], step: JsonDict
) -> Iterator[tuple[str, JsonDict]]:
    yield "response.created", {"response": {**full, "status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(items):
        spoken = item["type"] == "message"
        empty = {**item, **({"content": []} if spoken else {"arguments": ""})}
        yield "response.output_item.added", {"output_index": index, "item": empty}
        place = {"item_id": item["id"], "output_index": index}
        for word in words(step) if spoken else ():
            yield "response.output_text.delta", {**place, "content_index": 0, "delta": word}
        if not spoken:
            yield "response.function_call_arguments.done", {**place, "arguments": item["arguments"]}
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield "response.completed", {"response": full}


# --- Anthropic messages ----------------------------------------------------------------------------


def _anthropic_heard(body: JsonDict) -> list[Said]:
    said = []
    for message in body.get("messages") or []:
        content = message["content"]
        kinds = {part.get("type") for part in content} if isinstance(content, list) else set()
        answered = "call" if "tool_use" in kinds else "other"
        # Words of a person may stand beside a tool's result: a note in the middle of a turn.
        said.append(("user" if message["role"] == "user" else answered, text_of(content)))
    return said


def _anthropic_offered(body: JsonDict) -> list[str]:
    return [tool["name"] for tool in body.get("tools") or [] if "name" in tool]


def _anthropic_blocks(step: JsonDict) -> list[JsonDict]:
    said = [{"type": "text", "text": step["text"]}] if step.get("text") else []
    return said + [
        {"type": "tool_use", "id": f"toolu_{each['id'][5:]}", "name": each["name"], "input": each["args"]}
        for each in calls(step)
    ]


def _anthropic_message(body: JsonDict, step: JsonDict) -> JsonDict:
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {
        **{"id": f"msg_{uuid.uuid4().hex[:8]}", "type": "message", "role": "assistant"},
        **{"model": body.get("model"), "content": [], "stop_reason": None, "stop_sequence": None},
        "usage": {"input_tokens": used(step)[0], "output_tokens": 1, **cached},
    }


def _anthropic_whole(body: JsonDict, step: JsonDict) -> JsonDict:
    message = _anthropic_message(body, step)
    usage = {**message["usage"], "output_tokens": used(step)[1]}
    stop = "tool_use" if step.get("chosen") else "end_turn"
    return {**message, "content": _anthropic_blocks(step), "stop_reason": stop, "usage": usage}


def _anthropic_events(body: JsonDict, step: JsonDict) -> Iterator[Event]:
    def event(name: str, **data: Any) -> Event:
        return name, {"type": name, **data}

    yield event("message_start", message=_anthropic_message(body, step))
    for index, block in enumerate(_anthropic_blocks(step)):
        if block["type"] == "text":
            yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            deltas = [{"type": "text_delta", "text": word} for word in words(step)]
        else:
            yield event("content_block_start", index=index, content_block={**block, "input": {}})
            given = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": given}]
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    stop = {"stop_reason": "tool_use" if step.get("chosen") else "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=stop, usage={"output_tokens": used(step)[1]})
    yield event("message_stop")


# --- Gemini ----------------------------------------------------------------------------------------


def _gemini_heard(body: JsonDict) -> list[Said]:
    said = []
    for message in body.get("contents") or []:
        parts = message.get("parts") or []
        if any("functionCall" in part for part in parts):
            kind = "call"
        else:
            kind = "user" if message.get("role") == "user" else "other"
        said.append((kind, text_of(parts)))
    return said


def _gemini_offered(body: JsonDict) -> list[str]:
    groups = [group.get("functionDeclarations") or [] for group in body.get("tools") or []]
    return [declared["name"] for group in groups for declared in group]


def _gemini_part(body: JsonDict, step: JsonDict, parts: list[JsonDict], end: str = "") -> JsonDict:
    asked, answered = used(step)
    counts = {"promptTokenCount": asked, "candidatesTokenCount": answered}
    candidate: JsonDict = {"content": {"role": "model", "parts": parts}, "index": 0}
    if end:
        candidate["finishReason"] = end
    usage = {**counts, "totalTokenCount": asked + answered}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}


def _gemini_calls(step: JsonDict) -> list[JsonDict]:
    return [
        {"functionCall": {"name": each["name"], "args": each["args"], "id": each["id"]}}
        for each in calls(step)
    ]


def _gemini_whole(body: JsonDict, step: JsonDict) -> JsonDict:
    said = [{"text": step["text"]}] if step.get("text") else []
    return _gemini_part(body, step, said + _gemini_calls(step), "STOP")


def _gemini_events(body: JsonDict, step: JsonDict) -> Iterator[Event]:
    for word in words(step):
        yield "", _gemini_part(body, step, [{"text": word}])
    yield "", _gemini_part(body, step, _gemini_calls(step) or [{"text": ""}], "STOP")


FORMATS: Mapping[str, Format] = {
    "chat": Format(
        re.compile(r".*/chat/completions"),
        "authorization",
        _chat_heard,
        _chat_offered,
        _chat_whole,
        _chat_events,
    ),
    "responses": Format(
        re.compile(r".*/responses"),
        "authorization",
        _responses_heard,
        _responses_offered,
        _responses_whole,
        _responses_events,
    ),
    "anthropic": Format(
        re.compile(r".*/messages"),
        "x-api-key",
        _anthropic_heard,
        _anthropic_offered,
        _anthropic_whole,
        _anthropic_events,
    ),
    "gemini": Format(
        re.compile(r".*:(stream)?[gG]enerateContent"),
        "x-goog-api-key",
        _gemini_heard,
        _gemini_offered,
        _gemini_whole,
        _gemini_events,
    ),
}


def format_of(path: str) -> Format | None:
    """Find the format in which this path is asked."""
    return next((each for each in FORMATS.values() if each.path.fullmatch(path)), None)
