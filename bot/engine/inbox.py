"""Owns raw deliveries: written in group commits, routed once, completed when every track has looked."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from bot.engine.database import Database, insert, locked
from bot.engine.rows import Delivery, Parked, TrackEvent
from bot.engine.tables import inbox, parked, track_events

MAX_GROUP = 500
MAX_GROUP_BYTES = 64 << 20
MAX_LEFT_OUT = 30_000  # ids in a query; SQLite takes 32,766


class GroupWriter:
    """Writes the deliveries of many concurrent callers in one transaction each round, so that they share one fsync."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Delivery, asyncio.Future[bool]]] = []
        self._round: asyncio.Task[None] | None = None

    async def add(self, delivery: Delivery) -> bool:
        """Store a delivery durably; False where its id is known."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, answer))
        if self._round is None:
            self._round = asyncio.create_task(self._rounds())
        return await answer

    async def drain(self) -> None:
        """Wait until every delivery handed in so far is stored."""
        if self._round is not None:
            await self._round

    async def _rounds(self) -> None:
        try:
            while self._waiting:
                await self._write(self._take())
        finally:
            self._round = None

    def _take(self) -> list[tuple[Delivery, asyncio.Future[bool]]]:
        count, size = 0, 0
        for delivery, _ in self._waiting[:MAX_GROUP]:
            size += len(delivery.body)
            if count and size > MAX_GROUP_BYTES:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _write(self, group: list[tuple[Delivery, asyncio.Future[bool]]]) -> None:
        try:
            fresh = await self._database.write(lambda conn: insert_new(conn, [d for d, _ in group]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed on
            # Whatever it is, each caller must hear of it, or would wait for ever: the webhook answers 503 and the forge sends the delivery again.
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
            return
        for delivery, answer in group:
            # An id can stand twice in one group; only its first caller stored it.
            if not answer.done():
                answer.set_result(delivery.id in fresh)
            fresh.discard(delivery.id)


def insert_new(conn: sa.Connection, deliveries: Sequence[Delivery]) -> set[str]:
    """Insert deliveries and give the ids that were not known."""
    rows = [
        {
            "id": delivery.id,
            "event": delivery.event,
            "headers": delivery.headers,
            "body": delivery.body,
            "received_at": delivery.received_at,
            "state": "new",
        }
        for delivery in deliveries
    ]
    statement = insert(conn, inbox).on_conflict_do_nothing().returning(inbox.c.id)
    return set(conn.execute(statement, rows).scalars())


def pending(conn: sa.Connection, limit: int, but: Collection[str]) -> list[Delivery]:
    """List deliveries not yet routed, but for these, in the order they came."""
    query = sa.select(inbox).where(inbox.c.state == "new").order_by(inbox.c.seq).limit(limit)
    if but:
        query = query.where(inbox.c.id.not_in(list(but)[:MAX_LEFT_OUT]))
    return [
        Delivery(row.id, row.event, row.headers, row.body, row.received_at) for row in conn.execute(query)
    ]


def route(conn: sa.Connection, delivery_id: str, events: Sequence[TrackEvent], now: datetime) -> bool:
    """Hand a delivery to its tracks; False where somebody did so before."""
    taken = conn.execute(
        sa.update(inbox)
        .where(inbox.c.id == delivery_id, inbox.c.state == "new")
        .values(state="routed" if events else "done")
    )
    if taken.rowcount == 0:
        return False
    for event in events:
        add_event(conn, event, now, delivery_id)
    if events:
        complete(conn, delivery_id)
    return True


def reject(conn: sa.Connection, delivery_id: str, error: str) -> None:
    """Put a delivery aside that cannot be understood, with the reason."""
    conn.execute(
        sa.update(inbox)
        .where(inbox.c.id == delivery_id, inbox.c.state == "new")
        .values(state="rejected", error=error.replace("\x00", ""))
    )


def add_event(conn: sa.Connection, event: TrackEvent, now: datetime, delivery: str | None = None) -> bool:
    """Queue an event for its track; False where its id is known."""
    statement = (
        insert(conn, track_events)
        .values(
            id=event.id,
            track=event.track,
            event=event.event,
            state="new",
            delivery=delivery,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(track_events.c.seq)
    )
    return conn.scalar(statement) is not None


def next_event(conn: sa.Connection, track: str) -> TrackEvent | None:
    """Give the oldest event that a track has not looked at."""
    query = (
        sa.select(track_events)
        .where(track_events.c.track == track, track_events.c.state == "new")
        .order_by(track_events.c.seq)
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else TrackEvent(row.track, row.id, row.event, row.seq)


def newest_event(conn: sa.Connection, track: str) -> int:
    """Give the number of the newest event that a track has not looked at; 0 where there is none."""
    waiting = track_events.c.track == track, track_events.c.state == "new"
    return conn.execute(sa.select(sa.func.max(track_events.c.seq)).where(*waiting)).scalar() or 0


def with_events(conn: sa.Connection, now: datetime) -> list[tuple[str, str]]:
    """List tracks that have something to look at now, longest waiting first.

    With each goes what tells one look from another: its newest event's number, and how often it was parked.
    """
    oldest, newest = sa.func.min(track_events.c.seq), sa.func.max(track_events.c.seq)
    query = (
        sa.select(track_events.c.track, newest, parked.c.tries)
        .outerjoin(parked, parked.c.track == track_events.c.track)
        .where(track_events.c.state == "new", sa.or_(parked.c.until.is_(None), parked.c.until <= now))
        .group_by(track_events.c.track, parked.c.tries)
        .order_by(oldest)
    )
    return [(row[0], f"{row[1]}p{row[2]}" if row[2] else f"{row[1]}") for row in conn.execute(query)]


def park(conn: sa.Connection, track: str, at: Parked) -> None:
    """Let a track stand at an event until a time."""
    values = {"event": at.event, "tries": at.tries, "until": at.until}
    statement = insert(conn, parked).values(track=track, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["track"], set_=values))


def parked_at(conn: sa.Connection, track: str) -> Parked | None:
    """Tell where a track stands, and until when."""
    row = conn.execute(sa.select(parked).where(parked.c.track == track)).first()
    return None if row is None else Parked(row.event, row.tries, row.until)


def finish_event(conn: sa.Connection, event_id: str, now: datetime) -> bool:
    """Mark an event looked at, and its delivery completed if it was the last; False where it was already."""
    statement = (
        sa.update(track_events)
        .where(track_events.c.id == event_id, track_events.c.state == "new")
        .values(state="done", done_at=now)
        .returning(track_events.c.delivery, track_events.c.track)
    )
    row = conn.execute(statement).first()
    if row is None:
        return False
    conn.execute(sa.delete(parked).where(parked.c.track == row.track, parked.c.event == event_id))
    if row.delivery is not None:
        complete(conn, row.delivery)
    return True


def complete(conn: sa.Connection, delivery_id: str) -> None:
    """Mark a delivery done when none of its events is left."""
    # Two tracks can finish at once; without the lock each would see the other's event as still open.
    conn.execute(locked(conn, sa.select(inbox.c.seq).where(inbox.c.id == delivery_id)))
    left = sa.select(sa.func.count()).where(
        track_events.c.delivery == delivery_id, track_events.c.state == "new"
    )
    if conn.scalar(left) == 0:
        conn.execute(sa.update(inbox).where(inbox.c.id == delivery_id).values(state="done"))


def known(conn: sa.Connection, delivery_id: str) -> bool:
    """Tell whether a delivery with this id has been stored."""
    return conn.scalar(sa.select(inbox.c.seq).where(inbox.c.id == delivery_id)) is not None
