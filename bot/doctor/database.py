"""Owns the check of the database: it is opened for reading only, also beside a bot at work."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from bot.doctor.check import Check, Finding, ok
from bot.doctor.world import World
from bot.engine.database import CONNECTING, parse_url
from bot.engine.tables import MIGRATIONS

_SECONDS = 5
_VERSION = "SELECT version FROM schema_version"


def judge(place: str, version: int | None, known: int) -> Finding:
    """Judge the schema's version: None where nothing was written yet."""
    if version is None:
        return ok(f"{place}: its tables are made at the first start.")
    if version > known:
        text = f"{place} was written by a newer Gitwright (schema {version}, this one knows {known})."
        return Finding("failed", text, "Start that newer Gitwright, or restore an older copy.")
    if version < known:
        return ok(f"{place} answers; the next start brings schema {version} to {known}.")
    return ok(f"{place} answers (schema {version}).")


async def _look(world: World) -> Finding:
    url = parse_url(world.configured().database)
    place = url.render_as_string(hide_password=True)
    try:
        if url.get_backend_name() == "sqlite":
            version = await asyncio.to_thread(_sqlite_version, Path(str(url.database)))
        else:
            version = await asyncio.to_thread(_postgres_version, url)
    except (sqlite3.Error, sa.exc.SQLAlchemyError) as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        step = "Check GITWRIGHT_DATABASE_URL, and whether the server runs and lets this machine in."
        if url.get_backend_name() == "sqlite":
            step = "Restore the file from a copy, or move it away: the bot rebuilds it from Git and GitHub."
        return Finding("failed", f"{place} cannot be used: {said}.", step)
    return judge(place, version, len(MIGRATIONS))


def _sqlite_version(path: Path) -> int | None:
    if not path.exists():
        return None
    # Without a log beside it nobody writes, and even the files that reading would make are not made.
    alone = not path.with_name(f"{path.name}-wal").exists()
    address = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=_SECONDS)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone():
            return None
        row = connection.execute(_VERSION).fetchone()
    finally:
        connection.close()
    return int(row[0]) if row else None


def _postgres_version(url: sa.URL) -> int | None:
    connecting = {**CONNECTING, "connect_timeout": _SECONDS}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=connecting)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_SECONDS * 1000}")
            if not sa.inspect(connection).has_table("schema_version"):
                return None
            found = connection.exec_driver_sql(_VERSION).scalar()
    finally:
        engine.dispose()
    return None if found is None else int(found)


CHECKS = (Check(name="database", asks="Can the database be reached and read?", look=_look),)
