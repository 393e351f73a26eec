"""Owns one ACP session: a command in a box, its way to the model, one conversation with watchdogs over each turn."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from bot.agents.acp_room import COMMAND, Room, prepare, way_to_model
from bot.agents.acp_steps import Steps, inside, paths_of
from bot.agents.metering import MOST
from bot.agents.presets import Launch, Need, Preset
from bot.agents.relay import Relay
from bot.agents.sessions import append_history
from bot.agents.supplies import Limits, Supplies
from bot.core.drift import Step
from bot.core.sanitize import plain, redact
from bot.core.values import Usage
from bot.ports import JsonDict, RunError, Talk

if TYPE_CHECKING:
    import acp
    from acp.client.connection import ClientSideConnection

    from bot.agents.acp_wire import Wire

_CHANGES = frozenset({"edit", "delete", "move", "execute"})
_AUTH_REQUIRED = -32000
_SHOWN = 300  # characters of what an agent said when it failed


@asynccontextmanager
async def converse(
    preset: Preset, supplies: Supplies, room: Room, on_step: Callable[[Step], None]
) -> AsyncIterator[Conversation]:
    """Lend a started session; RunError where it does not start. At the end its whole process tree is dead."""
    from acp import connect_to_agent  # heavy: only where an agent is used

    from bot.agents.acp_wire import Client, Wire

    async with AsyncExitStack() as stack:
        way = await way_to_model(preset, supplies, room, stack)
        model, token = (way.endpoint.model, way.token) if way is not None else ("", "")
        launch = preset.launch(Need(model, token, room.read_only))
        prepare(room, launch, way)
        talk = await stack.enter_async_context(room.box.start(COMMAND))
        steps = Steps(room.worktree, room.tree or _nothing)
        talking = Conversation(preset, supplies.limits, room, talk, way, steps, on_step)
        wire = Wire(talk, talking.take)
        client = cast("acp.Client", Client(talking.allowed))
        link = connect_to_agent(client, wire)
        stack.push_async_callback(_close, link)
        await talking.begin(link, wire, launch)
        yield talking


async def _close(link: ClientSideConnection) -> None:
    with suppress(ConnectionError):
        await link.close()


async def _nothing() -> str:
    return ""


class Conversation:
    """A started agent; `ask` is one turn, `usage` and `trace` are what there is until now."""

    def __init__(
        self,
        preset: Preset,
        limits: Limits,
        room: Room,
        talk: Talk,
        way: Relay | None,
        steps: Steps,
        on_step: Callable[[Step], None],
    ) -> None:
        self.trace: list[Step] = []
        self.steps = steps
        self._preset = preset
        self._limits = limits
        self._room = room
        self._talk = talk
        self._way = way
        self._on_step = on_step
        self._link: ClientSideConnection
        self._wire: Wire
        self._session = ""
        self._said_usage = Usage()
        self._alive = time.monotonic()

    @property
    def usage(self) -> Usage:
        """What the relay counted; where nothing passed it, what the agent said itself."""
        counted = self._way.usage if self._way is not None else Usage()
        return counted if counted.requests else self._said_usage

    @property
    def idle(self) -> float:
        """Seconds since the last sign of life: an update, or a byte of the model's answer."""
        return time.monotonic() - max(self._alive, self._way.alive if self._way is not None else 0.0)

    @property
    def _denied(self) -> str:
        return self._way.denied if self._way is not None else ""

    async def begin(self, link: ClientSideConnection, wire: Wire, launch: Launch) -> None:
        """Make the session; RunError stall or crash where the agent does not come up."""
        from acp import PROTOCOL_VERSION
        from acp.schema import ClientCapabilities, Implementation

        self._link, self._wire = link, wire
        limit = self._limits.start
        about = Implementation(name="gitwright", version="1")
        with self._failures():
            try:
                async with asyncio.timeout(limit):
                    await link.initialize(PROTOCOL_VERSION, ClientCapabilities(), about)
                    made = await link.new_session(cwd=str(self._room.worktree), mcp_servers=[])
                    self._session = made.session_id
                    if launch.mode is not None:
                        await link.set_session_mode(session_id=self._session, mode_id=launch.mode)
            except TimeoutError as error:
                raise self.failed("stall", f"did not start within {limit:g} s") from error

    async def ask(
        self,
        text: str,
        *,
        idle: float,
        deadline: float,
        alarm: asyncio.Event,
        look: Callable[[], Awaitable[None]],
    ) -> str:
        """Take one turn and give why it stopped; a rung `alarm` cancels it. RunError stall, crash, auth or quota."""
        self._alive = time.monotonic()
        turn = asyncio.create_task(self._prompt(text))
        try:
            while not turn.done():
                await _first(turn, alarm, min(self._limits.look, idle, max(deadline - time.monotonic(), 0)))
                if turn.done():
                    break
                if alarm.is_set() or self._denied:
                    await self._cancel(turn)
                elif self.idle >= idle:
                    await self._cancel(turn)
                    raise self.failed("stall", f"gave no sign of life for {idle:g} s")
                elif time.monotonic() >= deadline:
                    await self._cancel(turn)
                    raise self.failed("stall", "did not end in time")
                else:
                    await look()
            stopped = turn.result()
            if self._denied:
                raise self.failed("budget", "was stopped")
            return stopped
        finally:
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)

    async def _prompt(self, text: str) -> str:
        from acp import text_block

        append_history(self._room.state_dir, {"role": "user", "text": text})
        with self._failures():
            answer = await self._link.prompt(session_id=self._session, prompt=[text_block(text)])
        for step in self.steps.flush():
            self._made(step)
        if answer.usage is not None:
            asked, answered = answer.usage.input_tokens, answer.usage.output_tokens
            self._said_usage += Usage(min(asked, MOST), min(answered, MOST), 0.0, 1)
        return answer.stop_reason

    async def _cancel(self, turn: asyncio.Task[str]) -> None:
        """Ask for the end of the turn and wait for it; RunError stall where it does not come."""
        limit = self._limits.drain
        try:
            async with asyncio.timeout(limit):  # asking waits too, where the agent reads nothing any more
                with suppress(ConnectionError):
                    await self._link.cancel(session_id=self._session)
                await asyncio.wait({turn})
        except TimeoutError as error:
            raise self.failed("stall", f"did not stop within {limit:g} s of being asked to") from error

    async def take(self, update: JsonDict) -> None:
        """Take what the agent reports of its work."""
        self._alive = time.monotonic()
        for step in await self.steps.take(update):
            self._made(step)

    def _made(self, step: Step) -> None:
        self.trace.append(step)
        append_history(self._room.state_dir, {"role": "assistant", **asdict(step)})
        self._on_step(step)

    def allowed(self, call: JsonDict) -> bool:
        """Say whether a step that the agent asks about may be done: inside the worktree, and no change by a reader."""
        if self._room.read_only and call.get("kind") in _CHANGES:
            return False
        return all(inside(self._room.worktree, path) is not None for path in paths_of(call))

    def failed(self, reason: str, what: str, rule: str = "") -> RunError:
        """Make the error of a run; trouble on the way to its model says more than what it led to."""
        status = self._way.trouble if self._way is not None else 0
        name = self._preset.name
        if self._denied:
            reason, what = "budget", f"was stopped: {self._denied}"
        elif status and reason in {"crash", "stall", "garbage", "no_change"}:
            reason = _of_status(status)
            what = f"{what}; its model's provider answered {status}"
        return RunError(reason, f"The agent `{name}` {what}", self.usage, tuple(self.trace), rule)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        from acp import RequestError

        try:
            yield
        except RequestError as error:
            said = plain(redact(str(error)), _SHOWN)
            raise self.failed(_of_text(error.code, f"{error} {error.data}"), f"gave up: {said}") from error
        except ValidationError as error:
            raise self.failed("garbage", "gave an answer that is none of its protocol") from error
        except ConnectionError as error:
            raise self.failed("crash", self._end()) from error

    def _end(self) -> str:
        if self._wire.problem:
            return f"was cut off: {self._wire.problem}"
        last = redact(self._talk.errors).strip().splitlines()[-1:] or ["it said nothing"]
        return f"ended by itself: {plain(last[0], _SHOWN)}"


async def _first(turn: asyncio.Task[str], alarm: asyncio.Event, seconds: float) -> None:
    """Wait until the turn is over, the alarm rings or the time has passed."""
    ring = asyncio.create_task(alarm.wait())
    await asyncio.wait({turn, ring}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    ring.cancel()


def _of_status(status: int) -> str:
    if status in {401, 403}:
        return "auth"
    return "quota" if status in {402, 429} else "crash"


def _of_text(code: int, text: str) -> str:
    """Tell by its words why an agent gave up, where nothing of that passed the relay."""
    if code == _AUTH_REQUIRED or re.search(
        r"\b40[13]\b|unauthori[sz]ed|authenticat|api.?key", text, re.IGNORECASE
    ):
        return "auth"
    if re.search(r"\b4(02|29)\b|rate.?limit|quota|insufficient.?(funds|credit|balance)", text, re.IGNORECASE):
        return "quota"
    return "crash"
