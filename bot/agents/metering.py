"""Owns reading from a model's answer, while it passes by, what it cost."""

from __future__ import annotations

import json
from contextlib import suppress

from bot.core.values import Usage

_LINE = 4 << 20  # bytes of an event, or of an answer that comes in one piece, that are looked at
_BYTES_A_TOKEN = 4


class Meter:
    """Reads an answer in OpenAI's chat format, streamed or whole; estimates where it was cut off."""

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
        with suppress(ValueError, RecursionError):
            answer = json.loads(text)
            used = answer.get("usage") if isinstance(answer, dict) else None
            if isinstance(used, dict):
                self._told = Usage(
                    _count(used.get("prompt_tokens", used.get("input_tokens"))),
                    _count(used.get("completion_tokens", used.get("output_tokens"))),
                    _money(used.get("cost")),
                )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _money(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
