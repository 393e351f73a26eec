"""Owns the ports to planning: agents that propose plans, and the model of the backlog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.core.backlog import Backlog
from bot.core.planning import MergedPlan, PlanProposal
from bot.core.plans import PlannedTask
from bot.core.values import Usage
from bot.ports.coding import RunError
from bot.ports.runtime import DisposeProof, unseen


class Bill(Protocol):
    """Where a planner that chooses among its models by itself says what each one used, one after the other."""

    def begin(self, model: str) -> None:
        """Note that a model is asked from now on; until `add` nobody knows what that costs."""

    def add(self, model: str, usage: Usage) -> None:
        """Take what a model used, however that ended; not called where nobody knows."""

    async def away(self, model: str, error: RunError) -> float:
        """Leave a model out, for everybody, while its provider is away; gives the seconds."""


class _NoBill:
    """Takes what was used, for a plan that nobody pays for."""

    def begin(self, model: str) -> None: ...

    def add(self, model: str, usage: Usage) -> None: ...

    async def away(self, model: str, error: RunError) -> float:
        return error.after or 0.0


_NO_BILL = _NoBill()


@dataclass(frozen=True, slots=True)
class PlanBrief:
    """What a planning agent is given; the text is the frozen one."""

    agent_id: str
    title: str
    body: str
    comments: tuple[str, ...]
    base_sha: str
    ranked_files: tuple[str, ...]
    worktree: Path
    session: str  # names its private state directory
    state_dir: Path
    models: tuple[str, ...] = ()  # those that the router chose, in the order in which they are tried
    usd: float | None = None  # the most that the plan may cost; None: no limit, or it costs nothing
    tokens: int | None = None  # the most of models that money does not bound; None: as many as usual
    disposed: Callable[[DisposeProof], None] = unseen  # takes the proof of each session's end
    bill: Bill = _NO_BILL


@dataclass(frozen=True, slots=True)
class Proposed:
    proposal: PlanProposal
    usage: Usage


class Planner(Protocol):
    """One planning agent with read-only tools; raises AgentError(crash | stall | garbage | auth | quota).

    ParkedError where the providers of all its models are away for now.
    """

    async def propose(self, brief: PlanBrief) -> Proposed: ...


@dataclass(frozen=True, slots=True)
class Refined:
    """A backlog that a model refined out of the merged plan; None with the problem when it gave nothing usable."""

    backlog: Backlog | None
    usage: Usage
    problem: str = ""


class BacklogRefiner(Protocol):
    """The backlog model: asked again once when its answer is invalid."""

    async def refine(self, plan: MergedPlan, converted: Backlog) -> Refined: ...

    async def revise(
        self, current: Backlog, note: str, number: int, left_out: Sequence[PlannedTask] = ()
    ) -> Refined:
        """Give the backlog as a person's note wants it, who may want what the plan left out.

        `number` counts the notes of a track, from 1.
        """
