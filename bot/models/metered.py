"""Owns one model behind its meter: quotas before a call, one loop of retries around it, its cost after it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from bot.core.budgets import Hold, Refused
from bot.core.values import Usage
from bot.models.meter import Meter
from bot.models.names import terms
from bot.models.trouble import Trouble, understand

_log = structlog.get_logger(__name__)

TRIES = 3
PATIENCE = 10.0  # seconds waited for a model where another one can be asked
LAST_PATIENCE = 65.0  # seconds waited for the last one: a quota of the minute is free again by then
BYTES_PER_TOKEN = 4
_BACKOFF = wait_random_exponential(multiplier=0.5, max=20)  # full jitter


class ClosedError(ModelAPIError):
    """A model that cannot be asked now; `until` None: waiting does not help."""

    def __init__(self, model: str, why: str, until: datetime | None) -> None:
        super().__init__(model, f"`{model}`: {why}")
        self.why = why
        self.until = until


class _AgainError(Exception):
    """The same call may succeed after `seconds`; None: nobody said how many."""

    def __init__(self, error: ModelAPIError, seconds: float | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


class MeteredModel(WrapperModel):
    """A model that waits for its quotas and for its provider, for a bounded time, and tells what it used."""

    def __init__(self, wrapped: Model | str, name: str, meter: Meter, *, last: bool) -> None:
        super().__init__(wrapped)
        self._name = name
        self._meter = meter
        self._patience = LAST_PATIENCE if last else PATIENCE

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model; ModelAPIError where the next one must be asked."""
        tokens = len(ModelMessagesTypeAdapter.dump_json(messages)) // BYTES_PER_TOKEN
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=_wait,
            retry=retry_if_exception_type(_AgainError),
            reraise=True,
        )
        # This is the only loop of retries: those of the provider's own library would multiply it.
        alone: ModelSettings = {**(model_settings or {}), "max_retries": 0}
        try:
            response: ModelResponse = await retrying(
                self._once, messages, alone, model_request_parameters, tokens
            )
        except _AgainError as again:
            raise again.error from again
        return response

    async def _once(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        tokens: int,
    ) -> ModelResponse:
        await self._allowed(tokens)
        try:
            response = await self.wrapped.request(messages, settings, parameters)
        except ModelHTTPError as error:
            await self._meter.after(self._name, Usage(requests=1))
            now = self._meter.now()
            quota = terms(self._name).quota
            trouble = understand(
                error.status_code, error.body, error.headers, now, quota.reset if quota else "utc"
            )
            raise await self._consequence(error, trouble, now) from error
        except ModelAPIError as error:
            # The connection broke: what was sent may have been read, and paid for.
            await self._meter.after(self._name, Usage(input_tokens=tokens, requests=1))
            raise _AgainError(error, None) from error
        used = response.usage
        await self._meter.after(
            self._name, Usage(used.input_tokens, used.output_tokens, _listed(response), requests=1)
        )
        return response

    async def _allowed(self, tokens: int) -> None:
        """Wait for the quotas as long as that is worth it; ClosedError where it is not."""
        waited = 0.0
        while True:
            answer = await self._meter.before(self._name, tokens)
            if answer is None:
                return
            if isinstance(answer, Refused):
                raise ClosedError(self._name, answer.text, None)
            seconds = (answer.until - self._meter.now()).total_seconds()
            if waited + seconds > self._patience:
                raise ClosedError(self._name, answer.reason, answer.until)
            _log.info("model_waits", model=self._name, seconds=seconds, reason=answer.reason)
            await asyncio.sleep(max(seconds, 0.0))
            waited += max(seconds, 0.01)

    async def _consequence(self, error: ModelHTTPError, trouble: Trouble, now: datetime) -> Exception:
        """Turn a refusal into: ask again soon, leave the model out for a while, or give it up."""
        if trouble.remedy == "none":
            return error
        if trouble.remedy == "again":
            seconds = (trouble.until - now).total_seconds() if trouble.until else None
            if seconds is None or seconds <= self._patience:
                return _AgainError(error, seconds)
        until = None if trouble.remedy == "gone" else trouble.until
        _log.warning("model_closed", model=self._name, why=trouble.why, until=str(until))
        await self._meter.hold(self._name, Hold(until, trouble.why))
        return ClosedError(self._name, trouble.why, until)


def _wait(state: RetryCallState) -> float:
    """Wait as long as the provider asks for, never less, with a jitter that spreads those who ask together."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, _AgainError) and error.seconds is not None else 0.0
    return asked + _BACKOFF(state)


def _listed(response: ModelResponse) -> float:
    """Give what the library reckons for an answer, cheaper cached input counted as such; 0 where it does not know."""
    try:
        return float(response.cost().total_price)
    except LookupError:
        return 0.0


def reopening(errors: list[ClosedError], now: datetime) -> timedelta | None:
    """Tell when the first of these models can be asked again; None where waiting does not help."""
    times = [error.until for error in errors if error.until is not None]
    return min(times) - now if times else None
