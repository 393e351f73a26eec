"""Owns the async face of our own database: inbox, tracks, outbox, timers, sessions and small ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from bot import points
from bot.engine import inbox, kept, leases, outbox, purge, sessions, tables, tracks
from bot.engine.database import Database
from bot.engine.kept import Kept, Wanted
from bot.engine.rows import (
    Commit,
    Delivery,
    NewAction,
    NewTimer,
    OutboxRow,
    Parked,
    SeenLeases,
    Session,
    SessionKind,
    StoredTrack,
    TrackEvent,
)
from bot.errors import RetryableError
from bot.ports import Clock, JsonDict

__all__ = [
    "Commit",
    "Delivery",
    "NewAction",
    "NewTimer",
    "OutboxRow",
    "Parked",
    "SeenLeases",
    "Session",
    "Store",
    "StoredTrack",
    "TrackEvent",
]


class Store:
    """What the bot remembers beside git; every method is one transaction, durable when it returns."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.opened_at = clock.now()  # what is noted since then was noted in this very database
        self._clock = clock
        self._group = inbox.GroupWriter(database)
        self._changed: Callable[[], None] = _nothing

    @classmethod
    async def open(cls, database_url: str, clock: Clock) -> Store:
        """Connect and migrate; UserError where the database cannot be used."""
        database = Database(database_url)
        try:
            await database.migrate()
        except BaseException:
            await database.close()
            raise
        return cls(database, clock)

    def now(self) -> datetime:
        """Give the time by which rows are dated."""
        return self._clock.now()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have the listener called, on the event loop, after each write that leaves something to be done."""
        self._changed = listener

    async def close(self) -> None:
        """Store what was handed in and close the connections."""
        await self._group.drain()
        await self.database.close()

    # --- deliveries and events ---

    async def add_delivery(self, delivery: Delivery) -> bool:
        """Store a delivery durably, sharing the fsync with concurrent callers; False where its id is known."""
        try:
            stored = await self._group.add(delivery)
            points.reached("delivery-stored")
            return self._woken(stored)
        except (sa.exc.SQLAlchemyError, RuntimeError, OSError) as error:
            raise RetryableError(f"the database did not take the delivery: {error}") from error

    async def knows_delivery(self, id_: str) -> bool:
        """Tell whether a delivery with this id has been stored."""
        return await self.database.read(lambda conn: inbox.known(conn, id_))

    async def kept_deliveries(self, wanted: Wanted) -> list[Kept]:
        """List stored deliveries, the newest first."""
        return await self.database.read(lambda conn: kept.listed(conn, wanted))

    async def kept_delivery(self, id_: str) -> tuple[Delivery, str] | None:
        """Give a delivery as it came, and how it stands; None where its id is not known."""
        return await self.database.read(lambda conn: kept.one(conn, id_))

    async def handle_again(self, id_: str) -> bool:
        """Have an ended delivery handled once more; see kept.again."""
        return self._woken(await self.database.write(lambda conn: kept.again(conn, id_)))

    async def pending_deliveries(self, limit: int, but: Collection[str] = ()) -> list[Delivery]:
        """List deliveries not yet routed, but for these, in the order they came."""
        return await self.database.read(lambda conn: inbox.pending(conn, limit, but))

    async def route(self, delivery_id: str, events: Sequence[TrackEvent]) -> bool:
        """Hand a delivery to its tracks (none: completed at once); False where somebody did so before."""
        now = self._clock.now()
        return self._woken(
            await self.database.write(lambda conn: inbox.route(conn, delivery_id, events, now))
        )

    async def reject(self, delivery_id: str, error: str) -> None:
        """Put a delivery aside that cannot be understood, with the reason."""
        await self.database.write(lambda conn: inbox.reject(conn, delivery_id, error))

    async def add_event(self, track: str, id_: str, event: JsonDict) -> bool:
        """Queue an internal event for a track; False where its id is known."""
        now, new = self._clock.now(), TrackEvent(track, id_, event)
        return self._woken(await self.database.write(lambda conn: inbox.add_event(conn, new, now)))

    async def next_event(self, track: str) -> TrackEvent | None:
        """Give the oldest event that a track has not looked at."""
        return await self.database.read(lambda conn: inbox.next_event(conn, track))

    async def newest_event(self, track: str) -> int:
        """Give the number of the newest event that a track has not looked at; 0 where there is none."""
        return await self.database.read(lambda conn: inbox.newest_event(conn, track))

    async def tracks_with_events(self) -> list[tuple[str, str]]:
        """List tracks with something to look at now, longest waiting first; see inbox.with_events."""
        now = self._clock.now()
        return await self.database.read(lambda conn: inbox.with_events(conn, now))

    async def park(self, track: str, at: Parked) -> None:
        """Let a track stand at an event until a time; what comes after it waits too."""
        await self.database.write(lambda conn: inbox.park(conn, track, at))

    async def parked(self, track: str) -> Parked | None:
        """Tell at which event a track stands, and until when."""
        return await self.database.read(lambda conn: inbox.parked_at(conn, track))

    # --- tracks ---

    async def load(self, track: str) -> StoredTrack | None:
        """Read a track."""
        return await self.database.read(lambda conn: tracks.load(conn, track))

    async def tracks_by_key(self, repo_id: int, key: str) -> list[str]:
        """List the tracks of a repository that a key such as `issue:12` leads to."""
        return await self.database.read(lambda conn: tracks.by_key(conn, repo_id, key))

    async def all_tracks(self, open_only: bool = False) -> list[StoredTrack]:
        """List tracks by key."""
        return await self.database.read(lambda conn: tracks.listed(conn, open_only))

    async def others_leases(self, track: str) -> SeenLeases:
        """Read what the other tracks of this track's repository hold."""
        return await self.database.read(lambda conn: leases.of_others(conn, track))

    async def commit(self, change: Commit) -> bool:
        """Save a decision whole; False, and nothing written, where version, event or leases moved on."""
        now = self._clock.now()
        try:
            await self.database.write(lambda conn: tracks.commit(conn, change, now))
        except tracks.StaleCommitError:
            return False
        points.reached("decision-stored")
        return self._woken(True)

    # --- actions ---

    async def unsubmitted(self, now: datetime, limit: int) -> list[OutboxRow]:
        """List actions that may start now, oldest first."""
        return await self.database.read(lambda conn: outbox.unsubmitted(conn, now, limit))

    async def submitted(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """List actions that the engine was given, by number, from `after` on."""
        return await self.database.read(lambda conn: outbox.submitted(conn, limit, after))

    async def open_actions(self, track: str) -> list[OutboxRow]:
        """List a track's actions that have not ended."""
        return await self.database.read(lambda conn: outbox.open_actions(conn, track))

    async def action(self, id_: str) -> OutboxRow | None:
        """Read an action."""
        return await self.database.read(lambda conn: outbox.action(conn, id_))

    async def mark_submitted(self, id_: str, try_: int) -> None:
        """Note that the engine has this try."""
        await self.database.write(lambda conn: outbox.mark_submitted(conn, id_, try_))

    async def finish_action(self, id_: str, result: TrackEvent | None) -> bool:
        """End an action and hand its result to the track; False, and no result, where it had ended before."""
        return await self._end(id_, result, None)

    async def fail_action(self, id_: str, error: str, result: TrackEvent | None) -> bool:
        """End an action for good as failed; False, and no result, where it had ended before."""
        return await self._end(id_, result, error)

    async def _end(self, id_: str, result: TrackEvent | None, error: str | None) -> bool:
        now = self._clock.now()
        ended = await self.database.write(
            lambda conn: outbox.end(conn, id_, "done" if error is None else "failed", result, now, error)
        )
        return self._woken(ended)

    async def retry_action(self, id_: str, not_before: datetime | None, error: str) -> bool:
        """Queue the next try, not before a time; False where the action has ended."""
        return self._woken(await self.database.write(lambda conn: outbox.retry(conn, id_, not_before, error)))

    async def resubmit(self, id_: str, try_: int, error: str) -> bool:
        """Queue the next try of an action whose job was lost; False where it is past this try or ended."""
        return self._woken(
            await self.database.write(lambda conn: outbox.retry(conn, id_, None, error, only_try=try_))
        )

    async def cancel_actions(self, ids: Sequence[str]) -> None:
        """End these actions as cancelled; their results, should any come, are dropped."""
        now = self._clock.now()
        await self.database.write(lambda conn: [outbox.end(conn, i, "cancelled", None, now) for i in ids])

    # --- timers ---

    async def fire_timers(self, now: datetime) -> int:
        """Turn due timers into events of their tracks, each exactly once, and count them."""
        if not await self.database.read(lambda conn: tracks.timers_due(conn, now)):
            return 0
        fired = await self.database.write(lambda conn: tracks.fire_timers(conn, now))
        self._woken(fired > 0)
        return fired

    # --- sessions, small ids, health ---

    async def session_opened(
        self, id_: str, kind: SessionKind, track: str, task: str | None, facts: JsonDict
    ) -> None:
        """Note a session before it starts; noted again, it is open again with the new facts."""
        session = Session(id_, kind, track, task, facts, self._clock.now())
        await self.database.write(lambda conn: sessions.opened(conn, session))

    async def session_deleted(self, id_: str, proof: JsonDict) -> None:
        """Note that a session is gone, with what proves it; the first proof stands."""
        now = self._clock.now()
        await self.database.write(lambda conn: sessions.deleted(conn, id_, proof, now))

    async def session_proved(self, id_: str, proof: JsonDict) -> None:
        """Add to what was looked at after a session's end, whether that proves that it is gone or not."""
        await self.database.write(lambda conn: sessions.proved(conn, id_, proof))

    async def open_sessions(self) -> list[Session]:
        """List sessions whose deletion is not proved, oldest first."""
        return await self.database.read(
            lambda conn: sessions.listed(conn, tables.sessions.c.deleted_at.is_(None))
        )

    async def sessions(self, track: str) -> list[Session]:
        """List a track's sessions, oldest first."""
        return await self.database.read(lambda conn: sessions.listed(conn, tables.sessions.c.track == track))

    async def get_id(self, key: str) -> str | None:
        """Read a small stored value, such as a comment's id."""
        return await self.database.read(lambda conn: sessions.get_id(conn, key))

    async def put_id(self, key: str, value: str) -> None:
        """Store a small value; the newest stands."""
        await self.database.write(lambda conn: sessions.put_id(conn, key, value))

    async def mark(self, key: str) -> bool:
        """Store that something is begun; True for the one caller that did so first."""
        return await self.database.write(lambda conn: sessions.mark(conn, key))

    async def ended_tracks(self) -> list[str]:
        """List the keys of tracks that ended."""
        return await self.database.read(tracks.ended)

    async def purge(self, before: datetime) -> int:
        """Forget what happened in tracks that ended before a time, a batch at a time, and count the rows."""
        total = 0
        while gone := await self.database.write(lambda conn: purge.some(conn, before)):
            total += gone
        return total

    async def counts(self) -> dict[str, int]:
        """Count what is pending, per table."""
        return await self.database.read(_counts)

    def _woken(self, something_to_do: bool) -> bool:
        if something_to_do:
            self._changed()
        return something_to_do


def _nothing() -> None:
    """Stand in until somebody listens."""


def _counts(conn: sa.Connection) -> dict[str, int]:
    what = {
        "deliveries": tables.inbox.c.state == "new",
        "events": tables.track_events.c.state == "new",
        "actions": tables.outbox.c.state == "new",
        "submitted": tables.outbox.c.state == "submitted",
        "timers": tables.timers.c.id.is_not(None),
        "sessions": tables.sessions.c.deleted_at.is_(None),
    }
    # One statement, one moment: counted one after another, work on its way between two tables could be missed.
    query = sa.select(
        *(
            sa.select(sa.func.count()).where(where).scalar_subquery().label(name)
            for name, where in what.items()
        )
    )
    return dict(conn.execute(query).one()._mapping)
