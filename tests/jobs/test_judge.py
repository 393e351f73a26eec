"""Judging a commit before anybody sees it: files outside the scope, and whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.core import leases
from bot.core.backlog import BacklogTask
from bot.core.config import NO_TEST, RepoConfig
from bot.core.track import TRACKS, Track
from bot.engine.store import Commit, Store
from bot.jobs.contract import Stop
from bot.jobs.judge import Judge, Made, Seen
from bot.jobs.verify import Verifier
from bot.ports import Mirror
from tests.core.builders import GOOD, NOW, SHA, a_task, a_track


class _Clock:
    def now(self) -> datetime:
        return NOW


class _Mirror:
    """A commit that changes these files."""

    def __init__(self, changed: Sequence[str]) -> None:
        self._changed = changed

    async def diff_stat(self, *_: str) -> list[tuple[str, int, int]]:
        return [(path, 1, 0) for path in self._changed]

    async def read_many(self, *_: object) -> Mapping[str, bytes]:
        return {}

    async def files(self, _sha: str) -> list[object]:
        return []


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield made
    await made.close()


async def keep(store: Store, track: Track) -> None:
    await store.add_event(track.key, f"seed-{track.id}", {})
    state = TRACKS.dump_python(track, mode="json")
    assert await store.commit(
        Commit(
            track=track.key,
            event_id=f"seed-{track.id}",
            expected_version=0,
            state=state,
            open=True,
            leases=leases.held(track),
        )
    )


RUNNING = a_task("T-1", state="running", scope=("a.py",))


def a_working_track(*others: Any, **config: Any) -> Track:
    return a_track(RUNNING, *others, config=RepoConfig(test=NO_TEST, **config))


async def judged(store: Store, track: Track, changed: Sequence[str] = ("a.py", "b.py")) -> Made:
    written = cast(BacklogTask, GOOD.backlog and GOOD.backlog.tasks[0])
    seen = Seen(cast(Mirror, _Mirror(changed)), written)
    made = Made(sha=SHA, tip=SHA, base=SHA)
    return await Judge(cast(Verifier, None), store).judged(track, RUNNING, made, seen)


async def test_a_file_outside_the_scope_that_nobody_holds_is_taken(store: Store) -> None:
    await keep(store, a_working_track(a_task("T-2", scope=("b.py",))))
    made = await judged(store, a_working_track())
    assert (made.outside, made.situation) == (("b.py",), None)


async def test_a_file_that_a_sibling_began_to_work_on_meanwhile_stops_the_attempt(store: Store) -> None:
    await keep(store, a_working_track(a_task("T-2", state="running", scope=("b.py",))))
    with pytest.raises(Stop, match="while issue-12/T-2 holds some of them"):
        await judged(store, a_working_track())


async def test_a_file_that_another_track_holds_stops_the_attempt_unless_work_may_overlap(
    store: Store,
) -> None:
    other = a_task("T-7", state="in_review", pull=4, scope=("b.py",))
    await keep(store, a_track(other, id="issue-3", issue=3))
    with pytest.raises(Stop, match="while issue-3/T-7 holds some of them"):
        await judged(store, a_working_track())
    assert (await judged(store, a_working_track(overlap="allow"))).outside == ("b.py",)


async def test_any_file_outside_the_scope_stops_the_attempt_where_the_settings_want_that(
    store: Store,
) -> None:
    with pytest.raises(Stop, match=r"outside its scope: `b\.py`"):
        await judged(store, a_working_track(outside_scope="stop"))


async def test_files_that_the_settings_protect_stop_what_changed_them(store: Store) -> None:
    made = await judged(store, a_working_track(protected_paths=("b.*",)))
    assert made.situation is not None
    assert made.situation.protected == ("b.py",)
    assert made.text == "it changed protected files: `b.py`"
