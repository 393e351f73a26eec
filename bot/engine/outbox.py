"""Owns actions on their way out: every change of state is one guarded update, so repeating it is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.engine import inbox
from bot.engine.database import insert
from bot.engine.rows import ActionState, NewAction, OutboxRow, TrackEvent
from bot.engine.tables import outbox

_OPEN: tuple[ActionState, ...] = ("new", "submitted")


def add(conn: sa.Connection, track: str, actions: Sequence[NewAction], now: datetime) -> None:
    """Queue actions; one whose id is known is left as it is."""
    for action in actions:
        statement = insert(conn, outbox).values(
            {
                "id": action.id,
                "track": action.line or track,
                "kind": action.kind,
                "action": action.action,
                "state": "new",
                "try": 1,
                "created_at": now,
            }
        )
        conn.execute(statement.on_conflict_do_nothing())


def unsubmitted(conn: sa.Connection, now: datetime, limit: int) -> list[OutboxRow]:
    """List actions that may start now, oldest first."""
    due = sa.or_(outbox.c.not_before.is_(None), outbox.c.not_before <= now)
    return _rows(conn, sa.select(outbox).where(outbox.c.state == "new", due).limit(limit))


def submitted(conn: sa.Connection, limit: int, after: int) -> list[OutboxRow]:
    """List actions that the engine was given, by number, from `after` on."""
    query = sa.select(outbox).where(outbox.c.state == "submitted", outbox.c.seq > after)
    return _rows(conn, query.limit(limit))


def open_actions(conn: sa.Connection, track: str) -> list[OutboxRow]:
    """List a track's actions that have not ended."""
    return _rows(conn, sa.select(outbox).where(outbox.c.track == track, outbox.c.state.in_(_OPEN)))


def action(conn: sa.Connection, action_id: str) -> OutboxRow | None:
    """Read an action."""
    rows = _rows(conn, sa.select(outbox).where(outbox.c.id == action_id))
    return rows[0] if rows else None


def mark_submitted(conn: sa.Connection, action_id: str, try_: int) -> None:
    """Note that the engine has this try."""
    conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == action_id, outbox.c.state == "new", outbox.c["try"] == try_)
        .values(state="submitted")
    )


def end(
    conn: sa.Connection,
    action_id: str,
    state: ActionState,
    result: TrackEvent | None,
    now: datetime,
    error: str | None = None,
) -> bool:
    """End an action and hand its result to the track; False, and no result, where it had ended before."""
    done = conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == action_id, outbox.c.state.in_(_OPEN))
        .values(state=state, done_at=now, error=_text(error))
    )
    if done.rowcount == 0:
        return False
    if result is not None:
        inbox.add_event(conn, result, now)
    return True


def retry(
    conn: sa.Connection, action_id: str, not_before: datetime | None, error: str, only_try: int | None = None
) -> bool:
    """Queue the next try, not before a time; False where the action ended, or is past `only_try`."""
    current = outbox.c["try"]
    statement = sa.update(outbox).where(outbox.c.id == action_id, outbox.c.state.in_(_OPEN))
    if only_try is not None:
        statement = statement.where(current == only_try, outbox.c.state == "submitted")
    values = {"state": "new", "try": current + 1, "not_before": not_before, "error": _text(error)}
    return conn.execute(statement.values(values)).rowcount == 1


def _text(error: str | None) -> str | None:
    return None if error is None else error.replace("\x00", "")


def _rows(conn: sa.Connection, query: sa.Select[Any]) -> list[OutboxRow]:
    return [
        OutboxRow(
            seq=row.seq,
            id=row.id,
            track=row.track,
            kind=row.kind,
            action=row.action,
            state=row.state,
            try_=row._mapping["try"],
            not_before=row.not_before,
            error=row.error,
            created_at=row.created_at,
            done_at=row.done_at,
        )
        for row in conn.execute(query.order_by(outbox.c.seq))
    ]
