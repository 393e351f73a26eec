"""Owns forgetting: what ended tracks and repositories left goes after its time, ids that must be known again stay."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from bot.core.ids import REPOSITORY
from bot.engine import small_ids
from bot.engine.tables import inbox, outbox, sessions, track_events, tracks

BATCH = 2000  # rows in one transaction: others wait for the writer meanwhile


def some(conn: sa.Connection, before: datetime) -> int:
    """Forget a batch of what happened before a time, and count the rows; 0 when nothing is left.

    Tracks and their keys stay, so that a next round gets the next number; so do the ids of deliveries, so that one
    that is sent again is known. Their bodies go, and so do the small ids that only an open track asks for.
    """
    ended = sa.select(tracks.c.key).where(~tracks.c.open, tracks.c.updated_at < before)
    gone = 0
    for table, key, over in (
        (track_events, track_events.c.seq, track_events.c.state == "done"),
        (outbox, outbox.c.seq, outbox.c.state.in_(("done", "failed", "cancelled"))),
        (sessions, sessions.c.id, sessions.c.deleted_at.is_not(None)),
    ):
        batch = sa.select(key).where(over, table.c.track.in_(ended)).limit(BATCH)
        gone += conn.execute(sa.delete(table).where(key.in_(batch))).rowcount
    # The looks first: where nobody knows of one, no mark of a first try is asked for.
    gone += small_ids.of_looks(conn, before, BATCH) + small_ids.of_ended(conn, ended, BATCH)
    return gone + _of_repositories(conn, before) + _emptied(conn, before)


def _of_repositories(conn: sa.Connection, before: datetime) -> int:
    """Forget what was done about repositories as such: their lines have no end."""
    gone = 0
    for table in (track_events, outbox):
        over = sa.and_(table.c.track.endswith(f"/{REPOSITORY}"), table.c.done_at < before)
        batch = sa.select(table.c.seq).where(over).limit(BATCH)
        gone += conn.execute(sa.delete(table).where(table.c.seq.in_(batch))).rowcount
    return gone


def _emptied(conn: sa.Connection, before: datetime) -> int:
    full = sa.select(inbox.c.seq).where(
        inbox.c.state.in_(("done", "rejected")),
        inbox.c.received_at < before,
        sa.func.length(inbox.c.body) > 0,
    )
    statement = sa.update(inbox).where(inbox.c.seq.in_(full.limit(BATCH))).values(body=b"", headers={})
    return conn.execute(statement).rowcount
