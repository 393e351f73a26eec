"""Owns one session of an agent under its watchdogs: start-up, signs of life, the turn's end, money, the end after a cancel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bot.agents.sessions import append_history
from bot.agents.supplies import Limits
from bot.core.sanitize import plain, redact
from bot.core.values import Usage
from bot.errors import AgentError
from bot.ports import (
    AgentEvent,
    AgentHandle,
    AgentRuntime,
    DisposeProof,
    Permission,
    Raw,
    RunError,
    Seat,
    TurnResult,
    Used,
)

_SHOWN = 600  # characters of what an agent said when it failed
_QUOTA = frozenset({402, 429})
_AUTH = frozenset({401, 403})
_PROVIDER = frozenset({"quota", "down", "auth"})  # of these the gateway knows better
_OVERTOLD = _PROVIDER | {
    "crash",
    "stall",
    "garbage",
    "no_change",
}  # the provider's trouble says more than these

Take = Callable[[AgentEvent], Awaitable[None]]
Look = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Alarm:
    """What interrupts a turn: `words` for the agent, or None where it has to end."""

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    stops: bool = False
    words: Callable[[], str | None] = lambda: None


class Watched:
    """A runtime's session, and what is started after it in its place; every failure is a RunError.

    What the provider answered goes before what the agent made of it; where a gateway stands between, nothing that the
    agent says tells of the provider: one that lies would shut a model for everybody.
    """

    def __init__(self, runtime: AgentRuntime, limits: Limits, seat: Seat, take: Take) -> None:
        self._runtime = runtime
        self._limits = limits
        self._seat = replace(seat, report=self._hear)
        self._take = take
        self._said = self._heard = (
            Usage()
        )  # by the agent itself: of turns that are over, and of the one that is not
        self._alive = time.monotonic()
        self._handle: AgentHandle | None = None

    @property
    def usage(self) -> Usage:
        """What the gateway counted; where nothing passed it, what the agent said itself."""
        access = self._seat.access
        counted = access.usage if access is not None else Usage()
        return counted if counted.requests else self._said + self._heard

    @property
    def id(self) -> str:
        """The session that another process could go on with; "" where it cannot."""
        return self._handle.id if self._handle is not None else ""

    @property
    def idle(self) -> float:
        """Seconds since the last sign of life: an event, or a byte of the model's answer."""
        access = self._seat.access
        return time.monotonic() - max(self._alive, access.alive if access is not None else 0.0)

    @property
    def denied(self) -> str:
        """Why its model may cost no more, where it may not."""
        return self._seat.access.denied if self._seat.access is not None else ""

    async def start(self, resume: str = "") -> bool:
        """Start a session and tell whether it goes on with the one named; AgentError where it does not come up."""
        limit = self._limits.start
        try:
            async with asyncio.timeout(limit):
                self._handle = await self._runtime.start(replace(self._seat, resume=resume))
        except TimeoutError as error:
            raise self.failed("stall", f"did not start within {limit:g} s") from error
        except AgentError as error:
            raise self._of(error) from error
        return self._handle.resumed

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        """End the session, or its processes alone; nothing to be done where there is none."""
        handle, self._handle = self._handle, None
        if handle is None:
            return DisposeProof()
        return await handle.dispose(keep=keep)

    async def end(self, closing: asyncio.Event) -> DisposeProof:
        """End the session; where the process itself is `closing` the agent has little time to forget it."""
        limit = asyncio.timeout(self._limits.hurried if closing.is_set() else None)
        try:
            async with limit:
                return await self.dispose()
        except TimeoutError:
            if not limit.expired():
                raise
            return DisposeProof(unproved=("provider session: the bot ended before it was gone",))

    async def ask(self, text: str, *, idle: float, deadline: float, alarm: Alarm, look: Look) -> TurnResult:
        """Take a turn, interrupted and gone on with as often as `alarm` has words; gives how the last one ended."""
        assert self._handle is not None
        self._alive = time.monotonic()
        turn = self._turn(self._handle.prompt, text)
        try:
            while not turn.done():
                await _first(
                    turn, alarm.rung, min(self._limits.look, idle, max(deadline - time.monotonic(), 0))
                )
                if turn.done():
                    break
                if self.denied or (alarm.rung.is_set() and alarm.stops):
                    await self._cancel(turn)
                elif alarm.rung.is_set():
                    words = alarm.words()
                    alarm.rung.clear()
                    turn = await self._steer(turn, words) if words is not None else turn
                elif self.idle >= (patience := min(idle, self._limits.away) if self._trouble() else idle):
                    await self._cancel(turn)
                    raise self.failed("stall", f"gave no sign of life for {patience:g} s")
                elif time.monotonic() >= deadline:
                    await self._cancel(turn)
                    raise self.failed("stall", "did not end in time")
                else:
                    await look()
            return self._ended(turn)
        finally:
            await _over(turn)

    def _ended(self, turn: asyncio.Task[TurnResult]) -> TurnResult:
        try:
            result = turn.result()
        except AgentError as error:
            raise self._of(error) from error
        if self.denied:
            raise self.failed("budget", "was stopped")
        if result.stop == "end_turn" and not result.text and self._trouble():
            raise self.failed("crash", "ended its turn without a word")
        return result

    def _turn(
        self, take: Callable[[str], Coroutine[Any, Any, TurnResult]], text: str
    ) -> asyncio.Task[TurnResult]:
        append_history(self._seat.state_dir, {"role": "user", "text": text})
        return asyncio.create_task(self._counted(take, text))

    async def _counted(self, take: Callable[[str], Coroutine[Any, Any, TurnResult]], text: str) -> TurnResult:
        """Take a turn, and count it however it ends: in its own task, before anything of the next one is heard."""
        said = Usage()
        try:
            result = await take(text)
            said = result.usage or said
            return result
        finally:
            # Some say nothing of a turn that was cancelled, or of its last call alone.
            self._said, self._heard = self._said + max(said, self._heard, key=_tokens), Usage()

    async def _steer(self, turn: asyncio.Task[TurnResult], words: str) -> asyncio.Task[TurnResult]:
        """Interrupt a turn and give the one that takes its place."""
        assert self._handle is not None
        newer = self._turn(self._handle.steer, words)
        try:
            await self._drained(turn, asyncio.wait({turn}))
            if turn.exception() is not None:
                self._ended(turn)
            self._alive = time.monotonic()
        except BaseException:
            await _over(newer)
            raise
        return newer

    async def _cancel(self, turn: asyncio.Task[TurnResult]) -> None:
        """Ask for the end of the turn and wait for it; RunError stall where it does not come."""
        assert self._handle is not None
        handle = self._handle

        async def end() -> None:
            await handle.cancel()
            await asyncio.wait({turn})

        await self._drained(turn, end())

    async def _drained(self, turn: asyncio.Task[TurnResult], end: Awaitable[object]) -> None:
        limit = self._limits.drain
        try:
            async with asyncio.timeout(limit):  # asking waits too, where the agent reads nothing any more
                await end
        except TimeoutError as error:
            raise self.failed("stall", f"did not stop within {limit:g} s of being asked to") from error

    async def _hear(self, event: AgentEvent) -> None:
        self._alive = time.monotonic()
        if isinstance(event, Used):
            self._heard += event.usage
        elif not isinstance(event, Raw | Permission):
            append_history(
                self._seat.state_dir, {"role": "assistant", "type": type(event).__name__, **asdict(event)}
            )
        await self._take(event)

    def _trouble(self) -> int:
        status = self._seat.access.trouble if self._seat.access is not None else 0
        return status if status in _QUOTA | _AUTH or status >= 500 else 0

    def _of(self, error: AgentError) -> AgentError:
        return self.failed(error.reason, plain(redact(str(error)), _SHOWN), error.after)

    def failed(self, reason: str, what: str, after: float | None = None, rule: str = "") -> RunError:
        """Make the error of a run; trouble on the way to its model says more than what it led to."""
        access, status = self._seat.access, self._trouble()
        if self.denied:
            reason, what = "budget", f"was stopped: {self.denied}"
        elif status and reason in _OVERTOLD:
            reason = "auth" if status in _AUTH else "quota" if status in _QUOTA else "down"
            what = f"{what}; its model's provider answered {status}"
        elif access is not None and reason in _PROVIDER:
            reason = "crash"
        if access is not None:
            after = access.after if reason in {"quota", "down"} else None
        return RunError(
            reason, f"The agent `{self._runtime.name}` {what}", self.usage, rule=rule, after=after
        )


async def _first(turn: asyncio.Task[TurnResult], rung: asyncio.Event, seconds: float) -> None:
    """Wait until the turn is over, the alarm rings or the time has passed."""
    ring = asyncio.create_task(rung.wait())
    try:
        await asyncio.wait({turn, ring}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ring.cancel()


def _tokens(used: Usage) -> int:
    return used.input_tokens + used.output_tokens


async def _over(turn: asyncio.Task[TurnResult]) -> None:
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
