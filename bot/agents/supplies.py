"""Owns what the process gives every coding agent to be made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.agents.endpoints import Endpoints
from bot.agents.script import Script
from bot.core.values import Usage


def free(model: str, usage: Usage) -> float:
    """Take no money."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an agent may take where its order does not say; seconds."""

    start: float = 60.0
    drain: float = 10.0  # after a cancel, until it is killed
    look: float = 2.0  # between looks for a person's note


@dataclass(frozen=True, slots=True)
class Supplies:
    """The script of a scripted run, the way to models and their prices, and limits."""

    script: Script | None = None
    endpoints: Endpoints = field(default_factory=lambda: Endpoints({}))
    price: Callable[[str, Usage], float] = free  # dollars, by `provider:model`
    limits: Limits = field(default_factory=Limits)
