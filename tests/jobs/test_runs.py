"""What is done about runs from outside: notes for a running agent."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bot.core.actions import NoteRun
from bot.engine.store import Store
from bot.jobs.queues import SERIAL, queue_of
from bot.jobs.runs import NoteRunJob, read_notes
from tests.core.builders import NOW, a_task, a_track


class _Clock:
    def now(self) -> datetime:
        return NOW


async def test_every_note_is_kept_once_in_its_order_for_the_run_that_it_is_meant_for(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    first, later = a_task(state="running", attempt=1, run=1), a_task(state="running", attempt=1, run=2)
    for key, note in (("1", "Faster."), ("2", "Smaller."), ("1", "Faster.")):
        await NoteRunJob(store)(a_track(first), NoteRun(task="T-1", note=note, key=key))
    assert await read_notes(store, a_track(first), first) == [("1", "Faster."), ("2", "Smaller.")]
    assert await read_notes(store, a_track(later), later) == []
    await store.close()


def test_what_reads_before_it_writes_is_never_done_twice_at_once() -> None:
    assert {queue_of(kind) for kind in ("note_run", "report_backlog", "sync_status")} <= SERIAL
