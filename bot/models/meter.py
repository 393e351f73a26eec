"""Owns what counts a run's calls: asked before each one, told after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from bot.core.budgets import Hold, Refused, Wait
from bot.core.values import Usage
from bot.ports import BacklogRefiner, Planner


class Meter(Protocol):
    """Counts what a run costs, and holds it to its money and to the quotas of its models."""

    @property
    def models(self) -> Sequence[str]:
        """The models that the run may use, in order; none: the caller's own."""

    @property
    def usd(self) -> float | None:
        """The most that the run may cost; None: nothing limits it."""

    def now(self) -> datetime:
        """Give the time, in UTC."""

    async def before(self, model: str, tokens: int) -> Wait | Refused | None:
        """Ask for one call with about so many tokens; None: it may be sent."""

    async def after(self, model: str, usage: Usage) -> None:
        """Tell what the call that was asked for used."""

    async def hold(self, model: str, hold: Hold) -> None:
        """Leave a model out, for everybody, until its time."""


@dataclass(slots=True)
class Unmetered:
    """Lets everything pass, for a run that nobody pays for together with others."""

    models: Sequence[str] = ()
    usd: float | None = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def before(self, model: str, tokens: int) -> Wait | Refused | None:
        return None

    async def after(self, model: str, usage: Usage) -> None: ...

    async def hold(self, model: str, hold: Hold) -> None: ...


@runtime_checkable
class MeteredPlanner(Protocol):
    """A planner whose calls can be counted one by one."""

    def metered(self, meter: Meter) -> Planner:
        """Give the same planner, counted by this meter."""


@runtime_checkable
class MeteredRefiner(Protocol):
    """A backlog model whose calls can be counted one by one."""

    def metered(self, meter: Meter) -> BacklogRefiner:
        """Give the same backlog model, counted by this meter."""
