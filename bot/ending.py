"""Owns the end of a tree of processes, and the proof of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

from bot import living

_SECONDS = 5.0


async def end_tree(leader: int, mark: str, since: int) -> list[int]:
    """Kill the group, session and descendants of `leader`, and whoever bears `mark`; give those that survive.

    Who cannot be looked for does: then it is the leader.
    """
    deadline = time.monotonic() + _SECONDS
    known: set[tuple[int, int]] = set()
    while True:
        last = time.monotonic() > deadline
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        try:
            alive = await asyncio.to_thread(_killed, leader, mark, known, since)
        except living.UnseenError:
            alive = {leader}
        if not alive or last:
            return sorted(alive)
        await asyncio.sleep(0.01)


def _killed(leader: int, mark: str, known: set[tuple[int, int]], since: int) -> set[int]:
    """Kill those who are found, and give them."""
    alive = living.tree(leader, mark, known, since)
    living.kill(alive)
    return alive
