"""Owns the lease of a process on PostgreSQL: who lives, who takes a dead one's jobs over, and when to stop oneself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa

log = logging.getLogger(__name__)

LOST_LEASE_EXIT = 70
MAX_RECLAIMS = 5
_WATCH_SECONDS = 0.05
# At the end: for each of three threads, of which one that waits for the database is left, and for the last words.
_JOIN_SECONDS, _RELEASE_SECONDS = 1.0, 3.0
_DDL_LOCK = 0x67697478
_TABLES = """
create table if not exists gitwright_lease (
    executor_id text primary key,
    lease_until timestamptz not null);
create table if not exists gitwright_reclaims (
    job text primary key,
    count integer not null,
    at timestamptz not null default now())
"""
_EXTEND = "clock_timestamp() + make_interval(secs => %s)"


class Takeover(Protocol):
    """What the reaper may do with the engine's jobs; called from its own thread."""

    def executors(self) -> set[str]:
        """Name the processes that jobs are marked as running in."""

    def running(self, executor: str) -> Mapping[str, str]:
        """Give the jobs marked as running in a process, each with its queue."""

    def resume(self, queue: str, ids: Sequence[str]) -> None:
        """Queue these jobs again; an earlier owner can no longer record anything for them."""

    def give_up(self, ids: Sequence[str]) -> None:
        """Cancel these jobs."""


class Lease:
    """Kept alive by a thread of its own; a process that cannot renew it exits before anybody may take its jobs."""

    def __init__(
        self, url: sa.URL, executor: str, ttl: float, takeover: Takeover, every: float | None = None
    ) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._me = executor
        self._ttl = ttl
        self._every = every or ttl / 4
        self._takeover = takeover
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._renewed = _now()

    def take(self) -> None:
        """Write our row and keep it; comes before the engine's launch, so that no job of ours is without it."""
        with self._connect() as conn:
            conn.execute("select pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
            conn.execute(_TABLES)
            began = _now()
            conn.execute(f"insert into gitwright_lease values (%s, {_EXTEND})", (self._me, self._ttl))  # noqa: S608
        self._renewed = began
        self._spawn(self._renew, "lease-renew")
        self._spawn(self._watchdog, "lease-watchdog")

    def watch(self) -> None:
        """Begin to take over from the dead; comes after the engine's launch."""
        self._spawn(self._reap, "lease-reap")

    def end(self) -> None:
        """Keep the row no longer, and take nothing over any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=_JOIN_SECONDS)

    def release(self, takeover: Takeover) -> None:
        """Give our unfinished jobs back to their queues and the lease with them, where the database can be reached.

        Comes after `end`, and after the engine has ended: it would take from its queues what it just gave back.
        """
        try:
            with self._connect(within=_RELEASE_SECONDS) as conn:
                self._resume(takeover, takeover.running(self._me))
                conn.execute("delete from gitwright_lease where executor_id = %s", (self._me,))
        except (psycopg.Error, sa.exc.SQLAlchemyError) as error:
            # The jobs are taken over once the lease has run out; whoever stops has more to put away than this.
            log.warning("lease_not_released error=%s", error)

    def _renew(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        while not self._stop.wait(self._every):
            began = _now()
            try:
                conn = conn or self._connect(autocommit=True)
                renewed = conn.execute(
                    f"update gitwright_lease set lease_until = {_EXTEND} where executor_id = %s",  # noqa: S608
                    (self._ttl, self._me),
                ).rowcount
            except psycopg.Error as error:
                log.warning("lease_not_renewed error=%s", error)
                _close(conn)
                conn = None
                continue
            if renewed == 0 and not self._stop.is_set():
                _exit_now("another process has taken this one's jobs over")
            self._renewed = began
        _close(conn)

    def check(self) -> None:
        """End the process where the lease was not renewed in time."""
        if _now() - self._renewed > 0.75 * self._ttl:
            _exit_now(f"the lease could not be renewed for {0.75 * self._ttl:.1f} s")

    async def guard(self) -> None:
        """Check on the event loop too, for ever: after a freeze, its jobs would go on before a thread gets its turn."""
        # The timer is due before those of nearly all jobs; the signal comes before anything that the loop does.
        on_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGCONT, lambda _number, _frame: self.check()) if on_main else None
        try:
            while True:
                self.check()
                await asyncio.sleep(_WATCH_SECONDS)
        finally:
            if on_main:
                signal.signal(signal.SIGCONT, before)

    def _watchdog(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS):
            self.check()

    def _reap(self) -> None:
        while True:
            try:
                while self._reap_one():
                    pass
                self._reap_strays()
            # The thread must outlive whatever the database or the engine raises; the next round tries again.
            except Exception as error:  # noqa: BLE001
                log.warning("reaping_failed error=%s", error)
            if self._stop.wait(self._every):
                return

    def _reap_one(self) -> bool:
        """Take one dead process's jobs over; the row lock makes us the only one, and a crash here undoes it."""
        with self._connect() as conn:
            dead = conn.execute(
                "select executor_id from gitwright_lease where lease_until < clock_timestamp()"
                " and executor_id <> %s limit 1 for update skip locked",
                (self._me,),
            ).fetchone()
            if dead is None:
                return False
            self._take_over(conn, dead[0])
            conn.execute("delete from gitwright_lease where executor_id = %s", dead)
            conn.execute("delete from gitwright_reclaims where at < now() - interval '7 days'")
        return True

    def _reap_strays(self) -> None:
        """Take over jobs of processes without a lease, such as one that dequeued while its lease was being reaped."""
        # First who runs, then who has a lease: a process that has just begun is then never taken for a stray.
        running = self._takeover.executors() - {self._me}
        if not running:
            return
        with self._connect() as conn:
            conn.execute("select pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
            alive = {row[0] for row in conn.execute("select executor_id from gitwright_lease").fetchall()}
            for executor in sorted(running - alive):
                self._take_over(conn, executor)

    def _take_over(self, conn: psycopg.Connection[Any], executor: str) -> None:
        jobs = dict(self._takeover.running(executor))
        poisoned = [job for job in sorted(jobs) if self._count(conn, job) > MAX_RECLAIMS]
        if poisoned:
            log.error("jobs_given_up ids=%s reclaims=%s", poisoned, MAX_RECLAIMS)
            self._takeover.give_up(poisoned)
        self._resume(self._takeover, {job: queue for job, queue in jobs.items() if job not in poisoned})
        log.warning("jobs_taken_over executor=%s jobs=%s", executor, len(jobs))

    def _count(self, conn: psycopg.Connection[Any], job: str) -> int:
        row = conn.execute(
            "insert into gitwright_reclaims (job, count) values (%s, 1)"
            " on conflict (job) do update set count = gitwright_reclaims.count + 1, at = now() returning count",
            (job,),
        ).fetchone()
        return int(row[0]) if row else 0

    def _resume(self, takeover: Takeover, jobs: Mapping[str, str]) -> None:
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        for job, queue in jobs.items():
            by_queue[queue].append(job)
        for queue, ids in by_queue.items():
            takeover.resume(queue, ids)

    def _connect(self, *, autocommit: bool = False, within: float = 60.0) -> psycopg.Connection[Any]:
        seconds = max(1, int(min(self._ttl / 2, within)))
        conn = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=seconds)
        # A reaper that is frozen must not keep a dead process's row locked.
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            conn.execute(f"set {limit} = '{seconds}s'".encode())
        conn.autocommit = autocommit
        return conn

    def _spawn(self, target: Any, name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def _now() -> float:
    """Give seconds that also pass while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _exit_now(why: str) -> None:
    # No clean-up on purpose: whatever this process did from here on could happen twice.
    os.write(2, f"gitwright: {why}; this process ends now\n".encode())
    os._exit(LOST_LEASE_EXIT)


def _close(conn: psycopg.Connection[Any] | None) -> None:
    if conn is not None:
        conn.close()
