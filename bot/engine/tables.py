"""Owns the schema of our own database: one definition for SQLite and PostgreSQL, and its migrations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.errors import UserError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIGRATION_LOCK = 0x67697477  # advisory lock: processes that start together migrate one after another


class UtcTime(sa.TypeDecorator[datetime]):
    """An aware time as whole microseconds since 1970, so that both databases order and compare it alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = sa.MetaData()
_Seq = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up only an INTEGER key


def _seq() -> sa.Column[int]:
    return sa.Column("seq", _Seq, primary_key=True, autoincrement=True)


schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))

inbox = sa.Table(
    "inbox",
    metadata,
    _seq(),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sqlite_autoincrement=True,
)

track_events = sa.Table(
    "track_events",
    metadata,
    _seq(),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("track", sa.Text, nullable=False),
    sa.Column("event", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("delivery", sa.Text, index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("done_at", UtcTime),
    sqlite_autoincrement=True,
)

tracks = sa.Table(
    "tracks",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("repo_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

track_keys = sa.Table(
    "track_keys",
    metadata,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("track", sa.Text, primary_key=True, index=True),
)

outbox = sa.Table(
    "outbox",
    metadata,
    _seq(),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("track", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("action", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("try", sa.Integer, nullable=False),
    sa.Column("not_before", UtcTime),
    sa.Column("error", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("done_at", UtcTime),
    sqlite_autoincrement=True,
)

timers = sa.Table(
    "timers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("track", sa.Text, nullable=False),
    sa.Column("due_at", UtcTime, nullable=False, index=True),
    sa.Column("event", sa.JSON, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("track", sa.Text, nullable=False, index=True),
    sa.Column("task", sa.Text),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("deleted_at", UtcTime),
    sa.Column("proof", sa.JSON(none_as_null=True)),
)

ids = sa.Table(
    "ids",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Money: one row for each model of a run; while the run lasts, one row that counts what was reserved.
spending = sa.Table(
    "spending",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("turn", sa.Integer, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("track", sa.Text, nullable=False, index=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Text, nullable=False, index=True),
    sa.Column("reserved_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("settled_at", UtcTime),
)

model_calls = sa.Table(
    "model_calls",
    metadata,
    _seq(),
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("model_calls_pool_at", "pool", "at"),
    sqlite_autoincrement=True,
)

model_holds = sa.Table(
    "model_holds",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("until", UtcTime),
    sa.Column("why", sa.Text, nullable=False),
)

# What tasks of open tracks hold; `lease_versions` counts the changes of a repository's leases, and its row is what
# commits that change them queue up at. Who waits for paths of another track hears when paths are given back.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("track", sa.Text, primary_key=True),
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("paths", sa.JSON, nullable=False),
)

lease_versions = sa.Table(
    "lease_versions",
    metadata,
    sa.Column("repo_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

lease_waiters = sa.Table(
    "lease_waiters",
    metadata,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("track", sa.Text, primary_key=True),
)

# The event at which a track stands until a time: what it asked for could not be had, so many times already.
parked = sa.Table(
    "parked",
    metadata,
    sa.Column("track", sa.Text, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)


def _only(table: sa.Table, name: str, where: sa.ColumnElement[bool], *columns: str) -> None:
    """Index the rows still to be worked on, so that the cost of a look does not grow with history."""
    sa.Index(name, *(table.c[column] for column in columns), sqlite_where=where, postgresql_where=where)


_only(inbox, "inbox_new", inbox.c.state == sa.literal_column("'new'"), "seq")
_only(track_events, "track_events_new", track_events.c.state == sa.literal_column("'new'"), "track", "seq")
_only(outbox, "outbox_new", outbox.c.state == sa.literal_column("'new'"), "seq")
_only(outbox, "outbox_submitted", outbox.c.state == sa.literal_column("'submitted'"), "seq")
_only(tracks, "tracks_open", tracks.c.open, "key")
_only(sessions, "sessions_open", sessions.c.deleted_at.is_(None), "id")
_only(spending, "spending_reserved", spending.c.state == sa.literal_column("'reserved'"), "expires_at")


def _first_schema(conn: sa.Connection) -> None:
    metadata.create_all(conn)


def _money(conn: sa.Connection) -> None:
    metadata.create_all(conn, tables=[spending, model_calls, model_holds])


def _leases_and_parking(conn: sa.Connection) -> None:
    # What tracks under way hold is written with their next commits.
    metadata.create_all(conn, tables=[leases, lease_versions, lease_waiters, parked])


# Migration n brings the schema from n - 1 to n. A released one is never edited; the next change is appended.
MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_first_schema, _money, _leases_and_parking)


def migrate(conn: sa.Connection) -> None:
    """Bring the schema to this version; UserError where a newer Gitwright wrote it."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    schema_version.create(conn, checkfirst=True)
    found = conn.scalar(sa.select(schema_version.c.version))
    current = found or 0
    if current > len(MIGRATIONS):
        raise UserError(
            f"The database has schema version {current}, and this Gitwright knows versions up to"
            f" {len(MIGRATIONS)}. Start the newer Gitwright that wrote it, or restore an older copy."
        )
    for step in MIGRATIONS[current:]:
        step(conn)
    if found is None:
        conn.execute(sa.insert(schema_version).values(version=len(MIGRATIONS)))
    elif current < len(MIGRATIONS):
        conn.execute(sa.update(schema_version).values(version=len(MIGRATIONS)))
