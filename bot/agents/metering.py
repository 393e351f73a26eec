"""Owns reading from a model's answer, while it passes by, what it cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from bot.core.values import Usage
from bot.ports import JsonDict

_LINE = 4 << 20  # bytes of an event, or of an answer that comes in one piece, that are looked at
_BYTES_A_TOKEN = 4
MOST = 10**9  # of anything in one answer
_TOTAL = ("prompt_tokens", "promptTokenCount")
_INPUT = "input_tokens"
_DETAILS = ("prompt_tokens_details", "input_tokens_details")  # who gives them counts the cached as input
_READ = ("cache_read_input_tokens", "cachedContentTokenCount", "prompt_cache_hit_tokens", "cached_tokens")
_WRITTEN = ("cache_creation_input_tokens", "cache_write_tokens")
_ANSWERED = ("completion_tokens", "output_tokens", "candidatesTokenCount")


@dataclass(frozen=True, slots=True)
class Cached:
    """How many of the tokens asked came out of the provider's cache, and went into it."""

    read: int = 0
    written: int = 0


class Meter:
    """Reads an answer in any of the formats, streamed or whole; estimates where it was cut off."""

    def __init__(self, asked_bytes: int, content_type: str) -> None:
        self._asked = asked_bytes
        self._streamed = content_type.startswith("text/event-stream")
        self._rest = b""
        self._events = 0
        self._told: Usage | None = None
        self.cached = Cached()  # known after `usage`

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer."""
        if not self._streamed:
            self._rest = (self._rest + chunk)[:_LINE]
            return
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:_LINE]
        for line in lines:
            if line.startswith(b"data:"):
                self._events += 1
                self._read(line[5:])

    def usage(self) -> Usage:
        """Give what the model said it used; an answer that never said so counts an estimate, not nothing."""
        if not self._streamed:
            self._read(self._rest)
        # A streamed event holds about one token.
        return self._told or Usage(self._asked // _BYTES_A_TOKEN, self._events)

    def _read(self, text: bytes) -> None:
        """Look where each format says it; what it says again is the sum until then."""
        with suppress(ValueError, RecursionError):
            answer = _dict(json.loads(text))
            for place in (answer, _dict(answer.get("message")), _dict(answer.get("response"))):
                for name in ("usage", "usageMetadata"):
                    self._hear(_dict(place.get(name)))

    def _hear(self, told: JsonDict) -> None:
        details = [_dict(told.get(name)) for name in _DETAILS]
        read, written = (_first(names, told, *details) for names in (_READ, _WRITTEN))
        asked = _first(_TOTAL, told)
        if not asked:  # Anthropic does not count what is cached as input
            asked = _count(told.get(_INPUT)) + (0 if any(details) else read + written)
        answered = _first(_ANSWERED, told) + _count(told.get("thoughtsTokenCount"))
        if asked or answered:
            self.cached = Cached(max(self.cached.read, read), max(self.cached.written, written))
            before = self._told or Usage()
            self._told = Usage(
                max(before.input_tokens, asked),
                max(before.output_tokens, answered),
                max(before.usd, _money(told.get("cost"))),
            )


def _first(names: Sequence[str], *places: JsonDict) -> int:
    """Give a count, which has one name and place in each format."""
    counts = (_count(place.get(name)) for place in places for name in names)
    return next((count for count in counts if count), 0)


def _dict(value: object) -> JsonDict:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return min(value, MOST) if isinstance(value, int) and value > 0 else 0


def _money(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value <= MOST else 0.0
