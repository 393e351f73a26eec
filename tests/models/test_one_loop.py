"""The providers' own libraries against a server on loopback: they send what our loop sends, and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pydantic_ai.models
import pytest
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from bot.errors import RetryableError
from bot.models.metered import TRIES
from bot.models.run import ModelLimits, ask
from bot.ports import RunError

pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.exceptions.CostNotFoundWarning")


class Down:
    """A provider that answers every request alike, and counts them."""

    def __init__(self, answer: bytes) -> None:
        self.requests = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readline()).startswith(b"POST"):
                length = 0
                while (line := await reader.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                await reader.readexactly(length)
                self.requests += 1
                writer.write(self._answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(status: str, body: bytes, *headers: bytes) -> bytes:
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Type: application/json", *headers]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


BUSY = answer("503 Service Unavailable", b'{"error": {"message": "busy"}}', b"Retry-After: 0")
SPENT = answer(
    "429 Too Many Requests",
    b'{"error": {"code": 429, "message": "quota", "details": [{"violations": [{"quotaId":'
    b' "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}, {"retryDelay": "1s"}]}}',
)


@pytest.fixture
async def calls_allowed() -> AsyncIterator[None]:
    """The server is ours: nothing leaves this machine."""
    pydantic_ai.models.ALLOW_MODEL_REQUESTS = True
    yield
    pydantic_ai.models.ALLOW_MODEL_REQUESTS = False


def model(provider: str, url: str) -> Model:
    if provider == "openai":
        return OpenAIChatModel("gpt-6.1-terra", provider=OpenAIProvider(base_url=url, api_key="k"))
    if provider == "anthropic":
        return AnthropicModel("claude-fable-5-2", provider=AnthropicProvider(base_url=url, api_key="k"))
    return GoogleModel("gemini-3.8-flash", provider=GoogleProvider(base_url=url, api_key="k"))


async def sent(provider: str, down: Down) -> Exception:
    """Ask once, and give what came of it."""
    server = await asyncio.start_server(down.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        asked = model(provider, f"http://127.0.0.1:{port}")
        with pytest.raises((RunError, RetryableError)) as caught:
            await ask([asked], "Well?", str, limits=ModelLimits(seconds=90), problem=lambda _: None)
    return caught.value


@pytest.mark.usefixtures("calls_allowed")
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
async def test_a_provider_that_is_down_gets_our_tries_and_not_their_multiple(provider: str) -> None:
    down = Down(BUSY)
    await sent(provider, down)
    assert down.requests == TRIES


@pytest.mark.usefixtures("calls_allowed")
async def test_a_spent_day_at_google_is_asked_once_and_waited_for() -> None:
    down = Down(SPENT)
    found = await sent("google", down)
    assert down.requests == 1
    assert isinstance(found, RetryableError)
    assert "quota of the day" in str(found)
