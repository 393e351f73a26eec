"""The ledger: reserved before, settled after, once each, on both databases, and through any death."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.core.budgets import Hold, Line, Quota, Refused, Wait, Want, micros, total
from bot.core.values import Usage
from bot.engine.ledger import Cost, Ledger, Reservation, Work
from bot.engine.store import Store
from tests.engine.conftest import Place, SettableClock

TRACK = "7/issue-1"
HOUR = timedelta(hours=1)


def work(id_: str = "a", role: str = "planning", model: str = "m", track: str = TRACK) -> Work:
    return Work(f"{track}:{id_}", track, role, model, HOUR)


@pytest.fixture
def ledger(store: Store, clock: SettableClock) -> Ledger:
    return Ledger(store.database, clock)


async def ask(
    ledger: Ledger, what: Work, usd: float = 2, track: float = 10, day: float = 50
) -> Reservation | Wait | Refused:
    return await ledger.reserve(what, Want(micros(usd)), track_ceiling=micros(track), day_ceiling=micros(day))


async def reserved(ledger: Ledger, what: Work, **amounts: float) -> Reservation:
    made = await ask(ledger, what, **amounts)
    assert isinstance(made, Reservation), made
    return made


async def sums(ledger: Ledger, track: str | None = TRACK) -> Line:
    return total(await ledger.lines((), track))


async def test_money_is_reserved_before_and_replaced_by_the_real_cost_after(ledger: Ledger) -> None:
    made = await reserved(ledger, work())
    assert (await sums(ledger)).reserved == micros(2)
    assert await ledger.settle(made, {"m": Cost(Usage(100, 20, 0.5, 3), micros(0.5))})
    assert await sums(ledger) == Line(runs=1, requests=3, tokens=120, micros=micros(0.5))


async def test_a_run_is_settled_once(ledger: Ledger) -> None:
    made = await reserved(ledger, work())
    assert await ledger.settle(made, {"m": Cost(Usage(), 7)})
    assert not await ledger.settle(made, {"m": Cost(Usage(), 9)})
    assert not await ledger.give_up(made)
    assert (await sums(ledger)).micros == 7


async def test_a_run_that_used_several_models_has_a_line_for_each(ledger: Ledger) -> None:
    made = await reserved(ledger, work(model="a"))
    await ledger.settle(made, {"a": Cost(Usage(1), 5), "b": Cost(Usage(2), 6)})
    assert [(line.model, line.micros) for line in await ledger.lines(("model",), TRACK)] == [
        ("a", 5),
        ("b", 6),
    ]


async def test_a_repeat_after_a_kill_holds_no_second_reservation_and_forgets_nothing(ledger: Ledger) -> None:
    await reserved(ledger, work())  # and its process is killed
    again = await reserved(ledger, work())
    found = await sums(ledger)
    assert (found.reserved, found.unknown) == (micros(2), micros(2))
    await ledger.settle(again, {"m": Cost(Usage(), micros(0.25))})
    assert (await sums(ledger)).micros == micros(2.25)


async def test_what_a_dead_process_left_is_unknown_and_counts(ledger: Ledger) -> None:
    made = await reserved(ledger, work())
    assert await ledger.give_up_all() == 1
    assert await ledger.give_up_all() == 0
    assert (await sums(ledger)).unknown == micros(2)
    # Should the run live after all, its real cost is better than a guess.
    assert await ledger.settle(made, {"m": Cost(Usage(), 5)})
    assert (await sums(ledger)).micros == 5


async def test_a_run_that_is_silent_for_too_long_is_taken_for_dead(
    ledger: Ledger, clock: SettableClock
) -> None:
    await reserved(ledger, work("a"))
    clock.forward(hours=2)
    await reserved(ledger, work("b"))
    assert (await sums(ledger)).unknown == micros(2)


async def test_the_ceiling_of_a_track_is_its_own_and_that_of_a_day_is_everybody_s(
    ledger: Ledger, clock: SettableClock
) -> None:
    await ledger.give_up(await reserved(ledger, work("a"), track=2))
    refused = await ask(ledger, work("b"), track=2)
    assert isinstance(refused, Refused)
    assert "$2.00" in refused.text
    other = work(track="7/issue-2")
    late = await ask(ledger, other, day=2)
    assert isinstance(late, Wait)
    clock.time = late.until
    await reserved(ledger, other, day=2)


async def test_runs_that_begin_at_once_share_what_is_left(ledger: Ledger) -> None:
    answers = await asyncio.gather(*(ask(ledger, work(str(n)), usd=1, track=3) for n in range(8)))
    granted = [each for each in answers if isinstance(each, Reservation)]
    assert sum(each.most for each in granted) == micros(3)
    assert all(isinstance(each, Wait) for each in answers if each not in granted)


async def test_the_ledger_survives_a_restart(place: Place, clock: SettableClock) -> None:
    quota = Quota("p", calls_per_day=1)
    store = await Store.open(place.store_url, clock)
    try:
        ledger = Ledger(store.database, clock)
        await reserved(ledger, work())
        await ledger.take(quota, 10)
        await ledger.hold("m", Hold(None, "gone"))
    finally:
        await store.close()
    again = await Store.open(place.store_url, clock)
    try:
        ledger = Ledger(again.database, clock)
        assert (await sums(ledger)).reserved == micros(2)
        assert isinstance(await ledger.take(quota, 10), Wait)
        assert await ledger.holds() == {"m": Hold(None, "gone")}
    finally:
        await again.close()


async def test_sums_of_every_kind_add_up_to_the_same_total(ledger: Ledger, clock: SettableClock) -> None:
    for n in range(12):
        made = await reserved(ledger, work(str(n), "ab"[n % 2], "mno"[n % 3], f"7/issue-{n % 4}"), day=99)
        if n % 5:
            await ledger.settle(made, {"mno"[n % 3]: Cost(Usage(n, 1), n * 1_000)})
        clock.forward(hours=7)
    whole = total(await ledger.lines(()))
    assert whole.runs == 12
    for by in ("track", "role", "model", "day"):
        lines = await ledger.lines((by,))
        assert len(lines) > 1
        assert total(lines) == whole
    assert total(await ledger.lines(("role", "model"), TRACK)) == await sums(ledger)


async def test_calls_of_a_pool_are_counted_together_and_their_real_tokens_replace_the_estimate(
    ledger: Ledger, clock: SettableClock
) -> None:
    quota = Quota("p", calls_per_minute=3, tokens_per_minute=100)
    first = await ledger.take(quota, 90)
    assert isinstance(first, int)
    assert isinstance(await ledger.take(quota, 20), Wait)
    assert isinstance(await ledger.take(Quota("other", 1), 20), int)
    await ledger.used(first, 30)
    assert isinstance(await ledger.take(quota, 20), int)
    assert isinstance(await ledger.take(quota, 101), Refused)
    await ledger.take(quota, 0)
    full = await ledger.take(quota, 0)
    assert isinstance(full, Wait)
    clock.time = full.until
    assert isinstance(await ledger.take(quota, 0), int)


async def test_calls_that_come_at_once_pass_no_limit(ledger: Ledger) -> None:
    quota = Quota("p", calls_per_minute=5)
    answers = await asyncio.gather(*(ledger.take(quota, 1) for _ in range(20)))
    assert sum(isinstance(each, int) for each in answers) == 5


async def test_a_model_is_left_out_until_its_time(ledger: Ledger, clock: SettableClock) -> None:
    until = clock.now() + HOUR
    await ledger.hold("m", Hold(until, "busy"))
    await ledger.hold("n", Hold(None, "not on this tier"))
    assert await ledger.holds() == {"m": Hold(until, "busy"), "n": Hold(None, "not on this tier")}
    clock.time = until
    await ledger.release("n")
    assert await ledger.holds() == {}


async def test_what_a_track_had_cost_before_its_database_was_lost_counts_once(ledger: Ledger) -> None:
    earlier = Usage(900, 100, 9.0, 3)
    for _ in range(2):
        await ledger.carry(TRACK, earlier)
    found = await sums(ledger)
    assert (found.micros, found.tokens, found.runs) == (micros(9), 1_000, 1)
    await reserved(ledger, work(), usd=2, track=10)
    assert (await sums(ledger)).micros == micros(10)
    await ledger.carry(TRACK, Usage(usd=10.0))
    assert (await sums(ledger)).micros == micros(10)
    await ledger.carry("7/issue-2", Usage())
    assert await ledger.lines(("track",), "7/issue-2") == []
