"""Owns what hot reads said last, so that GitHub may answer "unchanged", which counts nothing.

What is kept is of one installation, and never shown to another: its repositories may be private.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

MOST = 512  # answers
LARGEST = 64 << 10  # bytes of one
_KEPT = ("content-type", "link")
Key = tuple[int, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class _Answer:
    etag: str
    body: bytes
    headers: Mapping[str, str]


class Etags:
    """A bounded store in memory; what was not asked for longest goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._answers: OrderedDict[Key, _Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    @staticmethod
    def key(installation: int, path: str, params: Mapping[str, str | int]) -> Key:
        """Name a read by who asks what."""
        return installation, path, tuple(sorted((name, str(value)) for name, value in params.items()))

    def condition(self, key: Key) -> dict[str, str]:
        """Give the header that asks for what has changed only."""
        known = self._answers.get(key)
        return {"If-None-Match": known.etag} if known is not None else {}

    def answer(self, key: Key, told: httpx.Response) -> httpx.Response:
        """Keep an answer, or give the one that was kept where nothing has changed."""
        if told.status_code != 304:
            self._keep(key, told)
            return told
        known = self._answers[key]
        self._answers.move_to_end(key)
        return httpx.Response(200, headers=known.headers, content=known.body, request=told.request)

    def forget(self, key: Key) -> None:
        """Drop what was kept: the forge refuses it now."""
        self._answers.pop(key, None)

    def _keep(self, key: Key, told: httpx.Response) -> None:
        etag = told.headers.get("etag")
        self._answers.pop(key, None)
        if etag is None or len(told.content) > LARGEST:
            return
        headers = {name: told.headers[name] for name in _KEPT if name in told.headers}
        self._answers[key] = _Answer(etag, told.content, headers)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
