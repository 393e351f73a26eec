"""Owns what a run may cost: its limit in money or tokens, where a model's price comes from, how long is read for the count."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core.values import Usage

# Dollars of a usage of `provider:model`, of whose input so many tokens were read from a cache and so many written to
# one; and whether they are a guess, since nobody knows the model's price.
Price = Callable[[str, Usage, int, int], tuple[float, bool]]


def free(model: str, usage: Usage, read: int, written: int) -> tuple[float, bool]:
    """Take no money."""
    return 0.0, False


MUCH = Usage(1_000_000, 1_000_000)  # has a cost wherever something has one
FREE = 10  # tokens of a model that costs nothing count as one, as many as a cached token usually is cheaper


def weight(usd: float, guessed: bool) -> float:
    """Give what a token of a model counts of a run's tokens, by what MUCH of it costs; 0 where its money bounds it."""
    return 1.0 if guessed else 0.0 if usd else 1 / FREE


def bounded(tokens: int, weight: float) -> str:
    """Name the bound of tokens for a model whose tokens weigh so much; for people, before `may use` and such."""
    whom = "without a list price" if weight == 1.0 else "that costs nothing"
    return f"{tokens / weight:,.0f} tokens that this run may use of a model {whom}"


@dataclass(slots=True)
class Limit:
    """Where a run's calls end, over all of its models, and how near it is.

    That is at the dollars, or at the tokens for models that money does not bound: those whose price nobody knows, for
    guessed dollars end nothing, and those that cost nothing, whose tokens weigh less.
    """

    usd: float  # infinite where nothing was granted since nothing costs money
    tokens: int
    spent: float = 0.0  # known dollars
    weighed: float = 0.0  # tokens of models that money does not bound
    calls: int = 0  # under way
    held: float = 0.0  # dollars that these may cost
    held_tokens: float = 0.0  # tokens that these may use of models that money does not bound, weighed
    changed: asyncio.Event = field(default_factory=asyncio.Event, compare=False)  # set when one of these ends


@dataclass(frozen=True, slots=True)
class Most:
    """What one run may cost and use at all."""

    usd: float
    tokens: int

    def limit(self, usd: float | None, tokens: int | None = None) -> Limit:
        """Give the limit of a run that was granted these dollars and tokens; None: no dollars, for it costs nothing."""
        return Limit(math.inf if usd is None else usd, self.tokens_for(usd) if tokens is None else tokens)

    def tokens_for(self, usd: float | None) -> int:
        """Give the tokens of a run that money does not bound; who allows more money allows more of them."""
        return self.tokens if usd is None else int(self.tokens * max(1.0, usd / self.usd))

    def raised(self, factor: float) -> Most:
        """Give so many times as much."""
        return Most(self.usd * factor, int(self.tokens * factor))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is read on for its count alone: seconds and bytes."""

    gone: float = 120.0  # after whoever asked went away
    end: float = 20.0  # after the session's end, all answers together
    closed: float = 2.0  # the same once `closing` is set: the process ends, and keeps the count before
    data: int = 16 << 20
    closing: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


# What somebody can do about a run that ended at its limit; a part of a longer text.
MORE = (
    "`/agent budget <usd>` with a higher ceiling than now lets the next run cost more; a cheaper model, or a smaller "
    "task, needs less"
)
PLANNING = Most(2.0, 600_000)
CODING = Most(3.0, 2_000_000)
