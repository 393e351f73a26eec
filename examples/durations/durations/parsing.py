"""From text to seconds."""

import re

SECONDS = {
    "s": 1,
    "m": 60,
    "h": 60 * 60,
    "d": 24 * 60 * 60,
}

_PART = re.compile(r"\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+)", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Give the number of seconds that `text` stands for.

    A duration is one or more amounts with a unit each, largest unit first, every unit at most once:
    `1d 12h`, `1.5h`, `90s`. Raises ValueError for anything else.
    """
    if not text.strip():
        raise ValueError("a duration is empty")
    total = 0.0
    position = 0
    last = None
    while text[position:].strip():
        part = _PART.match(text, position)
        if part is None:
            raise ValueError(f"not a duration: {text!r}")
        size = _size(part["unit"])
        if last is not None and size >= last:
            raise ValueError(f"units must go from large to small, each at most once: {text!r}")
        total += float(part["amount"]) * size
        position, last = part.end(), size
    return total


def _size(unit: str) -> int:
    try:
        return SECONDS[unit.lower()]
    except KeyError:
        known = ", ".join(SECONDS)
        raise ValueError(f"unknown unit {unit!r}; known units are {known}") from None
