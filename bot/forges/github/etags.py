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
class Known:
    """What a read said last."""

    etag: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for what has changed only."""
        return {"If-None-Match": self.etag}


class Etags:
    """A bounded store in memory; what was not asked for longest goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._answers: OrderedDict[Key, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    @staticmethod
    def key(installation: int, path: str, params: Mapping[str, str | int]) -> Key:
        """Name a read by who asks what."""
        return installation, path, tuple(sorted((name, str(value)) for name, value in params.items()))

    def known(self, key: Key) -> Known | None:
        """Give what was kept of a read; who asks on that condition holds it until the answer comes."""
        return self._answers.get(key)

    def answer(self, key: Key, known: Known | None, told: httpx.Response) -> httpx.Response:
        """Keep an answer, or give the one that the question was about where nothing has changed."""
        if told.status_code != 304 or known is None:
            self._keep(key, told)
            return told
        self._answers.setdefault(key, known)
        self._answers.move_to_end(key)
        self._make_room()
        return httpx.Response(200, headers=known.headers, content=known.body, request=told.request)

    def _keep(self, key: Key, told: httpx.Response) -> None:
        etag = told.headers.get("etag")
        self._answers.pop(key, None)
        if etag is None or len(told.content) > LARGEST:
            return
        headers = {name: told.headers[name] for name in _KEPT if name in told.headers}
        self._answers[key] = Known(etag, told.content, headers)
        self._make_room()

    def _make_room(self) -> None:
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
