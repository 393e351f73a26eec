"""One model behind its meter: asked before, told after, retried by one loop only, and left out where that is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from bot.core.budgets import Hold, Refused, Wait
from bot.core.values import Usage
from bot.errors import RetryableError
from bot.models.metered import TRIES, ClosedError, MeteredModel
from bot.models.run import ModelLimits, ask
from bot.ports import RunError

pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.exceptions.CostNotFoundWarning")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY_SPENT = {"error": {"details": [{"violations": [{"quotaId": "RequestsPerDay"}]}, {"retryDelay": "9s"}]}}


@dataclass
class Book:
    """A meter that writes down what it is asked and told; answers from a list, then lets everything pass."""

    answers: list[Wait | Refused] = field(default_factory=list)
    models: tuple[str, ...] = ()
    usd: float | None = None
    asked: list[str] = field(default_factory=list)
    told: list[Usage] = field(default_factory=list)
    held: dict[str, Hold] = field(default_factory=dict)

    def now(self) -> datetime:
        return NOW

    async def before(self, model: str, tokens: int) -> Wait | Refused | None:
        self.asked.append(model)
        return self.answers.pop(0) if self.answers else None

    async def after(self, model: str, usage: Usage) -> None:
        self.told.append(usage)

    async def hold(self, model: str, hold: Hold) -> None:
        self.held[model] = hold


Deed = Callable[[], ModelResponse]


def says(text: str = "yes") -> Deed:
    return lambda: ModelResponse(parts=[TextPart(text)], usage=RequestUsage(input_tokens=40, output_tokens=2))


def fails(status: int, body: object = None, **headers: str) -> Deed:
    def deed() -> ModelResponse:
        raise ModelHTTPError(status, "m", body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return deed


def breaks() -> ModelResponse:
    raise ModelAPIError("m", "connection lost")


class Provider(FunctionModel):
    """Does one deed after the other, and keeps the settings it was called with."""

    def __init__(self, *deeds: Deed) -> None:
        self.calls: list[ModelSettings | None] = []

        def call(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            self.calls.append(info.model_settings)
            return deeds[min(len(self.calls), len(deeds)) - 1]()

        super().__init__(call)


async def send(provider: Provider, book: Book, *, last: bool = False) -> ModelResponse:
    model = MeteredModel(provider, "m", book, last=last)
    request = ModelRequest(parts=[UserPromptPart("hello " * 100)])
    return await model.request([request], None, ModelRequestParameters())


async def test_a_call_is_asked_for_before_and_told_after_and_the_library_does_not_retry() -> None:
    provider, book = Provider(says()), Book()
    await send(provider, book)
    assert (book.asked, book.told) == (["m"], [Usage(40, 2, 0.0, 1)])
    assert (provider.calls[0] or {}).get("max_retries") == 0


async def test_a_provider_that_is_down_is_asked_a_bounded_number_of_times() -> None:
    provider, book = Provider(fails(503, retry_after="0")), Book()
    with pytest.raises(ModelHTTPError):
        await send(provider, book)
    assert len(provider.calls) == TRIES
    assert book.asked == ["m"] * TRIES  # each try counts against the quota


async def test_it_is_asked_again_no_earlier_than_it_says() -> None:
    provider = Provider(fails(429, retry_after="0.4"), says())
    began = asyncio.get_running_loop().time()
    await send(provider, Book())
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_a_wait_that_is_too_long_closes_the_model_for_everybody() -> None:
    provider, book = Provider(fails(429, retry_after="30")), Book()
    with pytest.raises(ClosedError):
        await send(provider, book)
    assert len(provider.calls) == 1
    assert book.held["m"].until == NOW + timedelta(seconds=30)


async def test_a_day_s_quota_closes_the_model_until_its_reset_though_a_short_wait_is_named() -> None:
    provider, book = Provider(fails(429, DAY_SPENT)), Book()
    with pytest.raises(ClosedError):
        await send(provider, book, last=True)
    assert len(provider.calls) == 1
    assert book.held["m"].until == datetime(2026, 6, 2, tzinfo=UTC)


async def test_a_model_that_this_key_cannot_have_is_left_out_for_good() -> None:
    book = Book()
    with pytest.raises(ClosedError):
        await send(Provider(fails(429, "limit: 0")), book)
    assert book.held["m"].until is None


async def test_a_request_that_cannot_succeed_is_not_repeated() -> None:
    provider, book = Provider(fails(400)), Book()
    with pytest.raises(ModelHTTPError):
        await send(provider, book)
    assert len(provider.calls) == 1
    assert book.told == [Usage(requests=1)]


async def test_what_a_broken_connection_may_have_cost_is_counted() -> None:
    book = Book()
    with pytest.raises(ModelAPIError):
        await send(Provider(breaks), book)
    assert len(book.told) == TRIES
    assert all(usage.input_tokens > 100 for usage in book.told)


async def test_a_quota_that_is_free_again_soon_is_waited_for_and_a_distant_one_is_not() -> None:
    provider = Provider(says())
    await send(provider, Book([Wait(NOW + timedelta(seconds=0.2), "full")]))
    assert len(provider.calls) == 1
    with pytest.raises(ClosedError) as caught:
        await send(provider, Book([Wait(NOW + timedelta(hours=1), "the day is used up")]))
    assert caught.value.until == NOW + timedelta(hours=1)
    assert len(provider.calls) == 1


async def put(book: Book, *providers: Provider) -> Any:
    limits = ModelLimits(seconds=20)
    return (await ask(list(providers), "Well?", str, limits=limits, problem=lambda _: None, meter=book)).value


async def test_the_next_model_is_asked_where_the_first_is_closed() -> None:
    first, second = Provider(fails(429, DAY_SPENT)), Provider(says("the second"))
    assert await put(Book(), first, second) == "the second"


async def test_where_every_model_is_closed_for_now_the_run_comes_back_later() -> None:
    book = Book([Wait(NOW + timedelta(hours=3), "used up"), Wait(NOW + timedelta(hours=2), "used up")])
    with pytest.raises(RetryableError) as caught:
        await put(book, Provider(says()), Provider(says()))
    assert caught.value.after == 7200


async def test_where_waiting_does_not_help_the_run_has_failed() -> None:
    with pytest.raises(RunError) as caught:
        await put(Book([Refused("this run has used the $1.00 that it may cost")]), Provider(says()))
    assert caught.value.reason == "quota"
    assert "$1.00" in str(caught.value)
