"""What is done about runs from outside: stopping what is under way, notes for a running agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.core.actions import (
    ACTIONS,
    Action,
    CancelRuns,
    CheckHealth,
    MakePlan,
    NoteRun,
    RunTask,
    SyncStatus,
)
from bot.core.track import TRACKS, Track
from bot.engine.store import Commit, NewAction, Store
from bot.jobs.notes import Notes
from bot.jobs.queues import SERIAL, queue_of
from bot.jobs.runs import CancelRunsJob, NoteRunJob
from bot.ports import Engine
from tests.core.builders import NOW, a_task, a_track


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class _Engine:
    cancelled: list[str] = field(default_factory=list)

    async def cancel(self, ids: Sequence[str]) -> None:
        self.cancelled += ids


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield store
    await store.close()


async def ordered(store: Store, track: Track, *decisions: Sequence[Action]) -> None:
    """Commit decisions one after another; the id of an action says which one ordered it."""
    for version, actions in enumerate(decisions):
        await store.add_event(track.key, f"e{version}", {})
        new = tuple(
            NewAction(
                f"{version}:{a.kind}:{getattr(a, 'task', '')}", a.kind, ACTIONS.dump_python(a, mode="json")
            )
            for a in actions
        )
        state = TRACKS.dump_python(track, mode="json")
        assert await store.commit(
            Commit(
                track=track.key, event_id=f"e{version}", expected_version=version, state=state, actions=new
            )
        )


async def left(store: Store, track: Track) -> list[str]:
    return [row.id for row in await store.open_actions(track.key) if row.kind != "cancel_runs"]


@pytest.mark.parametrize("again", [CheckHealth(before="planning"), MakePlan(base_sha="a" * 40)])
async def test_what_was_ordered_after_a_stop_is_not_stopped_with_what_went_before(
    store: Store, again: Action
) -> None:
    track, engine, stop = a_track(), _Engine(), CancelRuns()
    await ordered(store, track, [again], [stop, SyncStatus()], [again])
    await CancelRunsJob(store, lambda: cast(Engine, engine))(track, stop)
    assert await left(store, track) == ["1:sync_status:", f"2:{again.kind}:"]
    assert engine.cancelled == [f"0:{again.kind}::1"]


async def test_of_two_stops_the_first_one_may_do_the_work_of_both(store: Store) -> None:
    runs = [RunTask(task="T-1", attempt=attempt, run=attempt) for attempt in (1, 2, 3)]
    track, engine, stop = a_track(), _Engine(), CancelRuns()
    await ordered(store, track, [runs[0]], [stop], [runs[1]], [stop], [runs[2]])
    for _ in range(2):
        await CancelRunsJob(store, lambda: cast(Engine, engine))(track, stop)
        assert await left(store, track) == ["4:run_task:T-1"]


async def test_only_the_runs_of_the_tasks_that_are_named_are_stopped(store: Store) -> None:
    first, second = (RunTask(task=id_, attempt=1, run=1) for id_ in ("T-1", "T-2"))
    track, engine, stop = a_track(), _Engine(), CancelRuns(tasks=("T-1",))
    await ordered(store, track, [first, second], [stop], [CancelRuns(tasks=("T-3",))])
    await CancelRunsJob(store, lambda: cast(Engine, engine))(track, stop)
    assert await left(store, track) == ["0:run_task:T-2"]


async def test_every_note_is_kept_once_in_its_order_for_the_run_that_it_is_meant_for(store: Store) -> None:
    first = a_task(state="running", attempt=1, run=1)
    later = a_task(state="running", attempt=1, run=2, mode="fix", from_sha="b" * 40)
    for key, note in (("1", "Faster."), ("2", "Smaller."), ("1", "Faster.")):
        await NoteRunJob(store)(a_track(first), NoteRun(task="T-1", note=note, key=key))
    assert await Notes(store, a_track(first), first).for_run() == [("1", "Faster."), ("2", "Smaller.")]
    assert await Notes(store, a_track(later), later).for_run() == []


async def test_a_note_reaches_the_run_that_follows_one_that_came_to_nothing(store: Store) -> None:
    async def told(**task: Any) -> list[str]:
        run = a_task(state="running", **task)
        return [note for _, note in await Notes(store, a_track(run), run).for_run()]

    async def noted(key: str, **task: Any) -> None:
        run = a_task(state="running", **task)
        await NoteRunJob(store)(a_track(run), NoteRun(task="T-1", note=key, key=key))

    await noted("first", attempt=1, run=1)
    assert await told(attempt=2, run=2) == ["first"], "the next attempt begins from nothing"
    assert await told(attempt=1, run=2, mode="fix", from_sha="b" * 40) == [], "its work is in the branch"
    await noted("second", attempt=1, run=2, mode="fix", from_sha="b" * 40)
    assert await told(attempt=1, run=3, mode="fix", from_sha="b" * 40) == ["second"], "the same again"
    assert await told(attempt=1, run=4, mode="fix", from_sha="c" * 40) == [], "it goes on from there"
    assert await told(attempt=3, run=5) == ["first", "second"]


def test_what_reads_before_it_writes_is_never_done_twice_at_once() -> None:
    assert {queue_of(kind) for kind in ("note_run", "report_backlog", "sync_status")} <= SERIAL


async def test_a_note_that_no_agent_heard_is_known_as_such_until_another_run_goes_on(store: Store) -> None:
    run = a_task(state="running", attempt=1, run=1, mode="fix", from_sha="b" * 40)
    notes = Notes(store, a_track(run), run)
    for key in ("heard", "late"):
        await notes.add(key, f"{key}!")
    await notes.heard("heard")
    assert await notes.unheard() == ("late!",)
    after = a_task(state="running", attempt=1, run=2, mode="fix", from_sha="c" * 40)
    assert await Notes(store, a_track(after), after).unheard() == ()


async def test_notes_of_an_earlier_version_are_read(store: Store) -> None:
    run = a_task(state="running", attempt=1, run=1)
    await store.put_id(f"{a_track(run).key}:T-1:notes", '[["comment-5", "Faster."]]')
    assert await Notes(store, a_track(run), run).for_run() == [("comment-5", "Faster.")]
