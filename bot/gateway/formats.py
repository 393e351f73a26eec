"""Owns the four wire formats of models as the gateway speaks them: paths, keys, bounds of an answer, errors, lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.gateway.endpoints import Endpoint
from bot.ports import JsonDict, WireFormat

_LEAST_THOUGHT = 1_024  # tokens, Anthropic's own least
_USUAL_VERSION = "2023-06-01"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Betas that are ways out, or prices, of their own: files and servers of the account, code at the provider, long contexts.
_BETA = re.compile(r"(?!files|mcp|code-execution|skills|message-batches|context-1m|fast|web)[a-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True)
class Format:
    """What of a provider's API an agent may reach, how a key is shown there, and how it says what is wrong.

    `ask` costs; `count` reckons tokens for nothing; `list` asks for models, which the gateway answers itself. A group
    `model` names the model where the body does not.
    """

    ask: re.Pattern[str]
    list: re.Pattern[str]
    key: Callable[[str], tuple[str, str]]
    most: Callable[[JsonDict], int | None]  # tokens of an answer that a request wants
    bound: Callable[[JsonDict, int, Endpoint], None]  # writes that
    error: Callable[[int, str], JsonDict]
    models: Callable[[Sequence[str]], JsonDict]
    count: re.Pattern[str] = re.compile(r"(?!)")


def sent_headers(given: Mapping[str, str], endpoint: Endpoint) -> dict[str, str]:
    """Give the headers of a request as it goes on, with the provider's key; `given` are the agent's."""
    # Not compressed: the meter reads along.
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if endpoint.format == "anthropic":
        version = given.get("anthropic-version", "")
        headers["anthropic-version"] = version if _VERSION.fullmatch(version) else _USUAL_VERSION
        betas = [each.strip() for each in given.get("anthropic-beta", "").split(",")]
        if kept := [each for each in betas if _BETA.fullmatch(each)]:
            headers["anthropic-beta"] = ",".join(kept)
    if endpoint.key:
        name, value = FORMATS[endpoint.format].key(endpoint.key)
        headers[name] = value
    return headers


def _bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


# --- OpenAI --------------------------------------------------------------------------------------

_OPENAI_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}


def _openai_error(status: int, why: str) -> JsonDict:
    usual = "server_error" if status >= 500 else "invalid_request_error"
    kind = _OPENAI_TYPES.get(status, usual)
    return {"error": {"message": why, "type": kind, "param": None, "code": kind}}


def _openai_models(names: Sequence[str]) -> JsonDict:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "gitwright"} for name in names]
    return {"object": "list", "data": data}


def _most_chat(asked: JsonDict) -> int | None:
    given = [_number(asked.get(name)) for name in ("max_completion_tokens", "max_tokens")]
    return min((each for each in given if each), default=None)


def _bound_chat(asked: JsonDict, most: int, endpoint: Endpoint) -> None:
    """Use the name that was used: OpenAI's own models refuse the older one, and other servers know only that."""
    usual = "max_completion_tokens" if endpoint.name.startswith("openai:") else "max_tokens"
    name = next((each for each in ("max_completion_tokens", "max_tokens") if each in asked), usual)
    for each in ("max_completion_tokens", "max_tokens"):
        asked.pop(each, None)
    asked[name] = most


def _bound_responses(asked: JsonDict, most: int, endpoint: Endpoint) -> None:
    asked["max_output_tokens"] = most


# --- Anthropic -----------------------------------------------------------------------------------

_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


def _anthropic_error(status: int, why: str) -> JsonDict:
    usual = "api_error" if status >= 500 else "invalid_request_error"
    return {"type": "error", "error": {"type": _ANTHROPIC_TYPES.get(status, usual), "message": why}}


def _anthropic_models(names: Sequence[str]) -> JsonDict:
    day = "1970-01-01T00:00:00Z"
    data = [{"type": "model", "id": name, "display_name": name, "created_at": day} for name in names]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def _bound_anthropic(asked: JsonDict, most: int, endpoint: Endpoint) -> None:
    """Thoughts are part of an answer, and may not be bounded higher than it."""
    asked["max_tokens"] = most
    thinking = asked.get("thinking")
    thought = _number(thinking.get("budget_tokens")) if isinstance(thinking, dict) else None
    if thought is not None and thought >= most:
        if most > _LEAST_THOUGHT:
            asked["thinking"] = {**asked["thinking"], "budget_tokens": max(_LEAST_THOUGHT, most // 2)}
        else:
            asked.pop("thinking")


# --- Gemini --------------------------------------------------------------------------------------

_GEMINI_STATUS = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "RESOURCE_EXHAUSTED",
}


def _gemini_error(status: int, why: str) -> JsonDict:
    usual = "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT"
    return {"error": {"code": status, "message": why, "status": _GEMINI_STATUS.get(status, usual)}}


def _gemini_models(names: Sequence[str]) -> JsonDict:
    methods = ["generateContent"]
    return {
        "models": [
            {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
            for name in names
        ]
    }


def _most_gemini(asked: JsonDict) -> int | None:
    generation = asked.get("generationConfig")
    return _number(generation.get("maxOutputTokens")) if isinstance(generation, dict) else None


def _bound_gemini(asked: JsonDict, most: int, endpoint: Endpoint) -> None:
    generation = asked.get("generationConfig")
    generation = generation if isinstance(generation, dict) else {}
    asked["generationConfig"] = {**generation, "maxOutputTokens": most}


_QUERY = r"(\?[\w.=&-]*)?"
FORMATS: Mapping[WireFormat, Format] = {
    "chat": Format(
        re.compile(r"POST /chat/completions"),
        re.compile(r"GET /models"),
        _bearer,
        _most_chat,
        _bound_chat,
        _openai_error,
        _openai_models,
    ),
    "responses": Format(
        re.compile(r"POST /responses"),
        re.compile(rf"GET /models{_QUERY}"),
        _bearer,
        lambda asked: _number(asked.get("max_output_tokens")),
        _bound_responses,
        _openai_error,
        _openai_models,
    ),
    "anthropic": Format(
        re.compile(r"POST /v1/messages(\?beta=true)?"),
        re.compile(rf"GET /v1/models{_QUERY}"),
        lambda key: ("x-api-key", key),
        lambda asked: _number(asked.get("max_tokens")),
        _bound_anthropic,
        _anthropic_error,
        _anthropic_models,
        re.compile(r"POST /v1/messages/count_tokens(\?beta=true)?"),
    ),
    "gemini": Format(
        re.compile(
            r"POST /v1beta/models/(?P<model>[\w.-]+):(generateContent|streamGenerateContent\?alt=sse)",
            re.ASCII,
        ),
        re.compile(rf"GET /v1beta/models{_QUERY}"),
        lambda key: ("x-goog-api-key", key),
        _most_gemini,
        _bound_gemini,
        _gemini_error,
        _gemini_models,
        re.compile(r"POST /v1beta/models/(?P<model>[\w.-]+):countTokens", re.ASCII),
    ),
}
