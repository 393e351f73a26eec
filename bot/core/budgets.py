"""Owns whether work may be paid for and a model called now: ceilings of money, quotas of models, their reset clocks.

Money is whole millionths of a dollar, so that lines always add up to their total.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

Micros = int  # millionths of a US dollar
Reset = Literal["utc", "pacific"]
# reserved: runs, counts in full; settled: its real cost; unknown: counts what may have been spent.
EntryState = Literal["reserved", "settled", "unknown"]

CENT: Micros = 10_000
LEAST: Micros = CENT  # a run that can cost something is not begun with less
# A second more than the provider's minute: a call arrives later than it was reserved.
MINUTE = timedelta(seconds=61)
LOOK_AGAIN = timedelta(seconds=30)  # while other runs hold what is left


def micros(usd: float) -> Micros:
    """Turn dollars into millionths, upward, so that no cost becomes nothing."""
    return math.ceil(round(usd * 1_000_000, 3))


def dollars(amount: Micros) -> float:
    """Turn millionths into dollars."""
    return amount / 1_000_000


# --- money ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """A run that asks for money: `most` is what it can cost at all; of the track's free money it takes 1/`among`."""

    most: Micros
    among: int = 1

    @property
    def least(self) -> Micros:
        return min(self.most, LEAST)


@dataclass(frozen=True, slots=True)
class Purse:
    """A ceiling with what is settled (and unknown) below it, and what running work has reserved."""

    ceiling: Micros
    spent: Micros = 0
    reserved: Micros = 0

    @property
    def left(self) -> Micros:
        return self.ceiling - self.spent

    @property
    def free(self) -> Micros:
        return self.left - self.reserved


@dataclass(frozen=True, slots=True)
class Granted:
    """The run may begin and cost this much, no more."""

    most: Micros


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; asking again at `until` can help."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not before a person decides; the text is for people and names the numbers."""

    text: str


def admit(want: Want, track: Purse, day: Purse, now: datetime) -> Granted | Wait | Refused:
    """Decide about a run's money: it gets what is free, never so much that a ceiling would be passed."""
    if want.most == 0:
        return Granted(0)
    part = max(want.least, track.left // max(want.among, 1))
    grant = min(want.most, part, track.free, day.free)
    if grant >= want.least:
        return Granted(grant)
    if track.left < want.least:
        return Refused(
            f"The budget of this track is used up: its ceiling is {said(track.ceiling)}, {said(track.spent)} is spent. "
            "`/agent budget <usd>` sets another ceiling."
        )
    if day.left < want.least:
        reason = (
            f"the budget of the day is used up: {said(day.spent)} of {said(day.ceiling)}, over all tracks"
        )
        return Wait(next_reset("utc", now), reason)
    held = min(track, day, key=lambda purse: purse.free)
    return Wait(
        now + LOOK_AGAIN, f"other runs hold the rest of the budget: {said(held.reserved)} is reserved"
    )


def said(amount: Micros) -> str:
    """Write an amount for people; less than a cent is shown exactly enough to be seen."""
    if amount % CENT == 0 or amount >= 100 * CENT:
        return f"${dollars(amount):,.2f}"
    return f"${dollars(amount):,.4f}"


def shown(amounts: Sequence[Micros], unit: Micros = CENT // 100) -> list[Micros]:
    """Round amounts to a unit so that they still add up to their rounded total (largest remainders go up)."""
    total = (sum(amounts) + unit // 2) // unit
    floors = [amount // unit for amount in amounts]
    up = sorted(range(len(amounts)), key=lambda n: (-(amounts[n] % unit), n))[: total - sum(floors)]
    return [(floor + (n in up)) * unit for n, floor in enumerate(floors)]


# --- what was spent ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A sum of the ledger; `unknown` is the part that may have been spent without anybody having seen it."""

    track: str = ""
    role: str = ""
    model: str = ""
    day: str = ""
    runs: int = 0
    requests: int = 0
    tokens: int = 0
    micros: Micros = 0
    reserved: Micros = 0
    unknown: Micros = 0


def total(lines: Sequence[Line]) -> Line:
    """Add lines up."""
    return Line(
        runs=sum(line.runs for line in lines),
        requests=sum(line.requests for line in lines),
        tokens=sum(line.tokens for line in lines),
        micros=sum(line.micros for line in lines),
        reserved=sum(line.reserved for line in lines),
        unknown=sum(line.unknown for line in lines),
    )


# --- quotas --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider allows a key; models of one `pool` share it."""

    pool: str
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None
    calls_per_day: int | None = None
    reset: Reset = "utc"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was reserved; the tokens are the estimate until it is settled."""

    at: datetime
    tokens: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A model that its provider has closed; `until` None: until a person changes something."""

    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Go:
    """The call may be sent now."""


def admit_call(
    quota: Quota, recent: Sequence[Call], today: int, tokens: int, now: datetime
) -> Go | Wait | Refused:
    """Decide about one call: `recent` are the pool's calls within MINUTE, `today` counts them since the last reset."""
    if quota.tokens_per_minute is not None and tokens > quota.tokens_per_minute:
        return Refused(
            f"one call needs {tokens:,} tokens, and {quota.tokens_per_minute:,} a minute are allowed"
        )
    calls = sorted(recent, key=lambda call: call.at)
    waits: list[Wait] = []
    if quota.calls_per_day is not None and today >= quota.calls_per_day:
        waits.append(Wait(next_reset(quota.reset, now), f"{quota.calls_per_day} calls a day are used up"))
    if quota.calls_per_minute is not None and len(calls) >= quota.calls_per_minute:
        leaves = calls[len(calls) - quota.calls_per_minute]
        waits.append(Wait(leaves.at + MINUTE, f"{quota.calls_per_minute} calls a minute are used up"))
    if quota.tokens_per_minute is not None:
        room = _room_for_tokens(calls, quota.tokens_per_minute, tokens)
        if room is not None:
            waits.append(Wait(room, f"{quota.tokens_per_minute:,} tokens a minute are used up"))
    return max(waits, key=lambda wait: wait.until) if waits else Go()


def _room_for_tokens(calls: Sequence[Call], limit: int, tokens: int) -> datetime | None:
    """Tell when enough calls have left the minute; None: there is room now."""
    used = sum(call.tokens for call in calls)
    if used + tokens <= limit:
        return None
    for call in calls:
        used -= call.tokens
        if used + tokens <= limit:
            return call.at + MINUTE
    raise AssertionError("a call that fits into an empty minute fits once all others have left")


# --- reset clocks --------------------------------------------------------------------------------


def last_reset(reset: Reset, now: datetime) -> datetime:
    """Give the last midnight, in UTC or at the Pacific coast."""
    today = (now + _offset(reset, now)).date()
    return _midnight(reset, today)


def next_reset(reset: Reset, now: datetime) -> datetime:
    """Give the next midnight, in UTC or at the Pacific coast."""
    today = (now + _offset(reset, now)).date()
    return _midnight(reset, today + timedelta(days=1))


def day_of(now: datetime) -> str:
    """Name the UTC day that money spent now belongs to."""
    return now.astimezone(UTC).strftime("%Y-%m-%d")


def _midnight(reset: Reset, day: date) -> datetime:
    start = datetime.combine(day, time(), UTC)
    # Clocks change at two in the morning, so midnight has the offset of the hours before it.
    return start - _offset(reset, start - _offset(reset, start))


def _offset(reset: Reset, now: datetime) -> timedelta:
    """Give what is added to UTC: the Pacific coast changes in March and November, at ten and nine o'clock UTC."""
    if reset == "utc":
        return timedelta()
    begins = datetime.combine(_sunday(now.year, 3, 2), time(10), UTC)
    ends = datetime.combine(_sunday(now.year, 11, 1), time(9), UTC)
    return timedelta(hours=-7 if begins <= now < ends else -8)


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))
