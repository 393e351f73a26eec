"""Owns the built-in agent: a loop in the bot's own process whose every tool acts inside the box."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from bot import prompts
from bot.agents.builtin_model import CONTEXT, answer, compacted, reached, wire_of
from bot.agents.builtin_tools import READING, TOOLS, Answered, Tools
from bot.agents.driver import AgentCoder
from bot.agents.supplies import Supplies
from bot.core.sanitize import whole
from bot.errors import AgentError
from bot.ports import (
    Box,
    DisposeProof,
    ModelAccess,
    Sandbox,
    Seat,
    Text,
    Thought,
    TurnResult,
    WireFormat,
    WorkOrder,
    WorkReport,
)

if TYPE_CHECKING:
    from pydantic_ai.messages import (
        ModelMessage,
        ModelRequestPart,
        ModelResponse,
        ModelResponsePart,
        ToolCallPart,
    )
    from pydantic_ai.models import Model, ModelRequestParameters

ANSWERS = 300  # of the model in one turn
_CALLS = 32  # of tools in one answer
_KEPT = 100_000  # characters of a call's arguments that are kept in the conversation
_GUIDE = ("git", "-c", "safe.directory=*", "show", "HEAD:AGENTS.md")
_GUIDE_SECONDS = 20.0
_GUIDE_TEXT = 12_000  # characters
_TEXTS = ("content", "signature", "id", "tool_name", "tool_call_id")  # of the parts of an answer
_STOPS: dict[str, Literal["max_tokens", "refusal"]] = {"length": "max_tokens", "content_filter": "refusal"}


class BuiltinCoder:
    """Implements Coder; the format follows the model that the router chose."""

    name = "builtin"

    def __init__(self, supplies: Supplies) -> None:
        self._supplies = supplies

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        """Work as every agent does."""
        wire = wire_of(order.model, self._supplies.endpoints.base_url)
        return await AgentCoder(BuiltinRuntime(wire), self._supplies).work(order, sandbox)


class BuiltinRuntime:
    """Implements AgentRuntime for one run.

    `context` is how many tokens a conversation may have before it is cut, `answers` how often a turn asks the model.
    """

    name = "builtin"

    def __init__(self, wire: WireFormat, context: int = CONTEXT, answers: int = ANSWERS) -> None:
        self.wire: WireFormat | None = wire
        self._context = context
        self._answers = answers
        self._guide: str | None = None

    async def start(self, seat: Seat) -> BuiltinHandle:
        """Begin a conversation; nothing is asked yet."""
        if seat.access is None:
            raise AgentError("auth", "has no model: none is configured for its tasks")
        if self._guide is None:  # read before anything of the run could have changed what is committed
            self._guide = await _guide(seat.box)
        system = prompts.render(
            prompts.BuiltinPrompt(
                str(seat.box.work), self._guide, prompts.delimiter(self._guide), seat.read_only
            )
        )
        stack = AsyncExitStack()
        model = await stack.enter_async_context(reached(self.wire, seat.access))
        tools = Tools(seat.box, seat.report, READING if seat.read_only else tuple(TOOLS))
        talk = _Conversation(model, seat.access, system, self._context, self._answers)
        return BuiltinHandle(talk, seat, tools, stack)


async def _guide(box: Box) -> str:
    """Give what the base's AGENTS.md says; "" where there is none."""
    done = await box.run(_GUIDE, timeout=_GUIDE_SECONDS, env={"PATH": box.path})
    return done.output.strip()[:_GUIDE_TEXT] if done.code == 0 else ""


@dataclass(slots=True)
class _Conversation:
    """What is said to and by the model, kept in memory alone."""

    model: Model
    access: ModelAccess
    system: str
    context: int
    answers: int
    history: list[ModelMessage] = field(default_factory=list)

    async def ask(self, offered: ModelRequestParameters) -> ModelResponse:
        """Have the model say what comes next."""
        response = await answer(self.model, self.access, self.history, offered)
        response = replace(response, parts=[_whole(part) for part in response.parts])
        self.history.append(replace(response, parts=[_sane(part) for part in response.parts]))
        return response

    def say(self, parts: Sequence[ModelRequestPart]) -> None:
        """Add to the conversation; what was not answered yet is asked together with what is new."""
        from pydantic_ai.messages import ModelRequest

        last = self.history[-1] if self.history else None
        if isinstance(last, ModelRequest):
            self.history[-1] = replace(last, parts=[*last.parts, *parts])
        else:
            self.history.append(ModelRequest(parts=parts, instructions=self.system))

    def fit(self, response: ModelResponse) -> None:
        """Cut what is old, where the conversation has become too long."""
        if response.usage.input_tokens + response.usage.output_tokens > self.context:
            self.history = compacted(self.history)


class BuiltinHandle:
    """Implements AgentHandle: one conversation and its tools."""

    id = ""
    resumed = False

    def __init__(self, talk: _Conversation, seat: Seat, tools: Tools, stack: AsyncExitStack) -> None:
        self._talk = talk
        self._seat = seat
        self._tools = tools
        self._stack = stack
        self._running: asyncio.Task[TurnResult] | None = None
        self._text = ""

    async def prompt(self, text: str) -> TurnResult:
        """Take a turn: the model is asked until it calls no tool any more."""
        self._text = ""
        self._running = turn = asyncio.create_task(self._turn(text))
        try:
            await asyncio.wait({turn})
        finally:
            await _ended(turn)
        return TurnResult("cancelled", self._text) if turn.cancelled() else turn.result()

    async def steer(self, text: str) -> TurnResult:
        """Cancel and ask again; what was said and done stays known."""
        await self.cancel()
        return await self.prompt(text)

    async def cancel(self) -> None:
        """End the running turn; a command that it runs is killed."""
        if self._running is not None:
            await _ended(self._running)

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        """Let go of the conversation, of which nothing is on disk."""
        await self.cancel()
        self._talk.history.clear()
        await self._stack.aclose()
        return DisposeProof(checked=("provider session: the conversation was in memory alone, and is gone",))

    async def _turn(self, text: str) -> TurnResult:
        from pydantic_ai.messages import UserPromptPart

        self._talk.say([UserPromptPart(content=text)])
        offered = self._offered()
        for _ in range(self._talk.answers):
            response = await self._talk.ask(offered)
            await self._heard(response)
            if not response.tool_calls:
                return TurnResult(_STOPS.get(response.finish_reason or "", "end_turn"), self._text)
            await self._called(response.tool_calls)
            self._talk.fit(response)
        return TurnResult("max_turn_requests", self._text)

    def _offered(self) -> ModelRequestParameters:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.tools import ToolDefinition

        offered = {name: TOOLS[name] for name in self._tools.names}
        definitions = [
            ToolDefinition(name=name, description=tool.about, parameters_json_schema=tool.model_json_schema())
            for name, tool in offered.items()
        ]
        return ModelRequestParameters(function_tools=definitions)

    async def _heard(self, response: ModelResponse) -> None:
        if response.thinking and response.thinking.strip():
            await self._seat.report(Thought(response.thinking.strip()))
        if response.text and response.text.strip():
            self._text = response.text.strip()
            await self._seat.report(Text(self._text))

    async def _called(self, calls: list[ToolCallPart]) -> None:
        """Run the tools one after the other; every call gets an answer, also where the turn is cancelled."""
        from pydantic_ai.messages import ToolReturnPart

        done: list[Answered] = []
        try:
            for place, call in enumerate(calls):
                if place >= _CALLS:
                    done.append(Answered(f"Not done: at most {_CALLS} calls in one answer.", False))
                    continue
                done.append(await self._tools.call(call.tool_call_id, call.tool_name, _given(call)))
        finally:
            cut = Answered("Interrupted before it came to an end.", False)
            answers = [*done, *[cut] * (len(calls) - len(done))]
            parts: list[ModelRequestPart] = [
                ToolReturnPart(tool_name=call.tool_name, content=given.text, tool_call_id=call.tool_call_id)
                for call, given in zip(calls, answers, strict=True)
            ]
            self._talk.say(parts)


async def _ended(turn: asyncio.Task[TurnResult]) -> None:
    """End a turn and wait for it; how it ended is its caller's to see."""
    turn.cancel()
    await asyncio.wait({turn})


def _given(call: ToolCallPart) -> str:
    return call.args if isinstance(call.args, str) else json.dumps(call.args or {})


def _whole(part: ModelResponsePart) -> ModelResponsePart:
    """Replace halves of characters, also those that are escaped in a call's arguments."""
    from pydantic_ai.messages import ToolCallPart

    texts = {name: getattr(part, name, None) for name in _TEXTS}
    mended = {name: whole(text) for name, text in texts.items() if isinstance(text, str)}
    if isinstance(part, ToolCallPart) and (given := part.args):
        escaped = isinstance(given, dict) or "\\ud" in given.lower()
        try:
            mended["args"] = json.dumps(whole(json.loads(_given(part)))) if escaped else whole(given)
        except (ValueError, RecursionError):
            mended["args"] = whole(given) if isinstance(given, str) else "{}"
    return replace(part, **mended)


def _sane(part: ModelResponsePart) -> ModelResponsePart:
    """Keep no call that providers would refuse to be told of again: its arguments no object, or without measure."""
    from pydantic_ai.messages import ToolCallPart

    if not isinstance(part, ToolCallPart):
        return part
    given = _given(part)
    try:
        sane = len(given) <= _KEPT and isinstance(json.loads(given or "{}"), dict)
    except (ValueError, RecursionError):
        sane = False
    return part if sane else replace(part, args="{}")
