"""Owns the ledger of money and of model calls: reserved before, settled after, each in one durable transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from bot.core.budgets import (
    MINUTE,
    Call,
    EntryState,
    Go,
    Granted,
    Hold,
    Line,
    Micros,
    Purse,
    Quota,
    Refused,
    Wait,
    Want,
    admit,
    admit_call,
    day_of,
    last_reset,
    micros,
)
from bot.core.values import Usage
from bot.engine.database import Database, insert
from bot.engine.tables import model_calls, model_holds, spending
from bot.ports import Clock

_LOCK = 0x6D6F6E65  # advisory lock on PostgreSQL: who asks what is left must be alone until it is reserved
_KEEP_CALLS = timedelta(days=2)
EARLIER = "earlier"  # the role of what stood in the track's own record only
BEFORE = "(before the database was lost)"
By = Literal["track", "role", "model", "day"]


@dataclass(frozen=True, slots=True)
class Work:
    """What money is for; the id is derived from track, role and action, so that a repeat is known as one."""

    id: str
    track: str
    role: str
    model: str
    longest: timedelta  # after that without a word its run is taken for dead


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for a run: it may cost `most`. `turn` counts the runs under one id."""

    work: Work
    turn: int
    most: Micros


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run used of one model."""

    usage: Usage
    micros: Micros


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was spent, on our own database; every method is one transaction, durable when it returns."""

    database: Database
    clock: Clock

    # --- money ---

    async def reserve(
        self, work: Work, want: Want, *, track_ceiling: Micros, day_ceiling: Micros
    ) -> Reservation | Wait | Refused:
        """Set money aside; a run of the same id that still holds some is dead, and what it held counts as spent."""
        now = self.clock.now()

        def reserve(conn: sa.Connection) -> Reservation | Wait | Refused:
            _alone(conn)
            _give_up(conn, now, sa.or_(spending.c.id == work.id, spending.c.expires_at <= now))
            track = _purse(conn, track_ceiling, spending.c.track == work.track)
            day = _purse(conn, day_ceiling, spending.c.day == day_of(now))
            answer = admit(want, track, day, now)
            if not isinstance(answer, Granted):
                return answer
            last = conn.scalar(sa.select(sa.func.max(spending.c.turn)).where(spending.c.id == work.id)) or 0
            made = Reservation(work, last + 1, answer.most)
            state: EntryState = "reserved"
            costs = {work.model: Cost(Usage(), answer.most)}
            _write(conn, made, costs, state, now, now)
            return made

        return await self.database.write(reserve)

    async def settle(
        self, reservation: Reservation, costs: Mapping[str, Cost], *, unknown: bool = False
    ) -> bool:
        """Put the real cost, by model, in the place of what was reserved; False where that was done before."""
        now = self.clock.now()
        state: EntryState = "unknown" if unknown else "settled"

        def settle(conn: sa.Connection) -> bool:
            _alone(conn)
            found = conn.execute(_rows_of(reservation)).first()
            if found is None or (found.state == "settled"):
                return False
            conn.execute(sa.delete(spending).where(*_is(reservation)))
            chosen = costs or {reservation.work.model: Cost(Usage(), 0)}
            _write(conn, reservation, chosen, state, found.reserved_at, now)
            return True

        return await self.database.write(settle)

    async def give_up(self, reservation: Reservation) -> bool:
        """Settle a run of which nobody knows what it cost, at what was reserved."""
        held = {reservation.work.model: Cost(Usage(), reservation.most)}
        return await self.settle(reservation, held, unknown=True)

    async def give_up_all(self) -> int:
        """Settle what an earlier process of a database that is ours alone left behind, and count it."""
        now = self.clock.now()
        return await self.database.write(lambda conn: _give_up(conn, now, sa.true()))

    async def carry(self, track: str, earlier: Usage) -> None:
        """Note what a track had cost before this ledger knew it: a lost database forgets no money."""
        now = self.clock.now()
        work = Work(f"{track}:{EARLIER}", track, EARLIER, BEFORE, timedelta())

        def write(conn: sa.Connection) -> None:
            _alone(conn)
            known = conn.execute(sa.select(spending.c.id).where(spending.c.track == track).limit(1)).first()
            if known is None:
                spent = micros(earlier.usd)
                _write(conn, Reservation(work, 1, spent), {BEFORE: Cost(earlier, spent)}, "settled", now, now)

        if earlier != Usage():
            await self.database.write(write)

    async def lines(self, by: tuple[By, ...], track: str | None = None) -> list[Line]:
        """Sum up the ledger, of one track or of all, by these columns and in their order."""
        columns = [spending.c[name] for name in by]
        query = sa.select(*columns, *_sums()).group_by(*columns).order_by(*columns)
        if track is not None:
            query = query.where(spending.c.track == track)

        def read(conn: sa.Connection) -> list[Line]:
            return [Line(**row._mapping) for row in conn.execute(query)]

        return await self.database.read(read)

    # --- calls of models ---

    async def take(self, quota: Quota, tokens: int) -> int | Wait | Refused:
        """Reserve one call of a model and give its number; the tokens are an estimate."""
        now = self.clock.now()

        def take(conn: sa.Connection) -> int | Wait | Refused:
            _alone(conn)
            conn.execute(sa.delete(model_calls).where(model_calls.c.at < now - _KEEP_CALLS))
            row = model_calls.c
            within = sa.select(row.at, row.tokens).where(row.pool == quota.pool, row.at > now - MINUTE)
            recent = [Call(found.at, found.tokens) for found in conn.execute(within)]
            today = sa.select(sa.func.count()).where(
                row.pool == quota.pool, row.at >= last_reset(quota.reset, now)
            )
            answer = admit_call(quota, recent, conn.scalar(today) or 0, tokens, now)
            if not isinstance(answer, Go):
                return answer
            made = conn.execute(sa.insert(model_calls).values(pool=quota.pool, tokens=tokens, at=now))
            return int(made.inserted_primary_key[0])  # type: ignore[index]  # an insert of one row has one

        return await self.database.write(take)

    async def used(self, call: int, tokens: int) -> None:
        """Note the real tokens of a call."""
        change = sa.update(model_calls).where(model_calls.c.seq == call).values(tokens=tokens)
        await self.database.write(lambda conn: conn.execute(change))

    async def hold(self, model: str, hold: Hold) -> None:
        """Leave a model out until its time; the newest word of its provider stands."""
        values = {"until": hold.until, "why": hold.why}

        def write(conn: sa.Connection) -> None:
            statement = insert(conn, model_holds).values(model=model, **values)
            conn.execute(statement.on_conflict_do_update(index_elements=["model"], set_=values))

        await self.database.write(write)

    async def holds(self) -> dict[str, Hold]:
        """Give the models that are left out now."""
        now = self.clock.now()
        open_ended = model_holds.c.until.is_(None)
        query = sa.select(model_holds).where(sa.or_(open_ended, model_holds.c.until > now))

        def read(conn: sa.Connection) -> dict[str, Hold]:
            return {row.model: Hold(row.until, row.why) for row in conn.execute(query)}

        return await self.database.read(read)

    async def release(self, model: str) -> None:
        """Use a model again."""
        await self.database.write(
            lambda conn: conn.execute(sa.delete(model_holds).where(model_holds.c.model == model))
        )


def _alone(conn: sa.Connection) -> None:
    """Be the only one that reserves until the transaction ends; SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _give_up(conn: sa.Connection, now: datetime, where: sa.ColumnElement[bool]) -> int:
    """Count what dead runs had reserved as spent, and say that nobody saw it."""
    return conn.execute(
        sa.update(spending)
        .where(spending.c.state == "reserved", where)
        .values(state="unknown", settled_at=now)
    ).rowcount


def _purse(conn: sa.Connection, ceiling: Micros, where: sa.ColumnElement[bool]) -> Purse:
    query = (
        sa.select(spending.c.state, sa.func.sum(spending.c.micros)).where(where).group_by(spending.c.state)
    )
    found = {state: int(total) for state, total in conn.execute(query)}
    reserved = found.pop("reserved", 0)
    return Purse(ceiling, sum(found.values()), reserved)


def _is(reservation: Reservation) -> tuple[sa.ColumnElement[bool], ...]:
    return spending.c.id == reservation.work.id, spending.c.turn == reservation.turn


def _rows_of(reservation: Reservation) -> sa.Select[tuple[str, datetime]]:
    return sa.select(spending.c.state, spending.c.reserved_at).where(*_is(reservation))


def _write(
    conn: sa.Connection,
    reservation: Reservation,
    costs: Mapping[str, Cost],
    state: EntryState,
    reserved_at: datetime,
    now: datetime,
) -> None:
    work = reservation.work
    same = {
        "id": work.id,
        "turn": reservation.turn,
        "track": work.track,
        "role": work.role,
        "state": state,
        "day": day_of(reserved_at),
        "reserved_at": reserved_at,
        "expires_at": reserved_at + work.longest,
        "settled_at": None if state == "reserved" else now,
    }
    conn.execute(sa.insert(spending), [{**same, "model": m, **_amounts(c)} for m, c in costs.items()])


def _amounts(cost: Cost) -> dict[str, int]:
    used = cost.usage
    return {
        "micros": cost.micros,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "requests": used.requests,
    }


def _sums() -> list[sa.ColumnElement[int]]:
    row = spending.c

    def total(what: sa.ColumnElement[int], name: str) -> sa.ColumnElement[int]:
        # PostgreSQL sums whole numbers to decimals.
        return sa.cast(sa.func.coalesce(sa.func.sum(what), 0), sa.BigInteger).label(name)

    def only(state: EntryState) -> sa.ColumnElement[int]:
        return sa.case((row.state == state, row.micros), else_=0)

    return [
        sa.func.count().label("runs"),
        total(row.requests, "requests"),
        total(row.input_tokens + row.output_tokens, "tokens"),
        total(row.micros, "micros"),
        total(only("reserved"), "reserved"),
        total(only("unknown"), "unknown"),
    ]
