"""Owns reading from a model's answer, while it passes by, what it cost."""

from __future__ import annotations

import json
from contextlib import suppress

from bot.core.values import Usage
from bot.ports import JsonDict

_LINE = 4 << 20  # bytes of an event, or of an answer that comes in one piece, that are looked at
_BYTES_A_TOKEN = 4
MOST = 10**9  # of anything in one answer
_ASKED = (
    ("prompt_tokens", "input_tokens", "promptTokenCount"),
    ("cache_creation_input_tokens",),  # Anthropic does not count these as input
    ("cache_read_input_tokens",),
)
_ANSWERED = (("completion_tokens", "output_tokens", "candidatesTokenCount"), ("thoughtsTokenCount",))


class Meter:
    """Reads an answer in any of the formats, streamed or whole; estimates where it was cut off."""

    def __init__(self, asked_bytes: int, content_type: str) -> None:
        self._asked = asked_bytes
        self._streamed = content_type.startswith("text/event-stream")
        self._rest = b""
        self._events = 0
        self._told: Usage | None = None

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
        asked, answered = _of(told, _ASKED), _of(told, _ANSWERED)
        if asked or answered:
            before = self._told or Usage()
            self._told = Usage(
                max(before.input_tokens, asked),
                max(before.output_tokens, answered),
                max(before.usd, _money(told.get("cost"))),
            )


def _of(told: JsonDict, names: tuple[tuple[str, ...], ...]) -> int:
    """Add up the parts of a count; each part has one name in each format."""
    return sum(next((count for name in part if (count := _count(told.get(name)))), 0) for part in names)


def _dict(value: object) -> JsonDict:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return min(value, MOST) if isinstance(value, int) and value > 0 else 0


def _money(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value <= MOST else 0.0
