"""Owns one conversation with a model: its limits, its history on disk, what it cost, and how its failures are told."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from bot.core.values import Usage
from bot.models.failures import failures_told
from bot.models.meter import Meter, Unmetered
from bot.models.tools import RefusedError
from bot.ports import RunError

if TYPE_CHECKING:
    from pydantic_ai import AgentRun, UsageLimits
    from pydantic_ai.models import Model

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Where one conversation ends at the latest."""

    requests: int = 24
    tool_calls: int = 60
    tokens: int = 600_000
    usd: float | None = 2.0
    seconds: float = 900.0
    retries: int = 2  # how often an answer that does not fit is sent back


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """What a model said in the shape that was asked for, and what that cost."""

    value: _T
    usage: Usage


@dataclass(slots=True)
class _Cost:
    """What a conversation has cost so far, whether or not it comes to an end."""

    run: AgentRun[object, object] | None = None

    def usage(self) -> Usage:
        if self.run is None:
            return Usage()
        used = self.run.usage
        if used.cost is None:
            _log.warning("cost_unknown", input_tokens=used.input_tokens, output_tokens=used.output_tokens)
        return Usage(used.input_tokens, used.output_tokens, float(used.cost or 0), used.requests)


async def ask(
    models: Sequence[str | Model],
    prompt: str,
    shape: type[_T],
    *,
    limits: ModelLimits,
    problem: Callable[[_T], str | None],
    tools: Sequence[Callable[..., str]] = (),
    state_dir: Path | None = None,
    meter: Meter | None = None,
) -> Answer[_T]:
    """Ask until the answer has the shape and no problem.

    RunError stall, garbage, crash, auth or quota says why there is none, and what it cost; RetryableError where a
    quota ends the conversation that is free again later.
    """
    from pydantic_ai import Agent, ModelRetry

    meter = meter or Unmetered()
    agent: Agent[object, _T] = Agent(
        _model(meter.models or models, meter), output_type=shape, retries=limits.retries
    )

    @agent.output_validator
    def check(value: _T) -> _T:
        found = problem(value)
        if found is not None:
            raise ModelRetry(found)
        return value

    for tool in tools:
        agent.tool_plain(_told(tool))
    cost = _Cost()
    with failures_told(cost.usage, meter.now):
        # The agent as a context closes the connections of its models' providers.
        async with (
            asyncio.timeout(limits.seconds),
            agent,
            agent.iter(prompt, usage_limits=_allowed(limits, meter)) as run,
        ):
            cost.run = run
            await _to_the_end(run, state_dir)
        if run.result is None:
            raise RunError("garbage", "The model ended without an answer", cost.usage())
        return Answer(run.result.output, cost.usage())


def _allowed(limits: ModelLimits, meter: Meter) -> UsageLimits:
    """Give the library's limits: our own, and no more money than the run was granted."""
    from pydantic_ai import UsageLimits

    usd = min((most for most in (limits.usd, meter.usd) if most is not None), default=None)
    return UsageLimits(
        request_limit=limits.requests,
        tool_calls_limit=limits.tool_calls,
        total_tokens_limit=limits.tokens,
        cost_limit=None if usd is None else Decimal(str(usd)),
    )


async def _to_the_end(run: AgentRun[object, _T], state_dir: Path | None) -> None:
    """Step through the conversation and write down each turn as it is made."""
    written = 0
    async for _ in run:
        written = _remember(run, state_dir, written)
    _remember(run, state_dir, written)


def _remember(run: AgentRun[object, _T], state_dir: Path | None, written: int) -> int:
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    messages = run.new_messages()
    if state_dir is not None and len(messages) > written:
        turns = ModelMessagesTypeAdapter.dump_python(messages[written:], mode="json")
        handle = os.open(state_dir / "history.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(turn, ensure_ascii=False) + "\n" for turn in turns)
    return len(messages)


def _model(models: Sequence[str | Model], meter: Meter) -> Model:
    """Build the models in their order; one that cannot be built (no key) is left out, unless it is the last."""
    from pydantic_ai.exceptions import UserError as Unusable
    from pydantic_ai.models import infer_model
    from pydantic_ai.models.fallback import FallbackModel

    from bot.models.metered import MeteredModel

    built: list[tuple[str, Model]] = []
    problems: list[str] = []
    for name in models:
        try:
            model = infer_model(name)
            built.append((name if isinstance(name, str) else model.model_id, model))
        except (Unusable, ImportError, ValueError) as error:
            problems.append(f"`{name}`: {error}")
            _log.warning("model_unusable", model=str(name), error=str(error))
    if not built:
        raise RunError("crash", "No model can be used. " + "; ".join(problems or ["None is configured"]))
    metered = [
        MeteredModel(model, name, meter, last=n == len(built)) for n, (name, model) in enumerate(built, 1)
    ]
    return metered[0] if len(metered) == 1 else FallbackModel(metered[0], *metered[1:])


def _told(tool: Callable[..., str]) -> Callable[..., str]:
    """Let the model read why a tool refused, and go on."""

    @functools.wraps(tool)
    def answered(*args: object, **more: object) -> str:
        try:
            return tool(*args, **more)
        except RefusedError as error:
            return f"Refused: {error}"

    return answered
