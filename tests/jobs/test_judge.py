"""Judging a commit before anybody sees it: files outside the scope, and whose they are."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.core import leases
from bot.core.backlog import BacklogTask
from bot.core.config import NO_TEST, RepoConfig
from bot.core.policy import Refusal
from bot.core.track import TRACKS, Track
from bot.core.values import TreeChange, TreeFile
from bot.engine.store import Commit, Store
from bot.errors import RetryableError, SandboxError
from bot.jobs.carried import Finder
from bot.jobs.contract import Stop
from bot.jobs.judge import Judge, Made, Seen
from bot.jobs.verify import Verifier
from bot.live_secrets import LiveSecrets
from bot.ports import Mirror
from tests.core.builders import GOOD, NOW, SHA, a_task, a_track
from tests.jobs.finders import nowhere


class _Clock:
    def now(self) -> datetime:
        return NOW


class _Mirror:
    """A commit that changes these files."""

    def __init__(self, changed: Sequence[str], holds: bytes = b"", says: str = "") -> None:
        self._changed, self._holds, self._says = changed, holds, says

    async def diff_stat(self, *_: str) -> list[tuple[str, int, int]]:
        return [(path, 1, 0) for path in self._changed]

    async def changes(self, *_: str) -> list[TreeChange]:
        return [TreeChange(path, "100644", "100644", "a" * 40, "b" * 40) for path in self._changed]

    async def read_many(self, *_: object) -> Mapping[str, bytes]:
        return {}

    async def contents(self, files: Sequence[TreeFile]) -> Mapping[str, bytes]:
        return {file.path: self._holds for file in files if file.sha == SHA}

    async def message(self, _sha: str) -> str:
        return self._says

    async def files(self, sha: str) -> list[TreeFile]:
        return [TreeFile(path, "100644", sha, 1) for path in self._changed]


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


LIVE_ONE = "correct-horse-battery-staple"
RUNNING = a_task("T-1", state="running", scope=("a.py",))


def a_working_track(*others: Any, **config: Any) -> Track:
    return a_track(RUNNING, *others, config=RepoConfig(test=NO_TEST, **config))


async def judged(
    store: Store,
    track: Track,
    changed: Sequence[str] = ("a.py", "b.py"),
    holds: bytes = b"",
    says: str = "",
    said: str = "",
    elsewhere: Finder = nowhere,
    **parts: Any,
) -> Made:
    written = cast(BacklogTask, GOOD.backlog and GOOD.backlog.tasks[0])
    seen = Seen(cast(Mirror, _Mirror(changed, holds, says)), written)
    made = Made(sha=SHA, tip=SHA, base="b" * 40, said=said)
    judge = Judge(cast(Verifier, None), store, elsewhere, LiveSecrets([LIVE_ONE]), **parts)
    return await judge.judged(track, RUNNING, made, seen)


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
    assert made.details == "- `b.py`: the settings protect it"


async def test_build_files_that_the_contract_does_not_name_stop_what_changed_them_and_say_how_to_allow_it(
    store: Store,
) -> None:
    made = await judged(store, a_working_track(), ("a.py", "Makefile"))
    assert made.situation is not None
    assert made.situation.protected == ("Makefile",)
    assert made.details == (
        "- `Makefile`: builds and CI start from it\n\n"
        "Name these files in the scope of the task, on the default branch, and it may change them."
    )


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"holds": b"\0\1" + LIVE_ONE.encode()}, "a.py line 1"),
        ({"holds": base64.b64encode(b"x" + LIVE_ONE.encode())}, "a.py line 1"),
        ({"changed": ("a.py", f"docs/{LIVE_ONE[::-1]}.md")}, "the names of its files line 2"),
        ({"says": f"Work\n\n{LIVE_ONE}"}, "the commit's message line 3"),
        ({"said": f"I found {LIVE_ONE}!"}, "what the agent says line 1"),
    ],
)
async def test_no_way_of_carrying_a_live_secret_away_is_pushed(
    store: Store, given: dict[str, Any], where: str
) -> None:
    await keep(store, a_working_track())
    made = await judged(store, a_working_track(), **{"changed": ("a.py",), **given})
    assert made.situation is not None
    assert made.situation.secrets == (f"{where}: a secret of this bot itself",)
    assert LIVE_ONE not in f"{made.text}{made.details}{made.said}"


async def test_what_deserves_a_second_look_goes_with_the_work(store: Store) -> None:
    made = await judged(store, a_working_track(), ("a.py",), holds=b"eval(atob('eA=='))")
    assert made.situation is None
    assert made.look == ("`a.py` has text that is decoded and run, line 1",)


KEYS = b"a line of the App's key"


async def the_brokers(data: bytes) -> list[tuple[str, int]]:
    return [("n", at) for at in range(len(data)) if data.startswith(KEYS, at)]


@pytest.mark.parametrize(
    ("seen", "where"),
    [
        ({"holds": b"x\n\n" + KEYS}, "a.py line 3"),
        ({"says": f"Fix\n\n{KEYS.decode()}"}, "the commit's message line 3"),
        ({"said": KEYS.decode()}, "what the agent says line 1"),
        ({"changed": ("a.py", f"b/{KEYS.decode()}")}, "the names of its files line 2"),
    ],
)
async def test_a_secret_that_only_the_broker_knows_stops_the_push(
    store: Store, seen: dict[str, Any], where: str
) -> None:
    track = a_working_track()
    await keep(store, track)
    assert (await judged(store, track, **seen)).situation is None, "the control"
    made = await judged(store, track, **seen, elsewhere=the_brokers)
    assert made.situation is not None
    assert made.situation.secrets[0].startswith(where)


async def test_where_the_broker_does_not_tell_nothing_is_judged(store: Store) -> None:
    async def mute(_data: bytes) -> list[tuple[str, int]]:
        raise RetryableError("the broker does not say")

    track = a_working_track()
    await keep(store, track)
    with pytest.raises(
        SandboxError, match="does not say"
    ):  # tried again a few times only: an agent's run each
        await judged(store, track, elsewhere=mute)


async def test_looking_into_a_change_holds_nobody_up_and_ends(store: Store) -> None:
    track = a_working_track()
    await keep(store, track)
    seen = threading.Event()

    def slow(*_: object) -> tuple[Refusal, ...]:
        assert seen.wait(60), "the loop stood still"
        return ()

    asyncio.get_running_loop().call_later(0.05, seen.set)
    assert (await judged(store, track, protected=slow)).situation is None
    seen.clear()
    with pytest.raises(Stop, match=r"could not be looked into within 0\.1 seconds"):
        await judged(store, track, protected=slow, patience=0.1)
    seen.set()


async def test_who_waits_for_a_turn_is_not_too_large_and_a_turn_lasts_as_long_as_its_thread(
    store: Store,
) -> None:
    track = a_working_track()
    await keep(store, track)
    seen, turns = threading.Event(), asyncio.Semaphore(1)

    def slow(*_: object) -> tuple[Refusal, ...]:
        assert seen.wait(60), "the loop stood still"
        return ()

    with pytest.raises(Stop, match="too large"):
        await judged(store, track, protected=slow, patience=0.05, turns=turns)
    waiting = asyncio.create_task(judged(store, track, patience=60.0, turns=turns))
    await asyncio.sleep(0.2)
    assert turns.locked(), "the first one's thread goes on"
    assert not waiting.done()
    seen.set()
    assert (await waiting).situation is None

    for patience in (0.5, 10.0):  # which a busy machine may need for the look itself
        seen.clear()
        first = asyncio.create_task(judged(store, track, protected=slow, turns=turns))
        async with asyncio.timeout(60):
            while not turns.locked():
                await asyncio.sleep(0.01)
        second = asyncio.create_task(judged(store, track, patience=patience, turns=turns))
        await asyncio.sleep(patience + 0.3)
        seen.set()
        assert (await first).situation is None
        with suppress(Stop):
            assert (await second).situation is None
            return
    pytest.fail("who waited for a turn was said to be too large")
