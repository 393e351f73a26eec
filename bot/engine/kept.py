"""Owns looking at the deliveries that are kept, and handing one to the bot once more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bot.engine.rows import Delivery
from bot.engine.tables import inbox

STATES = ("new", "routed", "done", "rejected")


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored delivery; `size` is that of its body in bytes, 0 where it was forgotten after its time."""

    id: str
    event: str
    action: str
    state: str
    received_at: datetime
    size: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries to list: empty parts choose nothing."""

    event: str | None = None
    state: str | None = None
    since: datetime | None = None
    limit: int = 20


def listed(conn: sa.Connection, wanted: Wanted) -> list[Kept]:
    """List deliveries, the newest first."""
    query = sa.select(inbox).order_by(inbox.c.seq.desc()).limit(wanted.limit)
    if wanted.event is not None:
        query = query.where(inbox.c.event == wanted.event)
    if wanted.state is not None:
        query = query.where(inbox.c.state == wanted.state)
    if wanted.since is not None:
        query = query.where(inbox.c.received_at >= wanted.since)
    return [
        Kept(row.id, row.event, _action(row.body), row.state, row.received_at, len(row.body), row.error)
        for row in conn.execute(query)
    ]


def one(conn: sa.Connection, id_: str) -> tuple[Delivery, str] | None:
    """Give a delivery as it came, and how it stands; None where its id is not known."""
    row = conn.execute(sa.select(inbox).where(inbox.c.id == id_)).first()
    if row is None:
        return None
    return Delivery(row.id, row.event, row.headers, row.body, row.received_at), row.state


def again(conn: sa.Connection, id_: str) -> bool:
    """Have an ended delivery handled as if it had just come; False where it is under way or its body is forgotten.

    What it led to before is known by its id, so that nothing happens twice: only what was missed then happens now.
    """
    ended = sa.and_(inbox.c.state.in_(("done", "rejected")), sa.func.length(inbox.c.body) > 0)
    taken = conn.execute(sa.update(inbox).where(inbox.c.id == id_, ended).values(state="new", error=None))
    return taken.rowcount > 0


def _action(body: bytes) -> str:
    """Find a payload's action near its beginning, where GitHub writes it; a listing parses no megabytes."""
    found = body[:200].decode("utf-8", "replace").partition('"action"')[2].lstrip(": ")
    return found.split('"')[1] if found.startswith('"') else ""
