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

    @property
    def mixed(self) -> float:
        """Give one figure to compare models by."""
        return self.input * INPUT_SHARE + self.output * (1 - INPUT_SHARE)

    def cost(self, usage: Usage) -> float:
        """Give the dollars of a usage; cached input counts as if it were not, so this is rather too much."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / MILLION


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

    try:
        reading = calc_price(Tokens(input_tokens=1000, output_tokens=0), name, provider_id=provider)
        writing = calc_price(Tokens(input_tokens=0, output_tokens=1000), name, provider_id=provider)
    except LookupError:
        return None
    return Price(float(reading.total_price) * 1000, float(writing.total_price) * 1000)


def cost(model: str, usage: Usage) -> float:
    """Give the dollars of a usage; of a model that the list does not know, rather too many."""
    return (price(model) or DEAREST).cost(usage)
