"""Owns tidying: what ended tracks left in mirrors and in the database, and dependencies that nobody used for long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bot.engine.store import Store
from bot.errors import BotError
from bot.git.worktrees import WorktreeManager
from bot.jobs.layers import Layers
from bot.ports import Clock

_log = structlog.get_logger(__name__)

EVERY = 6 * 3600.0  # seconds
FIRST = 120.0  # seconds after a start, when what was interrupted goes on again


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """Tidies some time after a start, and a few times a day."""

    store: Store
    worktrees: WorktreeManager
    clock: Clock
    keep: timedelta
    layers: Layers

    async def run(self) -> None:
        """Tidy for ever; what cannot be tidied now is tried the next time."""
        await asyncio.sleep(FIRST)
        while True:
            try:
                anchors, rows = await self.tidy()
                _log.info("tidied", anchors=anchors, rows=rows)
            except (BotError, OSError) as error:
                _log.warning("not_tidied", error=str(error))
            await asyncio.sleep(EVERY)

    async def tidy(self) -> tuple[int, int]:
        """Release the commits that ended tracks held, pack, and forget what is older than `keep`; count commits and rows."""
        anchors = 0
        by_repo: dict[int, list[str]] = {}
        for key in await self.store.ended_tracks():
            repo, _, id_ = key.partition("/")
            by_repo.setdefault(int(repo), []).append(id_)
        for repo_id, ids in by_repo.items():
            anchors += await self.worktrees.release(repo_id, ids)
        if gone := [*await asyncio.to_thread(self.layers.sweep), *await asyncio.to_thread(self.layers.prune)]:
            _log.info("layers_removed", names=gone)
        for wrong in await self.worktrees.pack():
            _log.warning("mirror_not_packed", error=wrong)
        return anchors, await self.store.purge(self.clock.now() - self.keep)
