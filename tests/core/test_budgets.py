"""Money and quotas: nothing passes a ceiling, on any clock, and waiting ends."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.budgets import (
    CENT,
    Call,
    Go,
    Granted,
    Purse,
    Quota,
    Refused,
    Reset,
    Wait,
    Want,
    admit,
    admit_call,
    dollars,
    last_reset,
    micros,
    next_reset,
    said,
    shown,
)

NOW = datetime(2026, 3, 7, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TRACES = 1_000
WIDE = Purse(10**12)
times = st.integers(0, 15 * 365 * 86_400).map(
    lambda s: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)
amounts = st.integers(0, 5_000_000)


def test_a_run_gets_what_it_may_cost_where_that_is_free() -> None:
    assert admit(Want(2_000_000), Purse(10_000_000), WIDE, NOW) == Granted(2_000_000)


def test_a_run_gets_the_rest_where_less_is_left_and_its_share_where_others_begin_with_it() -> None:
    assert admit(Want(2_000_000), Purse(10_000_000, 9_000_000), WIDE, NOW) == Granted(1_000_000)
    assert admit(Want(2_000_000, among=3), Purse(3_000_000), WIDE, NOW) == Granted(1_000_000)


def test_a_spent_budget_is_refused_with_its_numbers_and_what_to_do() -> None:
    answer = admit(Want(2_000_000), Purse(10_000_000, 9_995_000), WIDE, NOW)
    assert answer == Refused(
        "The budget of this track is used up: its ceiling is $10.00, $9.99 is spent. "
        "`/agent budget <usd>` sets another ceiling."
    )


def test_money_that_others_only_hold_is_waited_for() -> None:
    answer = admit(Want(2_000_000), Purse(10_000_000, 1_000_000, 9_000_000), WIDE, NOW)
    assert isinstance(answer, Wait)
    assert answer.until > NOW
    assert "$9.00 is reserved" in answer.reason


def test_a_spent_day_waits_for_the_next_one() -> None:
    answer = admit(Want(CENT), WIDE, Purse(50_000_000, 50_000_000), NOW)
    assert answer == Wait(
        datetime(2026, 3, 8, tzinfo=UTC),
        "the budget of the day is used up: $50.00 of $50.00, over all tracks",
    )


def test_what_costs_nothing_needs_no_budget() -> None:
    assert admit(Want(0), Purse(0, 5), Purse(0, 5), NOW) == Granted(0)


def test_no_ceiling_is_passed_whatever_is_reserved_settled_and_forgotten() -> None:
    for seed in range(TRACES):
        chance = random.Random(seed)
        track, day = (
            Purse(chance.randrange(0, 3_000_000)),
            Purse(chance.randrange(0, 3_000_000)),
        )
        running: list[int] = []
        for _ in range(40):
            if running and chance.random() < 0.5:
                held = running.pop(chance.randrange(len(running)))
                real = chance.choice([0, held // 3, held, held])  # the last: nobody knows, so all of it
                track = Purse(track.ceiling, track.spent + real, track.reserved - held)
                day = Purse(day.ceiling, day.spent + real, day.reserved - held)
            answer = admit(Want(chance.randrange(0, 900_000), chance.randrange(1, 4)), track, day, NOW)
            if isinstance(answer, Granted):
                running.append(answer.most)
                track = Purse(track.ceiling, track.spent, track.reserved + answer.most)
                day = Purse(day.ceiling, day.spent, day.reserved + answer.most)
            assert track.free >= 0, seed
            assert day.free >= 0, seed


def test_a_run_that_costs_more_than_it_said_passes_the_ceiling_once_and_no_further() -> None:
    for seed in range(TRACES):
        chance = random.Random(seed)
        track, largest = Purse(chance.randrange(CENT, 3_000_000)), 0
        for _ in range(40):
            answer = admit(Want(chance.randrange(1, 900_000)), track, WIDE, NOW)
            if not isinstance(answer, Granted):
                break
            real = answer.most + chance.randrange(0, answer.most + 1)
            largest = max(largest, answer.most)
            track = Purse(track.ceiling, track.spent + real)
        assert track.spent <= track.ceiling + largest, seed


def allowed(quota: Quota, calls: list[Call], call: Call) -> bool:
    """Judge by counting, as a provider does: any minute up to this call, and the day on the provider's wall clock."""
    zone = ZoneInfo("America/Los_Angeles" if quota.reset == "pacific" else "UTC")
    near = [each for each in [*calls, call] if call.at - each.at < MINUTE]
    day = [
        each for each in [*calls, call] if each.at.astimezone(zone).date() == call.at.astimezone(zone).date()
    ]
    return (
        (quota.calls_per_minute is None or len(near) <= quota.calls_per_minute)
        and (quota.tokens_per_minute is None or sum(e.tokens for e in near) <= quota.tokens_per_minute)
        and (quota.calls_per_day is None or len(day) <= quota.calls_per_day)
    )


def test_no_call_passes_a_limit_on_any_of_many_days() -> None:
    sent = 0
    for seed in range(TRACES):
        chance = random.Random(seed)
        quota = Quota(
            "pool",
            chance.choice([None, 1, 2, 5]),
            chance.choice([None, 1_000, 5_000]),
            chance.choice([None, 3, 10]),
            chance.choice(["utc", "pacific"]),
        )
        # Around both changes of the Pacific clock, and on an ordinary day.
        now = datetime(2026, *chance.choice([(3, 8), (11, 1), (6, 15)]), chance.randrange(24), tzinfo=UTC)
        calls: list[Call] = []
        for _ in range(30):
            now += timedelta(seconds=chance.choice([0, 0.5, 7, 40, 3600]) * chance.random())
            tokens = chance.randrange(0, 1_500)
            recent = [call for call in calls if now - call.at < timedelta(seconds=61)]
            today = sum(call.at >= last_reset(quota.reset, now) for call in calls)
            answer = admit_call(quota, recent, today, tokens, now)
            if isinstance(answer, Go):
                call = Call(now, tokens)
                assert allowed(quota, calls, call), seed
                calls.append(call)
                sent += 1
            elif isinstance(answer, Wait):
                assert answer.until > now, seed
                if chance.random() < 0.5:
                    now = answer.until
                    recent = [c for c in calls if now - c.at < timedelta(seconds=61)]
                    today = sum(c.at >= last_reset(quota.reset, now) for c in calls)
                    assert isinstance(admit_call(quota, recent, today, tokens, now), Go), seed
            else:
                assert quota.tokens_per_minute is not None
                assert tokens > quota.tokens_per_minute
    assert sent > 5 * TRACES


@given(times, st.sampled_from(["utc", "pacific"]))
def test_a_day_begins_at_midnight_where_its_provider_is(now: datetime, reset: Reset) -> None:
    zone = ZoneInfo("America/Los_Angeles" if reset == "pacific" else "UTC")
    begins, ends = last_reset(reset, now), next_reset(reset, now)
    assert begins <= now < ends
    for moment in (begins, ends):
        local = moment.astimezone(zone)
        assert (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
    assert (ends.astimezone(zone).date() - begins.astimezone(zone).date()).days == 1


@given(st.lists(amounts, max_size=12))
def test_rounded_lines_add_up_to_their_rounded_total(lines: list[int]) -> None:
    unit = CENT // 100
    rounded = shown(lines)
    assert all(abs(a - b) < unit for a, b in zip(rounded, lines, strict=True))
    assert abs(sum(rounded) - sum(lines)) <= unit // 2
    assert all(each % unit == 0 for each in rounded)


@given(st.floats(0, 1_000_000))
def test_no_cost_is_rounded_down(usd: float) -> None:
    assert dollars(micros(usd)) >= usd - 1e-9
    assert dollars(micros(usd)) - usd <= 1.1e-6


@pytest.mark.parametrize(("amount", "text"), [(0, "$0.00"), (1_200, "$0.0012"), (10**9, "$1,000.00")])
def test_amounts_are_written_for_people(amount: int, text: str) -> None:
    assert said(amount) == text
