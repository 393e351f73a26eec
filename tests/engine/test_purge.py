"""What ended tracks leave behind goes after its time, and nothing that has to be known again goes with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog

from bot.core.values import Identity, Repo
from bot.engine.firsts import note_look
from bot.engine.store import Commit, Delivery, NewAction, Store, TrackEvent
from bot.git.worktrees import WorktreeManager
from bot.jobs.housekeeping import Housekeeper
from bot.jobs.layers import Layers
from bot.sandbox import NoSandbox
from tests.engine.conftest import SettableClock

OLD, NEW, OPEN = "7/issue-1", "7/issue-2", "7/issue-3"
TABLES = ("inbox", "track_events", "outbox", "sessions", "tracks", "track_keys")


async def lived(store: Store, track: str, clock: SettableClock, *, over: bool) -> None:
    """Let a track have one delivery, one action that is done, and one session."""
    id_ = f"d-{track}"
    await store.add_delivery(Delivery(id_, "issues", {"X-Some": "header"}, b"the body", clock.now()))
    await store.route(id_, [TrackEvent(track, f"{id_}/{track}", {})])
    await store.commit(Commit(track, f"{id_}/{track}", 0, {}, "x", True, ("issue:1",), (NewAction(f"a-{track}", "x", {}),)))  # fmt: skip
    await store.finish_action(f"a-{track}", None)
    await store.session_opened(f"s-{track}", "coder", track, "T-1", {})
    await store.session_deleted(f"s-{track}", {})
    await store.add_event(track, f"end-{track}", {})
    await store.commit(Commit(track, f"end-{track}", 1, {}, "done" if over else "working", not over, ("issue:1",)))  # fmt: skip


async def rows(store: Store) -> dict[str, int]:
    def count(conn: sa.Connection) -> dict[str, int]:
        return {name: int(conn.scalar(sa.text(f"select count(*) from {name}")) or 0) for name in TABLES}

    return await store.database.read(count)


async def test_only_what_ended_long_ago_is_forgotten_and_known_ids_are_kept(
    store: Store, clock: SettableClock, tmp_path: Path
) -> None:
    for track in (OLD, OPEN):
        await lived(store, track, clock, over=track == OLD)
    clock.forward(days=60)
    await lived(store, NEW, clock, over=True)
    before = await rows(store)
    keeper = Housekeeper(
        store,
        WorktreeManager(tmp_path / "data", NoSandbox(allowed=True)),
        clock,
        timedelta(days=90),
        Layers(tmp_path / "layers", 1 << 30),
    )
    assert await keeper.tidy() == (0, 0)
    assert await rows(store) == before

    clock.forward(days=40)
    # Two events, one action and one session of the ended track; the bodies of two old deliveries.
    assert await keeper.tidy() == (0, 6)
    assert await rows(store) == {**before, "track_events": 4, "outbox": 2, "sessions": 2}
    assert await keeper.tidy() == (0, 0)
    for track in (OLD, NEW, OPEN):
        assert not await store.add_delivery(Delivery(f"d-{track}", "issues", {}, b"again", clock.now()))
        assert await store.load(track) is not None
    assert await store.tracks_by_key(7, "issue:1") == [OLD, NEW, OPEN]
    assert [len(await store.sessions(track)) for track in (OLD, NEW, OPEN)] == [0, 1, 1]


async def test_mirrors_are_packed_and_one_that_cannot_be_is_named(
    clock: SettableClock, tmp_path: Path
) -> None:
    (tmp_path / "data/mirrors/1.git").mkdir(parents=True)  # no repository
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    try:
        with structlog.testing.capture_logs() as logged:
            keeper = Housekeeper(
                store,
                WorktreeManager(tmp_path / "data", NoSandbox(allowed=True)),
                clock,
                timedelta(days=90),
                Layers(tmp_path / "layers", 1 << 30),
            )
            assert await keeper.tidy() == (0, 0)
    finally:
        await store.close()
    [said] = [entry["error"] for entry in logged if entry["event"] == "mirror_not_packed"]
    assert said.startswith("1.git: The mirror 1.git was tampered with")


async def test_what_is_still_to_be_done_is_never_forgotten(
    store: Store, clock: SettableClock, tmp_path: Path
) -> None:
    await lived(store, OLD, clock, over=True)
    await store.session_opened("left", "coder", OLD, "T-1", {})
    await store.add_event(OLD, "late", {})
    clock.forward(days=1000)
    await Housekeeper(
        store,
        WorktreeManager(tmp_path / "data", NoSandbox(allowed=True)),
        clock,
        timedelta(days=90),
        Layers(tmp_path / "layers", 1 << 30),
    ).tidy()
    assert [session.id for session in await store.open_sessions()] == ["left"]
    event = await store.next_event(OLD)
    assert event is not None
    assert event.id == "late"


async def test_the_commits_of_ended_tracks_are_let_go_of(
    store: Store, clock: SettableClock, tmp_path: Path
) -> None:
    await lived(store, OLD, clock, over=True)
    await lived(store, replace_id(OLD, "issue-1-r2"), clock, over=False)
    manager = WorktreeManager(tmp_path / "data", NoSandbox(allowed=True))
    mirror = await manager.mirror(Repo(7, "acme", "greet", "main", True))
    tree = await mirror.write_tree(EMPTY, {"a": b"1"})
    sha = await mirror.commit_tree(tree, (), "One", Identity("Dana", "dana@example.invalid"), clock.now())
    names = (
        "backlog/{}",
        "record/{}",
        "tasks/{}/T-1-a1",
        "revised/{}/99",
        "tasks/7-{}-T-1",
        "tasks/7-{}-plan",
    )
    for id_ in ("issue-1", "issue-1-r2", "issue-11"):
        for name in names:
            await mirror.anchor(name.format(id_), sha)
    keeper = Housekeeper(store, manager, clock, timedelta(days=90), Layers(tmp_path / "layers", 1 << 30))
    assert (await keeper.tidy())[0] == len(names)
    left = (mirror.git_dir / "refs/gitwright").rglob("*")
    found = sorted(
        str(path.relative_to(mirror.git_dir / "refs/gitwright")) for path in left if path.is_file()
    )
    assert found == sorted(name.format(id_) for id_ in ("issue-1-r2", "issue-11") for name in names)
    assert (await keeper.tidy())[0] == 0


EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def replace_id(key: str, id_: str) -> str:
    return f"{key.partition('/')[0]}/{id_}"


async def test_the_small_ids_of_ended_tracks_go_but_for_those_that_are_asked_for_later(
    store: Store, clock: SettableClock
) -> None:
    kept = ("status", "status-sha256", "learned:T-1-a1")
    gone = ("T-1-a1-r1:made", "status:begun", "T-1:check", "T-1:notes", "revised:5", "limited")
    for track in (OLD, OPEN):
        await lived(store, track, clock, over=track == OLD)
        for name in (*kept, *gone):
            await store.put_id(f"{track}:{name}", "x")
        await store.put_id(f"drain:{track}", "4.1")
    await note_look(store, 7, 1, ours=False)
    await note_look(store, 7, 9, ours=True)
    others = {"7:recalled", "7/1:label", "7:label:agent:done", "recalled", "reconcile:last", "7/9:recalled"}
    for name in others - {"7/9:recalled"}:
        await store.put_id(name, "asked")
    clock.forward(days=1)
    await note_look(store, 7, 3, ours=False)
    before = await ids(store)
    await store.purge(clock.now() - timedelta(days=2))
    assert await ids(store) == before
    await store.purge(clock.now() - timedelta(hours=1))
    wanted = {f"{OLD}:{name}" for name in kept} | {f"{OPEN}:{name}" for name in (*kept, *gone)}
    assert await ids(store) == wanted | {f"drain:{OPEN}", "7/3:recalled"} | others


async def ids(store: Store) -> set[str]:
    return await store.database.read(
        lambda conn: set(conn.execute(sa.text("select key from ids")).scalars().all())
    )
