"""Owns what a handler may look at beside the repository: what the store knows of its track, and how fresh a look is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bot.core.messages_sessions import SessionSeen
from bot.core.track import OPEN_PULL, Track
from bot.engine.store import Store, TrackEvent
from bot.handler import Reads, Unfinished
from bot.ports import Look

BUNCH = 0.4  # seconds in which what several pull requests of a track tell is waited for


@dataclass(frozen=True, slots=True)
class Mark:
    """The last event that a track had when its pull requests were looked at, and when that was (`time.monotonic`)."""

    newest: int
    at: float


class StoredReads:
    """Adds what the store knows to what can be read of a repository."""

    def __init__(
        self, repository: Reads, store: Store, row: TrackEvent, marks: dict[str, Mark], patience: float
    ) -> None:
        self._store, self._row, self._marks, self.patience = store, row, marks, patience
        self.forge, self.config, self.unboxed = repository.forge, repository.config, repository.unboxed
        self.file, self.backlog, self.paths = repository.file, repository.backlog, repository.paths

    async def look(self, track: Track) -> Look:
        open_ = [task for task in track.tasks if task.pull and task.state in OPEN_PULL]
        if self.forge.capabilities.graphql and len(open_) > 1:
            await asyncio.sleep(
                BUNCH
            )  # checks end, and people merge, in bunches: one look tells of all of them
        mark = self._marks.get(self._row.track)
        if mark is None or self._row.seq > mark.newest:
            newest = await self._store.newest_event(self._row.track)
            mark = self._marks[self._row.track] = Mark(newest, time.monotonic())
        return Look(mark.at, tuple(task.pull for task in open_ if task.pull))

    async def unfinished(self, track: str) -> tuple[Unfinished, ...]:
        sessions = {each.task for each in await self._store.sessions(track) if each.deleted_at is None}
        return tuple(
            Unfinished(
                kind=row.kind,
                task=row.action.get("task"),
                tries=row.try_,
                until=row.not_before if row.state == "new" else None,
                error=row.error or "",
                session=row.action.get("task") in sessions,
            )
            for row in await self._store.open_actions(track)
        )

    async def sessions(self, track: str) -> tuple[SessionSeen, ...]:
        return tuple(
            SessionSeen(
                kind=each.kind,
                task=each.task,
                deleted_at=each.deleted_at,
                **{name: tuple(map(str, found)) for name, found in (each.proof or {}).items()},
            )
            for each in await self._store.sessions(track)
        )
