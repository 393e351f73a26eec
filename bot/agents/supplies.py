"""Owns what the process gives every coding agent to be made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.agents.endpoints import Endpoints
from bot.agents.script import Script
from bot.core.values import Usage

# Dollars of a usage of `provider:model`, of whose input so many tokens were read from a cache and so many written to
# one; and whether they are a guess, since nobody knows the model's price.
Price = Callable[[str, Usage, int, int], tuple[float, bool]]


def free(model: str, usage: Usage, read: int, written: int) -> tuple[float, bool]:
    """Take no money."""
    return 0.0, False


@dataclass(slots=True)
class Limit:
    """Where a run's calls end, over all of its models, and how near it is.

    That is at the dollars, or for models whose price nobody knows at the tokens: guessed dollars end nothing.
    """

    usd: float
    tokens: int
    spent: float = 0.0  # known dollars
    unpriced: int = 0  # tokens of models whose price nobody knows


@dataclass(frozen=True, slots=True)
class Most:
    """What one run may cost and use at all."""

    usd: float
    tokens: int

    def limit(self, usd: float | None) -> Limit | None:
        """Give the limit of a run that was granted these dollars; None where nothing limits it."""
        return None if usd is None else Limit(usd, self.tokens_for(usd))

    def tokens_for(self, usd: float) -> int:
        """Give the bound of a model whose price nobody knows; who allows more money allows more of them."""
        return int(self.tokens * max(1.0, usd / self.usd))


# What somebody can do about a run that ended at its limit; a part of a longer text.
MORE = (
    "`/agent budget <usd>` with a higher ceiling than now lets the next run cost more; a cheaper model, or a smaller "
    "task, needs less"
)
PLANNING = Most(2.0, 600_000)
CODING = Most(3.0, 2_000_000)


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
    price: Price = free
    limits: Limits = field(default_factory=Limits)
