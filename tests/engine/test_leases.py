"""Leases: no two tracks of a repository hold a path at once, and who waits hears of it, whoever is at work."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from bot.core.leases import Lease
from bot.engine.store import Commit, Store
from bot.ports import JsonDict
from tests.engine.conftest import Place, SettableClock
from tests.engine.lease_child import work

ROOT = Path(__file__).resolve().parents[2]
ONE, TWO, THREE = "7/issue-1", "7/issue-2", "7/issue-3"
FREED: JsonDict = {"kind": "freed"}


def lease(track: str, *paths: str, task: str = "T-1") -> Lease:
    return Lease(f"{track.partition('/')[2]}/{task}", paths)


async def save(store: Store, track: str, *leases: Lease, **changes: object) -> bool:
    """Commit a track that holds these leases, decided on the newest ones unless `leases_seen` says otherwise."""
    stored = await store.load(track)
    version = stored.version if stored else 0
    event = f"{track}:{version}"
    await store.add_event(track, event, {})
    seen = (await store.others_leases(track)).version
    values: dict[str, object] = {"state": {"n": version}, "status": "working", "leases_seen": seen, **changes}
    return await store.commit(Commit(track, event, version, leases=leases, freed=FREED, **values))  # type: ignore[arg-type]


async def heard(store: Store, track: str) -> list[JsonDict]:
    """Give what a track was told and has not looked at."""
    query = sa.text("select event from track_events where track = :track and state = 'new' order by seq")
    rows = await store.database.read(lambda conn: list(conn.execute(query, {"track": track}).scalars()))
    return [row if isinstance(row, dict) else json.loads(row) for row in rows]


async def test_a_track_sees_what_the_others_of_its_repository_hold(store: Store) -> None:
    assert (await store.others_leases(ONE)).leases == ()
    await save(store, ONE, lease(ONE, "a.py", "b/"), lease(ONE, "c.py", task="T-2"))
    await save(store, "8/issue-1", lease("8/issue-1", "other.py"))
    assert (await store.others_leases(TWO)).leases == (
        Lease("issue-1/T-1", ("a.py", "b/")),
        Lease("issue-1/T-2", ("c.py",)),
    )
    assert (await store.others_leases(ONE)).leases == ()
    await save(store, ONE, lease(ONE, "a.py"))
    assert (await store.others_leases(TWO)).leases == (Lease("issue-1/T-1", ("a.py",)),)
    await save(store, ONE, open=False)
    assert (await store.others_leases(TWO)).leases == ()


async def test_a_decision_that_takes_paths_is_refused_where_leases_changed_meanwhile(store: Store) -> None:
    seen = (await store.others_leases(TWO)).version
    assert await save(store, ONE, lease(ONE, "a.py"))
    assert not await save(store, TWO, lease(TWO, "a.py"), leases_seen=seen)
    assert await store.load(TWO) is None
    assert (await store.others_leases(ONE)).leases == ()
    assert await save(store, TWO, lease(TWO, "b.py"))


async def test_what_takes_nothing_is_stored_whatever_others_take(store: Store) -> None:
    await save(store, ONE, lease(ONE, "a.py", "b.py"))
    await save(store, TWO, lease(TWO, "c.py"))
    assert await save(store, ONE, lease(ONE, "a.py", "b.py"), leases_seen=0)  # the same
    assert await save(store, ONE, lease(ONE, "a.py"), leases_seen=0)  # fewer
    assert not await save(store, ONE, lease(ONE, "a.py", "d.py"), leases_seen=0)  # more
    assert await save(store, ONE, leases_seen=0)


async def test_who_waits_is_told_once_when_paths_are_given_back(store: Store) -> None:
    await save(store, ONE, lease(ONE, "a.py", "b.py"))
    await save(store, TWO, waits=True)
    await save(store, THREE)
    await save(store, "8/issue-2", waits=True)
    await save(store, ONE, lease(ONE, "a.py", "b.py"))
    assert await heard(store, TWO) == []
    await save(store, ONE, lease(ONE, "a.py"))
    await save(store, ONE)
    assert await heard(store, TWO) == [FREED, FREED]
    assert await heard(store, THREE) == await heard(store, "8/issue-2") == await heard(store, ONE) == []


async def test_who_waits_no_more_is_not_told(store: Store) -> None:
    await save(store, ONE, lease(ONE, "a.py"))
    await save(store, TWO, waits=True)
    await save(store, TWO)
    await save(store, ONE)
    assert await heard(store, TWO) == []


async def test_nobody_begins_to_wait_for_what_was_given_back_meanwhile(store: Store) -> None:
    await save(store, ONE, lease(ONE, "a.py"))
    seen = (await store.others_leases(TWO)).version
    await save(store, ONE)
    assert not await save(store, TWO, waits=True, leases_seen=seen)
    await save(store, ONE, lease(ONE, "a.py"))
    assert await save(store, TWO, waits=True)
    seen = (await store.others_leases(TWO)).version
    await save(store, ONE)
    # It waits already, so it was told; deciding about something else needs nothing new.
    assert await save(store, TWO, waits=True, leases_seen=seen)
    assert await heard(store, TWO) == [FREED]


async def test_of_many_that_take_at_once_one_gets_it(
    store: Store, place: Place, clock: SettableClock
) -> None:
    other = await Store.open(place.store_url, clock)
    try:
        for turn in range(5):
            path, tracks = f"{turn}.py", [f"7/issue-{turn}{n}" for n in range(8)]
            won = await asyncio.gather(
                *(
                    save((store, other)[n % 2], track, lease(track, path), leases_seen=turn)
                    for n, track in enumerate(tracks)
                )
            )
            assert Counter(won) == {True: 1, False: 7}
    finally:
        await other.close()


def overlapping(effects: Path) -> int:
    """Count how often a path was held by two at once, as the one file that all processes append to tells it."""
    inside: Counter[str] = Counter()
    found = 0
    for line in effects.read_text().splitlines():
        one = json.loads(line)
        inside[one["path"]] += 1 if one["what"] == "begin" else -1
        found += inside[one["path"]] > 1
    return found


async def test_processes_that_want_the_same_paths_hold_them_one_after_the_other(
    place: Place, store: Store, tmp_path: Path
) -> None:
    effects = tmp_path / "effects"
    shares = [{f"7/issue-{n}{m}": f"{m % 2}.py" for m in range(4)} for n in range(3)]
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.engine.lease_child",
                place.store_url,
                str(effects),
                json.dumps(share),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for share in shares
    ]
    try:
        assert [await asyncio.to_thread(child.wait, 100) for child in children] == [0, 0, 0]
    finally:
        for child in children:
            child.kill()
    assert len(effects.read_text().splitlines()) == 2 * 12
    assert overlapping(effects) == 0
    assert (await store.others_leases(ONE)).leases == ()


async def test_the_version_is_what_keeps_them_apart(place: Place, store: Store, tmp_path: Path) -> None:
    seen = []
    for attempt in range(12):  # that two meet is a matter of chance, so they get several
        effects = tmp_path / f"effects{attempt}"
        tracks = {f"{7 + attempt}/issue-{n}": "a.py" for n in range(8)}
        await work(place.store_url, str(effects), tracks, checks=False)
        seen.append(overlapping(effects))
        if seen[-1]:
            break
    assert seen[-1] > 0, seen


async def test_a_look_at_leases_is_led_to_the_repositorys_own(tmp_path: Path, clock: SettableClock) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    try:
        plan = sa.text("explain query plan select * from leases where repo_id = 7 and track != 'x'")
        [step] = await store.database.read(lambda conn: [row[-1] for row in conn.execute(plan)])
        assert step.startswith("SEARCH leases")
        assert "repo_id=?" in step
    finally:
        await store.close()
