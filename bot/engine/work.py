"""Owns the jobs that run in this process: their slots, time limits and interruption; knows no database."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

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
class _Line:
    """Who waits for one partition, counted so that an idle one is forgotten."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Slots:
    """Lets jobs in by queue, first come first served: `limits` at once, and one of a partition in serial queues."""

    def __init__(self, limits: Mapping[str, int], serial: Collection[str]) -> None:
        self._slots = {queue: asyncio.Semaphore(limit) for queue, limit in limits.items()}
        self._serial = serial
        self._lines: dict[tuple[str, str], _Line] = {}

    @asynccontextmanager
    async def slot(self, queue: str, partition: str | None) -> AsyncIterator[None]:
        """Hold a slot; the partition's turn comes first, so that those behind it take no slot while they wait."""
        serial = partition is not None and queue in self._serial
        async with self._turn(queue, partition or "") if serial else nullcontext(), self._slots[queue]:
            yield

    @asynccontextmanager
    async def _turn(self, queue: str, partition: str) -> AsyncIterator[None]:
        line = self._lines.setdefault((queue, partition), _Line())
        line.users += 1
        try:
            async with line.lock:
                yield
        finally:
            line.users -= 1
            if line.users == 0:
                del self._lines[queue, partition]


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    started: bool = False


class Work:
    """Runs job functions, each in a task that can be interrupted; `slots` None: the engine's queues hold the limits."""

    def __init__(self, kinds: Mapping[str, JobFunction], slots: Slots | None, clock: Clock) -> None:
        self._kinds = kinds
        self._slots = slots
        self._clock = clock
        self._jobs: dict[str, _Running] = {}
        self._closing = False
        # Jobs must not inherit the engine's own context: what they submit would become its children.
        self._context = contextvars.copy_context()

    async def run(self, id_: str, job: Job) -> None:
        """Run a job to its end; CancelledError where it was interrupted, JobTimeoutError where it took too long."""
        if self._closing:
            raise asyncio.CancelledError
        task = asyncio.create_task(self._in_slot(id_, job), context=self._context.copy(), name=id_)
        self._jobs[id_] = _Running(task)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            del self._jobs[id_]
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, JobTimeoutError):
                log.error("job_failed id=%s kind=%s", id_, job.kind, exc_info=error)
            raise error
        if task.cancelled():
            raise asyncio.CancelledError

    async def _in_slot(self, id_: str, job: Job) -> None:
        await self._until(job.not_before)
        async with self._slots.slot(job.queue, job.partition) if self._slots else nullcontext():
            self._jobs[id_].started = True
            limit = asyncio.timeout(job.timeout)
            try:
                async with limit:
                    await self._kinds[job.kind](job.args)
            except TimeoutError as error:
                if limit.expired():
                    raise JobTimeoutError(f"`{id_}` ran longer than {job.timeout} s") from error
                raise

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
