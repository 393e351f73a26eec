"""Owns the way of an event: it finds its tracks, facts are gathered, a decision is made and stored at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pydantic import ValidationError

from bot.core import messages
from bot.core.actions import ACTIONS, Decision, PostComment
from bot.core.events import EVENTS, CommentCreated, Event, ForgeEvent, IssueLabeled
from bot.core.ids import TRACK_ID, TrackId, track_id
from bot.core.sanitize import escape
from bot.core.track import TRACKS, Track
from bot.engine.store import Commit, Delivery, NewAction, NewTimer, Store, TrackEvent
from bot.errors import BotError, RetryableError
from bot.handler import Handler, Reads
from bot.ports import Clock, Engine, JsonDict

_log = structlog.get_logger(__name__)

PARK = (2.0, 5.0, 15.0, 60.0, 300.0, 900.0)  # seconds until an event that could not be decided is tried again
TRIES = 24  # with the waits above some four hours: an outage of the forge loses nothing


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Routes deliveries to tracks and drains a track's events in order."""

    store: Store
    reads: Reads
    handlers: Sequence[Handler[Any, Any]]
    parse: Callable[[Delivery], ForgeEvent | None]
    clock: Clock
    engine: Callable[[], Engine]  # it is built after this and calls back into it

    def handler(self, event: Event) -> Handler[Any, Any]:
        return next(h for h in self.handlers if h.event is type(event))

    # --- from a delivery to tracks -------------------------------------------------------------

    async def route(self, delivery: Delivery) -> list[TrackEvent]:
        """Find the tracks that a delivery concerns; none is an answer too."""
        event = self.parse(delivery)
        if event is None:
            return []
        routed = [await self._opening(event)] if self.handler(event).opens(event) is not None else []
        if not routed:
            found: dict[str, None] = {}
            for key in self.handler(event).keys(event):
                found.update(dict.fromkeys(await self.store.tracks_by_key(event.repo.id, key)))
            routed = [(key, event) for key in found]
        return [
            TrackEvent(track=key, id=f"{delivery.id}/{key}", event=EVENTS.dump_python(happened, mode="json"))
            for key, happened in routed
        ]

    async def _opening(self, event: ForgeEvent) -> tuple[str, ForgeEvent]:
        """Give the newest track of the issue, or the one that the event would begin."""
        issue = self.handler(event).opens(event)
        assert issue is not None
        known = await self.store.tracks_by_key(event.repo.id, f"issue:{issue}")
        if not known:
            return f"{event.repo.id}/{track_id(issue)}", event
        newest = max(known, key=_round)
        stored = await self.store.load(newest)
        if isinstance(event, IssueLabeled) and stored is not None and not stored.open:
            event = replace(event, round=_round(newest) + 1)
            return f"{event.repo.id}/{track_id(issue, event.round)}", event
        return newest, event

    # --- from an event to a decision -----------------------------------------------------------

    async def drain(self, args: JsonDict) -> None:
        """Handle everything that has happened to a track, in order; what cannot be decided now is parked."""
        key, tries = str(args["track"]), int(args.get("try", 0))
        while (row := await self.store.next_event(key)) is not None:
            try:
                await self._handle(key, row)
            except RetryableError as error:
                if tries >= TRIES:
                    await self._give_up(key, row, str(error))
                    continue
                wait = error.after or PARK[min(tries, len(PARK) - 1)]
                _log.warning("event_parked", track=key, row=row.id, seconds=wait, error=str(error))
                job = f"track:{key}:{row.id}:{tries + 1}"
                await self.engine().submit(
                    "track", job, {"track": key, "try": tries + 1}, queue="tracks", partition=key, delay=wait
                )
                return
            except BotError as error:
                _log.warning("event_failed", track=key, row=row.id, error=str(error))
                await self._give_up(key, row, str(error))
            except Exception as error:  # noqa: BLE001 - the outermost edge: a track must not stand still over a bug
                _log.exception("event_crashed", track=key, row=row.id)
                await self._give_up(key, row, f"internal error ({type(error).__name__}); see the log")

    async def _handle(self, key: str, row: TrackEvent) -> None:
        track, version = await self._load(key)
        event = EVENTS.validate_python(row.event)
        handler = self.handler(event)
        if track is not None and isinstance(event, ForgeEvent):
            track = replace(track, repo=event.repo)  # its name, visibility or default branch may have changed
        facts = await handler.gather(track, event, self.reads)
        decision = handler.decide(track, event, facts, self.clock.now())
        await self._commit(key, row, version, decision)

    async def _load(self, key: str) -> tuple[Track | None, int]:
        stored = await self.store.load(key)
        return (TRACKS.validate_python(stored.state), stored.version) if stored else (None, 0)

    async def _commit(self, key: str, row: TrackEvent, version: int, decision: Decision) -> None:
        now, track = self.clock.now(), decision.track
        # Ids say which event of which track an action follows from, so the same decision never stands twice.
        actions = tuple(
            NewAction(
                id=f"{key}#{row.id}.{n}", kind=action.kind, action=ACTIONS.dump_python(action, mode="json")
            )
            for n, action in enumerate(decision.actions, 1)
        )
        timers = tuple(
            NewTimer(
                id=f"{key}:{timer.id}",
                due_at=now + timer.after,
                event=EVENTS.dump_python(timer.event, mode="json"),
            )
            for timer in decision.timers
        )
        stored = await self.store.commit(
            Commit(
                track=key,
                event_id=row.id,
                expected_version=version,
                state=TRACKS.dump_python(track, mode="json") if track else None,
                status=track.state if track else "",
                open=track is not None and not track.ended,
                keys=track.keys() if track else (),
                actions=actions,
                timers=timers,
            )
        )
        if not stored:
            _log.info("version_moved", track=key, row=row.id)  # somebody else was first: read again

    async def _give_up(self, key: str, row: TrackEvent, error: str) -> None:
        """Close an event that cannot be handled, and tell people so; a track that cannot be read is left as it is."""
        try:
            track, version = await self._load(key)
        except ValidationError:
            stored = await self.store.load(key)
            track, version = None, stored.version if stored else 0
        event = EVENTS.validate_python(row.event)
        repo = event.repo if isinstance(event, ForgeEvent) else track.repo if track else None
        number = event.number if isinstance(event, CommentCreated) else _issue(key)
        text = f"This could not be handled: {escape(error)}"
        id_ = track.id if track else TrackId(key.partition("/")[2])
        said = messages.answer(id_, row.id, text, "problem")
        actions = (PostComment(repo=repo, number=number, body=said),) if repo else ()
        await self._commit(key, row, version, Decision(track=track, actions=actions))


def _issue(key: str) -> int:
    found = TRACK_ID.fullmatch(key.partition("/")[2])
    return int(found[1]) if found else 0


def _round(key: str) -> int:
    found = TRACK_ID.fullmatch(key.partition("/")[2])
    return int(found[2] or 1) if found else 0
