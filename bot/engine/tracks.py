"""Owns track rows: the one transaction that saves a decision, and how a track is found."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.engine import inbox, leases, outbox, small_ids
from bot.engine.database import insert, locked
from bot.engine.rows import Commit, NewTimer, StoredTrack, TrackEvent, repo_of
from bot.engine.tables import timers, track_keys, tracks


class StaleCommitError(Exception):
    """The track, its event or the leases it was decided on moved on, so the transaction is undone."""


def load(conn: sa.Connection, track: str) -> StoredTrack | None:
    """Read a track."""
    row = conn.execute(sa.select(tracks).where(tracks.c.key == track)).first()
    return None if row is None else _track(row)


def by_key(conn: sa.Connection, repo_id: int, key: str) -> list[str]:
    """List the tracks of a repository that a key such as `issue:12` leads to."""
    query = (
        sa.select(track_keys.c.track)
        .where(track_keys.c.repo_id == repo_id, track_keys.c.key == key)
        .order_by(track_keys.c.track)
    )
    return list(conn.execute(query).scalars())


def listed(conn: sa.Connection, open_only: bool) -> list[StoredTrack]:
    """List tracks by key."""
    query = sa.select(tracks).order_by(tracks.c.key)
    return [_track(row) for row in conn.execute(query.where(tracks.c.open) if open_only else query)]


def ended(conn: sa.Connection) -> list[str]:
    """List the keys of tracks that ended."""
    return list(conn.execute(sa.select(tracks.c.key).where(~tracks.c.open).order_by(tracks.c.key)).scalars())


def commit(conn: sa.Connection, change: Commit, now: datetime) -> None:
    """Save a decision; raises StaleCommitError, which undoes all of it, where version, event or leases moved on."""
    _save_track(conn, change, now)
    # Before the event's delivery is locked: whoever holds that asks for nothing more, so nobody waits in a ring.
    if change.state is not None and not leases.save(conn, change, now):
        raise StaleCommitError
    if not inbox.finish_event(conn, change.event_id, now):
        raise StaleCommitError
    outbox.add(conn, change.track, change.actions, now)
    _replace_timers(conn, change.track, change.timers, change.drop_timers)
    small_ids.drop(conn, change.drop_ids)


def _save_track(conn: sa.Connection, change: Commit, now: datetime) -> None:
    if change.state is None:
        query = sa.select(tracks.c.version).where(tracks.c.key == change.track)
        if (conn.scalar(locked(conn, query)) or 0) != change.expected_version:
            raise StaleCommitError
        return
    values = {
        "version": change.expected_version + 1,
        "status": change.status,
        "open": change.open,
        "state": change.state,
        "updated_at": now,
    }
    if change.expected_version == 0:
        statement = (
            insert(conn, tracks)
            .values(key=change.track, repo_id=repo_of(change.track), **values)
            .on_conflict_do_nothing()
        )
    else:
        statement = (
            sa.update(tracks)
            .where(tracks.c.key == change.track, tracks.c.version == change.expected_version)
            .values(**values)
        )
    # An insert that meets a conflict reports no usable row count on PostgreSQL; what it returns is plain.
    if conn.scalar(statement.returning(tracks.c.version)) is None:
        raise StaleCommitError
    _replace_keys(conn, change.track, change.keys)


def _replace_keys(conn: sa.Connection, track: str, keys: Sequence[str]) -> None:
    wanted = set(keys)
    known = set(conn.execute(sa.select(track_keys.c.key).where(track_keys.c.track == track)).scalars())
    for key in sorted(known - wanted):
        conn.execute(sa.delete(track_keys).where(track_keys.c.track == track, track_keys.c.key == key))
    for key in sorted(wanted - known):
        conn.execute(sa.insert(track_keys).values(repo_id=repo_of(track), key=key, track=track))


def _replace_timers(conn: sa.Connection, track: str, new: Sequence[NewTimer], dropped: Sequence[str]) -> None:
    if dropped:
        conn.execute(sa.delete(timers).where(timers.c.id.in_(dropped)))
    for timer in new:
        values = {"track": track, "due_at": timer.due_at, "event": timer.event}
        statement = insert(conn, timers).values(id=timer.id, **values)
        conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def timers_due(conn: sa.Connection, now: datetime) -> bool:
    """Tell cheaply whether there is a timer to fire."""
    return conn.scalar(sa.select(sa.literal(1)).where(timers.c.due_at <= now).limit(1)) is not None


def fire_timers(conn: sa.Connection, now: datetime) -> int:
    """Turn due timers into events of their tracks, each exactly once."""
    query = sa.select(timers).where(timers.c.due_at <= now).order_by(timers.c.due_at, timers.c.id)
    if conn.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    due = conn.execute(query).all()
    for row in due:
        # The deletion in the same transaction is what makes it once; a fresh id lets a timer be set again.
        event = TrackEvent(row.track, f"timer:{row.id}:{uuid.uuid4().hex}", row.event)
        inbox.add_event(conn, event, now)
        conn.execute(sa.delete(timers).where(timers.c.id == row.id))
    return len(due)


def _track(row: sa.Row[Any]) -> StoredTrack:
    return StoredTrack(row.key, row.version, row.status, bool(row.open), row.state)
