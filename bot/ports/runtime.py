"""Owns the port to one kind of agent: its sessions, what they report, and the proof of their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bot.core.drift import StepKind
from bot.core.values import Usage
from bot.ports.sandbox import Box, Outlet

# What an agent reports of its work while a turn goes on, the same for every runtime. Paths are as the agent names them.


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """The agent began to do something."""

    id: str
    kind: StepKind
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    """Something that the agent did is over: what it was given, what came back, and which files it names."""

    id: str
    kind: StepKind
    title: str
    input: str = ""
    output: str = ""
    paths: tuple[str, ...] = ()
    ok: bool | None = None  # None: unknown


@dataclass(frozen=True, slots=True)
class Text:
    """A whole message of the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A whole thought of the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class Used:
    """What the agent itself says that a call of its model took; the gateway's count goes before."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Permission:
    """The agent asked whether it may do something, and was answered."""

    title: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Raw:
    """Anything else that it reports: a sign of life."""

    what: str


AgentEvent = ToolStarted | ToolFinished | Text | Thought | Used | Permission | Raw


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended; `text` is the agent's last message in it, `usage` what the agent itself says it took."""

    stop: Literal["end_turn", "cancelled", "max_tokens", "max_turn_requests", "refusal"]
    text: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class DisposeProof:
    """What was looked at after a session's end: found gone, could not be looked at, is still there (or it is no proof).

    Each entry is `what: details`, what being one of processes, provider session, sandbox, state, token, worktree.
    """

    checked: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    def __add__(self, other: DisposeProof) -> DisposeProof:
        return DisposeProof(
            self.checked + other.checked,
            self.unproved + other.unproved,
            self.leftovers + other.leftovers,
        )

    @property
    def holds(self) -> bool:
        return not self.leftovers


WireFormat = Literal["chat", "responses", "anthropic", "gemini"]


class ModelAccess(Protocol):
    """The way of one session to its model: inside a box by `Box.address(outlet)`, on the host by the outlet's socket."""

    @property
    def outlet(self) -> Outlet: ...

    @property
    def token(self) -> str:
        """What is shown instead of the provider's key; good for this session alone."""

    @property
    def model(self) -> str:
        """The model's name as its provider knows it."""

    @property
    def usage(self) -> Usage:
        """What has passed until now, cancelled turns included."""

    @property
    def alive(self) -> float:
        """Monotonic time of the last byte of a good answer."""

    @property
    def denied(self) -> str:
        """Why a call was refused for its cost; "" while none was."""

    @property
    def trouble(self) -> int:
        """The status of the provider's last answer where it was none of success, else 0."""

    @property
    def after(self) -> float | None:
        """Seconds until the provider takes calls again, by its last answer; None where it did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a session of an agent happens, and what it is given; it works in `Box.work` with `Box.home` as its HOME."""

    box: Box
    state_dir: Path  # the session's folder on the host; its `home/` is `Box.home`
    report: Callable[[AgentEvent], Awaitable[None]]  # waited for: the worktree is looked at in it
    access: ModelAccess | None = None  # None: it is given no model
    read_only: bool = False
    command: tuple[str, ...] = ()  # of the agent `custom`
    title: str = ""  # of the task, and the number of its run: the script's key
    run: int = 1
    scope: tuple[str, ...] = ()
    resume: str = ""  # the session to go on with where that is possible, after its process died


class AgentHandle(Protocol):
    """A started session: one turn at a time. AgentError(auth | quota | down | crash | garbage) where a turn breaks."""

    id: str  # by which it can be taken up again; "" where it cannot
    resumed: bool  # whether it knows what the session before it did

    async def prompt(self, text: str) -> TurnResult:
        """Take a turn and give how it ended."""

    async def steer(self, text: str) -> TurnResult:
        """Interrupt the running turn, whose `prompt` then gives `cancelled`, and take one with this text."""

    async def cancel(self) -> None:
        """Ask for the end of the running turn, whose `prompt` then gives `cancelled`."""

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        """End the session and everything it started, have it forgotten where that is offered, and look.

        `keep`: only its processes end, where it has an `id`: the next session goes on with it.
        """


class AgentRuntime(Protocol):
    """One kind of agent; bot/agents/driver.py makes a Coder of it."""

    name: str
    wire: WireFormat | None  # how it speaks to its model; None: it needs none

    async def start(self, seat: Seat) -> AgentHandle:
        """Start a session; AgentError(auth | crash) where it does not come up, and then nothing of it is left."""


def unseen(_proof: DisposeProof) -> None:
    """Leave a proof to nobody."""
