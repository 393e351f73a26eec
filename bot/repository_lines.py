"""Owns the way of an event that concerns a repository: it finds the repository's own line, and what follows is stored there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.core.events import EVENTS, Event
from bot.core.ids import repository_line
from bot.core.repo_actions import REPO_ACTIONS, RepoAction
from bot.engine.store import Commit, NewAction, Store, TrackEvent
from bot.handler import Reads, RepoHandler


@dataclass(frozen=True, slots=True)
class RepositoryLines:
    """Asks the handlers of repositories, and keeps what they want done."""

    store: Store
    reads: Reads
    handlers: Sequence[RepoHandler[Any, Any]]

    def concern(self, event: Event, *, heard: bool) -> bool:
        """Say whether an event means something to its repository; `heard` is whether a track hears it."""
        return any(
            handler.concerns(event) and not (heard and handler.only_without_track)
            for handler in self._of(event)
        )

    async def handle(self, line: str, row: TrackEvent) -> None:
        """Decide what follows from an event; RetryableError where it cannot be decided now."""
        event = EVENTS.validate_python(row.event)
        wanted: list[RepoAction] = []
        for handler in self._of(event):
            facts = await handler.gather(event, self.reads)
            wanted += handler.decide(event, facts)
        await self.end(line, row, new_actions(line, row, wanted))

    async def end(self, line: str, row: TrackEvent, actions: tuple[NewAction, ...] = ()) -> None:
        """Close an event, with what is to be done after it."""
        # A repository has no state of its own: what is so stands on the forge, and its actions look there.
        await self.store.commit(
            Commit(track=line, event_id=row.id, expected_version=0, state=None, actions=actions)
        )

    def _of(self, event: Event) -> list[RepoHandler[Any, Any]]:
        return [handler for handler in self.handlers if handler.event is type(event)]


def new_actions(key: str, row: TrackEvent, actions: Sequence[RepoAction]) -> tuple[NewAction, ...]:
    """Name what is to be done about a repository after the event that it follows from, and the line it waits in."""
    return tuple(
        NewAction(
            id=f"{key}#{row.id}.r{n}",
            kind=action.kind,
            action=REPO_ACTIONS.dump_python(action, mode="json"),
            line=repository_line(action.repo.id),
        )
        for n, action in enumerate(actions, 1)
    )
