"""The lease on PostgreSQL: only the dead are taken over, by one process, and not for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import pytest

from bot.engine.database import parse_url
from bot.engine.dbos_engine import DbosEngine
from bot.engine.lease import MAX_RECLAIMS, Lease
from tests.engine.conftest import RealClock
from tests.engine.postgres import PostgresServer

# Long, since a lease that cannot be renewed ends the process, and this one is the test run itself.
TTL = 400.0
EVERY = 0.1


@dataclass
class ListedJobs:
    """Jobs marked as running, as several processes see them."""

    by_executor: dict[str, dict[str, str]] = field(default_factory=dict)
    resumed: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def executors(self) -> set[str]:
        return {executor for executor, jobs in self.by_executor.items() if jobs}

    def running(self, executor: str) -> Mapping[str, str]:
        return dict(self.by_executor.get(executor, {}))

    def resume(self, queue: str, ids: Sequence[str]) -> None:
        with self.mutex:
            self.resumed += [(queue, id_) for id_ in sorted(ids)]
            self._gone(ids)

    def give_up(self, ids: Sequence[str]) -> None:
        with self.mutex:
            self.given_up += ids
            self._gone(ids)

    def _gone(self, ids: Sequence[str]) -> None:
        for jobs in self.by_executor.values():
            for id_ in ids:
                jobs.pop(id_, None)


@contextmanager
def held(url: str, name: str, jobs: ListedJobs) -> Iterator[Lease]:
    lease = Lease(parse_url(url), name, TTL, jobs, EVERY)
    lease.take()
    lease.watch()
    try:
        yield lease
    finally:
        lease.end()
        lease.release(jobs)


def leases(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        return {row[0] for row in conn.execute("select executor_id from gitwright_lease").fetchall()}


def lease_until(url: str) -> datetime:
    """Give the end of the lease that ends first."""
    with psycopg.connect(url) as conn:
        row = conn.execute("select min(lease_until) from gitwright_lease").fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def with_dead(url: str, name: str, left: float = -1.0) -> None:
    """Leave the row of a process that died, whose lease has `left` seconds."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "insert into gitwright_lease values (%s, now() + %s * interval '1 second')", (name, left)
        )


def until(reached: object, seconds: float = 60.0) -> None:
    assert callable(reached)
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_dead_processs_jobs_go_back_to_their_queues_and_its_row_goes(postgres_url: str) -> None:
    jobs = ListedJobs({"dead": {"j1": "tracks", "j2": "work", "j3": "tracks"}})
    with held(postgres_url, "alive", jobs):
        with_dead(postgres_url, "dead")
        until(lambda: leases(postgres_url) == {"alive"})
        assert sorted(jobs.resumed) == [("tracks", "j1"), ("tracks", "j3"), ("work", "j2")]
    assert leases(postgres_url) == set()


def test_of_several_processes_one_takes_a_dead_ones_jobs(postgres_url: str) -> None:
    jobs = ListedJobs()
    with held(postgres_url, "a", jobs), held(postgres_url, "b", jobs), held(postgres_url, "c", jobs):
        # First the lease, as a process takes it before its jobs: who has none is a stray, whose jobs are taken at once.
        with_dead(postgres_url, "dead", left=0.5)
        jobs.by_executor["dead"] = {f"j{n}": "work" for n in range(20)}
        until(lambda: not jobs.executors() and leases(postgres_url) == {"a", "b", "c"})
    assert len(jobs.resumed) == 20


def test_a_process_that_renews_its_lease_keeps_its_jobs(postgres_url: str) -> None:
    jobs = ListedJobs({"a": {"j1": "work"}})
    with held(postgres_url, "a", jobs), held(postgres_url, "b", jobs):
        first = lease_until(postgres_url)
        until(lambda: lease_until(postgres_url) > first)
        assert leases(postgres_url) == {"a", "b"}
        assert jobs.resumed == []


def test_jobs_of_a_process_without_any_lease_are_taken_over_too(postgres_url: str) -> None:
    jobs = ListedJobs({"stray": {"j1": "work"}})
    with held(postgres_url, "alive", jobs):
        until(lambda: jobs.resumed == [("work", "j1")])


def test_a_process_that_ends_gives_its_own_jobs_back(postgres_url: str) -> None:
    jobs = ListedJobs({"me": {"j1": "work"}})
    with held(postgres_url, "me", jobs):
        pass
    assert jobs.resumed == [("work", "j1")]


def test_a_job_that_keeps_killing_its_process_is_given_up(postgres_url: str) -> None:
    jobs = ListedJobs()
    with held(postgres_url, "alive", jobs):
        for n in range(MAX_RECLAIMS + 1):
            jobs.by_executor[f"dead{n}"] = {"poison": "work"}
            with_dead(postgres_url, f"dead{n}")
            until(lambda: leases(postgres_url) == {"alive"} and not jobs.executors())
    assert jobs.resumed == [("work", "poison")] * MAX_RECLAIMS
    assert jobs.given_up == ["poison"]


def test_a_lease_survives_a_connection_that_is_cut(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    jobs = ListedJobs()
    name = str(parse_url(postgres_url).database)
    with held(postgres_url, "alive", jobs):
        with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as conn:
            cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = %s"
            until(lambda: conn.execute(cut, (name,)).fetchone() != (0,))
        after = lease_until(postgres_url)
        until(lambda: lease_until(postgres_url) > after)


async def test_an_engine_whose_database_is_gone_stops_all_the_same(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.fresh_database()
    engine = DbosEngine(url, {}, {"tracks": 1}, RealClock())
    await engine.start()
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as conn:
        conn.execute(f'drop database "{parse_url(url).database}" with (force)'.encode())
    try:
        async with asyncio.timeout(60):
            await engine.stop(0)
        assert "lease_not_released" in caplog.text
        await engine.stop(0)
    finally:
        # A thread of DBOS that was in the middle of a call tries until there is a database again.
        with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as conn:
            conn.execute(f'create database "{parse_url(url).database}"'.encode())
