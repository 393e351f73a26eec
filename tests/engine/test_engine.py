"""The engine's contract, whatever engine stands behind the port: held on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from bot.engine.dbos_engine import DbosEngine
from bot.engine.work import JobFunction
from bot.errors import UserError
from bot.ports import JobStatus, JsonDict
from tests.engine.conftest import WAIT_SECONDS, Place, RealClock, until
from tests.engine.postgres import PostgresServer

LIMITS = {"tracks": 8, "jobs": 3}
POLL = 0.1


@dataclass
class Jobs:
    """Job functions that write down what happens to them."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    begun_at: dict[str, float] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def kinds(self) -> Mapping[str, JobFunction]:
        return {"note": self.note, "hold": self.hold, "fail": self.fail}

    async def note(self, args: JsonDict) -> None:
        group = str(args.get("group", "all"))
        self._begin(args)
        self.at_once[group] += 1
        self.peak[group] = max(self.peak[group], self.at_once[group])
        if args.get("gated"):
            await self.gate.wait()
        await asyncio.sleep(float(args.get("seconds", 0)))
        self.at_once[group] -= 1
        self.ended.append(str(args["name"]))

    async def hold(self, args: JsonDict) -> None:
        self._begin(args)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.interrupted.append(str(args["name"]))
            raise
        self.ended.append(str(args["name"]))

    async def fail(self, args: JsonDict) -> None:
        self._begin(args)
        raise ValueError("this job fails on purpose")

    def _begin(self, args: JsonDict) -> None:
        self.begun.append(str(args["name"]))
        self.begun_at[str(args["name"])] = time.monotonic()


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@asynccontextmanager
async def running(
    place: Place, jobs: Jobs, grace: float = 0.0, poll: float = POLL, **settings: object
) -> AsyncIterator[DbosEngine]:
    engine = DbosEngine(
        place.engine_url,
        jobs.kinds(),
        LIMITS,
        RealClock(),
        poll=poll,
        **settings,  # type: ignore[arg-type]
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop(grace)


@pytest.fixture
async def engine(place: Place, jobs: Jobs) -> AsyncIterator[DbosEngine]:
    async with running(place, jobs) as engine:
        yield engine


async def ends(engine: DbosEngine, id_: str, status: JobStatus) -> None:
    async def reached() -> bool:
        return await engine.status(id_) == status

    await until(reached)


async def test_a_job_runs_once_however_often_its_id_is_submitted(engine: DbosEngine, jobs: Jobs) -> None:
    assert await engine.status("j1") is None
    await asyncio.gather(*(engine.submit("note", "j1", {"name": "first"}, queue="jobs") for _ in range(5)))
    await ends(engine, "j1", "done")
    await engine.submit("note", "j1", {"name": "second"}, queue="jobs")
    await engine.submit("note", "j2", {"name": "other"}, queue="jobs")
    await ends(engine, "j2", "done")
    assert jobs.ended == ["first", "other"]


async def test_who_waits_for_a_slot_can_be_seen(engine: DbosEngine, jobs: Jobs) -> None:
    limit = LIMITS["jobs"]
    for n in range(limit + 2):
        await engine.submit("hold", f"h{n}", {"name": f"h{n}"}, queue="jobs")

    async def others_wait() -> bool:
        return len(jobs.begun) == limit and len(await engine.waiting()) == 2

    await until(others_wait)
    waiting = await engine.waiting()
    assert [(one.queue, one.ahead, one.limit) for one in waiting] == [("jobs", 0, limit), ("jobs", 1, limit)]
    assert {one.name for one in waiting} | set(jobs.begun) == {f"h{n}" for n in range(limit + 2)}
    jobs.gate.set()
    await until(lambda: len(jobs.ended) == limit + 2)
    assert await engine.waiting() == ()


async def test_a_finished_id_stays_finished_after_a_restart(place: Place, jobs: Jobs) -> None:
    async with running(place, jobs) as engine:
        await engine.submit("note", "j1", {"name": "a"}, queue="jobs")
        await ends(engine, "j1", "done")
    async with running(place, jobs) as engine:
        await engine.submit("note", "j1", {"name": "b"}, queue="jobs")
        assert await engine.status("j1") == "done"
    assert jobs.begun == ["a"]


async def test_jobs_of_one_track_run_one_after_another_in_order_and_tracks_side_by_side(
    engine: DbosEngine, jobs: Jobs
) -> None:
    for n in range(6):
        for track in ("x", "y"):
            args = {"name": f"{track}{n}", "group": track, "seconds": 0.03}
            await engine.submit("note", f"{track}{n}", args, queue="tracks", partition=track)
    await until(lambda: len(jobs.ended) == 12)
    for track in ("x", "y"):
        assert [name for name in jobs.begun if name[0] == track] == [f"{track}{n}" for n in range(6)]
        assert jobs.peak[track] == 1


async def test_a_queue_runs_as_many_jobs_at_once_as_its_limit_says(engine: DbosEngine, jobs: Jobs) -> None:
    for n in range(9):
        args = {"name": f"j{n}", "gated": True}
        await engine.submit("note", f"j{n}", args, queue="jobs", partition=f"p{n % 2}")
    await until(lambda: len(jobs.begun) >= LIMITS["jobs"])
    await asyncio.sleep(3 * POLL)  # one more would begin now
    jobs.gate.set()
    await until(lambda: len(jobs.ended) == 9)
    assert jobs.peak["all"] == LIMITS["jobs"]


async def test_a_full_queue_does_not_hold_up_another(engine: DbosEngine, jobs: Jobs) -> None:
    for n in range(5):
        await engine.submit("hold", f"h{n}", {"name": f"h{n}"}, queue="jobs")
    await until(lambda: len(jobs.begun) == LIMITS["jobs"])
    await engine.submit("note", "quick", {"name": "quick"}, queue="tracks", partition="t")
    await ends(engine, "quick", "done")
    assert [await engine.status(f"h{n}") for n in range(5)].count("waiting") == 2
    jobs.gate.set()
    await until(lambda: len(jobs.ended) == 6)


async def test_a_delayed_job_starts_after_its_delay(engine: DbosEngine, jobs: Jobs) -> None:
    began = time.monotonic()
    await engine.submit("note", "later", {"name": "later"}, queue="jobs", delay=600.0)
    await engine.submit("note", "late", {"name": "late"}, queue="jobs", delay=1.0)
    await engine.submit("note", "now", {"name": "now"}, queue="jobs")
    await ends(engine, "now", "done")
    await ends(engine, "late", "done")
    assert await engine.status("later") == "waiting"
    assert sorted(jobs.begun) == ["late", "now"]
    # DBOS's clock on Python 3.11 and SQLite counts whole seconds, but this delay is ours there.
    assert jobs.begun_at["late"] - began >= 0.95


async def test_a_job_that_takes_too_long_is_interrupted(engine: DbosEngine, jobs: Jobs) -> None:
    await engine.submit("hold", "slow", {"name": "slow"}, queue="jobs", timeout=0.3)
    await ends(engine, "slow", "cancelled")
    assert jobs.interrupted == ["slow"]
    assert jobs.ended == []


async def test_the_time_limit_does_not_count_waiting(engine: DbosEngine, jobs: Jobs) -> None:
    # The next only where the machine stood still for as long as the one before.
    for limit in (0.3, 3.0, 20.0):
        first, second = f"first-{limit}", f"second-{limit}"
        args = {"name": first, "seconds": 2 * limit}
        await engine.submit("note", first, args, queue="tracks", partition="t")
        await engine.submit("note", second, {"name": second}, queue="tracks", partition="t", timeout=limit)
        await over(engine, second)
        if await engine.status(second) == "done":
            break
    assert jobs.ended[-2:] == [first, second]


async def over(engine: DbosEngine, id_: str) -> None:
    async def reached() -> bool:
        return await engine.status(id_) in ("done", "failed", "cancelled")

    await until(reached)


async def test_a_cancelled_job_is_interrupted_and_frees_its_slot(engine: DbosEngine, jobs: Jobs) -> None:
    for n in range(4):
        await engine.submit("hold", f"h{n}", {"name": f"h{n}"}, queue="jobs")
    await until(lambda: len(jobs.begun) == 3)
    waiting = ({"h0", "h1", "h2", "h3"} - set(jobs.begun)).pop()
    victim = jobs.begun[0]
    await engine.cancel([victim, "never heard of"])
    await until(lambda: jobs.interrupted == [victim])
    assert await engine.status(victim) == "cancelled"
    await until(lambda: waiting in jobs.begun)
    await engine.cancel([])


async def test_a_job_that_waits_is_cancelled_before_it_begins(engine: DbosEngine, jobs: Jobs) -> None:
    await engine.submit("hold", "h", {"name": "h"}, queue="tracks", partition="t")
    await until(lambda: jobs.begun == ["h"])
    await engine.submit("note", "n", {"name": "n"}, queue="tracks", partition="t")
    await engine.cancel(["n"])
    assert await engine.status("n") == "cancelled"
    jobs.gate.set()
    await ends(engine, "h", "done")
    await engine.submit("note", "m", {"name": "m"}, queue="tracks", partition="t")
    await ends(engine, "m", "done")
    assert jobs.begun == ["h", "m"]


async def test_a_job_cancelled_in_the_moment_of_its_submission_does_not_stay(
    engine: DbosEngine, jobs: Jobs
) -> None:
    for n in range(5):
        await engine.submit("hold", f"h{n}", {"name": f"h{n}"}, queue="tracks", partition="t")
        await engine.cancel([f"h{n}"])
    await engine.submit("note", "next", {"name": "next"}, queue="tracks", partition="t")
    await ends(engine, "next", "done")
    assert [await engine.status(f"h{n}") for n in range(5)] == ["cancelled"] * 5
    assert sorted(jobs.interrupted) == sorted(name for name in jobs.begun if name != "next")


async def test_cancelling_a_finished_job_changes_nothing(engine: DbosEngine) -> None:
    await engine.submit("note", "n", {"name": "n"}, queue="jobs")
    await ends(engine, "n", "done")
    await engine.cancel(["n"])
    assert await engine.status("n") == "done"


async def test_a_job_that_raises_has_failed_and_the_log_says_so_once(
    engine: DbosEngine, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await engine.submit("fail", "f", {"name": "f"}, queue="jobs")
        await ends(engine, "f", "failed")
    # Others may tell of a slow machine.
    texts = {record: caplog.handler.format(record) for record in caplog.records}
    assert [each.name for each, text in texts.items() if "on purpose" in text] == ["bot.engine.work"]
    assert "id=f" in caplog.text


async def test_a_job_may_submit_others_and_they_live_on_their_own(place: Place) -> None:
    class Parent(Jobs):
        async def hold(self, args: JsonDict) -> None:
            for n in range(3):
                await started[0].submit("note", f"child{n}", {"name": f"child{n}"}, queue="jobs")
            submitted.set()
            await super().hold(args)

    parent = Parent()
    started: list[DbosEngine] = []
    submitted = asyncio.Event()
    async with running(place, parent) as engine:
        started.append(engine)
        await engine.submit("hold", "parent", {"name": "parent"}, queue="jobs")
        await asyncio.wait_for(submitted.wait(), WAIT_SECONDS)
        await engine.cancel(["parent"])
        await ends(engine, "parent", "cancelled")
        for n in range(3):
            await ends(engine, f"child{n}", "done")


async def test_a_submission_whose_caller_is_cancelled_strands_no_job(engine: DbosEngine, jobs: Jobs) -> None:
    for n in range(20):
        submission = asyncio.create_task(engine.submit("note", f"j{n}", {"name": f"j{n}"}, queue="jobs"))
        await asyncio.sleep(n * 0.0005)
        submission.cancel()
        await asyncio.wait({submission})
        await engine.submit("note", f"j{n}", {"name": f"j{n}"}, queue="jobs")
        await ends(engine, f"j{n}", "done")
    assert jobs.ended == [f"j{n}" for n in range(20)]


async def test_a_new_job_starts_soon(place: Place, engine: DbosEngine, jobs: Jobs) -> None:
    """On SQLite at once: DBOS polls its queues once a second, so a poll would cost half of that on average."""
    bound = 0.25 if place.backend == "sqlite" else 10 * POLL
    waits: list[float] = []
    deadline = time.monotonic() + 60
    # A machine may be busy for a while; but ten in a row, as starts that are late by themselves now and then are no better.
    while time.monotonic() < deadline and (len(waits) < 10 or max(waits[-10:]) >= bound):
        n, began = len(waits), time.monotonic()
        await engine.submit("note", f"j{n}", {"name": f"j{n}"}, queue="jobs")
        await until(lambda n=n: f"j{n}" in jobs.ended)  # type: ignore[misc]
        waits.append(jobs.begun_at[f"j{n}"] - began)
    assert max(waits[-10:]) < bound, waits


async def test_stopping_lets_a_running_job_end_within_the_grace(place: Place, jobs: Jobs) -> None:
    async with running(place, jobs, grace=60.0) as engine:
        await engine.submit("note", "n", {"name": "n", "seconds": 0.5}, queue="jobs")
        await until(lambda: jobs.begun == ["n"])
        began = time.monotonic()
    assert jobs.ended == ["n"]
    assert time.monotonic() - began < 60


async def test_stopping_interrupts_what_is_left_and_a_restart_goes_on_with_it(
    place: Place, jobs: Jobs
) -> None:
    async with running(place, jobs, grace=0.1) as engine:
        for n in range(5):
            await engine.submit("hold", f"h{n}", {"name": f"h{n}"}, queue="jobs")
        await until(lambda: len(jobs.begun) == 3)
    assert len(jobs.interrupted) == 3
    assert jobs.ended == []
    after = Jobs()
    after.gate.set()
    async with running(place, after) as engine:
        await until(lambda: len(after.ended) == 5)
        for n in range(5):
            await ends(engine, f"h{n}", "done")
    assert sorted(after.begun) == [f"h{n}" for n in range(5)]


async def test_what_a_stop_gives_back_is_not_taken_again_by_the_same_process(
    postgres_server: PostgresServer, launched_template: str, jobs: Jobs
) -> None:
    url = postgres_server.fresh_database(launched_template)
    place = Place("postgres", url, url)
    for turn in range(5):
        async with running(place, jobs, poll=0.001) as engine:
            for each in range(8):
                name = f"{turn}-{each}"
                await engine.submit("hold", name, {"name": name}, queue="tracks", partition=name)
            await until(lambda: len(jobs.begun) >= 8)
            jobs.begun.clear()
        with psycopg.connect(url) as conn:
            left = conn.execute("select executor_id from dbos.workflow_status where status = 'PENDING'")
            assert left.fetchall() == []


async def test_threads_of_the_loop_work_on_after_a_stop(place: Place, jobs: Jobs) -> None:
    async with running(place, jobs):
        assert await asyncio.to_thread(lambda: 1) == 1
    assert await asyncio.to_thread(lambda: 2) == 2


async def test_old_finished_jobs_are_forgotten(place: Place, jobs: Jobs) -> None:
    async with running(place, jobs) as engine:
        await engine.submit("note", "n", {"name": "n"}, queue="jobs")
        await engine.submit("hold", "h", {"name": "h"}, queue="jobs")
        await ends(engine, "n", "done")
        await until(lambda: "h" in jobs.begun)
    async with running(place, jobs, keep=timedelta(seconds=-60)) as engine:
        await until_none(engine, "n")
        assert await engine.status("h") in ("waiting", "running")


async def until_none(engine: DbosEngine, id_: str) -> None:
    async def gone() -> bool:
        return await engine.status(id_) is None

    await until(gone)


async def test_an_unknown_kind_or_queue_is_refused_at_once(engine: DbosEngine) -> None:
    with pytest.raises(ValueError, match="no kind 'nothing'"):
        await engine.submit("nothing", "n", {}, queue="jobs")
    with pytest.raises(ValueError, match="no queue 'nowhere'"):
        await engine.submit("note", "n", {}, queue="nowhere")


async def test_a_second_process_on_the_same_folder_is_turned_away(tmp_path: Path, jobs: Jobs) -> None:
    url = f"sqlite:///{tmp_path}/engine.sqlite"
    place = Place("sqlite", url, url)
    async with running(place, jobs) as engine:
        second = DbosEngine(url, jobs.kinds(), LIMITS, RealClock())
        with pytest.raises(UserError, match="Another Gitwright"):
            await second.start()
        await second.stop(0)
        await engine.submit("note", "n", {"name": "n"}, queue="jobs")
        await ends(engine, "n", "done")


async def test_a_lost_engine_database_is_made_anew(tmp_path: Path, jobs: Jobs) -> None:
    url = f"sqlite:///{tmp_path}/engine.sqlite"
    place = Place("sqlite", url, url)
    async with running(place, jobs) as engine:
        await engine.submit("note", "n", {"name": "n"}, queue="jobs")
        await ends(engine, "n", "done")
    for file in tmp_path.glob("engine.sqlite*"):
        file.unlink()
    async with running(place, jobs) as engine:
        assert await engine.status("n") is None
