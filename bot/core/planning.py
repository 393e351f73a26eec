"""Owns plans: typed proposals of planning agents and their merge without a model."""

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
