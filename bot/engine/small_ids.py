"""Owns letting go of small stored ids: what a run made once it is published, and what ended tracks leave behind."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from bot.engine.tables import ids
from bot.ports import JsonDict


def made_key(track: str, task: str, attempt: int, run: int) -> str:
    """Give the key of what a run made, which is kept until its pull request shows it."""
    return f"{track}:{task}-a{attempt}-r{run}:made"


def over(track: str, event: JsonDict) -> tuple[str, ...]:
    """Name the ids that nobody needs any more once a track has taken an event in."""
    if event.get("kind") != "task_proposed":
        return ()
    return (made_key(track, str(event["task"]), int(event["attempt"]), int(event["run"])),)


def drop(conn: sa.Connection, keys: tuple[str, ...]) -> None:
    """Forget these."""
    if keys:
        conn.execute(sa.delete(ids).where(ids.c.key.in_(keys)))


def of_ended(conn: sa.Connection, ended: sa.Select[tuple[str]], limit: int) -> int:
    """Forget a batch of what ended tracks noted for themselves, and count the rows.

    What is asked of an ended track too stays: its status comment, and what others learned from it.
    """
    found = (sa.func.strpos if conn.dialect.name == "postgresql" else sa.func.instr)(ids.c.key, ":")
    over = ended.subquery()
    track, what = sa.func.substr(ids.c.key, 1, found), sa.func.substr(ids.c.key, found + 1)
    kept = sa.or_(what.in_(("status", "status-sha256")), what.startswith("learned:"))
    own = sa.and_(track.in_(sa.select(over.c.key + ":")), ~kept)
    drained = ids.c.key.in_(sa.select(sa.literal("drain:") + over.c.key))
    batch = sa.select(ids.c.key).where(sa.or_(own, drained)).limit(limit)
    return conn.execute(sa.delete(ids).where(ids.c.key.in_(batch))).rowcount


def of_looks(conn: sa.Connection, before: datetime, limit: int) -> int:
    """Forget a batch of looks at issues from before a time, and count them; an issue is looked at again when it matters."""
    old = sa.and_(ids.c.key.like("%/%:recalled"), ids.c.value.like("2%"), ids.c.value < before.isoformat())
    batch = sa.select(ids.c.key).where(old).limit(limit)
    return conn.execute(sa.delete(ids).where(ids.c.key.in_(batch))).rowcount
