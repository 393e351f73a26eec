"""What the forge has to be asked about first is routed beside the loop: it holds up its own line and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.engine.beside import AT_ONCE, AsksFirstError
from bot.engine.store import Commit, Delivery, NewAction, Store, TrackEvent
from bot.errors import ForgeError, RetryableError
from tests.engine.conftest import SettableClock, until
from tests.engine.test_runner import ListedEngine, as_time_goes_by, deliver, running


class Asked:
    """A route that asks the forge about all whose id says so, line by line; the answer comes when the test lets it."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.failures: list[Exception] = []
        self.asked: list[str] = []

    async def route(self, delivery: Delivery) -> Sequence[TrackEvent]:
        line, _, _ = delivery.id.partition("-")
        if line == "known":
            return [TrackEvent("7/known", f"{delivery.id}/known", {})]

        async def ask() -> Sequence[TrackEvent]:
            self.asked.append(delivery.id)
            if line != "label":
                await self.answer.wait()
            if self.failures:
                raise self.failures.pop(0)
            return [TrackEvent(f"7/{line}", f"{delivery.id}/{line}", {"from": delivery.id})]

        raise AsksFirstError(line, ask, begins=line == "label")


async def told(store: Store, track: str) -> list[str]:
    """Take all that a track is told, in order."""
    found = []
    while (row := await store.next_event(track)) is not None:
        found.append(row.id.partition("/")[0])
        await store.commit(Commit(track, row.id, 0, None))
    return found


async def both_told(store: Store, track: str) -> list[str]:
    """Wait until a track was told of two, and take them."""
    found: list[str] = []

    async def all_told() -> bool:
        found.extend(await told(store, track))
        return len(found) >= 2

    await until(all_told)
    return found


async def test_a_forge_that_does_not_answer_holds_up_its_own_line_only(
    store: Store, clock: SettableClock
) -> None:
    asked, engine = Asked(), ListedEngine()
    await deliver(store, clock, "slow-1", "slow-2", "known-1")
    async with running(store, engine, clock, asked.route, poll=0.02):
        await until(lambda: len(engine.ids("track")) == 1)
        await store.add_event("7/known", "made", {})
        row = await store.next_event("7/known")
        assert row is not None
        await store.commit(Commit("7/known", row.id, 0, {}, actions=(NewAction("a1", "comment", {}),)))
        await until(lambda: len(engine.ids("action")) == 1)
        assert asked.asked == ["slow-1"]
        asked.answer.set()
        assert await both_told(store, "7/slow") == ["slow-1", "slow-2"]
    assert asked.asked == ["slow-1", "slow-2"]


async def test_what_begins_something_is_not_held_up_by_any_number_of_slow_answers(
    store: Store, clock: SettableClock
) -> None:
    asked, engine = Asked(), ListedEngine()
    await deliver(store, clock, *(f"slow{n}-1" for n in range(AT_ONCE + 1)), "label-1")
    async with running(store, engine, clock, asked.route, poll=0.02):
        await until(lambda: len(engine.ids("track")) == 1)
        assert len(asked.asked) == AT_ONCE + 1  # eight that are slow, and the label
    assert await told(store, "7/label") == ["label-1"]


async def test_no_more_are_held_than_there_is_room_for(store: Store, clock: SettableClock) -> None:
    asked, engine = Asked(), ListedEngine()
    ids = [f"slow{n}-{n}" for n in range(9)]
    await deliver(store, clock, *ids)
    async with running(store, engine, clock, asked.route, poll=0.02, most_asked=3):
        await until(lambda: len(asked.asked) == 3)
        await asyncio.sleep(0.1)
        assert asked.asked == ids[:3]
        asked.answer.set()
        await until(lambda: len(asked.asked) == len(ids))


async def test_what_is_behind_one_that_has_to_wait_waits_as_long(store: Store, clock: SettableClock) -> None:
    asked, engine = Asked(), ListedEngine()
    asked.answer.set()
    asked.failures = [RetryableError("the forge asked for a pause", 5)]
    await deliver(store, clock, "line-1", "line-2")
    async with running(store, engine, clock, asked.route, poll=0.02):
        await until(lambda: asked.asked == ["line-1"])
        await asyncio.sleep(0.1)
        assert asked.asked == ["line-1"]
        clock.forward(seconds=5)
        await until(as_time_goes_by(clock, lambda: len(asked.asked) == 3))
        await until(lambda: bool(engine.ids("track")))  # before what the track is told is taken
        assert await both_told(store, "7/line") == ["line-1", "line-2"]


async def test_what_cannot_be_asked_at_all_is_put_aside_and_the_next_goes_on(
    store: Store, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    asked, engine = Asked(), ListedEngine()
    asked.answer.set()
    asked.failures = [ForgeError("403 Forbidden")]
    await deliver(store, clock, "line-1", "line-2")
    async with running(store, engine, clock, asked.route):
        await until(lambda: len(engine.ids("track")) == 1)
    assert "delivery_rejected id=line-1" in caplog.text
    assert await told(store, "7/line") == ["line-2"]


async def test_what_was_being_asked_at_a_stop_is_asked_again(store: Store, clock: SettableClock) -> None:
    asked = Asked()
    await deliver(store, clock, "line-1")
    async with running(store, ListedEngine(), clock, asked.route):
        await until(lambda: asked.asked == ["line-1"])
    assert [each.id for each in await store.pending_deliveries(5)] == ["line-1"]
    asked.answer.set()
    async with running(store, engine := ListedEngine(), clock, asked.route):
        await until(lambda: len(engine.ids("track")) == 1)
    assert asked.asked == ["line-1", "line-1"]
