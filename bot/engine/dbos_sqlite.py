"""Owns the SQLite connections that DBOS is given, in place of those that it would make."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from bot.engine.wal import to_wal


def sqlite_engine(url: sa.URL) -> sa.Engine:
    """Make the engine that DBOS would make, with WAL (several times faster) and the clock of newer SQLite versions."""
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        to_wal(connection)
        # Before 3.42 unixepoch('subsec') is NULL, which DBOS cannot launch with on Python 3.12 and later.
        connection.create_function("unixepoch", 1, lambda _: time.time())

    return engine


def dispose(engine: sa.Engine) -> None:
    """Close all connections, those too that a thread still holds, once it gives them back."""
    sa.event.listen(engine, "checkin", _close)
    engine.dispose()


def _close(_connection: object, record: sa.PoolProxiedConnection) -> None:
    record.invalidate()
