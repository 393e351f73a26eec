"""Owns how the built-in agent reaches its model: through the gateway's socket, in the provider's format, with patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.core.sanitize import plain, redact
from bot.errors import AgentError
from bot.ports import ModelAccess, WireFormat
from bot.sockets import nearby

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

_HOST = "http://127.0.0.1"  # of the gateway, which is no host: the socket says where it is
_SECONDS = 900.0  # for an answer to begin; the driver's watchdogs are shorter
_PAUSES = (2.0, 8.0)  # before a call that failed is made again
_LONGEST = 30.0  # that is waited for because the provider says so; the driver parks what takes longer
_ANSWER = 8_192  # tokens of an answer, where the format wants a number; every model of theirs can say so much
_WIRES: Mapping[str, WireFormat] = {"anthropic": "anthropic", "google": "gemini", "google-gla": "gemini"}
_SHOWN = 300
_CUT = "(cut: {size:,} characters that you saw before; look again where you need them)"
_SMALL = 400  # characters of a tool's answer that are kept
_RECENT = 8  # messages that are left alone
CONTEXT = 96_000  # tokens of a conversation before old answers of tools are cut


def wire_of(model: str, base_url: str | None) -> WireFormat:
    """Choose the format of `provider:model`: the provider's own; OpenAI's at an address of the operator's."""
    return "chat" if base_url else _WIRES.get(model.partition(":")[0], "chat")


@asynccontextmanager
async def reached(wire: WireFormat | None, access: ModelAccess) -> AsyncIterator[Model]:
    """Lend the session's model, as the gateway knows it; nothing of the environment is used, proxies included."""
    import httpx2

    with nearby(access.outlet.socket) as path:
        way = httpx2.AsyncHTTPTransport(uds=path)
        timeout = httpx2.Timeout(60.0, read=_SECONDS)
        async with httpx2.AsyncClient(transport=way, timeout=timeout, trust_env=False) as client:
            yield _model(wire, access, client)


def _model(wire: WireFormat | None, access: ModelAccess, client: AsyncClient) -> Model:
    name, token = access.model, access.token
    if wire == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        speaks = AsyncAnthropic(api_key=token, base_url=_HOST, http_client=client, max_retries=0)
        return AnthropicModel(
            name, provider=AnthropicProvider(anthropic_client=speaks), settings={"max_tokens": _ANSWER}
        )
    if wire == "gemini":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        return GoogleModel(name, provider=GoogleProvider(api_key=token, base_url=_HOST, http_client=client))
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    asks = AsyncOpenAI(api_key=token, base_url=_HOST, http_client=client, max_retries=0)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=asks))


async def answer(
    model: Model, access: ModelAccess, history: Sequence[ModelMessage], tools: ModelRequestParameters
) -> ModelResponse:
    """Ask the model; what passes soon is waited for, all else is AgentError(auth | quota | down | crash | garbage)."""
    for pause in _PAUSES:
        try:
            return await _once(model, history, tools)
        except AgentError as error:
            seconds = access.after if access.after is not None else pause
            if error.reason not in {"quota", "down"} or access.denied or seconds > _LONGEST:
                raise
            await asyncio.sleep(seconds)
    return await _once(model, history, tools)


async def _once(
    model: Model, history: Sequence[ModelMessage], tools: ModelRequestParameters
) -> ModelResponse:
    import httpx2
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior

    try:
        async with model_request_stream(model, history, model_request_parameters=tools) as stream:
            async for _ in stream:
                pass  # the gateway sees each byte, which is the sign of life
            return stream.get()
    except ModelHTTPError as error:
        raise AgentError(_reason(error.status_code), f"was refused by its model: {_said(error)}") from error
    except (ModelAPIError, httpx2.HTTPError) as error:
        raise AgentError("down", f"could not reach its model: {_said(error)}") from error
    except UnexpectedModelBehavior as error:
        raise AgentError("garbage", f"was answered in no form that it knows: {_said(error)}") from error


def _reason(status: int) -> str:
    if status in {401, 403}:
        return "auth"
    return "quota" if status in {402, 429} else "down" if status >= 500 or status == 408 else "crash"


def _said(error: Exception) -> str:
    return plain(redact(str(error)), _SHOWN)


def compacted(history: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Cut what tools gave long ago; the same history is always cut in the same way, and what is cut stays so."""
    kept = len(history) - _RECENT
    return [_shortened(message) if place < kept else message for place, message in enumerate(history)]


def _shortened(message: ModelMessage) -> ModelMessage:
    from pydantic_ai.messages import ModelRequest, ToolReturnPart

    if not isinstance(message, ModelRequest):
        return message
    parts = list(message.parts)
    for place, part in enumerate(parts):
        if isinstance(part, ToolReturnPart) and len(str(part.content)) > _SMALL:
            cut = _CUT.format(size=len(str(part.content)))
            parts[place] = ToolReturnPart(part.tool_name, cut, part.tool_call_id)
    return replace(message, parts=parts)
