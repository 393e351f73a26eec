"""Owns the jobs that run in this process: their slots, time limits and interruption; knows no database."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from bot.engine.pool import Place, WorkerPool
from bot.ports import Clock, JsonDict

log = logging.getLogger(__name__)

JobFunction = Callable[[JsonDict], Awaitable[None]]

# What a cancelled job is given to release its processes and folders before it is left behind.
CLEANUP_SECONDS = 4.0


class JobTimeoutError(Exception):
    """A job ran longer than it may."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the engine keeps it; `not_before` holds only where the engine's database cannot delay."""

    kind: str
    args: JsonDict
    queue: str
    partition: str | None = None
    timeout: float | None = None
    not_before: str | None = None

    def to_json(self) -> JsonDict:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class _Expected:
    """A job that was submitted and has not come yet; its place in the line is taken already."""

    place: Place | None
    called_off: bool = False


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    started: bool = False


class Work:
    """Runs job functions, each in a task that can be interrupted; `pool` None: the engine's queues hold the limits."""

    def __init__(self, kinds: Mapping[str, JobFunction], pool: WorkerPool | None, clock: Clock) -> None:
        self._kinds = kinds
        self._pool = pool
        self._clock = clock
        self._jobs: dict[str, _Running] = {}
        self._expected: dict[str, _Expected] = {}
        self._closing = False
        # Jobs must not inherit the engine's own context: what they submit would become its children.
        self._context = contextvars.copy_context()

    def expect(self, id_: str, job: Job) -> bool:
        """Take a job's place in its line now, since jobs need not come in the order they were submitted in.

        False where the job is here already. A job that does not come must be forgotten, else its line stands still.
        """
        if id_ in self._jobs or id_ in self._expected:
            return False
        # A delayed job joins its line when its time comes, or it would hold up those behind it.
        at_once = self._pool is not None and job.not_before is None
        self._expected[id_] = _Expected(self._join(id_, job) if at_once else None)
        return True

    def forget(self, id_: str) -> None:
        """Give up the place of a job that will not come."""
        expected = self._expected.pop(id_, None)
        if expected is not None and expected.place is not None:
            expected.place.leave()

    async def run(self, id_: str, job: Job) -> None:
        """Run a job to its end; CancelledError where it was interrupted, JobTimeoutError where it took too long."""
        expected = self._expected.get(id_)
        if self._closing or (expected is not None and expected.called_off):
            self.forget(id_)
            raise asyncio.CancelledError
        self._expected.pop(id_, None)
        place = expected.place if expected is not None else None
        body = self._in_slot(id_, job, place)
        task = asyncio.create_task(body, context=self._context.copy(), name=id_)
        self._jobs[id_] = _Running(task)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            if place is not None:
                place.leave()  # the task may have been cancelled before its first step
            del self._jobs[id_]
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, JobTimeoutError):
                log.error("job_failed id=%s kind=%s", id_, job.kind, exc_info=error)
            raise error
        if task.cancelled():
            raise asyncio.CancelledError

    async def _in_slot(self, id_: str, job: Job, place: Place | None) -> None:
        await self._until(job.not_before)
        async with place or self._join(id_, job) or nullcontext():
            self._jobs[id_].started = True
            limit = asyncio.timeout(job.timeout)
            try:
                async with limit:
                    await self._kinds[job.kind](job.args)
            except TimeoutError as error:
                if limit.expired():
                    raise JobTimeoutError(f"`{id_}` ran longer than {job.timeout} s") from error
                raise

    def _join(self, id_: str, job: Job) -> Place | None:
        return self._pool.join(job.queue, job.partition, id_) if self._pool is not None else None

    async def _until(self, when: str | None) -> None:
        if when is not None:
            await asyncio.sleep((datetime.fromisoformat(when) - self._clock.now()).total_seconds())

    def started(self, id_: str) -> bool:
        """Tell whether the job is past its slot."""
        job = self._jobs.get(id_)
        return job is not None and job.started

    def running(self) -> list[str]:
        """List the jobs of this process, those that wait for a slot too."""
        return list(self._jobs)

    def cancel(self, ids: Sequence[str]) -> None:
        """Interrupt those of these jobs that are here."""
        for id_ in ids:
            if job := self._jobs.get(id_):
                job.task.cancel()
            elif expected := self._expected.get(id_):
                expected.called_off = True

    async def stop(self, grace: float) -> list[str]:
        """Let started jobs go on for `grace` seconds, then interrupt them; names those that do not end even then."""
        self._closing = True
        self.cancel([id_ for id_, job in self._jobs.items() if not job.started])
        await self._ended(grace)
        self.cancel(self.running())
        await self._ended(CLEANUP_SECONDS)
        return self.running()

    async def _ended(self, seconds: float) -> None:
        if tasks := {job.task for job in self._jobs.values()}:
            await asyncio.wait(tasks, timeout=seconds)
        # The tasks that wait for these must still hear of it.
        await asyncio.sleep(0)
