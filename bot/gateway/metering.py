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
_SAID = frozenset({"content", "text", "thinking", "reasoning_content", "partial_json", "arguments", "delta"})
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer took: of its input so many tokens came out of the provider's cache, and went into it."""

    usage: Usage
    cached: int = 0
    written: int = 0
    estimated: bool = False  # the provider's own count was not heard


class Meter:
    """Reads an answer in any of the formats, streamed or whole; estimates where it was cut off."""

    def __init__(self, asked_bytes: int, content_type: str) -> None:
        self._asked = asked_bytes
        self._streamed = content_type.startswith("text/event-stream")
        self._rest = b""
        self._events = 0
        self._said = 0  # characters
        self._told: Usage | None = None
        self._cached = self._written = 0
        self.failed = ""  # by what name an answer that began well says that it failed

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer."""
        if not self._streamed:
            self._rest = (self._rest + chunk)[:_LINE]
            return
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:_LINE]
        for line in lines:
            self._line(line)

    def reading(self, *, whole: bool) -> Reading:
        """Give what the model said it used; where that was not heard to its end, at least an estimate."""
        if self._streamed:
            self._line(self._rest)
        else:
            self._read(self._rest)
        self._rest = b""
        told = self._told
        if whole and told is not None:
            return Reading(told, self._cached, self._written)
        # A streamed event holds about one token, or more.
        guess = Usage(self._asked // _BYTES_A_TOKEN, max(self._events, self._said // _BYTES_A_TOKEN))
        if told is not None:
            output = max(told.output_tokens, guess.output_tokens)
            guess = Usage(told.input_tokens or guess.input_tokens, output, told.usd)
        return Reading(guess, self._cached, self._written, estimated=True)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._events += 1
            self._read(line[5:])

    def _read(self, text: bytes) -> None:
        """Look where each format says it; what it says again is the sum until then."""
        with suppress(ValueError, RecursionError):
            answer = _dict(json.loads(text))
            self._said += _said(answer, _DEPTH)
            for place in (answer, _dict(answer.get("message")), _dict(answer.get("response"))):
                for name in ("usage", "usageMetadata"):
                    self._hear(_dict(place.get(name)))
                if isinstance(error := place.get("error"), dict) and self._streamed:
                    names = (error.get("type"), error.get("status"), error.get("code"))
                    self.failed = next((each for each in names if isinstance(each, str)), "error")

    def _hear(self, told: JsonDict) -> None:
        details = [_dict(told.get(name)) for name in _DETAILS]
        read, written = (_first(names, told, *details) for names in (_READ, _WRITTEN))
        asked = _first(_TOTAL, told)
        if not asked:  # Anthropic does not count what is cached as input
            asked = _count(told.get(_INPUT)) + (0 if any(details) else read + written)
        # Gemini counts what its own tools read apart from what was asked.
        asked += _count(told.get("toolUsePromptTokenCount"))
        answered = _first(_ANSWERED, told) + _count(told.get("thoughtsTokenCount"))
        if asked or answered:
            self._cached, self._written = max(self._cached, read), max(self._written, written)
            before = self._told or Usage()
            self._told = Usage(
                max(before.input_tokens, asked),
                max(before.output_tokens, answered),
                max(before.usd, _money(told.get("cost"))),
            )


def _said(value: object, depth: int) -> int:
    """Count the characters that a model said in an event, wherever its format has them."""
    if not depth:
        return 0
    if isinstance(value, list):
        return sum(_said(each, depth - 1) for each in value)
    if not isinstance(value, dict):
        return 0
    return sum(
        len(each) if isinstance(each, str) and name in _SAID else _said(each, depth - 1)
        for name, each in value.items()
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
