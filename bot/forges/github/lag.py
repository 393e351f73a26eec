"""Owns patience with what was named a moment ago: a webhook, or an answer of ours, may be ahead of GitHub's replicas."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import ForgeError

_T = TypeVar("_T")

PAUSES = (0.3, 0.9, 1.8)  # seconds before each look at what is not there yet
MOST = 4_096  # names remembered
_NAMED = re.compile(
    r"/repos/[^/]+/[^/]+/((?:issues/comments|pulls/comments|issues|pulls|check-runs|commits|git/commits)/\w+)(?:/[a-z-]+)?"
)


class Lag:
    """Tells what may only not be there yet from what is gone: that was seen before, or was waited for before."""

    def __init__(self, pause: Callable[[float], Awaitable[None]]) -> None:
        self._pause = pause
        self._seen: OrderedDict[tuple[int, str], None] = OrderedDict()

    async def look(self, repo_id: int, path: str, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask, and ask again for some seconds where what the path names was never seen and is said to be missing."""
        named = _NAMED.fullmatch(path)
        if named is None:
            return await ask()
        key = (repo_id, named[1])
        for pause in () if key in self._seen else PAUSES:
            try:
                told = await ask()
            except ForgeError as error:
                if not _may_come(error):
                    raise
                await self._pause(pause)
            else:
                self._remember(key)
                return told
        # It is there, or gone: the next time nobody waits for it.
        self._remember(key)
        return await ask()

    def _remember(self, key: tuple[int, str]) -> None:
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)


def _may_come(error: ForgeError) -> bool:
    """Tell whether a refusal may only mean "not yet"; 410 means that it is gone for good."""
    return error.status in {404, 409} or (error.status == 422 and "No commit found" in str(error))
