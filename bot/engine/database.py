"""Owns the connections of our own database and the threads that use them, so that no fsync blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.engine import tables
from bot.engine.wal import to_wal
from bot.errors import RetryableError, UserError

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

READERS = 4
POSTGRES_THREADS = 8
IDLE_TRANSACTION_MS = 5_000
_LOCK_WAIT_MS = 30_000
_STATEMENT_MS = 120_000
# A server that is gone without a word, as after a power cut, is noticed within a minute instead of two hours.
CONNECTING: dict[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 5,
    "tcp_user_timeout": 45_000,
}


class Database:
    """Runs work in transactions: one writer thread on SQLite, a pool of threads on PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        if self.url.get_backend_name() == "sqlite":
            self._writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE", 1)
            self._reader = _sqlite_engine(self.url, "BEGIN", READERS)
            self._write_threads = ThreadPoolExecutor(1, "store-write")
            self._read_threads = ThreadPoolExecutor(READERS, "store-read")
        else:
            self._writer = _postgres_engine(self.url)
            self._reader = self._writer
            self._write_threads = ThreadPoolExecutor(POSTGRES_THREADS, "store")
            self._read_threads = self._write_threads

    async def read(self, work: Work[T]) -> T:
        """Run work that only looks, in a transaction of its own."""
        return await _in_thread(self._read_threads, self._reader, work)

    async def write(self, work: Work[T]) -> T:
        """Run work in one transaction that is on disk when this returns; an exception undoes it."""
        return await _in_thread(self._write_threads, self._writer, work)

    async def migrate(self) -> None:
        """Bring the schema to this version; UserError names what a person must mend."""
        try:
            await self.write(tables.migrate)
        except RetryableError as error:
            place = self.url.render_as_string(hide_password=True)
            raise UserError(
                f"The database {place} cannot be used: {error}. Check GITWRIGHT_DATABASE_URL."
            ) from error

    async def close(self) -> None:
        """Let running work end, then close every connection."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        self._writer.dispose()
        self._reader.dispose()


async def _in_thread(threads: ThreadPoolExecutor, engine: sa.Engine, work: Work[T]) -> T:
    def run() -> T:
        with engine.begin() as conn:
            return work(conn)

    try:
        return await asyncio.get_running_loop().run_in_executor(threads, run)
    except sa.exc.DBAPIError as error:
        if not isinstance(error, sa.exc.OperationalError) and not error.connection_invalidated:
            raise
        # A server that restarts, a connection that it ended or a full disk passes: what was asked for is asked for again.
        raise RetryableError(f"the database does not answer: {error.orig}") from error


def parse_url(url: str) -> sa.URL:
    """Read a database URL; UserError where it names neither SQLite nor PostgreSQL."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise UserError("GITWRIGHT_DATABASE_URL is not a database URL.") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise UserError(
            "GITWRIGHT_DATABASE_URL must name PostgreSQL (postgresql://...) or a SQLite file (sqlite:////path)."
        )
    return parsed


def insert(conn: sa.Connection, table: sa.Table) -> Any:
    """Begin an insert that can say what happens on conflict; both dialects spell that alike, in separate classes."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def locked(conn: sa.Connection, query: sa.Select[Any]) -> sa.Select[Any]:
    """Hold the rows until the transaction ends; on SQLite the writer is alone anyway."""
    return query.with_for_update() if conn.dialect.name == "postgresql" else query


def _postgres_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url, pool_size=POSTGRES_THREADS, pool_pre_ping=True, connect_args=dict(CONNECTING)
    )

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # A process frozen inside a transaction would hold its row locks against those that take its work over.
        connection.execute(f"set idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MS}")
        connection.execute(f"set lock_timeout = {_LOCK_WAIT_MS}")
        connection.execute(f"set statement_timeout = {_STATEMENT_MS}")
        connection.commit()

    return engine


def _sqlite_engine(url: sa.URL, begin: str, connections: int) -> sa.Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=connections, max_overflow=0, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes late and deferred, so two readers that turn writers would fail; ours is below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_LOCK_WAIT_MS}")
        to_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
