"""Owns the rows of leases: read before a decision, saved with it, and those who wait told when paths come back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from bot.core.leases import Lease
from bot.engine import inbox
from bot.engine.database import insert, locked
from bot.engine.rows import Commit, SeenLeases, TrackEvent, repo_of
from bot.engine.tables import lease_versions, lease_waiters, leases

_Held = Mapping[str, tuple[str, ...]]  # task -> paths


def of_others(conn: sa.Connection, track: str) -> SeenLeases:
    """Read what the other tracks of a track's repository hold."""
    repo = repo_of(track)
    # The version first: leases that change in between belong to a newer one, and the commit is refused.
    version = conn.scalar(sa.select(lease_versions.c.version).where(lease_versions.c.repo_id == repo)) or 0
    query = (
        sa.select(leases)
        .where(leases.c.repo_id == repo, leases.c.track != track)
        .order_by(leases.c.track, leases.c.task)
    )
    found = (
        Lease(f"{row.track.partition('/')[2]}/{row.task}", tuple(row.paths)) for row in conn.execute(query)
    )
    return SeenLeases(version, tuple(found))


def save(conn: sa.Connection, change: Commit, now: datetime) -> bool:
    """Write what the track holds and whether it waits; False where others' leases changed and that matters here."""
    repo = repo_of(change.track)
    wanted = {lease.holder.rpartition("/")[2]: lease.paths for lease in change.leases}
    known = _known(conn, repo, change.track)
    waited = _waits(conn, repo, change.track)
    taken, given = _beyond(wanted, known), _beyond(known, wanted)
    # Who waits already hears of what is given back; who only begins must not have missed it.
    begins = change.waits and not waited
    if taken or given or begins:
        version = _locked_version(conn, repo)
        if (taken or begins) and version != change.leases_seen:
            return False
        if taken or given:
            _replace(conn, change.track, wanted, known)
            version += 1
            conn.execute(
                sa.update(lease_versions).where(lease_versions.c.repo_id == repo).values(version=version)
            )
        if given and change.freed is not None:
            for track in _waiting(conn, repo, change.track):
                event = TrackEvent(track, f"leases-freed:{repo}:{version}:{track}", change.freed)
                inbox.add_event(conn, event, now)
    _note_waiting(conn, repo, change.track, waited, change.waits)
    return True


def _known(conn: sa.Connection, repo: int, track: str) -> dict[str, tuple[str, ...]]:
    query = sa.select(leases.c.task, leases.c.paths).where(leases.c.repo_id == repo, leases.c.track == track)
    return {row.task: tuple(row.paths) for row in conn.execute(query)}


def _beyond(some: _Held, others: _Held) -> bool:
    """Tell whether `some` holds a path that `others` does not."""
    return any(set(paths) - set(others.get(task, ())) for task, paths in some.items())


def _locked_version(conn: sa.Connection, repo: int) -> int:
    """Be the only one to change a repository's leases until the transaction ends."""
    made = insert(conn, lease_versions).values(repo_id=repo, version=0).on_conflict_do_nothing()
    conn.execute(made)
    query = sa.select(lease_versions.c.version).where(lease_versions.c.repo_id == repo)
    return int(conn.scalar(locked(conn, query)) or 0)


def _replace(conn: sa.Connection, track: str, wanted: _Held, known: _Held) -> None:
    repo = repo_of(track)
    for task in sorted(task for task in known if known[task] != wanted.get(task)):
        conn.execute(
            sa.delete(leases).where(leases.c.repo_id == repo, leases.c.track == track, leases.c.task == task)
        )
    for task in sorted(task for task in wanted if wanted[task] != known.get(task)):
        conn.execute(sa.insert(leases).values(repo_id=repo, track=track, task=task, paths=list(wanted[task])))


def _waits(conn: sa.Connection, repo: int, track: str) -> bool:
    query = sa.select(sa.literal(1)).where(lease_waiters.c.repo_id == repo, lease_waiters.c.track == track)
    return conn.scalar(query) is not None


def _waiting(conn: sa.Connection, repo: int, but: str) -> list[str]:
    query = sa.select(lease_waiters.c.track).where(
        lease_waiters.c.repo_id == repo, lease_waiters.c.track != but
    )
    return list(conn.execute(query.order_by(lease_waiters.c.track)).scalars())


def _note_waiting(conn: sa.Connection, repo: int, track: str, waited: bool, waits: bool) -> None:
    if waits and not waited:
        conn.execute(sa.insert(lease_waiters).values(repo_id=repo, track=track))
    elif waited and not waits:
        conn.execute(
            sa.delete(lease_waiters).where(lease_waiters.c.repo_id == repo, lease_waiters.c.track == track)
        )
