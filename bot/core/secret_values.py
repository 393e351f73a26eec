"""Owns finding secrets by their very value, however they are written: plain, base64, hex, percent-encoded, backwards.

The values themselves are never part of an answer or an error.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote

KIND = "a secret of this bot itself"
_LEAST = 8  # characters: shorter ones stand in honest text
_LINE = 32  # characters of a line of a key that count as the key


class Needles:
    """Secrets in all the ways in which they may be written."""

    def __init__(self, values: Iterable[str]) -> None:
        parts = {part for value in values for part in _parts(value)}
        self._ways = tuple(sorted(tuple(sorted(set(_written(part)))) for part in parts))  # of writing each

    @property
    def _needles(self) -> tuple[bytes, ...]:
        return tuple(sorted({needle for ways in self._ways for needle in ways}))

    def __repr__(self) -> str:
        return f"Needles({len(self._needles)})"

    def hit(self, data: bytes) -> bool:
        """Say whether any of them stands in these bytes."""
        return any(needle in data for needle in self._needles)

    def find(self, data: bytes) -> list[tuple[tuple[bytes, ...], int]]:
        """Find where each begins: all ways of writing it, and the offset."""
        found = []
        for ways in self._ways:
            for needle in ways:
                at = data.find(needle)
                while at >= 0:
                    found.append((ways, at))
                    at = data.find(needle, at + 1)
        return found

    def without(self, known: Iterable[bytes]) -> Needles:
        """Give those that stand in none of these contents."""
        contents, left = tuple(known), Needles(())
        left._ways = tuple(
            ways for ways in self._ways if not any(needle in data for needle in ways for data in contents)
        )
        return left

    def lines(self, data: bytes) -> tuple[int, ...]:
        """Give the numbers of the lines in which one of them begins, from 1; binary content counts as it is cut."""
        found = set()
        for needle in self._needles:
            at, line, counted = data.find(needle), 1, 0
            while at >= 0:
                line, counted = line + data.count(b"\n", counted, at), at
                found.add(line)
                at = data.find(needle, at + 1)
        return tuple(sorted(found))


def _parts(value: str) -> Iterable[str]:
    """Give a secret, and each line of one that has several: a key may be taken away in pieces."""
    whole = value.strip()
    if len(whole) >= _LEAST:
        yield whole
    lines = [line.strip() for line in whole.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LINE and not line.startswith("-----"))


def _written(value: str) -> Iterable[bytes]:
    data = value.encode()
    yield data
    yield data[::-1]
    yield from (data.hex().encode(), data.hex().upper().encode())
    yield from (quote(value, safe="").encode(), quote(value, safe="").lower().encode())
    yield "".join(f"%{byte:02X}" for byte in data).encode()
    yield "".join(f"%{byte:02x}" for byte in data).encode()
    # Wherever a secret begins in what is encoded, these characters of it are the same: the first and last ones hang
    # on what stands around it.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).rstrip(b"=")
        sure = encoded[(0, 2, 3)[shift] : -1 if (shift + len(data)) % 3 else None]
        yield from (sure, sure.replace(b"+", b"-").replace(b"/", b"_"))
