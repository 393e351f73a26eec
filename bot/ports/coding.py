"""Owns the port to coding agents: what one is given, and what it says it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.core.drift import Signal, Step
from bot.core.values import Usage
from bot.errors import AgentError
from bot.ports.runtime import DisposeProof, unseen
from bot.ports.sandbox import Sandbox, SandboxPolicy


class RunError(AgentError):
    """A run of an agent that failed, with what it cost and did until then; `rule` is the one that stopped it."""

    def __init__(
        self,
        reason: str,
        message: str,
        usage: Usage | None = None,
        trace: tuple[Step, ...] = (),
        rule: str = "",
        after: float | None = None,
    ) -> None:
        super().__init__(reason, message, after)
        self.rule = rule
        self.usage = usage or Usage()
        self.trace = trace


def _untold(_used: Usage) -> None:
    """What was used is nobody's concern."""


async def _no_note() -> str | None:
    return None


async def _no_tree() -> str:
    return ""


Judge = Callable[[Step], tuple[Signal, ...]]  # what the drift rules say of a session's next step


def _no_judge(_tree: str) -> Judge:
    return lambda _step: ()


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a coding agent is given: at most 3 KB of verified context, and what its box may show."""

    track: str
    task: str
    title: str
    prompt: str
    scope: tuple[str, ...]
    run: int  # counts over all attempts of the task, from 1
    policy: SandboxPolicy  # `work` is the worktree, `home` is `home/` of `state_dir`
    session: str
    state_dir: Path
    timeout: float  # seconds
    model: str = ""  # `provider:model` that the router chose
    usd: float | None = None  # the most that its model may cost; None: no limit, or it costs nothing
    tokens: int | None = None  # the most of a model that money does not bound; None: as many as usual
    command: tuple[str, ...] = ()  # of the agent `custom`, from the repository's file
    idle: float = 600.0  # seconds without a sign of life; longer than the longest legal test command
    notes: Callable[[], Awaitable[str | None]] = (
        _no_note  # a person's note for the running agent; None: nothing new
    )
    judge: Callable[[str], Judge] = _no_judge  # the drift rules for a session that begins with this tree
    tree: Callable[[], Awaitable[str]] = _no_tree  # hash of what is in the worktree now
    disposed: Callable[[DisposeProof], None] = unseen  # takes the proof of each session's end
    # Takes what was used, once, at any end; not called where nobody knows, and then all that was reserved counts.
    spent: Callable[[Usage], None] = _untold


@dataclass(frozen=True, slots=True)
class WorkReport:
    """What the agent says it did; the worktree is the truth."""

    said: str
    usage: Usage  # what its order's `spent` took
    steps: int = 0
    trace: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()  # on how it went, for people: warnings, a restart, a resume


class Coder(Protocol):
    """A coding agent, in boxes that it opens; leaves no process behind.

    Raises RunError(crash | stall | garbage | no_change | drift | budget | auth | quota | down).
    """

    name: str

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport: ...
