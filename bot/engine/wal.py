"""Owns the switch of a SQLite file to a write-ahead log, which SQLite does not wait for as it does for all else."""

from __future__ import annotations

import sqlite3
import time

_SECONDS = 30.0
_LOOK_SECONDS = 0.02


def to_wal(connection: sqlite3.Connection) -> None:
    """Switch the file; OperationalError where others hold it for too long.

    Of several that switch a new file at once all but one are told that it is locked, at once and whatever
    `busy_timeout` says (https://www.sqlite.org/wal.html#activating_and_configuring_wal_mode).
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return
