"""Owns the engine port on DBOS: the only module that knows DBOS."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)
from dbos import error as dbos_error

from bot.engine.database import IDLE_TRANSACTION_MS, parse_url
from bot.engine.dbos_sqlite import dispose, sqlite_engine
from bot.engine.lease import Lease
from bot.engine.lock import FileLock
from bot.engine.noise import quieten_dbos
from bot.engine.pool import Waiting, WorkerPool
from bot.engine.work import Job, JobFunction, JobTimeoutError, Work
from bot.ports import Clock, JobStatus, JsonDict

log = logging.getLogger(__name__)

THREADS = 32
# A job that was under way at this many starts of the process is given up; the runner then submits its next try.
MAX_RECOVERIES = 20
CANCEL_POLL_SECONDS = 1.0
_LISTENER_SECONDS = 0.2  # it finds nothing to do, and a stop waits for its sleep
PURGE_SECONDS = 3600.0
PURGE_BATCH = 1000
_APPLICATION = "gitwright"
_WORKFLOW = "gitwright_job"
_Workflow = Callable[[JsonDict], Coroutine[Any, Any, None]]
_STATUS: dict[str, JobStatus] = {
    "ENQUEUED": "waiting",
    "DELAYED": "waiting",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class DbosEngine:
    """Durable jobs by id. SQLite: one process, started at once where a slot is free. PostgreSQL: named queues and a lease.

    `limits` names the queues and how many jobs of each may run at once in this process; in a queue of `serial`,
    jobs of one partition never run at the same time, in any process. DBOS keeps one instance per process.
    """

    def __init__(
        self,
        database_url: str,
        kinds: Mapping[str, JobFunction],
        limits: Mapping[str, int],
        clock: Clock,
        *,
        serial: Collection[str] = frozenset({"tracks"}),
        poll: float = 0.2,
        lease_ttl: float = 30.0,
        keep: timedelta = timedelta(days=7),
    ) -> None:
        self._url = parse_url(database_url)
        self._kinds = kinds
        self._limits = limits
        self._clock = clock
        self._serial = serial
        self._poll = poll
        self._keep = keep
        self._embedded = self._url.get_backend_name() == "sqlite"
        self.executor_id = "local" if self._embedded else f"gitwright-{uuid.uuid4().hex}"
        self._lock = FileLock(Path(f"{self._url.database}.lock")) if self._embedded else None
        self._lease = (
            None if self._embedded else Lease(self._url, self.executor_id, lease_ttl, _Takeover(DBOS))
        )
        self._sqlite: sa.Engine | None = None
        self._pool: WorkerPool | None = None
        self._work: Work | None = None
        self._workflow: _Workflow = self._run
        self._context = contextvars.copy_context()
        self._chores: list[asyncio.Task[None]] = []
        self._starting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Launch; what a dead process left starts again. UserError where another process has the data directory."""
        quieten_dbos()
        if self._lock is not None:
            self._lock.take()
            self._sqlite = sqlite_engine(self._url)
        self._pool = WorkerPool(self._limits, self._serial) if self._embedded else None
        self._work = Work(self._kinds, self._pool, self._clock)
        try:
            await self._launch()
        except BaseException:
            await self.stop(0)
            raise
        self._chores.append(asyncio.create_task(self._purge()))

    async def _launch(self) -> None:
        if self._lease is not None:
            await asyncio.to_thread(self._lease.take)
            self._chores.append(asyncio.create_task(self._lease.guard()))
        DBOS(config=self._config())
        self._workflow = _register(self._run)
        # On the loop on purpose: DBOS runs dequeued jobs on the loop that launched it.
        DBOS.launch()
        if self._lease is None:
            return
        for queue, limit in self._limits.items():
            await DBOS.register_queue_async(
                queue,
                worker_concurrency=limit,
                partition_concurrency=1 if queue in self._serial else None,
                polling_interval_sec=self._poll,
                on_conflict="always_update",
            )
        self._lease.watch()
        self._chores.append(asyncio.create_task(self._notice_cancelled()))

    async def stop(self, grace: float) -> None:
        """Take no more, let running jobs go on for `grace` seconds, interrupt them; they start again after a restart."""
        if self._work is None:
            return
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores.clear()
        await asyncio.gather(*self._starting, return_exceptions=True)
        stuck = await self._work.stop(grace)  # what DBOS dequeues from now on is turned away
        if stuck:
            log.error("jobs_left_behind ids=%s", stuck)
        await _in_own_thread(self._shut_down)
        # DBOS had put its own threads under `asyncio.to_thread` of this loop, and they are gone now.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        self._work = None

    def _shut_down(self) -> None:
        if self._lease is not None:
            self._lease.end()
        DBOS.destroy(destroy_registry=True)
        if self._lease is not None:
            # Only now: what our jobs' queues hold again is dequeued by whoever still polls them.
            self._give_back(self._lease)
        if self._sqlite is not None:
            dispose(self._sqlite)
        if self._lock is not None:
            self._lock.release()

    def _give_back(self, lease: Lease) -> None:
        client = DBOSClient(
            system_database_url=self._url.render_as_string(hide_password=False),
            serializer=DBOSPortableJSONSerializer(),
            system_database_pool_size=1,
            application_name=_APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )
        try:
            lease.release(_Takeover(client))
        finally:
            client.destroy()

    async def submit(
        self,
        kind: str,
        id_: str,
        args: JsonDict,
        *,
        queue: str,
        partition: str | None = None,
        delay: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Have the job run once; an id that is known already is left alone. Seconds; a timed-out job is `cancelled`."""
        if kind not in self._kinds or queue not in self._limits:
            raise ValueError(f"no kind {kind!r} or no queue {queue!r}")
        if self._embedded:
            due = None if delay is None else (self._clock.now() + timedelta(seconds=delay)).isoformat()
            await self._start_here(id_, Job(kind, args, queue, partition, timeout, due))
            return
        serial = partition if queue in self._serial else None
        job = Job(kind, args, queue, partition, timeout)
        with (
            SetWorkflowID(id_),
            SetEnqueueOptions(queue_partition_key=serial, delay_seconds=delay),
        ):
            await DBOS.enqueue_workflow_async(queue, self._workflow, job.to_json())

    async def _start_here(self, id_: str, job: Job) -> None:
        if not self._here.expect(id_, job):
            return
        # Whole even where its caller is cancelled: a job that was written down and never came would wait for ever.
        starting = asyncio.create_task(self._started(id_, job), name=f"start {id_}")
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        await asyncio.shield(starting)

    async def _started(self, id_: str, job: Job) -> None:
        here = self._here
        try:
            with SetWorkflowID(id_, workflow_id_reuse_policy="reject"):
                await DBOS.start_workflow_async(self._workflow, job.to_json())
        except dbos_error.DBOSWorkflowIDInUseError:
            here.forget(id_)
        except BaseException:
            here.forget(id_)
            raise

    async def cancel(self, ids: Sequence[str]) -> None:
        """End these jobs; a running one gets CancelledError, at once here, within seconds in another process."""
        if ids:
            await DBOS.cancel_workflows_async(list(ids))
            self._here.cancel(ids)

    async def status(self, id_: str) -> JobStatus | None:
        """Tell how a job stands; None where the id is not known (any more)."""
        found = await DBOS.list_workflows_async(workflow_ids=[id_], load_input=False, load_output=False)
        if not found:
            return None
        state = found[0].status
        if state == "PENDING":
            return "waiting" if self._embedded and not self._here.started(id_) else "running"
        return _STATUS[state]

    async def waiting(self) -> tuple[Waiting, ...]:
        """List the jobs that wait for a slot, with how many come before each; on PostgreSQL of all processes."""
        if self._pool is not None:
            return self._pool.waiting()
        found = await DBOS.list_workflows_async(status="ENQUEUED", load_input=False, load_output=False)
        before: Counter[str] = Counter()
        listed = []
        for workflow in found:  # oldest first
            queue = workflow.queue_name or ""
            listed.append(Waiting(queue, workflow.workflow_id, before[queue], self._limits.get(queue, 0)))
            before[queue] += 1
        return tuple(listed)

    async def _run(self, data: JsonDict) -> None:
        """Run a job inside its DBOS workflow; leaving by CancelledError leaves the row as it is."""
        id_ = str(DBOS.workflow_id)
        try:
            await self._here.run(id_, Job(**data))
        except JobTimeoutError:
            # Outside the workflow's context, in which DBOS would record a step of it.
            cancel = DBOS.cancel_workflows_async([id_])
            await asyncio.create_task(cancel, context=self._context.copy())
            raise asyncio.CancelledError from None

    async def _notice_cancelled(self) -> None:
        """Interrupt jobs here that another process cancelled."""
        while True:
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            if running := self._here.running():
                found = await DBOS.list_workflows_async(
                    workflow_ids=running, status="CANCELLED", load_input=False, load_output=False
                )
                self._here.cancel([workflow.workflow_id for workflow in found])

    async def _purge(self) -> None:
        """Forget jobs that ended long ago; the outbox is what says that their work is done."""
        while True:
            before = (self._clock.now() - self._keep).isoformat()
            while old := await DBOS.list_workflows_async(
                status=_ENDED, completed_before=before, limit=PURGE_BATCH, load_input=False, load_output=False
            ):
                await DBOS.delete_workflows_async([workflow.workflow_id for workflow in old])
            await asyncio.sleep(PURGE_SECONDS)

    def _config(self) -> DBOSConfig:
        config = DBOSConfig(
            name=_APPLICATION,
            system_database_url=self._url.render_as_string(hide_password=False),
            # Kept by hand: the default, a hash of the code, would strand every job at each deploy.
            application_version="1",
            executor_id=self.executor_id,
            max_executor_threads=THREADS,
            serializer=DBOSPortableJSONSerializer(),
            log_level="WARNING",
            sys_db_idle_transaction_timeout_sec=IDLE_TRANSACTION_MS / 1000,
            # Neither messages nor events of DBOS are used, and LISTEN would not work behind a transaction pooler.
            use_listen_notify=False,
            notification_listener_polling_interval_sec=_LISTENER_SECONDS,
        )
        if self._sqlite is not None:
            config["system_database_engine"] = self._sqlite
        return config

    @property
    def _here(self) -> Work:
        if self._work is None:
            raise RuntimeError("the engine is not started")
        return self._work


@dataclass(frozen=True, slots=True)
class _Takeover:
    """What may be done with DBOS's jobs, through the engine that runs or, once it has ended, through a client."""

    dbos: type[DBOS] | DBOSClient

    def executors(self) -> set[str]:
        pending = self.dbos.list_workflows(status="PENDING", load_input=False, load_output=False)
        return {workflow.executor_id for workflow in pending if workflow.executor_id}

    def running(self, executor: str) -> dict[str, str]:
        pending = self.dbos.list_workflows(
            status="PENDING", executor_id=executor, load_input=False, load_output=False
        )
        return {workflow.workflow_id: workflow.queue_name for workflow in pending if workflow.queue_name}

    def resume(self, queue: str, ids: Sequence[str]) -> None:
        self.dbos.resume_workflows(list(ids), queue_name=queue)

    def give_up(self, ids: Sequence[str]) -> None:
        self.dbos.cancel_workflows(list(ids))


def _register(run: _Workflow) -> _Workflow:
    async def job(data: JsonDict) -> None:
        await run(data)

    return DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=MAX_RECOVERIES)(job)


async def _in_own_thread(work: Callable[[], None]) -> None:
    """Run work that takes down the very threads that `asyncio.to_thread` would use."""
    with ThreadPoolExecutor(1, "engine-stop") as threads:
        await asyncio.get_running_loop().run_in_executor(threads, work)
