"""The store: nothing accepted is lost, nothing is applied twice, on both databases."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from inline_snapshot import snapshot

from bot.engine.rows import SessionKind
from bot.engine.store import Commit, Delivery, NewAction, NewTimer, Session, Store, StoredTrack, TrackEvent
from bot.errors import RetryableError, UserError
from tests.engine.conftest import Place, SettableClock
from tests.engine.postgres import PostgresServer

TRACK = "7/issue-1"


def delivery(id_: str, body: bytes = b"{}") -> Delivery:
    return Delivery(id_, "issues", {"X-GitHub-Event": "issues"}, body, datetime(2026, 1, 1, tzinfo=UTC))


async def with_event(store: Store, id_: str = "e", track: str = TRACK) -> None:
    await store.add_event(track, id_, {"id": id_})


async def test_a_delivery_is_stored_once_and_comes_back_as_it_was(store: Store) -> None:
    first = delivery("d1", b"\x00\xff raw")
    assert await store.add_delivery(first)
    assert not await store.add_delivery(first)
    assert await store.pending_deliveries(10) == [first]


async def test_concurrent_deliveries_are_each_stored_once_in_the_order_they_came(store: Store) -> None:
    wanted = [delivery(f"d{n % 60}") for n in range(90)]
    answers = await asyncio.gather(*(store.add_delivery(one) for one in wanted))
    assert answers == [True] * 60 + [False] * 30
    assert [one.id for one in await store.pending_deliveries(100)] == [f"d{n}" for n in range(60)]


async def test_a_delivery_is_on_disk_before_its_sender_hears_of_it(
    place: Place, clock: SettableClock
) -> None:
    store = await Store.open(place.store_url, clock)
    try:
        await store.add_delivery(delivery("d1"))
        other = await Store.open(place.store_url, clock)
        try:
            assert [one.id for one in await other.pending_deliveries(10)] == ["d1"]
        finally:
            await other.close()
    finally:
        await store.close()


async def test_a_delivery_is_completed_only_when_every_track_has_looked(store: Store) -> None:
    await store.add_delivery(delivery("d1"))
    events = [TrackEvent("7/issue-1", "d1/a", {"n": 1}), TrackEvent("7/issue-2", "d1/b", {"n": 2})]
    assert await store.route("d1", events)
    assert not await store.route("d1", events)
    assert await store.commit(Commit("7/issue-1", "d1/a", 0, None))
    assert await state_of(store, "d1") == "routed"
    assert await store.commit(Commit("7/issue-2", "d1/b", 0, None))
    assert await state_of(store, "d1") == "done"


async def test_two_tracks_that_finish_at_once_complete_the_delivery(store: Store) -> None:
    for n in range(20):
        await store.add_delivery(delivery(f"d{n}"))
        await store.route(f"d{n}", [TrackEvent(f"7/issue-{i}", f"d{n}/{i}", {}) for i in range(4)])
        await asyncio.gather(*(store.commit(Commit(f"7/issue-{i}", f"d{n}/{i}", 0, None)) for i in range(4)))
        assert await state_of(store, f"d{n}") == "done"


async def test_a_delivery_for_nobody_is_completed_at_once(store: Store) -> None:
    await store.add_delivery(delivery("d1"))
    await store.route("d1", [])
    assert await state_of(store, "d1") == "done"


async def test_a_rejected_delivery_is_put_aside_and_stays_known(store: Store) -> None:
    await store.add_delivery(delivery("d1"))
    await store.reject("d1", "no JSON\x00")
    assert await store.pending_deliveries(10) == []
    assert await state_of(store, "d1") == "rejected"
    assert not await store.add_delivery(delivery("d1"))


async def test_events_come_in_order_and_each_id_once(store: Store) -> None:
    for id_ in ("a", "b", "a", "c"):
        await with_event(store, id_)
    await with_event(store, "z", "7/issue-2")
    seen = []
    while (event := await store.next_event(TRACK)) is not None:
        seen.append(event.id)
        await store.commit(Commit(TRACK, event.id, 0, None))
    assert seen == ["a", "b", "c"]
    assert await store.tracks_with_events() == [("7/issue-2", str(await last_seq(store)))]


async def test_a_commit_saves_all_of_a_decision(store: Store, clock: SettableClock) -> None:
    await with_event(store)
    due = clock.now() + timedelta(minutes=5)
    change = Commit(
        TRACK,
        "e",
        0,
        {"n": 1},
        "planning",
        True,
        ("issue:1", "default"),
        (NewAction("a1", "comment", {"text": "hello"}),),
        (NewTimer("t1", due, {"kind": "late"}),),
    )
    assert await store.commit(change)
    assert await store.load(TRACK) == StoredTrack(TRACK, 1, "planning", True, {"n": 1})
    assert await store.tracks_by_key(7, "issue:1") == [TRACK]
    assert [
        (row.id, row.kind, row.action, row.state, row.try_) for row in await store.open_actions(TRACK)
    ] == [("a1", "comment", {"text": "hello"}, "new", 1)]
    assert await store.next_event(TRACK) is None
    assert (await store.counts()) == snapshot(
        {"deliveries": 0, "events": 0, "actions": 1, "submitted": 0, "timers": 1, "sessions": 0}
    )


async def test_a_commit_on_an_older_version_writes_nothing(store: Store) -> None:
    await with_event(store, "e1")
    await with_event(store, "e2")
    assert await store.commit(Commit(TRACK, "e1", 0, {"n": 1}, "planning", True, ("issue:1",)))
    stale = Commit(
        TRACK, "e2", 0, {"n": 9}, "done", False, ("pull:9",), (NewAction("a9", "comment", {}),),
        (NewTimer("t9", datetime(2026, 1, 1, tzinfo=UTC), {}),),
    )  # fmt: skip
    for change in (stale, Commit(TRACK, "e2", 0, None, actions=stale.actions)):
        assert not await store.commit(change)
    assert await store.load(TRACK) == StoredTrack(TRACK, 1, "planning", True, {"n": 1})
    assert await store.tracks_by_key(7, "pull:9") == []
    assert await store.open_actions(TRACK) == []
    event = await store.next_event(TRACK)
    assert event is not None
    assert event.id == "e2"


async def test_an_event_is_never_applied_twice(store: Store) -> None:
    await with_event(store)
    assert await store.commit(Commit(TRACK, "e", 0, {"n": 1}))
    assert not await store.commit(Commit(TRACK, "e", 1, {"n": 2}))
    assert not await store.commit(Commit(TRACK, "e", 1, None))
    loaded = await store.load(TRACK)
    assert loaded is not None
    assert loaded.state == {"n": 1}


async def test_racing_drains_apply_each_event_exactly_once(store: Store) -> None:
    for n in range(12):
        await with_event(store, f"e{n}")

    async def drain() -> int:
        lost = 0
        while (event := await store.next_event(TRACK)) is not None:
            track = await store.load(TRACK)
            seen = list(track.state["seen"]) if track else []
            version = track.version if track else 0
            await asyncio.sleep(0)
            saved = await store.commit(
                Commit(TRACK, event.id, version, {"seen": [*seen, event.id]}, actions=(NewAction(f"a:{event.id}", "x", {}),))
            )  # fmt: skip
            lost += not saved
        return lost

    lost = await asyncio.gather(*(drain() for _ in range(3)))
    track = await store.load(TRACK)
    assert track is not None
    assert track.state["seen"] == [f"e{n}" for n in range(12)]
    assert track.version == 12
    assert len(await store.open_actions(TRACK)) == 12
    assert sum(lost) > 0, "the drains never met, so this test showed nothing"


async def test_keys_are_replaced_by_each_commit(store: Store) -> None:
    await with_event(store, "e1")
    await with_event(store, "e2")
    await store.commit(Commit(TRACK, "e1", 0, {}, "planning", True, ("issue:1", "default")))
    await store.commit(Commit(TRACK, "e2", 1, {}, "working", True, ("issue:1", "pull:5")))
    assert await store.tracks_by_key(7, "default") == []
    assert await store.tracks_by_key(7, "pull:5") == [TRACK]
    assert await store.tracks_by_key(8, "pull:5") == []


async def test_all_tracks_can_be_listed_without_those_that_ended(store: Store) -> None:
    for number, open_ in ((2, True), (1, False)):
        await with_event(store, f"e{number}", f"7/issue-{number}")
        await store.commit(Commit(f"7/issue-{number}", f"e{number}", 0, {}, "x", open_))
    assert [track.key for track in await store.all_tracks()] == ["7/issue-1", "7/issue-2"]
    assert [track.key for track in await store.all_tracks(open_only=True)] == ["7/issue-2"]


async def with_action(store: Store, *ids: str) -> None:
    await with_event(store, "made")
    await store.commit(
        Commit(TRACK, "made", 0, {}, actions=tuple(NewAction(id_, "comment", {}) for id_ in ids))
    )


async def test_an_action_ends_once_and_its_result_comes_with_it(store: Store) -> None:
    await with_action(store, "a1")
    result = TrackEvent(TRACK, "r1", {"comment": 5})
    assert await store.finish_action("a1", result)
    assert not await store.finish_action("a1", TrackEvent(TRACK, "r2", {}))
    assert not await store.fail_action("a1", "late", None)
    assert await store.next_event(TRACK) == result
    assert await store.open_actions(TRACK) == []


async def test_a_failed_action_waits_for_its_next_try(store: Store, clock: SettableClock) -> None:
    await with_action(store, "a1")
    await store.mark_submitted("a1", 1)
    assert await store.unsubmitted(clock.now(), 10) == []
    assert await store.retry_action("a1", clock.now() + timedelta(seconds=5), "forge is away")
    assert await store.unsubmitted(clock.now(), 10) == []
    clock.forward(seconds=5)
    [row] = await store.unsubmitted(clock.now(), 10)
    assert (row.try_, row.error, row.job_id) == (2, "forge is away", "a1:2")
    assert await store.fail_action("a1", "gave up", TrackEvent(TRACK, "r1", {}))
    ended = await store.action("a1")
    assert ended is not None
    assert (ended.state, ended.error) == ("failed", "gave up")
    assert not await store.retry_action("a1", None, "too late")


async def test_only_the_try_that_was_lost_is_submitted_again(store: Store, clock: SettableClock) -> None:
    await with_action(store, "a1")
    assert not await store.resubmit("a1", 1, "never submitted")
    await store.mark_submitted("a1", 1)
    assert await store.resubmit("a1", 1, "lost")
    assert not await store.resubmit("a1", 1, "lost")
    await store.mark_submitted("a1", 1)
    [row] = await store.unsubmitted(clock.now(), 10)
    assert row.try_ == 2


async def test_a_cancelled_action_drops_its_result(store: Store) -> None:
    await with_action(store, "a1", "a2")
    await store.cancel_actions(["a1"])
    assert not await store.finish_action("a1", TrackEvent(TRACK, "r1", {}))
    assert await store.next_event(TRACK) is None
    assert [row.id for row in await store.open_actions(TRACK)] == ["a2"]


async def test_a_timer_fires_once_when_it_is_due_and_can_be_set_again(
    store: Store, clock: SettableClock
) -> None:
    await with_event(store, "e1")
    timer = NewTimer("t1", clock.now() + timedelta(minutes=1), {"kind": "late"})
    await store.commit(Commit(TRACK, "e1", 0, None, timers=(timer,)))
    assert await store.fire_timers(clock.now()) == 0
    clock.forward(minutes=1)
    fired = await asyncio.gather(*(store.fire_timers(clock.now()) for _ in range(4)))
    assert sorted(fired) == [0, 0, 0, 1]
    event = await store.next_event(TRACK)
    assert event is not None
    assert event.event == {"kind": "late"}
    assert await store.commit(Commit(TRACK, event.id, 0, None, timers=(timer,)))
    assert await store.fire_timers(clock.now()) == 1


async def test_a_timer_set_again_moves_and_a_dropped_one_never_fires(
    store: Store, clock: SettableClock
) -> None:
    await with_event(store, "e1")
    await with_event(store, "e2")
    soon, late = clock.now(), clock.now() + timedelta(hours=1)
    await store.commit(
        Commit(TRACK, "e1", 0, None, timers=(NewTimer("moved", soon, {"n": 1}), NewTimer("gone", soon, {})))
    )
    await store.commit(
        Commit(TRACK, "e2", 0, None, timers=(NewTimer("moved", late, {"n": 2}),), drop_timers=("gone",))
    )
    assert await store.fire_timers(soon) == 0
    assert await store.fire_timers(late) == 1
    event = await store.next_event(TRACK)
    assert event is not None
    assert event.event == {"n": 2}


async def test_a_session_is_open_until_its_deletion_is_proved(store: Store, clock: SettableClock) -> None:
    planner: SessionKind = "planner"
    await store.session_opened("s1", planner, TRACK, None, {"pid": 12})
    session = Session("s1", "planner", TRACK, None, {"pid": 12}, clock.now())
    assert await store.open_sessions() == [session]
    opened = clock.now()
    clock.forward(seconds=9)
    await store.session_proved("s1", {"left": ["token"]})
    (open_,) = await store.open_sessions()
    assert (open_.proof, open_.deleted_at) == ({"left": ["token"]}, None)
    await store.session_deleted("s1", {"left": []})
    await store.session_deleted("s1", {"left": ["again"]})
    assert await store.open_sessions() == []
    assert await store.sessions(TRACK) == [
        Session("s1", "planner", TRACK, None, {"pid": 12}, opened, clock.now(), {"left": []})
    ]


async def test_small_ids_are_kept(store: Store) -> None:
    assert await store.get_id("comment:1") is None
    await store.put_id("comment:1", "5")
    await store.put_id("comment:1", "6")
    assert await store.get_id("comment:1") == "6"


async def test_everything_is_there_after_a_restart(place: Place, clock: SettableClock) -> None:
    store = await Store.open(place.store_url, clock)
    await with_action(store, "a1")
    await store.close()
    again = await Store.open(place.store_url, clock)
    try:
        assert [row.id for row in await again.unsubmitted(clock.now(), 5)] == ["a1"]
    finally:
        await again.close()


async def test_a_listener_hears_of_work_and_of_nothing_else(store: Store) -> None:
    heard: list[str] = []
    store.on_change(lambda: heard.append("x"))
    await store.add_delivery(delivery("d1"))
    await store.add_delivery(delivery("d1"))
    await store.add_event(TRACK, "e", {})
    await store.put_id("k", "v")
    assert await store.fire_timers(datetime(2026, 1, 1, tzinfo=UTC)) == 0
    assert len(heard) == 2


async def test_processes_that_start_together_make_one_schema(place: Place, clock: SettableClock) -> None:
    stores = await asyncio.gather(*(Store.open(place.store_url, clock) for _ in range(4)))
    for one in stores:
        await one.close()


async def test_a_database_of_a_newer_version_is_refused(place: Place, clock: SettableClock) -> None:
    await (await Store.open(place.store_url, clock)).close()
    url = sa.make_url(place.store_url)
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg") if place.backend == "postgres" else url
    )
    with engine.begin() as conn:
        conn.execute(sa.text("update schema_version set version = 99"))
    engine.dispose()
    with pytest.raises(UserError) as caught:
        await Store.open(place.store_url, clock)
    assert str(caught.value) == snapshot(
        "The database has schema version 99, and this Gitwright knows versions up to 3. Start the newer Gitwright that wrote it, or restore an older copy."
    )


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "nonsense", "sqlite:///:memory:"])
async def test_a_database_url_that_cannot_serve_is_explained(url: str, clock: SettableClock) -> None:
    with pytest.raises(UserError, match="GITWRIGHT_DATABASE_URL"):
        await Store.open(url, clock)


async def test_a_database_that_cannot_be_opened_is_explained_without_its_password(
    tmp_path: Path, clock: SettableClock
) -> None:
    (tmp_path / "file").mkdir()
    for url in (f"sqlite:///{tmp_path}/file", "postgresql://me:secret@127.0.0.1:1/x"):
        with pytest.raises(UserError) as caught:
            await Store.open(url, clock)
        assert re.search("cannot be used", str(caught.value))
        assert "secret" not in str(caught.value)


async def state_of(store: Store, id_: str) -> str:
    table = "select state from inbox where id = :id"
    return str(await store.database.read(lambda conn: conn.scalar(sa.text(table), {"id": id_})))


async def last_seq(store: Store) -> int:
    query = sa.text("select max(seq) from track_events")
    found = await store.database.read(lambda conn: conn.scalar(query))
    return int(found or 0)


async def test_nobody_waits_for_ever_for_a_row_that_another_holds(
    postgres_url: str, clock: SettableClock
) -> None:
    store = await Store.open(postgres_url, clock)
    try:
        for name in ("lock_timeout", "statement_timeout"):
            show = sa.text(f"show {name}")
            assert await store.database.read(lambda conn, show=show: conn.scalar(show)) != "0"  # type: ignore[misc]
        shorter = sa.text("set local lock_timeout = '50ms'")
        held = sa.text("select * from schema_version for update")
        holds, free = threading.Event(), threading.Event()

        def hold(conn: sa.Connection) -> None:
            conn.execute(sa.text("set local idle_in_transaction_session_timeout = 0"))  # it may take long
            conn.execute(held)
            holds.set()
            free.wait(100)

        def want(conn: sa.Connection) -> None:
            conn.execute(shorter)
            conn.execute(held)

        holding = asyncio.create_task(store.database.write(hold))
        try:
            assert await asyncio.to_thread(holds.wait, 60)
            with pytest.raises(RetryableError, match="lock timeout"):
                await store.database.write(want)
        finally:
            free.set()
            await holding
    finally:
        await store.close()


async def test_a_frozen_process_does_not_keep_rows_locked(postgres_url: str, clock: SettableClock) -> None:
    store = await Store.open(postgres_url, clock)
    try:
        show = sa.text("show idle_in_transaction_session_timeout")
        assert await store.database.read(lambda conn: conn.scalar(show)) == "5s"
    finally:
        await store.close()


async def test_a_transaction_that_the_server_ended_is_asked_for_again(
    postgres_server: PostgresServer, clock: SettableClock
) -> None:
    """As after a pause of the machine: the server ends what stands still, lest it hold its locks against others."""

    def paused(conn: sa.Connection) -> None:
        conn.execute(sa.text("set idle_in_transaction_session_timeout = 50"))
        time.sleep(0.3)
        conn.execute(sa.text("select 1"))

    store = await Store.open(postgres_server.fresh_database(), clock)
    try:
        with pytest.raises(RetryableError, match="idle-in-transaction timeout"):
            await store.database.write(paused)
        assert await store.get_id("x") is None
    finally:
        await store.close()
