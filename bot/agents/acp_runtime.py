"""Owns agents that speak ACP as a runtime: a command in a box, one session, its turns, and its end with proof."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from bot.agents.acp_events import Updates, paths_of
from bot.agents.acp_room import command, prepare
from bot.agents.presets import Launch, Need, Preset, custom
from bot.agents.steps import inside
from bot.core.sanitize import plain, redact
from bot.core.values import Usage
from bot.errors import AgentError
from bot.gateway.metering import MOST
from bot.ports import (
    AgentEvent,
    DisposeProof,
    JsonDict,
    Permission,
    Raw,
    Seat,
    Talk,
    Text,
    TurnResult,
    WireFormat,
)

if TYPE_CHECKING:
    import acp
    from acp.client.connection import ClientSideConnection
    from acp.schema import AgentCapabilities

    from bot.agents.acp_wire import Wire

_CHANGES = frozenset({"edit", "delete", "move", "execute"})
_AUTH_REQUIRED = -32000
_SHOWN = 300  # characters of what an agent said when it failed
_PORTS = range(20_000, 30_000)
_ASK_SECONDS = 5.0  # for each of the last requests to a session
_AUTH = re.compile(r"\b40[13]\b|unauthori[sz]ed|authenticat|api.?key", re.IGNORECASE)
_QUOTA = re.compile(r"\b4(02|29)\b|rate.?limit|quota|insufficient.?(funds|credit|balance)", re.IGNORECASE)
_DOWN = re.compile(
    r"\b5(0[0234]|29)\b|overloaded|ECONNREFUSED|ETIMEDOUT|ENOTFOUND|fetch failed", re.IGNORECASE
)


class AcpRuntime:
    """Implements AgentRuntime with one preset; without one, with the command that a repository names for itself."""

    wire: WireFormat | None = "chat"

    def __init__(self, preset: Preset | None) -> None:
        self._preset = preset
        self.name = preset.name if preset is not None else "custom"
        if preset is not None:
            self.wire = preset.wire

    async def start(self, seat: Seat) -> AcpHandle:
        """Start the agent's command and make, or take up, its session."""
        if self._preset is None and not seat.command:
            raise AgentError("crash", "has no command; set `agent: {command: [...]}`")
        preset = self._preset or custom(seat.command)
        if seat.access is None and preset.needs_model:
            raise AgentError("auth", "has no model: none is configured for its tasks")
        stack = AsyncExitStack()
        try:
            return await self._started(preset, seat, stack)
        except BaseException:
            await stack.aclose()
            raise

    async def _started(self, preset: Preset, seat: Seat, stack: AsyncExitStack) -> AcpHandle:
        from acp import connect_to_agent  # heavy: only where an agent is used

        from bot.agents.acp_wire import Client, Wire

        model, token = (seat.access.model, seat.access.token) if seat.access is not None else ("", "")
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        need = Need(model, token, seat.read_only, port)
        launch = preset.launch(need)
        await prepare(seat, launch)
        talk = await stack.enter_async_context(seat.box.start(command(seat)))
        handle = AcpHandle(preset, need, seat, stack, talk)
        wire = Wire(talk, handle.take)
        link = connect_to_agent(cast("acp.Client", Client(handle.asked)), wire)
        stack.push_async_callback(_close, link)
        await handle.begin(link, wire, launch)
        return handle


async def _close(link: ClientSideConnection) -> None:
    with suppress(ConnectionError):
        await link.close()


class AcpHandle:
    """Implements AgentHandle."""

    def __init__(self, preset: Preset, need: Need, seat: Seat, stack: AsyncExitStack, talk: Talk) -> None:
        self.id = self._session = ""
        self.resumed = False
        self._preset = preset
        self._need = need
        self._seat = seat
        self._stack = stack
        self._talk = talk
        self._updates = Updates()
        self._loading = False
        self._text = ""
        self._over = asyncio.Event()
        self._over.set()
        self._link: ClientSideConnection
        self._wire: Wire
        self._can: AgentCapabilities | None = None

    async def begin(self, link: ClientSideConnection, wire: Wire, launch: Launch) -> None:
        """Make the session, or take up the one that the seat names."""
        from acp import PROTOCOL_VERSION
        from acp.schema import ClientCapabilities, Implementation

        self._link, self._wire = link, wire
        about = Implementation(name="gitwright", version="1")
        with self._failures():
            met = await link.initialize(PROTOCOL_VERSION, ClientCapabilities(), about)
            self._can = met.agent_capabilities
            if not await self._taken_up(launch):
                made = await link.new_session(cwd=str(self._seat.box.work), mcp_servers=[], **launch.meta)
                self._session = made.session_id
            self.id = self._session if self._take_up() is not None else ""
            if launch.mode is not None:
                await link.set_session_mode(session_id=self._session, mode_id=launch.mode)

    async def _taken_up(self, launch: Launch) -> bool:
        """Go on with an earlier session where the agent can and knows it."""
        from acp import RequestError

        known, take_up = self._seat.resume, self._take_up()
        if not known or take_up is None:
            return False
        self._loading = True
        try:
            await take_up(session_id=known, cwd=str(self._seat.box.work), mcp_servers=[], **launch.meta)
        except RequestError:
            return False  # it kept nothing: a session of its own begins
        finally:
            self._loading = False
        self._session, self.resumed = known, True
        return True

    def _take_up(self) -> Callable[..., Awaitable[object]] | None:
        """Give the request by which the agent goes on with an earlier session; None where it offers none."""
        can = self._can
        if can is None:
            return None
        if can.session_capabilities is not None and can.session_capabilities.resume is not None:
            return self._link.resume_session
        return self._link.load_session if can.load_session else None

    async def prompt(self, text: str) -> TurnResult:
        """Take a turn; what is reported in it has been taken when it is over."""
        from acp import text_block

        self._over.clear()
        self._text = ""
        try:
            with self._failures():
                answer = await self._link.prompt(session_id=self._session, prompt=[text_block(text)])
            await self._report(self._updates.flush())
        finally:
            self._over.set()
        usage = None
        if answer.usage is not None:
            asked, answered = answer.usage.input_tokens, answer.usage.output_tokens
            usage = Usage(min(asked, MOST), min(answered, MOST), 0.0, 1)
        return TurnResult(answer.stop_reason, self._text, usage)

    async def steer(self, text: str) -> TurnResult:
        """Cancel and ask again: what a second prompt within a turn does differs from agent to agent."""
        await self.cancel()
        await self._over.wait()
        return await self.prompt(text)

    async def cancel(self) -> None:
        """Ask for the end of the running turn."""
        with suppress(ConnectionError):
            await self._link.cancel(session_id=self._session)

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        """Have the session forgotten where the agent offers that, and kill its whole process tree."""
        try:
            proof = DisposeProof() if keep and self.id else await self._forgotten()
        finally:
            await self._stack.aclose()
        return proof + DisposeProof(checked=(f"processes: the tree of {self._preset.name}",))

    async def _forgotten(self) -> DisposeProof:
        name = f"provider session: {self._session}"
        offered = self._can.session_capabilities if self._can is not None else None
        done = (
            [await self._asked("session/close")] if offered is not None and offered.close is not None else []
        )
        if offered is not None and offered.delete is not None:
            done.append(await self._asked("session/delete"))
        if self._preset.gone is not None and self._session:
            gone = self._preset.gone(self._need, self._session)
            seen = await self._seat.box.run(gone, timeout=_ASK_SECONDS, env={"PATH": self._seat.box.path})
            if seen.code == 0:
                return DisposeProof(checked=(f"{name} was deleted, and is not found again",))
            return DisposeProof(unproved=(f"{name} was not shown to be gone",))
        if any(done):
            return DisposeProof(checked=(f"{name} was let go of, says the agent",))
        return DisposeProof(unproved=(f"{name} cannot be asked about; what it kept lay in its folder",))

    async def _asked(self, method: str) -> bool:
        """Ask the agent to let go of its session; an agent that is dead or silent does not."""
        from acp import RequestError

        with suppress(ConnectionError, RequestError, TimeoutError):
            async with asyncio.timeout(_ASK_SECONDS):
                await self._link._conn.send_request(method, {"sessionId": self._session})
                return True
        return False

    async def take(self, update: JsonDict) -> None:
        """Take what the agent reports of its work; what loading a session replays is none, but a sign of life."""
        await self._report([Raw("replayed")] if self._loading else self._updates.take(update))

    async def _report(self, events: Iterable[AgentEvent]) -> None:
        for event in events:
            if isinstance(event, Text):
                self._text = event.text
            await self._seat.report(event)

    async def asked(self, call: JsonDict) -> bool:
        """Say whether a step that the agent asks about may be done: inside the worktree, and no change by a reader."""
        changes = self._seat.read_only and call.get("kind") in _CHANGES
        work = self._seat.box.work
        allowed = not changes and all(inside(work, path) is not None for path in paths_of(call))
        await self._seat.report(Permission(str(call.get("title") or "")[:_SHOWN], allowed))
        return allowed

    @contextmanager
    def _failures(self) -> Iterator[None]:
        from acp import RequestError

        try:
            yield
        except RequestError as error:
            said = plain(redact(str(error)), _SHOWN)
            raise AgentError(_of_text(error.code, f"{error} {error.data}"), f"gave up: {said}") from error
        except ValidationError as error:
            raise AgentError("garbage", "gave an answer that is none of its protocol") from error
        except ConnectionError as error:
            raise AgentError("crash", self._end()) from error

    def _end(self) -> str:
        if self._wire.problem:
            return f"was cut off: {self._wire.problem}"
        last = redact(self._talk.errors).strip().splitlines()[-1:] or ["it said nothing"]
        return f"ended by itself: {plain(last[0], _SHOWN)}"


def _of_text(code: int, text: str) -> str:
    """Tell by its words why an agent gave up, where nothing of that passed the gateway."""
    if code == _AUTH_REQUIRED or _AUTH.search(text):
        return "auth"
    return "quota" if _QUOTA.search(text) else "down" if _DOWN.search(text) else "crash"
