"""Owns what models cost: the list prices of the pinned `genai-prices`; what it does not know is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bot.core.values import Usage
from bot.models.names import SCRIPTED

MILLION = 1_000_000
# Agents read far more than they write: the mix by which prices are compared and the most of a run is reckoned.
INPUT_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens."""

    input: float
    output: float
    read: float | None = None  # of input that came from the provider's cache; None: a tenth of `input`
    written: float | None = None  # of input that went into it; None: a quarter more than `input`

    @property
    def mixed(self) -> float:
        """Give one figure to compare models by."""
        return self.input * INPUT_SHARE + self.output * (1 - INPUT_SHARE)

    def cost(self, usage: Usage, read: int = 0, written: int = 0) -> float:
        """Give the dollars of a usage, of whose input so many tokens were read from a cache or written to one."""
        read = min(read, usage.input_tokens)
        written = min(written, usage.input_tokens - read)
        asked = (usage.input_tokens - read - written) * self.input
        asked += read * (self.input * 0.1 if self.read is None else self.read)
        asked += written * (self.input * 1.25 if self.written is None else self.written)
        return (asked + usage.output_tokens * self.output) / MILLION


# What an unknown model is reckoned at: above every list price of a general model as of 2026-11-22.
DEAREST = Price(30.0, 180.0)
NOTHING = Price(0.0, 0.0)


@cache
def price(model: str) -> Price | None:
    """Give the list price of a `provider:model`; None where the list does not know it."""
    if model == SCRIPTED:
        return NOTHING
    provider, colon, name = model.partition(":")
    if not colon:
        return None
    from genai_prices import Usage as Tokens  # only where real models are used
    from genai_prices import calc_price

    kinds = (
        Tokens(input_tokens=1000),
        Tokens(output_tokens=1000),
        Tokens(input_tokens=1000, cache_read_tokens=1000),
        Tokens(input_tokens=1000, cache_write_tokens=1000),
    )
    try:
        return Price(
            *(float(calc_price(kind, name, provider_id=provider).total_price) * 1000 for kind in kinds)
        )
    except LookupError:
        return None


def cost(model: str, usage: Usage, read: int = 0, written: int = 0) -> tuple[float, bool]:
    """Give the dollars of a usage and whether they are a guess, rather too high, since the list has no such model."""
    found = price(model)
    return (found or DEAREST).cost(usage, read, written), found is None
