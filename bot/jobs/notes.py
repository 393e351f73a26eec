"""Owns the notes that people gave while a task was run: their words, the run they were for, and who has heard them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.core.track import TaskTrack, Track
from bot.engine.store import Store


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one task, as its present run finds them."""

    store: Store
    track: Track
    task: TaskTrack

    async def add(self, key: str, note: str) -> None:
        """Keep a note for the run that is under way or waits; the same key once."""
        notes = await self._all()
        if key not in {known for known, _, _ in notes}:
            await self._put("notes", [*notes, (key, note, self._start)])

    async def for_run(self) -> list[tuple[str, str]]:
        """List keys and words for the run, oldest first: notes given to it, and those whose work it has not.

        A run that begins from the default branch has none of what was done before; one that begins where another
        began takes the place of that one, which came to nothing.
        """
        return [(key, note) for key, note, began in await self._all() if self._start in {"", began}]

    async def heard(self, key: str) -> None:
        """Remember that an agent was told this note."""
        known = await self._heard()
        if key not in known:
            await self._put("heard", [*known, key])

    async def unheard(self) -> tuple[str, ...]:
        """Give the words for this run that came when its agent had ended already."""
        known = await self._heard()
        return tuple(
            note for key, note, began in await self._all() if began == self._start and key not in known
        )

    @property
    def _start(self) -> str:
        """The commit that the run goes on from; "" where it begins from the default branch."""
        return "" if self.task.mode == "fresh" else self.task.from_sha

    async def _all(self) -> list[tuple[str, str, str]]:
        # Notes of an earlier version do not say which run they were for: they are for those that begin anew.
        found = await self._read("notes")
        return [(str(key), str(note), str(began[0]) if began else "") for key, note, *began in found]

    async def _heard(self) -> list[str]:
        return [str(key) for key in await self._read("heard")]

    async def _read(self, what: str) -> list[list[str]]:
        text = await self.store.get_id(self._key(what))
        return list(json.loads(text)) if text else []

    async def _put(self, what: str, value: object) -> None:
        await self.store.put_id(self._key(what), json.dumps(value))

    def _key(self, what: str) -> str:
        return f"{self.track.key}:{self.task.id}:{what}"
