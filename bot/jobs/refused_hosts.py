"""Owns the hosts that a task's agents were refused, over all of its runs: what earlier ones asked for, people read, too."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from bot.core.track import TaskTrack, Track
from bot.engine.store import Store

_MOST = 40  # hosts that are kept


@dataclass(frozen=True, slots=True)
class RefusedHosts:
    """Those of one task, kept with the track until it has ended; names are an agent's words."""

    store: Store
    track: Track
    task: TaskTrack

    async def all(self) -> tuple[str, ...]:
        """Give them, sorted."""
        text = await self.store.get_id(self._key)
        return tuple(json.loads(text)) if text else ()

    async def add(self, hosts: Collection[str]) -> None:
        """Keep these as well, each once, as long as there is room: what was seen first stays."""
        if not hosts:
            return
        known = await self.all()
        new = sorted(set(hosts) - set(known))[: max(0, _MOST - len(known))]
        if new:
            await self.store.put_id(self._key, json.dumps(sorted({*known, *new})))

    @property
    def _key(self) -> str:
        return f"{self.track.key}:{self.task.id}:refused"
