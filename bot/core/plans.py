"""Owns the shapes of plans: what one planning agent proposes, and what the merge makes of them all."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["documentation", "simple", "complex"]
Priority = Literal["critical", "high", "medium", "low"]
Estimate = Literal["S", "M", "L"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProposedTask(_Value):
    """One task as a planner proposes it; `depends_on` names local ids of the same proposal."""

    local_id: str = Field(min_length=1, max_length=64)
    title: str = Field(min_length=1, max_length=200)
    description: str = ""
    kind: Kind = "complex"
    priority: Priority = "medium"
    files: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    estimate: Estimate = "M"


class PlanProposal(_Value):
    """What one planning agent returns."""

    agent_id: str
    base_sha: str = ""
    summary: str = ""
    tasks: tuple[ProposedTask, ...] = ()
    risks: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class Source(_Value):
    """Where a planned task comes from: the planner, and its name for the task."""

    agent_id: str
    local_id: str


class PlannedTask(_Value):
    """One task of the merged plan; `key` names it inside the plan, `depends_on` holds keys."""

    key: str
    title: str
    description: str = ""
    kind: Kind = "complex"
    priority: Priority = "medium"
    files: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    estimate: Estimate = "M"
    votes: int = 1
    sources: tuple[Source, ...] = ()


ConflictKind = Literal["SCOPE", "ORDER", "FIELD", "POSSIBLE_DUPLICATE", "STALE"]


class Conflict(_Value):
    """A disagreement that a person should see; `tasks` are keys, `evidence` is one plain sentence."""

    kind: ConflictKind
    tasks: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    evidence: str = ""


class MergedPlan(_Value):
    """What the planners say together: main tasks in order, and those that only one of them wants."""

    base_sha: str = ""
    planners: int = 0  # how many were asked
    proposals: int = 0  # how many gave at least one task
    summary: str = ""
    tasks: tuple[PlannedTask, ...] = ()
    minority: tuple[PlannedTask, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    risks: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    def left_out(self) -> dict[str, PlannedTask]:
        """Name what only one planner wants, so that people can ask for it: M-1, M-2, ..."""
        return {f"M-{place}": task for place, task in enumerate(self.minority, 1)}
