"""Owns the rows of agent sessions and of small stored ids."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from bot.engine.database import insert
from bot.engine.rows import Session
from bot.engine.tables import ids, sessions
from bot.ports import JsonDict


def opened(conn: sa.Connection, session: Session) -> None:
    """Note a session before it starts; noted again, it is open again with the new facts."""
    values = {
        "kind": session.kind,
        "track": session.track,
        "task": session.task,
        "facts": session.facts,
        "opened_at": session.opened_at,
        "deleted_at": None,
        "proof": None,
    }
    statement = insert(conn, sessions).values(id=session.id, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def deleted(conn: sa.Connection, session_id: str, proof: JsonDict, now: datetime) -> None:
    """Note that a session is gone, with what proves it; the first proof stands."""
    conn.execute(
        sa.update(sessions)
        .where(sessions.c.id == session_id, sessions.c.deleted_at.is_(None))
        .values(deleted_at=now, proof=proof)
    )


def proved(conn: sa.Connection, session_id: str, more: JsonDict) -> None:
    """Add to what was looked at after a session's end, whether that proves that it is gone or not."""
    known = conn.scalar(sa.select(sessions.c.proof).where(sessions.c.id == session_id)) or {}
    proof = {name: [*known.get(name, ()), *more.get(name, ())] for name in {**known, **more}}
    conn.execute(sa.update(sessions).where(sessions.c.id == session_id).values(proof=proof))


def listed(conn: sa.Connection, where: sa.ColumnElement[bool]) -> list[Session]:
    """List sessions, oldest first."""
    query = sa.select(sessions).where(where).order_by(sessions.c.opened_at, sessions.c.id)
    return [Session(**row._mapping) for row in conn.execute(query)]


def get_id(conn: sa.Connection, key: str) -> str | None:
    """Read a small stored value."""
    return conn.scalar(sa.select(ids.c.value).where(ids.c.key == key))


def put_id(conn: sa.Connection, key: str, value: str) -> None:
    """Store a small value; the newest stands."""
    statement = insert(conn, ids).values(key=key, value=value)
    conn.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def mark(conn: sa.Connection, key: str) -> bool:
    """Store that something is begun, in one statement; False where it is known."""
    statement = insert(conn, ids).values(key=key, value="begun").on_conflict_do_nothing().returning(ids.c.key)
    return conn.scalar(statement) is not None
