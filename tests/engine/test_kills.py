"""Processes that are killed, frozen or stopped at any moment: nothing is lost, no record is made twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.engine.store import Delivery, Store
from tests.engine.children import Children, ended
from tests.engine.conftest import Place, RealClock, until
from tests.engine.postgres import PostgresServer

TRACKS = [f"7/issue-{n}" for n in range(5)]
SETTLE_SECONDS = 90.0


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = await Store.open(place.store_url, RealClock())
    yield store
    await store.close()


@pytest.fixture
async def children(place: Place, tmp_path: Path) -> AsyncIterator[Children]:
    children = Children(place, tmp_path, seconds=0.1)
    yield children
    await children.close()


@pytest.fixture
def shared(postgres_server: PostgresServer, launched_template: str) -> Place:
    url = postgres_server.fresh_database(launched_template)
    return Place("postgres", url, url)


@pytest.fixture
async def shared_store(shared: Place) -> AsyncIterator[Store]:
    store = await Store.open(shared.store_url, RealClock())
    yield store
    await store.close()


@pytest.fixture
async def peers(shared: Place, tmp_path: Path) -> AsyncIterator[Children]:
    children = Children(shared, tmp_path, seconds=1.0)
    yield children
    await children.close()


async def deliver(store: Store, id_: str, tracks: list[str]) -> None:
    body = json.dumps({"tracks": tracks}).encode()
    await store.add_delivery(Delivery(id_, "x", {}, body, datetime.now(UTC)))


def held_by(children: Children, child: subprocess.Popen[bytes]) -> set[object]:
    """Name what a child has begun and not ended."""
    own = [one for one in children.effects() if one["pid"] == child.pid]
    return {one["name"] for one in own if one["what"] == "begin"} - {
        one["name"] for one in own if one["what"] == "end"
    }


async def until_at_work(
    store: Store, children: Children, child: subprocess.Popen[bytes], deliveries: dict[str, list[str]]
) -> None:
    """Deliver until this one is in the middle of something: the other may have been quicker with all that there was."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while not held_by(children, child):
            if await settled(store):
                more = {f"d{len(deliveries) + n}": [TRACKS[n % 5]] for n in range(12)}
                deliveries.update(more)
                for id_, tracks in more.items():
                    await deliver(store, id_, tracks)
            await asyncio.sleep(0.005)


async def settled(store: Store) -> bool:
    return not any((await store.counts()).values())


async def assert_all_recorded_once(
    store: Store, children: Children, deliveries: dict[str, list[str]]
) -> None:
    """Every event and every result stands once in its track, and every effect happened at least once."""
    asked = [f"{id_}/{track}" for id_, tracks in deliveries.items() for track in tracks]
    recorded = [id_ for track in await store.all_tracks() for id_ in track.state["seen"]]
    assert Counter(recorded) == Counter([*asked, *(f"result:act:{id_}" for id_ in asked)]), children.log()
    assert {one["name"] for one in children.effects("end")} == {f"act:{id_}" for id_ in asked}
    for id_ in asked:
        action = await store.action(f"act:{id_}")
        assert action is not None
        assert action.state == "done"


@pytest.mark.parametrize("place", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)], indirect=True)
@pytest.mark.parametrize(
    ("seed", "kills"), [(1, 2), *(pytest.param(s, 6, marks=pytest.mark.long) for s in range(2, 8))]
)
async def test_killed_at_any_moment_and_started_again_nothing_is_lost_or_recorded_twice(
    seed: int, kills: int, store: Store, children: Children
) -> None:
    chance = random.Random(seed)
    deliveries = {f"d{n}": chance.sample(TRACKS, chance.randint(0, 3)) for n in range(24 * kills)}
    waiting = list(deliveries.items())
    for _ in range(kills):
        for id_, tracks in waiting[:24]:
            await deliver(store, id_, tracks)
        del waiting[:24]
        before = len(children.effects())
        child = children.start()
        enough = before + chance.randint(2, 40)
        await until(lambda enough=enough: len(children.effects()) >= enough)  # type: ignore[misc]
        await asyncio.sleep(chance.uniform(0, 0.05))
        child.kill()
        assert await ended(child) == -signal.SIGKILL
        await deliver(store, *chance.choice(list(deliveries.items())))
    children.start()
    await until(lambda: settled(store), SETTLE_SECONDS)
    await assert_all_recorded_once(store, children, deliveries)


@pytest.mark.long  # a frozen peer's work is taken over in every run
async def test_a_killed_peers_work_is_taken_over(shared_store: Store, peers: Children) -> None:
    deliveries: dict[str, list[str]] = {}
    first, second = peers.start(seconds=60.0), peers.start()  # the first is killed before it ends anything
    await until(lambda: len(peers.effects("started")) == 2)
    await until_at_work(shared_store, peers, first, deliveries)
    first.kill()
    await ended(first)
    held = held_by(peers, first)
    assert held, "the killed process held nothing, so this test showed nothing"
    await until(lambda: settled(shared_store), SETTLE_SECONDS)
    assert second.poll() is None, peers.log()
    by_second = {one["name"] for one in peers.effects("end") if one["pid"] == second.pid}
    assert held <= by_second
    await assert_all_recorded_once(shared_store, peers, deliveries)


async def test_a_frozen_peer_that_wakes_ends_itself_before_it_does_anything(
    shared_store: Store, peers: Children
) -> None:
    deliveries: dict[str, list[str]] = {}
    # What the first does is over, by its own clock, before its lease is: it must not say so when it wakes.
    first, second = peers.start(seconds=4.0), peers.start()
    await until(lambda: len(peers.effects("started")) == 2)
    held: set[object] = set()
    async with asyncio.timeout(SETTLE_SECONDS):
        while not held:  # nothing where this test itself stood still before it could freeze it
            await until_at_work(shared_store, peers, first, deliveries)
            first.send_signal(signal.SIGSTOP)
            held = held_by(peers, first)
            if not held:
                first.send_signal(signal.SIGCONT)
    await until(lambda: settled(shared_store), SETTLE_SECONDS)
    held = held_by(peers, first)
    assert held, "the frozen process held nothing, so this test showed nothing"
    woken = time.time()
    first.send_signal(signal.SIGCONT)
    assert await ended(first) == 70
    assert second.poll() is None, peers.log()
    late = [one for one in peers.effects() if one["pid"] == first.pid and float(str(one["at"])) > woken]
    assert late == []
    ends = Counter(str(one["name"]) for one in peers.effects("end"))
    assert set(ends.values()) == {1}
    await assert_all_recorded_once(shared_store, peers, deliveries)


async def test_a_stopped_process_hands_its_work_on_at_once(shared_store: Store, peers: Children) -> None:
    """With a long lease, so that only the hand-over can have been quick enough."""
    deliveries = {f"d{n}": [TRACKS[n % 5]] for n in range(4)}
    first = peers.start(seconds=60.0, ttl=300.0, grace=0.1)
    for id_, tracks in deliveries.items():
        await deliver(shared_store, id_, tracks)
    await until(lambda: len(peers.effects("begin")) == 4)
    peers.start(ttl=300.0, seconds=0.1)
    await until(lambda: len(peers.effects("started")) == 2)
    first.send_signal(signal.SIGTERM)
    await until(lambda: settled(shared_store), SETTLE_SECONDS)
    assert await ended(first) == 0, peers.log()
    await assert_all_recorded_once(shared_store, peers, deliveries)


@pytest.mark.long  # tests/test_shutdown.py asks the real bot to stop, and starts it again, in every run
async def test_a_process_that_is_asked_to_stop_ends_in_time_and_the_next_goes_on(tmp_path: Path) -> None:
    place = Place("sqlite", f"sqlite:///{tmp_path}/store.sqlite", f"sqlite:///{tmp_path}/engine.sqlite")
    store = await Store.open(place.store_url, RealClock())
    children = Children(place, tmp_path, seconds=0.1)
    try:
        await stopped_and_gone_on(store, children)
    finally:
        await children.close()
        await store.close()


async def stopped_and_gone_on(store: Store, children: Children) -> None:
    deliveries = {f"d{n}": [TRACKS[n % 5]] for n in range(6)}
    for id_, tracks in deliveries.items():
        await deliver(store, id_, tracks)
    child = children.start(seconds=60.0)
    await until(lambda: len(children.effects("begin")) == 4)
    began = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert await ended(child) == 0, children.log()
    assert time.monotonic() - began < 30
    assert len(children.effects("interrupted")) == 4
    children.start()
    await until(lambda: settled(store), SETTLE_SECONDS)
    await assert_all_recorded_once(store, children, deliveries)
