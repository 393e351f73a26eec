"""The loop between store and engine: what is due becomes a job, under an id that a crash cannot double."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from bot.engine.dbos_engine import DbosEngine
from bot.engine.runner import BATCH, Runner
from bot.engine.store import Commit, Delivery, NewAction, NewTimer, Store, TrackEvent
from bot.errors import ForgeError, RetryableError
from bot.ports import JobStatus, JsonDict
from tests.engine.conftest import Place, RealClock, SettableClock, until

TRACK = "7/issue-1"


@dataclass
class ListedEngine:
    """Lists what was submitted; how a job stands is set by the test."""

    jobs: list[tuple[str, str]] = field(default_factory=list)
    details: list[tuple[str, JsonDict, str, str | None]] = field(default_factory=list)
    states: dict[str, JobStatus] = field(default_factory=dict)
    broken: bool = False
    timeouts: dict[str, float | None] = field(default_factory=dict)

    async def start(self) -> None: ...

    async def stop(self, grace: float) -> None: ...

    async def submit(
        self,
        kind: str,
        id_: str,
        args: JsonDict,
        *,
        queue: str,
        partition: str | None = None,
        delay: float | None = None,
        timeout: float | None = None,
    ) -> None:
        if self.broken:
            raise ConnectionError("the engine's database is away")
        self.jobs.append((kind, id_))
        self.timeouts[queue] = timeout
        self.details.append((id_, args, queue, partition))
        self.states.setdefault(id_, "waiting")

    async def cancel(self, ids: Sequence[str]) -> None:
        raise AssertionError("the runner cancels nothing")

    async def status(self, id_: str) -> JobStatus | None:
        return self.states.get(id_)

    def ids(self, kind: str) -> list[str]:
        return [id_ for what, id_ in self.jobs if what == kind]


async def to_one_track(delivery: Delivery) -> Sequence[TrackEvent]:
    return [TrackEvent(TRACK, f"{delivery.id}/{TRACK}", {"from": delivery.id})]


Router = Callable[[Delivery], Awaitable[Sequence[TrackEvent]]]


@asynccontextmanager
async def running(
    store: Store,
    engine: ListedEngine,
    clock: SettableClock,
    route: Router = to_one_track,
    poll: float = 0.05,
    **settings: int,
) -> AsyncIterator[Runner]:
    limits = {"tracks": 5.0, "comment-queue": 7.0}
    runner = Runner(
        store,
        engine,
        route,
        clock,
        queue_of=lambda kind: f"{kind}-queue",
        timeout_of=limits.get,
        poll=poll,
        **settings,
    )
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop(0)


async def deliver(store: Store, clock: SettableClock, *ids: str) -> None:
    for id_ in ids:
        await store.add_delivery(Delivery(id_, "issues", {}, b"{}", clock.now()))


async def with_submitted(store: Store, *ids: str) -> None:
    await store.add_event(TRACK, "made", {})
    actions = tuple(NewAction(id_, "comment", {}) for id_ in ids)
    await store.commit(Commit(TRACK, "made", 0, {}, actions=actions))
    for id_ in ids:
        await store.mark_submitted(id_, 1)


async def test_a_delivery_becomes_a_job_of_its_track(store: Store, clock: SettableClock) -> None:
    engine = ListedEngine()
    async with running(store, engine, clock):
        await deliver(store, clock, "d1")
        await until(lambda: bool(engine.jobs))
    [(_, last)] = await store.tracks_with_events()
    assert engine.details == [(f"track:{TRACK}:{last}", {"track": TRACK}, "tracks", TRACK)]
    assert await store.pending_deliveries(5) == []


async def test_a_track_gets_one_job_per_newest_event_however_often_the_loop_looks(
    store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine()
    async with running(store, engine, clock, poll=0.01) as runner:
        await deliver(store, clock, "d1")
        await until(lambda: len(engine.jobs) == 1)
        for _ in range(5):
            runner.wake()
            await asyncio.sleep(0.02)
        await deliver(store, clock, "d2")
        await until(lambda: len(engine.jobs) == 2)
        await asyncio.sleep(0.05)
    assert len(set(engine.ids("track"))) == len(engine.jobs) == 2


async def test_actions_become_jobs_by_id_and_try_in_the_queue_of_their_kind(
    store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine()
    await store.add_event(TRACK, "made", {})
    async with running(store, engine, clock):
        actions = (NewAction("a1", "comment", {}), NewAction("a2", "plan", {}))
        await store.commit(Commit(TRACK, "made", 0, {}, actions=actions))
        await until(lambda: len(engine.ids("action")) == 2)
        await until(lambda: only_submitted(store, 2))
    assert [one for one in engine.details if one[0].startswith("a")] == [
        ("a1:1", {"action": "a1", "try": 1}, "comment-queue", TRACK),
        ("a2:1", {"action": "a2", "try": 1}, "plan-queue", TRACK),
    ]


async def test_every_job_has_the_time_of_its_queue(store: Store, clock: SettableClock) -> None:
    engine = ListedEngine()
    await store.add_event(TRACK, "made", {})
    async with running(store, engine, clock):
        await store.commit(Commit(TRACK, "made", 0, {}, actions=(NewAction("a1", "comment", {}),)))
        await deliver(store, clock, "d1")
        await until(lambda: len(engine.timeouts) == 2)
    assert engine.timeouts == {"tracks": 5.0, "comment-queue": 7.0}


async def only_submitted(store: Store, count: int) -> bool:
    counts = await store.counts()
    return counts["actions"] == 0 and counts["submitted"] == count


async def test_a_retry_waits_for_its_time(store: Store, clock: SettableClock) -> None:
    engine = ListedEngine()
    await with_submitted(store, "a1")
    await store.retry_action("a1", clock.now() + timedelta(minutes=1), "away")
    async with running(store, engine, clock, poll=0.02):
        await asyncio.sleep(0.1)
        assert engine.ids("action") == []
        clock.forward(minutes=1)
        await until(lambda: engine.ids("action") == ["a1:2"])


async def test_a_due_timer_wakes_its_track(store: Store, clock: SettableClock) -> None:
    engine = ListedEngine()
    await store.add_event(TRACK, "made", {})
    timer = NewTimer("t1", clock.now() + timedelta(days=3), {"kind": "late"})
    await store.commit(Commit(TRACK, "made", 0, {}, timers=(timer,)))
    async with running(store, engine, clock, poll=0.02):
        await asyncio.sleep(0.06)
        assert engine.jobs == []
        clock.forward(days=3)
        await until(lambda: len(engine.ids("track")) == 1)


async def test_work_that_comes_in_is_looked_at_without_waiting_for_the_poll(
    store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine()
    async with running(store, engine, clock, poll=600):
        await asyncio.sleep(0.05)
        await deliver(store, clock, "d1")
        await until(lambda: len(engine.ids("track")) == 1)
        event = await store.next_event(TRACK)
        assert event is not None
        await store.commit(Commit(TRACK, event.id, 0, {}, actions=(NewAction("a1", "x", {}),)))
        await until(lambda: engine.ids("action") == ["a1:1"])
        await store.retry_action("a1", None, "at once")
        await until(lambda: engine.ids("action") == ["a1:1", "a1:2"])


@pytest.mark.parametrize("status", [None, "failed", "cancelled", "done"])
async def test_an_action_whose_job_ended_without_a_result_gets_its_next_try(
    status: JobStatus | None, store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine(states={} if status is None else {"a1:1": status})
    await with_submitted(store, "a1")
    async with running(store, engine, clock):
        await until(lambda: engine.ids("action") == ["a1:2"])
    row = await store.action("a1")
    assert row is not None
    assert (row.try_, row.error) == (2, f"its job was {status or 'lost'}")


@pytest.mark.parametrize("status", ["waiting", "running"])
async def test_an_action_that_is_under_way_is_left_alone(
    status: JobStatus, store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine(states={"a1:1": status})
    await with_submitted(store, "a1")
    async with running(store, engine, clock, poll=0.01):
        await asyncio.sleep(0.1)
    assert engine.jobs == []


async def test_a_track_whose_job_failed_gets_another_each_time(store: Store, clock: SettableClock) -> None:
    await store.add_event(TRACK, "e1", {})
    [(_, last)] = await store.tracks_with_events()
    engine = ListedEngine()
    names = [f"track:{TRACK}:{last}{suffix}" for suffix in ("", ".1", ".2")]
    for name in names:
        async with running(store, engine, clock):
            await until(lambda name=name: name in engine.ids("track"))  # type: ignore[misc]
        engine.states[name] = "failed"
    assert list(dict.fromkeys(engine.ids("track"))) == names


async def test_a_delivery_that_cannot_be_understood_holds_up_nobody(
    store: Store, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def route(delivery: Delivery) -> Sequence[TrackEvent]:
        if delivery.id == "bad":
            raise KeyError("issue")
        if delivery.id == "worse":
            raise ForgeError("no")
        return await to_one_track(delivery)

    engine = ListedEngine()
    await deliver(store, clock, "bad", "worse", "good")
    async with running(store, engine, clock, route):
        await until(lambda: len(engine.ids("track")) == 1)
    assert await store.pending_deliveries(5) == []
    event = await store.next_event(TRACK)
    assert event is not None
    assert event.event == {"from": "good"}
    assert "delivery_rejected id=bad" in caplog.text


def as_time_goes_by(clock: SettableClock, look: Callable[[], bool]) -> Callable[[], bool]:
    def passing() -> bool:
        clock.forward(seconds=0.02)
        return look()

    return passing


async def test_a_delivery_that_cannot_be_routed_now_is_routed_later(
    store: Store, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [RetryableError("the forge is away"), RetryableError("still")]

    async def route(delivery: Delivery) -> Sequence[TrackEvent]:
        if refusals:
            raise refusals.pop()
        return await to_one_track(delivery)

    engine = ListedEngine()
    await deliver(store, clock, "d1")
    async with running(store, engine, clock, route, poll=0.02):
        await until(as_time_goes_by(clock, lambda: len(engine.ids("track")) == 1))
    assert caplog.text.count("delivery_waits id=d1") == 2


async def test_deliveries_that_wait_hold_up_none_behind_them_and_are_not_asked_about_all_the_time(
    store: Store, clock: SettableClock
) -> None:
    asked: Counter[str] = Counter()

    async def route(delivery: Delivery) -> Sequence[TrackEvent]:
        asked[delivery.id] += 1
        if delivery.id == "short":
            raise RetryableError("the forge is away")
        if delivery.id != "good":
            raise RetryableError("the forge asked for a pause", 3600)
        return await to_one_track(delivery)

    engine = ListedEngine()
    limited = [f"d{n:04}" for n in range(BATCH)]
    await asyncio.gather(*(deliver(store, clock, id_) for id_ in limited))
    await deliver(store, clock, "short", "good")
    async with running(store, engine, clock, route, poll=0.02):
        await until(lambda: len(engine.ids("track")) == 1)
        await until(as_time_goes_by(clock, lambda: asked["short"] >= 4))
    assert asked == {**dict.fromkeys(limited, 1), "short": asked["short"], "good": 1}


async def test_more_work_than_one_round_takes_is_done_without_a_pause(
    store: Store, clock: SettableClock
) -> None:
    engine = ListedEngine()
    ids = [f"d{n:04}" for n in range(BATCH + 5)]
    await asyncio.gather(*(deliver(store, clock, id_) for id_ in ids))
    async with running(store, engine, clock, poll=600):
        await until(lambda: nothing_pending(store))
    assert len(engine.ids("track")) >= 1


async def nothing_pending(store: Store) -> bool:
    return await store.pending_deliveries(1) == []


async def test_the_loop_survives_an_engine_that_is_away(
    store: Store, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = ListedEngine(broken=True)
    await deliver(store, clock, "d1")
    async with running(store, engine, clock, poll=0.02):
        await until(lambda: "runner_round_failed" in caplog.text)
        engine.broken = False
        await until(lambda: len(engine.ids("track")) == 1)


async def test_when_the_engines_database_is_lost_the_outbox_brings_everything_back(tmp_path: Path) -> None:
    place = Place("sqlite", f"sqlite:///{tmp_path}/store.sqlite", f"sqlite:///{tmp_path}/engine.sqlite")
    clock = RealClock()
    store = await Store.open(place.store_url, clock)
    hold = asyncio.Event()
    tries: list[int] = []

    async def drain(args: JsonDict) -> None:
        while (event := await store.next_event(TRACK)) is not None:
            track = await store.load(TRACK)
            seen = [*(track.state["seen"] if track else []), event.id]
            actions = (NewAction("a1", "x", {}),) if event.id.startswith("d1") else ()
            await store.commit(
                Commit(TRACK, event.id, track.version if track else 0, {"seen": seen}, actions=actions)
            )

    async def perform(args: JsonDict) -> None:
        tries.append(int(args["try"]))
        await hold.wait()
        await store.finish_action("a1", TrackEvent(TRACK, "result", {}))

    def runner() -> Runner:
        kinds = {"track": drain, "action": perform}
        engine = DbosEngine(place.engine_url, kinds, {"tracks": 2, "x": 2}, clock)
        return Runner(store, engine, to_one_track, clock, queue_of=lambda kind: kind)

    first = runner()
    await first.start()
    await store.add_delivery(Delivery("d1", "x", {}, b"{}", clock.now()))
    await until(lambda: tries == [1])
    await first.stop(0)
    for file in tmp_path.glob("engine.sqlite*"):
        file.unlink()
    hold.set()
    second = runner()
    await second.start()
    try:

        async def recorded() -> bool:
            track = await store.load(TRACK)
            return track is not None and track.state["seen"] == [f"d1/{TRACK}", "result"]

        await until(recorded)
        assert tries == [1, 2]
    finally:
        await second.stop(1)
        await store.close()
